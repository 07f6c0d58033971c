"""The check of numbers that formulations share."""

from __future__ import annotations

import math

from bench.contract import BenchError


def checked(part: str, *, least: float = 0.0, **numbers: float) -> None:
    """BenchError, naming the argument, unless all of a part's `numbers` are finite and at least `least`."""
    for name, value in numbers.items():
        if not least <= value < math.inf:
            raise BenchError(
                f"formulation.{name}={value} of {part}: it has to be a finite number of at least {least:g}"
            )
