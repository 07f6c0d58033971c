"""Incomplete Cholesky factors without fill as a preconditioner of conjugate gradients (Meijerink and van der Vorst 1977)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator

from baselines.linear_solver.krylov import Prepare, preconditioned
from bench.contract import BenchError

SMALL = 1e-8  # a pivot below this share of its diagonal is taken for it: the last one of a singular matrix is 0


def cholesky(*, system: Any, generator: Generator, modified: float = 0.0) -> Iterator[Prepare]:
    """modified: the share of dropped fill that is taken from the diagonal (0 is IC(0), 1 is Gustafsson's factor of 1978)."""
    from scipy.sparse import linalg  # noqa: F401 - loaded before a set-up is timed

    if not 0 <= modified <= 1:
        raise BenchError(f"linear_solver.modified={modified}: a share from 0 to 1")

    def prepare(of: Any) -> Any:
        solve = triangular(factor(of.matrix(), modified))
        return preconditioned(of, lambda r: torch.from_numpy(solve(r.reshape(-1).numpy())).reshape(r.shape))

    yield prepare


def factor(matrix: Any, modified: float = 0.0) -> Any:
    """The lower factor L (n, n), csr, of a symmetric sparse matrix, with the pattern of its lower half.

    L L^T is the matrix on that pattern if `modified` is 0, and has its row sums if it is 1. BenchError, naming the row, where a
    pivot is below 0: the matrix is not positive definite, or too far from an M-matrix.
    """
    from scipy import sparse

    lower = sparse.tril(matrix, format="csr")
    lower.sort_indices()
    starts, columns, values = lower.indptr.tolist(), lower.indices.tolist(), lower.data.tolist()
    diagonal = [values[end - 1] for end in starts[1:]]
    below: list[list[int]] = [[] for _ in diagonal]  # rows of the matrix with an entry in this column
    for i in range(len(diagonal)):
        for j in columns[starts[i] : starts[i + 1] - 1]:
            below[j].append(i)
    entries = [  # of L below the diagonal, row by row
        dict(zip(columns[start : end - 1], values[start : end - 1], strict=True))
        for start, end in zip(starts, starts[1:], strict=False)
    ]
    pivots: list[float] = []
    for k, rest in enumerate(below):  # right-looking: column k is done, then taken from the columns after it
        scale = values[starts[k + 1] - 1]
        if not (scale > 0 and diagonal[k] >= -SMALL * scale):
            reason = "the matrix is not positive definite, or far from an M-matrix"
            raise BenchError(
                f"row {k} has the pivot {diagonal[k]:g}, so there is no incomplete Cholesky factor; {reason}"
            )
        pivot = math.sqrt(max(diagonal[k], SMALL * scale))
        pivots.append(pivot)
        for i in rest:
            entries[i][k] /= pivot
        for place, i in enumerate(rest):
            diagonal[i] -= entries[i][k] ** 2
            for j in rest[place + 1 :]:
                fill = entries[i][k] * entries[j][k]
                if i in entries[j]:
                    entries[j][i] -= fill
                else:
                    diagonal[i] -= modified * fill
                    diagonal[j] -= modified * fill
    data, index, ends = [], [], [0]
    for k, entry in enumerate(entries):
        data += [*entry.values(), pivots[k]]
        index += [*entry, k]
        ends.append(len(data))
    return sparse.csr_matrix((data, index, ends), shape=matrix.shape)


def triangular(lower: Any) -> Any:
    """r -> (L L^T)^-1 r for arrays (n,), by SuperLU's substitutions in the order of the rows: no fill, no pivoting."""
    from scipy.sparse import linalg

    plain = {"permc_spec": "NATURAL", "diag_pivot_thresh": 0.0, "options": {"Equil": False}}
    factors = linalg.splu(lower.tocsc(), **plain)
    return lambda r: factors.solve(factors.solve(r), trans="T")
