"""Whether the rivals of learned solvers are at their best: multigrid beside pyamg's own loops, plain CG beside scipy's.

Counts are compared as they are: V-cycles, alone and within conjugate gradients, until 1e-8 on the square of side 32. Seconds are
CPU seconds of one solve in one run; the two take turns and of each the least is taken.

    python -m benchmarks linear_solver
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from baselines.linear_solver import multigrid
from bench.seeds import Seeds
from benchmarks.timing import ratio
from tasks.linear_solver import conjugate, sources
from tasks.linear_solver.systems import System

SIDE, TOLERANCE, ROUNDS, SEED = 32, 1e-8, 30, 100
LIMIT = 3.0  # times the CPU seconds of the package: fields stay torch tensors, and every product is counted
Row = tuple[str, float, str, float, Callable[[float, float], bool]]


def iterates(solve: Any, b: torch.Tensor) -> int:
    """Iterates until `TOLERANCE`."""
    for count, (_, size) in enumerate(solve(b), 1):
        if size <= TOLERANCE * float(b.norm()):
            return count
    raise RuntimeError("the solver ended above the tolerance")


def rows() -> Iterator[Row]:
    """Counts over pyamg's for each kind of right-hand side, then the ratios of seconds."""
    import pyamg
    from scipy.sparse import linalg

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    system = System(torch.ones(SIDE, SIDE, dtype=torch.bool), "dirichlet")
    matrix = system.matrix()
    hierarchy = pyamg.ruge_stuben_solver(matrix)
    generator = torch.Generator()
    (alone,) = multigrid.v_cycle(system=system, generator=generator)
    (within,) = multigrid.conjugate(system=system, generator=generator)
    for name, prepare, accelerated in (("V-cycles", alone, None), ("V-cycles in CG", within, "cg")):
        for kind in sources.KINDS:
            b = sources.right_hand_side(kind, system, Seeds(SEED, "linear_solver/poisson_2d").stream("data", "test"))
            norms: list[float] = []
            hierarchy.solve(b.reshape(-1).numpy(), tol=TOLERANCE, accel=accelerated, residuals=norms, maxiter=100)
            ours, theirs = iterates(prepare(system), b), len(norms) - 1
            yield (
                f"{name} on {kind}, {ours} over pyamg's {theirs}",
                ours / theirs,
                "x",
                1.0,
                lambda got, limit: got <= limit,
            )
    b = sources.right_hand_side("white", system, Seeds(SEED, "linear_solver/poisson_2d").stream("data", "test"))
    flat, solve, cycle = b.reshape(-1).numpy(), within(system), hierarchy.aspreconditioner(cycle="V")
    stop: dict[str, Any] = {"rtol": TOLERANCE, "atol": 0.0}
    if not np.allclose(linalg.cg(matrix, flat, **stop)[0], answer(conjugate.prepared(system), b), atol=1e-6):
        raise RuntimeError("scipy's conjugate gradients and ours find different solutions")
    plain = ratio(lambda: answer(conjugate.prepared(system), b), lambda: linalg.cg(matrix, flat, **stop), ROUNDS)
    yield "a solve by conjugate gradients, over scipy's", plain, "x", LIMIT, lambda got, limit: got <= limit
    grids = ratio(lambda: answer(solve, b), lambda: linalg.cg(matrix, flat, M=cycle, **stop), ROUNDS)
    yield (
        "a solve by multigrid conjugate gradients, over scipy's with pyamg",
        grids,
        "x",
        LIMIT,
        lambda got, limit: got <= limit,
    )


def answer(solve: Any, b: torch.Tensor) -> np.ndarray[Any, Any]:
    """The first iterate (cells,) below `TOLERANCE`."""
    x = next(x for x, size in solve(b) if size <= TOLERANCE * float(b.norm()))
    return np.asarray(x.reshape(-1).numpy())
