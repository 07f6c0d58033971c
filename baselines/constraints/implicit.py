"""Differentiation of a least-squares solution by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def differentiable(linearise: Callable[[Tensor], tuple[Tensor, Tensor]], w: Tensor, ridge: float) -> Tensor:
    """w (P, N), a minimum of |r(w)|^2 + ridge^2 |w|^2, with its derivative in whatever `linearise` depends on.

    At a minimum g = J'r + ridge^2 w is 0, so dw = -H^-1 dg at fixed w, with H = dg/dw: the whole second derivative, not J'J
    alone, which is off wherever residuals remain. Where the solver had not converged g is not 0 and the derivative is biased.
    """
    w = w.detach()
    with torch.enable_grad():
        at = w.clone().requires_grad_()
        gradient = _gradient(linearise, at, ridge)
        eye = torch.eye(w.shape[1], dtype=w.dtype)[:, None].expand(-1, len(w), -1)
        (hessian,) = torch.autograd.grad(gradient, at, eye, is_grads_batched=True, retain_graph=True)
        moved = gradient - gradient.detach()
    return w - torch.linalg.solve(hessian.detach().transpose(0, 1), moved[..., None])[..., 0]


def _gradient(linearise: Callable[[Tensor], tuple[Tensor, Tensor]], w: Tensor, ridge: float) -> Tensor:
    r, jacobian = linearise(w)
    return (jacobian.mT @ r[..., None])[..., 0] + ridge**2 * w
