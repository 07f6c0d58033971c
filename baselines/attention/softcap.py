"""Soft-capped attention scores (Bello et al. 2016, arXiv 1611.09940, for pointer logits)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class SoftCap(nn.Module):
    """Scores cap * tanh(s / cap) of s = q k' / sqrt(head_dim): below `cap` in size, and s itself where s is small."""

    def __init__(self, heads: int, head_dim: int, cap: float = 20.0) -> None:
        super().__init__()
        self.scale, self.cap = head_dim**-0.5, cap

    def forward(self, q: Tensor, k: Tensor, rotate: Callable[[Tensor], Tensor]) -> Tensor:
        """(batch, heads, length, head_dim) twice -> scores (batch, heads, length, length) before the mask."""
        return self.cap * (self.scale * rotate(q) @ rotate(k).mT / self.cap).tanh()
