"""The global sources of chance: torch's, Python's and numpy's generators.

Entries and probes may draw from them. The harness sets all three from the cell's seed, and whatever runs on its behalf in
between (an evaluation, a probe) leaves them as they were.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager


def seed_torch(number: int) -> None:
    """`torch.manual_seed`, which formats a stack for each accelerator that is absent: 3 ms of a fresh process."""
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        torch.manual_seed(number)
    else:
        torch.default_generator.manual_seed(number)


def seed(number: int) -> None:
    """Set all three generators from a number of at least 0."""
    import numpy.random

    seed_torch(number)
    random.seed(number)
    numpy.random.seed([number & 0xFFFFFFFF, number >> 32])


@contextmanager
def kept() -> Iterator[None]:
    """Whatever is drawn in here, the generators go on as before."""
    import numpy.random
    import torch

    python, numbers = random.getstate(), numpy.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python)
            numpy.random.set_state(numbers)
