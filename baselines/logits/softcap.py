"""Soft-capped output logits (Gemma Team 2024, arXiv 2408.00118: cap tanh(logits / cap), 30 at the output)."""

from __future__ import annotations

from torch import Tensor, nn


class OutputCap(nn.Module):
    """cap * tanh(y / cap) of logits y of any shape: below `cap` in size, and y itself where y is small.

    Unlike the z-loss it bounds the logits outright; a shift that all share is no longer without effect on the loss.
    ValueError if cap is not positive.
    """

    def __init__(self, width: int, cap: float = 30.0) -> None:
        super().__init__()
        if cap <= 0:
            raise ValueError(f"logits are bent below the cap in size; cap = {cap} is not positive")
        self.cap = cap

    def forward(self, logits: Tensor) -> Tensor:
        return self.cap * (logits / self.cap).tanh()
