"""The floor: steps as long as those of two-point differences, without the sign that tells where down is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from bench.contract import BenchError


class NoFeedback:
    """(1/k) sum_i |slope_i| u_i: the draws and the lengths of the two-point estimate. Its mean is 0."""

    def __init__(self, *, dimension: int, evaluations: int, generator: Generator, smoothing: float = 1e-3) -> None:
        self.directions = evaluations // 2
        if self.directions < 1 or not smoothing > 0:
            raise BenchError(f"evaluations={evaluations} has to be 2 or more, smoothing={smoothing} above 0")
        self.generator, self.smoothing = generator, smoothing
        self.second_moment = 1 + (dimension + 1) / self.directions

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        u = torch.randn(self.directions, len(x), generator=self.generator, dtype=x.dtype)
        values = f(torch.cat([x + self.smoothing * u, x - self.smoothing * u]))
        slopes = (values[: self.directions] - values[self.directions :]) / (2 * self.smoothing)
        return slopes.abs() @ u / self.directions
