"""Direct solvers, which bound what iterations can reach: their one product checks the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from baselines.linear_solver.krylov import Iterates, Prepare, Solve
from bench.contract import BenchError


def sparse_lu(*, system: Any, generator: Generator) -> Iterator[Prepare]:
    """A sparse LU factor of each matrix (SuperLU, minimum degree of A + A^T). A singular matrix gets 1 added to one diagonal
    entry, which changes the solution for a compatible right-hand side by a constant only."""
    from scipy.sparse import linalg

    def prepare(of: Any) -> Solve:
        matrix = of.matrix().tocsc()
        if of.singular:
            first = int(of.domain.reshape(-1).nonzero()[0])
            matrix[first, first] += 1.0
        factors = linalg.splu(
            matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
        return refined(of, lambda r: torch.from_numpy(factors.solve(r.reshape(-1).numpy())).reshape(r.shape))

    yield prepare


def fast_transform(*, system: Any, generator: Generator) -> Iterator[Prepare]:
    """Sine transforms around a Dirichlet domain, cosine transforms for a Neumann one; BenchError where there are obstacles."""
    from scipy import fft  # noqa: F401 - loaded before a set-up is timed

    yield lambda of: refined(of, spectral_inverse(of))


def spectral_inverse(system: Any) -> Callable[[Tensor], Tensor]:
    """The inverse of A on an empty square or cube, on the complement of the constant if A is singular. BenchError for others.

    Around a Dirichlet domain A has the eigenvectors sin(pi k i / (n + 1)) with sums of 4 sin^2(pi k / (2 (n + 1))); within a
    Neumann one cos(pi k (i + 1/2) / n) with sums of 4 sin^2(pi k / (2 n)).
    """
    from scipy import fft

    if not bool(system.domain.all()):
        raise BenchError("a fast transform solves on an empty square or cube only; here are obstacles; take sparse_lu")
    forward, kind = (fft.dctn, 2) if system.singular else (fft.dstn, 1)
    backward = fft.idctn if system.singular else fft.idstn
    values = torch.zeros(system.shape, dtype=torch.float64)
    for axis, side in enumerate(system.shape):
        places = torch.arange(side, dtype=torch.float64)
        angle = places / (2 * side) if system.singular else (places + 1) / (2 * (side + 1))
        line = 4 * torch.sin(torch.pi * angle) ** 2
        values = values + line.reshape([-1 if other == axis else 1 for other in range(system.dims)])
    if system.singular:
        values.reshape(-1)[0] = torch.inf  # the constant's part is left out
    return lambda r: torch.from_numpy(backward(forward(r.numpy(), kind) / values.numpy(), kind))


def refined(system: Any, inverse: Callable[[Tensor], Tensor]) -> Solve:
    """x += inverse(residual), from 0: the first iterate is the direct solution, later ones are iterative refinement."""

    def solve(b: Tensor) -> Iterates:
        x, residual = torch.zeros_like(b), b
        while float(residual.norm()) > 0:
            x = system.project(x + inverse(residual))
            residual = b - system.multiply(x)
            yield x, float(residual.norm())

    return solve
