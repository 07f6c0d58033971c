"""The floor: no step at all."""

from __future__ import annotations

from collections.abc import Callable

from torch import Generator, Tensor


class Stay:
    """The parameters as they were at the start. It has no rate."""

    def __init__(self, *, samples: int, steps: int, generator: Generator) -> None:
        self.batch = samples

    def __call__(self, theta: Tensor, gradient: Callable[..., Tensor]) -> Tensor:
        return theta
