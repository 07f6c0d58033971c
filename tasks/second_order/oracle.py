"""The counted oracle through which a method meets a function, and the default method."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.contract import BenchError, Diverged, Log
from tasks.second_order.functions import Function, Rescaled
from tasks.second_order.matrices import Diagonal, Matrix

LARGEST = 1e150  # of a coordinate; its square is still a number


class Oracle:
    """A function and the approximate Hessian of the slot `curvature`, every use of them counted.

    Value and gradient come together and cost one of `gradients`, so that no line search is free. `hessians` counts calls of
    `hessian`, `solves` linear systems; a diagonal system is none.
    """

    def __init__(self, function: Function, curvature: Callable[..., Matrix], log: Log) -> None:
        self._function, self._curvature, self._log = function, curvature, log
        self.gradients = self.solves = 0
        self.dimension = function.dimension

    def __call__(self, x: Tensor) -> tuple[float, Tensor]:
        """(value, gradient) at x (d,); a value of infinity where x or the function leaves the numbers."""
        self._log.count(gradients=1)
        self.gradients += 1
        if not bool((x.abs() < LARGEST).all()):
            return math.inf, torch.full_like(x, math.nan)
        try:
            value, gradient = self._function.value_and_gradient(x)
        except OverflowError:  # of a power of a Python number
            return math.inf, torch.full_like(x, math.nan)
        return (value if math.isfinite(value) and bool(gradient.isfinite().all()) else math.inf), gradient

    def hessian(self, x: Tensor) -> Matrix:
        """The approximate Hessian at x. Diverged if it is not finite, BenchError if it is no matrix for x."""
        self._log.count(hessians=1)
        matrix = self._curvature(function=self._function, x=x)
        dense = matrix.entries if isinstance(matrix, Diagonal) else matrix.dense()
        if dense.shape[0] != self.dimension:
            raise BenchError(f"`curvature` returned {tuple(dense.shape)} for {self.dimension} unknowns")
        if not bool(dense.isfinite().all()):
            raise Diverged("the approximate Hessian is not finite")
        return matrix

    def solve(self, matrix: Matrix, shift: float, right: Tensor) -> Tensor | None:
        """(matrix + shift I)^-1 right; None if the shifted matrix is not positive definite, which costs a solve too."""
        if not isinstance(matrix, Diagonal):
            self.spend()
        return matrix.solve(shift, right)

    def spend(self, solves: int = 1) -> None:
        """Count linear systems that a method solves itself, such as an eigendecomposition."""
        self._log.count(solves=solves)
        self.solves += solves


def rescaled(function: Function, metric: str) -> tuple[Function, Tensor | None]:
    """(the function in coordinates y with B = I, T with x = T y) for metric "own"; (the function, None) for "identity"."""
    if metric not in ("own", "identity"):
        raise BenchError(f"task.metric={metric}: it is own or identity")
    if metric == "identity":
        return function, None
    factor = torch.linalg.cholesky(function.metric())
    transform = torch.linalg.inv(factor).T
    return Rescaled(function, transform), transform


def descend(*, start: Tensor, oracle: Any, visit: Callable[[Tensor], None], smoothness: float = 1.0) -> None:
    """Gradient descent x - g/L; L doubles until f falls by |g|^2 / 2L, and is halved after each step.

    smoothness: the first L. It ends where no step falls any more, after 100 doublings.
    """
    if not smoothness > 0:
        raise BenchError(f"method.smoothness={smoothness}: it has to be above 0")
    x, (value, gradient) = start, oracle(start)
    while float(gradient.norm()) > 0:
        square = float(gradient.square().sum())
        for _ in range(100):
            moved = x - gradient / smoothness
            reached, slope = oracle(moved)
            if value - reached >= square / (2 * smoothness):
                break
            smoothness *= 2
        else:
            return
        x, value, gradient, smoothness = moved, reached, slope, smoothness / 2
        visit(x)
