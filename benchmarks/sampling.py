"""What it costs to sample a mixture in the plane: 10,000 points by 50 steps of the deterministic sampler.

python -m benchmarks sampling
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from tasks.diffusion.process import Mixture
from tasks.diffusion.sampling import sample

POINTS, STEPS, SEED = 10_000, 50, 100
LIMIT = 2.0  # CPU seconds
Row = tuple[str, float, str, float, Callable[[float, float], bool]]


def rows() -> Iterator[Row]:
    """The CPU seconds of one batch."""
    torch.set_num_threads(1)
    centres = torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    mixture = Mixture(torch.tensor([0.8, 0.15, 0.05]), centres, torch.full((3, 2), 0.09))
    noise = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(SEED))
    started = time.process_time()
    ends = sample(mixture.noise, noise, STEPS).ends
    seconds = time.process_time() - started
    if not bool(ends.isfinite().all()):
        raise RuntimeError("samples are not finite, so that their time would say nothing")
    yield "sampling 10,000 points by 50 steps", seconds, "s", LIMIT, lambda got, limit: got <= limit
