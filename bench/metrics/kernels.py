"""Kernels of a network and their alignment, which measures how far training changed its features."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from bench.metrics.curvature import jacobian_rows


def ntk(outputs: Tensor, params: Iterable[Tensor]) -> Tensor:
    """The empirical neural tangent kernel J J', (N, N) float64, of the N numbers of `outputs` in row-major order; of one
    column of logits at a time for a kernel each. ValueError for outputs without a graph. Jacot et al. 2018 (arXiv 1806.07572),
    eq. 4."""
    jacobian = torch.cat(list(jacobian_rows(outputs, params))).double()
    return jacobian @ jacobian.T


def gram(hidden: Tensor) -> Tensor:
    """The representation kernel H H', (n, n) float64, of activations (n, ...); ValueError for fewer than two axes."""
    if hidden.ndim < 2:
        raise ValueError(f"activations of shape {tuple(hidden.shape)}; expected (samples, features)")
    rows = hidden.detach().double().reshape(len(hidden), -1)
    return rows @ rows.T


def alignment(k0: Tensor, k1: Tensor) -> float:
    """<K0, K1> / (|K0| |K1|) in Frobenius terms; 1 exactly if the kernels are proportional, in [0, 1] if both are positive.

    Near 1 before and after training is the lazy regime. Not centred. Liu et al. 2023 (arXiv 2310.08513) use it on the
    tangent kernel (KA) and on the representation kernel (RA). ValueError for kernels that are not square, of different
    size, not finite, or zero.
    """
    if k0.shape != k1.shape or k0.ndim != 2 or k0.shape[0] != k0.shape[1]:
        raise ValueError(
            f"kernels of shapes {tuple(k0.shape)} and {tuple(k1.shape)}; expected two square ones of a size"
        )
    a, b = k0.detach().double(), k1.detach().double()
    norms = float(a.norm()), float(b.norm())
    if not bool(a.isfinite().all() and b.isfinite().all()):
        raise ValueError("a kernel is not finite: the run has diverged")
    if 0.0 in norms:
        raise ValueError("the alignment with a kernel of zeros is undefined")
    return float((a / norms[0] * (b / norms[1])).sum())
