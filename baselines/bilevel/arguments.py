"""What the methods share: the type of what they yield, and the check of their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

from bench.contract import BenchError

Iterates = Iterator[tuple[Tensor, float | None]]  # (upper variable, its penalty sigma, if it has one)


def positive(part: str, **numbers: float) -> None:
    """BenchError, naming the argument, unless all of a part's `numbers` are above 0 and finite."""
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise BenchError(f"method.{name}={value} of {part}: it has to be above 0 and finite")
