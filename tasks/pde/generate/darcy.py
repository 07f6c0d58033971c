"""Darcy flow, -div(a grad u) = beta on the unit square with u = 0 on its boundary, by finite volumes.

The problem of PDEBench (Takamoto et al. 2022, arXiv 2210.07182, appendix on Darcy flow): a permeability of two values,
here solved as the elliptic equation that it is.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import solveh_banded
from scipy.sparse.linalg import SuperLU, splu

from bench.contract import BenchError
from tasks.pde.files.fields import Fields

Array = NDArray[np.float64]
BUMPS = 5
LOW, HIGH = 0.1, 1.0
POLES = 16  # of the rational approximation of exp: its error is about 3.9 ** -POLES


def permeability(rng: np.random.Generator, samples: int, points: int, batch_mean: bool = False) -> Array:
    """HIGH where a sum of five Gaussian bumps exceeds its mean, LOW elsewhere: (samples, points, points).

    A bump is exp(-r^2 / w) with its centre uniform in the square and w from U(0, 1/2). The mean is a sample's own, or
    with `batch_mean` the mean over the batch, which makes a sample depend on the others drawn with it and leaves some
    samples almost uniform.
    """
    x = (np.arange(points) + 0.5) / points
    cx, cy, width = np.moveaxis(rng.uniform(0, 1, (samples, 3, BUMPS, 1)), 1, 0)
    width = width / 2
    total = np.einsum("sbx,sby->sxy", np.exp(-((x - cx) ** 2) / width), np.exp(-((x - cy) ** 2) / width))
    level = total.mean() if batch_mean else total.mean(axis=(1, 2), keepdims=True)
    return np.where(total > level, HIGH, LOW)


def stencil(a: Array, faithful: bool = False) -> tuple[Array, Array, Array]:
    """-div(a grad .) for a permeability a (n, n) and cells in C order: the matrix's diagonal, and those n and 1 beside it.

    A face between cells conducts with the harmonic mean of their permeabilities, which is exact for layers, and the
    boundary lies half a cell from the outer centres. `faithful`: the arithmetic mean, and zeros at the centres of ghost
    cells, as in PDEBench, which puts the boundary half a cell too far out.
    """
    n = len(a)

    def mean(left: Array, right: Array) -> Array:
        return (left + right) / 2 if faithful else 2 * left * right / (left + right)

    x_faces = np.pad(mean(a[1:], a[:-1]), ((1, 1), (0, 0)))
    y_faces = np.pad(mean(a[:, 1:], a[:, :-1]), ((0, 0), (1, 1)))
    edge = 1 if faithful else 2
    x_faces[[0, -1]], y_faces[:, [0, -1]] = edge * a[[0, -1]], edge * a[:, [0, -1]]
    diagonal = x_faces[1:] + x_faces[:-1] + y_faces[:, 1:] + y_faces[:, :-1]
    y_faces[:, -1] = 0  # neighbours in C order, but at opposite ends of two rows
    return diagonal.ravel() * n**2, -x_faces[1:-1].ravel() * n**2, -y_faces[:, 1:].ravel()[:-1] * n**2


def operator(a: Array, faithful: bool = False) -> sparse.csc_array:
    """The five-point matrix A of -div(a grad .): (n^2, n^2), see `stencil`."""
    n, (diagonal, across, along) = len(a), stencil(a, faithful)
    diagonals = [diagonal, across, across, along, along]
    return sparse.csc_array(sparse.diags_array(diagonals, offsets=[0, n, -n, 1, -1]))


def factor(matrix: sparse.csc_array) -> SuperLU:
    """A sparse LU without pivoting: the matrices are diagonally dominant or sectorial, so they do not need it.

    Single columns, not SuperLU's panels, are faster by a third on fill-in as thin as a plane grid's.
    """
    options = {"SymmetricMode": True}
    return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, panel_size=1, options=options)


def steady(a: Array, beta: float) -> Array:
    """The discrete solution u (n, n) for a permeability a (n, n)."""
    return np.asarray(factor(operator(a)).solve(np.full(a.size, beta)).reshape(a.shape))


def steady_banded(a: Array, beta: float) -> Array:
    """`steady` by Cholesky's method within the band, which takes less time than a sparse LU up to 128 x 128 cells."""
    n, (diagonal, across, along) = len(a), stencil(a)
    bands = np.zeros((n + 1, a.size))
    bands[0], bands[1, :-1], bands[n, :-n] = diagonal, along, across
    solution = solveh_banded(bands, np.full(a.size, beta), overwrite_ab=True, lower=True, check_finite=False)
    return np.asarray(solution.reshape(a.shape))


def transient(a: Array, beta: float, start: float, t: float) -> Array:
    """u (n, n) at time t > 0 of u_t = div(a grad u) + beta from the constant `start`, on PDEBench's stencil.

    Exact in time but for about 1e-9 of `start`: the inverse Laplace transform of (z + A)^-1 (start + beta / z) on the
    contour of Trefethen, Weideman and Schmelzer (2006, Talbot quadratures and rational approximations).
    """
    matrix, identity = operator(a, faithful=True), sparse.eye_array(a.size, format="csc")
    u = np.zeros(a.size)
    for angle in math.pi * np.arange(1, POLES, 2) / POLES:  # the conjugate half follows by symmetry
        turn = 0.6407 * angle
        z = POLES / t * (0.5017 * angle / np.tan(turn) - 0.6122 + 0.2645j * angle)
        slope = POLES / t * (0.5017 * (1 / np.tan(turn) - turn / np.sin(turn) ** 2) + 0.2645j)
        resolvent = factor(sparse.csc_array(matrix + z * identity))
        u += 2 / POLES * (np.exp(z * t) * slope * resolvent.solve(np.full(a.size, start + beta / z))).imag
    return u.reshape(a.shape)


def generate(
    samples: int,
    seed: int,
    points: int,
    frames: int = 1,
    final_time: float = 1.75,
    beta: float = 1.0,
    faithful: bool = False,
) -> Fields:
    """Random permeabilities and their solutions on cell centres of the unit square.

    Values (samples, 1, points, points, 1) of the channel "u"; the constant "nu" is the permeability (samples, points,
    points). By default u is the steady state; `final_time` has no effect and the frame's time is 0.

    `faithful`: PDEBench's target, a snapshot at `final_time` of the heat equation that starts from a constant drawn
    from U(0.1, 10), which is not stored. At small beta the snapshot shows that constant rather than the flow. The
    permeability is cut at the mean of the batch and the stencil is PDEBench's; the ripples of its initial state, which
    decay before the snapshot, are left out.

    BenchError for samples < 1, points < 8, frames other than 1, final_time <= 0 or beta <= 0.
    """
    if samples < 1 or points < 8 or frames != 1 or not final_time > 0 or not beta > 0:
        raise BenchError(
            f"darcy: samples={samples}, points={points}, frames={frames}, final_time={final_time}, beta={beta}; "
            "wanted are samples >= 1, points >= 8, frames = 1, final_time > 0 and beta > 0"
        )
    rng = np.random.default_rng(seed)
    a = permeability(rng, samples, points, batch_mean=faithful)
    if faithful:
        u = [
            transient(medium, beta, start, final_time)
            for medium, start in zip(a, rng.uniform(0.1, 10, samples), strict=True)
        ]
    else:
        u = [steady(medium, beta) for medium in a]
    x = (np.arange(points) + 0.5) / points
    time = np.array([final_time if faithful else 0.0])
    return Fields(np.stack(u)[:, None, ..., None], (x, x), time, ("u",), {"beta": beta}, {"nu": a})
