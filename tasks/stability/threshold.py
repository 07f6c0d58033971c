"""Curvature at an interpolating minimum, and the largest rate at which SGD is stable there in mean square.

Loss L = 1/(2n) sum_i (f_i - y_i)^2, Jacobian J (n, parameters), gram G = J J' (n, n). At a minimum that interpolates the
Hessian is H = J'J / n, so tr H = tr G / n, and its eigenvalues that are not 0 are those of G / n. A rate below is stable.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NULL = 1e-12  # an eigenvalue of the gram below this share of the largest counts as 0
STEPS, TOLERANCE = 5000, 1e-12  # of the power iteration: most steps, and relative change at which it ends


def spectrum(gram: Tensor) -> tuple[float, float]:
    """(trace, largest eigenvalue) of the Gauss-Newton matrix J'J / n from gram = J J', (n, n)."""
    _check(gram)
    n = len(gram)
    return float(gram.trace()) / n, float(torch.linalg.eigvalsh(gram)[-1]) / n


def second_moment(moment: Tensor, gram: Tensor, rate: float, batch: int) -> Tensor:
    """E[r r'] one step later: residuals r (n,) obey r <- r - (rate / batch) sum over drawn i of G e_i r_i.

    With `batch` samples drawn with replacement and S = E[r r'], S <- S - (rate/n)(GS + SG)
    + rate^2 [G diag(S) G / (n batch) + (1 - 1/batch) G S G / n^2].
    """
    n = len(gram)
    drift = (gram @ moment + moment @ gram) / n
    return moment - rate * drift + rate**2 * _diffusion(moment, gram, batch)


def _diffusion(moment: Tensor, gram: Tensor, batch: float) -> Tensor:
    n = len(gram)
    return (gram * moment.diagonal()) @ gram / (n * batch) + (1 - 1 / batch) * (gram @ moment @ gram) / n**2


def mean_square_threshold(gram: Tensor, batch: int | None = 1) -> float:
    """The largest rate at which the linearised residuals stay bounded in mean square; `batch` None is gradient descent.

    Write the step of `second_moment` as S - rate L(S) + rate^2 Q(S), L(S) = (GS + SG)/n. It is stable if and only if some
    positive definite P has rate Q*(P) < L*(P), that is for rates below 1 / rho(L^-1 Q): one power iteration, since
    L^-1 Q keeps positive matrices positive and L is diagonal in G's eigenvectors. For gradient descent it is 2 / lambda_max.
    The closed form is that of Mulayoff and Michaeli 2024 (arXiv 2306.07850), here for draws with replacement.

    ValueError for a gram that is not square, symmetric, finite and non-zero, or a batch below 1.
    """
    _check(gram)
    if batch is not None and batch < 1:
        raise ValueError(f"a batch of {batch}: it is 1 or more, or None for all samples at once")
    n = len(gram)
    values, vectors = torch.linalg.eigh(gram.to(torch.float64))
    if batch is None:
        return 2 * n / float(values[-1])
    kept = values > NULL * values[-1]  # residuals never leave the range of J
    values, vectors = values[kept], vectors[:, kept]
    drift = (values[:, None] + values) / n
    moment = torch.eye(len(values), dtype=torch.float64)
    size = math.nan
    for _ in range(STEPS):
        inner = vectors @ moment @ vectors.T
        moment = vectors.T @ _diffusion(inner, gram.to(torch.float64), batch) @ vectors / drift
        before, size = size, float(moment.trace())
        moment = moment / size
        if abs(size - before) <= TOLERANCE * size:
            break
    return 1 / size


def _check(gram: Tensor) -> None:
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise ValueError(f"a gram of shape {tuple(gram.shape)}; J J' is square, one row a sample")
    if not bool(gram.isfinite().all()):
        raise ValueError("the gram is not finite: the parameters have left the finite numbers")
    if not torch.allclose(gram, gram.T, rtol=1e-8, atol=1e-10 * float(gram.abs().max())):
        raise ValueError("the gram is not symmetric; give J J'")
    if float(gram.diagonal().max()) <= 0:
        raise ValueError("the gram is zero: no parameter changes an output here, every rate is stable")
