"""Estimates from exact derivatives: slopes by forward mode, and the gradient itself by backpropagation as the bound."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from bench.contract import BenchError


class ForwardGradient:
    """(1/k) sum_i (g . u_i) u_i, u_i standard normal, the slope exact: the limit of differences as their step goes to 0.

    Baydin et al. 2022 (arXiv 2202.08587). A slope counts as two evaluations, so k is half of `evaluations`.
    """

    def __init__(self, *, dimension: int, evaluations: int, generator: Generator) -> None:
        self.directions = evaluations // 2
        if self.directions < 1:
            raise BenchError(f"{evaluations} evaluations give no direction; a slope counts as 2")
        self.generator = generator
        self.second_moment = 1 + (dimension + 1) / self.directions

    def __call__(self, f: Any, x: Tensor) -> Tensor:
        u = torch.randn(self.directions, len(x), generator=self.generator, dtype=x.dtype)
        return f.slopes(x, u) @ u / self.directions


class Backpropagation:
    """The exact gradient. It counts as three evaluations a step, whatever the task's `queries`."""

    def __init__(self, *, dimension: int, evaluations: int, generator: Generator) -> None:
        self.second_moment = 1.0

    def __call__(self, f: Any, x: Tensor) -> Tensor:
        return f.gradient(x)
