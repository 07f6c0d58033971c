"""The z-loss (Chowdhery et al. 2022, arXiv 2204.02311): keeps the softmax's normaliser near 1."""

from __future__ import annotations

from torch import Tensor


def z_loss(logits: Tensor, targets: Tensor, coef: float = 1e-4) -> Tensor:
    """coef * mean of (log sum exp of logits)^2 over all positions; logits (..., vocab). A scalar.

    The cross-entropy does not see a shift that all logits share; this term does: its gradient is 2 coef lse softmax.
    """
    return coef * logits.logsumexp(dim=-1).square().mean()
