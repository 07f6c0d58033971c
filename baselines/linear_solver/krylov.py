"""Conjugate gradients with a preconditioner, and with a deflated space. A `system` is what the task hands over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from bench.contract import BenchError

Iterates = Iterator[tuple[Tensor, float]]  # x, and the solver's own norm of b - A x
Solve = Callable[[Tensor], Iterates]
Prepare = Callable[[Any], Solve]


def dot(x: Tensor, y: Tensor) -> float:
    """The inner product of two fields."""
    return float(torch.vdot(x.reshape(-1), y.reshape(-1)))


def curved(direction: Tensor, image: Tensor) -> float:
    """direction . A direction. BenchError unless it is above 0, as it is for a positive definite A."""
    value = dot(direction, image)
    if not value > 0:
        raise BenchError(
            f"a direction has curvature {value:g}: the matrix is not positive definite, or a number is NaN"
        )
    return value


def preconditioned(system: Any, precondition: Callable[[Tensor], Tensor]) -> Solve:
    """Conjugate gradients with a symmetric positive definite `precondition` of fields, one product an iteration (Meijerink and
    van der Vorst 1977). BenchError where r . precondition(r) is not above 0."""

    def solve(b: Tensor) -> Iterates:
        x, residual, direction, before = torch.zeros_like(b), b, torch.zeros_like(b), 0.0
        while (size := float(residual.norm())) > 0:
            shaped = system.project(precondition(residual))
            share = dot(residual, shaped)
            if not share > 0:
                raise BenchError(
                    f"the preconditioner maps a residual to one of product {share:g}: it is not positive definite"
                )
            direction = shaped + (share / before if before else 0.0) * direction
            image = system.multiply(direction)
            step = share / curved(direction, image)
            x, residual, before = x + step * direction, residual - step * image, share
            size = float(residual.norm())
            yield x, size

    return solve


def deflated(*, system: Any, generator: Generator, blocks: int = 4) -> Iterator[Prepare]:
    """Conjugate gradients without the constants on blocks^dims equal blocks (Nicolaides 1987): the start takes their part of
    the solution, and every direction is A-orthogonal to them. Their images are products of the set-up.
    """
    if not blocks >= 1:
        raise BenchError(f"linear_solver.blocks={blocks}: it has to be 1 or more")
    yield lambda of: deflated_by(of, block_constants(of, blocks))


def block_constants(system: Any, blocks: int) -> Tensor:
    """Indicators (vectors, *shape) of the blocks' parts outside of obstacles; a block has two cells a side at least, or it would
    be a direct solver. Of a singular system the last one is left out, since their sum is the constant, which A maps to 0."""
    index = torch.zeros(system.shape, dtype=torch.int64)
    for axis, side in enumerate(system.shape):
        places = torch.arange(side) * min(blocks, side // 2) // side
        index = index * blocks + places.reshape([-1 if other == axis else 1 for other in range(system.dims)])
    vectors = [(index == number) & system.domain for number in index.unique()]
    kept = [vector.double() for vector in vectors if vector.any()]
    return torch.stack(kept[:-1] if system.singular and len(kept) > 1 else kept)


def deflated_by(system: Any, vectors: Tensor) -> Solve:
    """Conjugate gradients deflated by the span of `vectors` (vectors, *shape), which are independent and not constant."""
    space = system.project(vectors)
    images = system.multiply(space)
    w, aw = space.flatten(1), images.flatten(1)
    factor, flaw = torch.linalg.cholesky_ex(w @ aw.T)
    if flaw:
        raise BenchError("the deflated vectors are dependent, or the matrix is not positive definite on them")

    def along(rows: Tensor, field: Tensor) -> Tensor:
        """Coefficients of (W^T A W)^-1 rows field."""
        return torch.cholesky_solve((rows @ field.reshape(-1))[:, None], factor)[:, 0]

    def solve(b: Tensor) -> Iterates:
        start = along(w, b)
        x, residual = (start @ w).reshape(b.shape), b - (start @ aw).reshape(b.shape)
        direction, before = torch.zeros_like(b), 0.0
        yield x, float(residual.norm())
        while (share := dot(residual, residual)) > 0:
            free = residual - (along(aw, residual) @ w).reshape(b.shape)
            direction = free + (share / before if before else 0.0) * direction
            image = system.multiply(direction)
            step = share / curved(direction, image)
            x, residual, before = x + step * direction, residual - step * image, share
            yield x, float(residual.norm())

    return solve
