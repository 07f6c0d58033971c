"""The default part: conjugate gradients (Hestenes and Stiefel 1952). Set-up, training: none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.linear_solver.systems import System

Iterates = Iterator[tuple["Tensor", float]]  # x, and the solver's own norm of b - A x
Solve = Callable[["Tensor"], Iterates]
Prepare = Callable[["System"], Solve]


def gradients(*, system: System, generator: Generator) -> Iterator[Prepare]:
    """Conjugate gradients from 0, one product an iteration."""
    yield prepared


def prepared(system: System) -> Solve:
    """The solver of one system."""

    def solve(b: Tensor) -> Iterates:
        x, residual, direction = torch.zeros_like(b), b, b
        size2 = float(torch.vdot(b.reshape(-1), b.reshape(-1)))
        while size2 > 0:
            image = system.multiply(direction)
            step = size2 / curvature(direction, image)
            x, residual = torch.add(x, direction, alpha=step), torch.sub(residual, image, alpha=step)
            size2, before = float(torch.vdot(residual.reshape(-1), residual.reshape(-1))), size2
            direction = torch.add(residual, direction, alpha=size2 / before)
            yield x, size2**0.5

    return solve


def curvature(direction: Tensor, image: Tensor) -> float:
    """direction . A direction. BenchError unless it is above 0, as it is for a positive definite A."""
    value = float(torch.vdot(direction.reshape(-1), image.reshape(-1)))
    if not value > 0:
        raise BenchError(
            f"a direction has curvature {value:g}: the matrix is not positive definite, or a number is NaN"
        )
    return value
