"""Differences along coordinates: exact for quadratic functions; the whole gradient where the budget covers all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from bench.contract import BenchError


class Coordinates:
    """Central differences along k coordinates drawn without replacement, times d/k: unbiased, with cos^2 = k/d in the mean.

    k: half of `evaluations`, at most d. every: demand all coordinates, and BenchError where the evaluations do not cover them.
    """

    def __init__(
        self, *, dimension: int, evaluations: int, generator: Generator, smoothing: float = 1e-3, every: bool = False
    ) -> None:
        self.chosen = min(evaluations // 2, dimension)
        if self.chosen < 1 or not smoothing > 0:
            raise BenchError(f"evaluations={evaluations} has to be 2 or more, smoothing={smoothing} above 0")
        if every and self.chosen < dimension:
            raise BenchError(
                f"all {dimension} coordinates take {2 * dimension} evaluations a step; there are {evaluations}: raise "
                "task.queries, or set estimator.every=false"
            )
        self.generator, self.smoothing = generator, smoothing
        self.second_moment = dimension / self.chosen

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        picked = torch.randperm(len(x), generator=self.generator)[: self.chosen]
        moves = torch.zeros(self.chosen, len(x), dtype=x.dtype)
        moves[torch.arange(self.chosen), picked] = self.smoothing
        values = f(torch.cat([x + moves, x - moves]))
        estimate = torch.zeros_like(x)
        estimate[picked] = (values[: self.chosen] - values[self.chosen :]) / (2 * self.smoothing) * self.second_moment
        return estimate
