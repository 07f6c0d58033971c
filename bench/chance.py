"""The global random generators of torch, Python and numpy, from which entries and probes may draw.

The harness seeds them from the cell's seed, and restores their state after each evaluation and probe: these change no result.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager


def seed_torch(number: int) -> None:
    """Seed torch. `torch.manual_seed` takes 3 ms without an accelerator, so only the CPU generator is seeded there."""
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        torch.manual_seed(number)
    else:
        torch.default_generator.manual_seed(number)


def seed(number: int) -> None:
    """Seed all three generators; number: at least 0."""
    import numpy.random

    seed_torch(number)
    random.seed(number)
    numpy.random.seed([number & 0xFFFFFFFF, number >> 32])


@contextmanager
def restored() -> Iterator[None]:
    """Restore the state of all three generators on exit."""
    import numpy.random
    import torch

    python_state, numpy_state = random.getstate(), numpy.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python_state)
            numpy.random.set_state(numpy_state)
