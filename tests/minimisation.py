"""What tests of second-order methods share: small functions, and a method's path over one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from baselines.minimizers.first_order import fast_gradient
from baselines.minimizers.from_scipy import lbfgs, trust_region
from baselines.minimizers.second_order import cubic_newton, gns_newton, super_newton
from tasks.second_order.functions import (
    Function,
    Softmax,
)  # fmt: skip
from tasks.second_order.matrices import Whole, exact
from tasks.second_order.oracle import Oracle, descend

METHODS = (gns_newton, super_newton, cubic_newton, trust_region, lbfgs, descend, fast_gradient)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def classifier(classes: int, rows: int = 30, inputs: int = 4, l2: float = 0.01) -> Softmax:
    labels = torch.arange(rows) % classes
    return Softmax(normal(rows, inputs), labels, classes, l2)


class Quadratic(Function):
    """x'Hx/2."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.dimension = matrix, len(matrix)

    def value_and_gradient(self, x: Tensor) -> tuple[float, Tensor]:
        return float(x @ self.matrix @ x / 2), self.matrix @ x

    def hessian(self, x: Tensor) -> Whole:
        return Whole(self.matrix)


class Count:
    """A log that only counts."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, **amounts: int) -> None:
        for name, amount in amounts.items():
            self.counts[name] = self.counts.get(name, 0) + amount


def path_of(method: Any, function: Function, start: Tensor, steps: int, curvature: Any = exact, **options: Any) -> Any:
    """(points from the start on, the counts) of at most `steps` steps."""
    log, points = Count(), [start]

    def visit(x: Tensor) -> None:
        points.append(x.clone())
        if len(points) > steps:
            raise StopIteration

    try:
        method(start=start.clone(), oracle=Oracle(function, curvature, log), visit=visit, **options)
    except StopIteration:
        pass
    return points, log.counts
