"""Levenberg's and Marquardt's method for many small least-squares problems at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.contract import BenchError, Diverged

Linearise = Callable[[Tensor], tuple[Tensor, Tensor]]  # w (P, N) -> residuals r (P, R) and their Jacobian J (P, R, N)
Normal = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]  # w (P, N) -> |r|^2 (P,), J'r (P, N) and J'J (P, N, N)
FIRST_DAMPING = 1e-3  # in units of the diagonal of J'J
ZERO = 1e-24  # an objective below it is that of roundings
ROUNDING = 1e-15  # the share of an objective that roundings hide


class Result(NamedTuple):
    """w: (P, N). iterations, converged: (P,)."""

    w: Tensor
    iterations: Tensor
    converged: Tensor


def normal(linearise: Linearise) -> Normal:
    """The terms of the normal equations of `linearise`."""

    def terms(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r, jacobian = linearise(w)
        return r.square().sum(dim=1), (jacobian.mT @ r[..., None])[..., 0], jacobian.mT @ jacobian

    return terms


def minimise(terms: Normal, start: Tensor, *, ridge: float, tolerance: float, limit: int) -> Result:
    """argmin over w of |r(w)|^2 + ridge^2 |w|^2 for each of P problems, from `start` (P, N), in at most `limit` iterations.

    A problem has converged when every column of the Jacobian is at a cosine of at most `tolerance` to the residuals, when an
    accepted step lowers the objective by a share below tolerance^2 (as in MINPACK, More 1978), or when roundings hide what is
    left. The damping follows Nielsen 1999. One that has not converged is returned as it is. BenchError for a tolerance or a
    limit that is not above 0; Diverged where the residuals at the start are not finite.
    """
    if not tolerance > 0 or not ridge >= 0 or not limit > 0:
        raise BenchError(
            f"least squares with tolerance={tolerance}, ridge={ridge}, limit={limit}: tolerance and limit have to be above 0, "
            "and ridge may not be negative"
        )
    eye = torch.eye(start.shape[1], dtype=start.dtype)

    def held(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        square, slope, bend = terms(w)
        return square + ridge**2 * w.square().sum(dim=1), slope + ridge**2 * w, bend + ridge**2 * eye

    w = start
    value, gradient, curvature = held(w)
    if not bool(value.isfinite().all()):
        raise Diverged("the residuals of a least-squares problem are not finite at its start")
    damping, growth = torch.full_like(value, FIRST_DAMPING), torch.full_like(value, 2.0)
    iterations = torch.zeros(len(w), dtype=torch.long)
    done = torch.zeros(len(w), dtype=torch.bool)
    for _ in range(limit):
        diagonal = curvature.diagonal(dim1=-2, dim2=-1)
        cosine = (gradient.abs() / (diagonal * value[:, None]).sqrt().clamp(min=1e-300)).amax(dim=1)
        done = done | (cosine <= tolerance) | (value <= ZERO)
        if bool(done.all()):
            break
        damped = curvature + torch.diag_embed((damping[:, None] * diagonal).clamp(min=1e-300))
        factor, failed = torch.linalg.cholesky_ex(damped)
        step = -torch.cholesky_solve(gradient[..., None], factor)[..., 0]
        step = torch.where((failed == 0)[:, None] & step.isfinite(), step, 0.0)
        trial = w + step
        value_trial, gradient_trial, curvature_trial = held(trial)
        predicted = -(2 * gradient * step + step * (curvature @ step[..., None])[..., 0]).sum(dim=1)
        ratio = (value - value_trial) / predicted.clamp(min=1e-300)
        better = (ratio > 1e-4) & ~done  # false where the trial is not finite
        iterations += ~done
        settled = better & (value - value_trial <= tolerance**2 * value) & (predicted <= tolerance**2 * value)
        settled = settled | (predicted <= ROUNDING * value)
        w = torch.where(better[:, None], trial, w)
        gradient = torch.where(better[:, None], gradient_trial, gradient)
        curvature = torch.where(better[:, None, None], curvature_trial, curvature)
        value = torch.where(better, value_trial, value)
        shrunk = damping * (1 - (2 * ratio - 1) ** 3).clamp(min=1 / 3)
        damping = torch.where(better, shrunk, damping * growth).clamp(min=1e-15)
        growth = torch.where(better, torch.full_like(growth, 2.0), 2 * growth)
        done = done | settled
    return Result(w, iterations, done)
