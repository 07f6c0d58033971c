"""Differentiation of a least-squares solution by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Linearise = Callable[[Tensor], tuple[Tensor, Tensor]]


def differentiable(linearise: Linearise, w: Tensor, ridge: float, jumps: Tensor | None = None) -> Tensor:
    """w (P, N), a minimum of |r(w)|^2 + ridge^2 |w|^2, with its derivative in whatever `linearise` and `jumps` depend on.

    At a minimum g = J'r + ridge^2 w is 0, so dw = -H^-1 dg at fixed w, with H = dg/dw: the whole second derivative, not J'J
    alone, which is off wherever residuals remain. Where the solver had not converged g is not 0 and the derivative is biased.

    jumps: rows (C, E, K N) that add |jumps w|^2 for the joined weights of every K problems, whose blocks of H they couple.
    """
    w = w.detach()
    with torch.enable_grad():
        at = w.clone().requires_grad_()
        r, jacobian = linearise(at)
        gradient = (jacobian.mT @ r[..., None])[..., 0] + ridge**2 * at
        units = torch.eye(w.shape[1], dtype=w.dtype)[:, None].expand(-1, len(w), -1)
        (bends,) = torch.autograd.grad(gradient, at, units, is_grads_batched=True, retain_graph=True)
        moved = gradient - gradient.detach()
    hessian = bends.detach().transpose(0, 1)
    if jumps is not None:
        hessian = joined(hessian, len(jumps)) + (jumps.mT @ jumps).detach()
        pull = (jumps.mT @ (jumps @ w.view(len(jumps), -1, 1)))[..., 0]
        moved = moved.view(len(jumps), -1) + pull - pull.detach()
    return w - torch.linalg.solve(hessian, moved[..., None])[..., 0].view(w.shape)


def joined(blocks: Tensor, cases: int) -> Tensor:
    """(C, K N, K N), with the blocks (C K, N, N) on the diagonal."""
    own = blocks.view(cases, -1, *blocks.shape[1:])
    count, size = own.shape[1:3]
    spread = torch.einsum("ckij,kl->ckilj", own, torch.eye(count, dtype=blocks.dtype))
    return spread.reshape(cases, count * size, count * size)
