"""Algebraic multigrid by pyamg: V-cycles alone, and as a preconditioner of conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from baselines.linear_solver.krylov import Iterates, Prepare, Solve, preconditioned
from bench.contract import BenchError

KINDS = {"ruge_stuben": "ruge_stuben_solver", "smoothed_aggregation": "smoothed_aggregation_solver"}


def v_cycle(*, system: Any, generator: Generator, kind: str = "ruge_stuben", coarsest: float = 10) -> Iterator[Prepare]:
    """x += V-cycle of the residual; the product that makes the next residual is counted, those within a cycle are not.

    kind: of the hierarchy. coarsest: the most unknowns of a level that is solved directly, rounded.
    """
    maker = made_by(kind, coarsest)

    def prepare(of: Any) -> Solve:
        cycle = cycle_of(of, maker)

        def solve(b: Tensor) -> Iterates:
            x, residual = torch.zeros_like(b), b
            while True:
                x = x + of.project(cycle(residual))
                residual = b - of.multiply(x)
                yield x, float(residual.norm())

        return solve

    yield prepare


def conjugate(
    *, system: Any, generator: Generator, kind: str = "ruge_stuben", coarsest: float = 10
) -> Iterator[Prepare]:
    """Conjugate gradients preconditioned by one V-cycle, which symmetric Gauss-Seidel makes symmetric."""
    maker = made_by(kind, coarsest)
    yield lambda of: preconditioned(of, cycle_of(of, maker))


def made_by(kind: str, coarsest: float) -> Callable[..., Any]:
    """pyamg's maker of a hierarchy, loaded before a set-up is timed. BenchError for a kind that is none, or no unknown."""
    import pyamg

    if not coarsest >= 1:
        raise BenchError(f"linear_solver.coarsest={coarsest}: a coarsest level has one unknown or more")
    if kind not in KINDS:
        raise BenchError(f"linear_solver.kind={kind!r}: there are {', '.join(KINDS)}")
    return partial(getattr(pyamg, KINDS[kind]), max_coarse=round(coarsest))


def cycle_of(system: Any, maker: Callable[..., Any]) -> Callable[[Tensor], Tensor]:
    """One V-cycle from 0 for a system, fields to fields."""
    cycle = maker(system.matrix()).aspreconditioner(cycle="V")
    return lambda r: torch.from_numpy(cycle @ r.reshape(-1).numpy()).reshape(r.shape)
