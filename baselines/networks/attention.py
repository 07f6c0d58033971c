"""Attention scores: ways to keep them from growing with the weights."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class QKLayerNorm(nn.Module):
    """Layer norm on queries and keys (Dehghani et al. 2023, arXiv 2302.05442; Wortsman et al. 2023, arXiv 2309.14322).

    Scores LN(q) LN(k)' / sqrt(head_dim), the norms over head_dim, with gains and without biases.
    ||LN(q)|| <= sqrt(head_dim) max|gain|, and rotations keep norms, so by Cauchy and Schwarz every score is at most
    sqrt(head_dim) max|gain_q| max|gain_k|, however large the weights grow.
    """

    def __init__(self, heads: int, head_dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.q_norm = nn.LayerNorm(head_dim, eps=eps, bias=False)
        self.k_norm = nn.LayerNorm(head_dim, eps=eps, bias=False)
        self.scale = head_dim**-0.5

    def forward(self, q: Tensor, k: Tensor, rotate: Callable[[Tensor], Tensor]) -> Tensor:
        """(batch, heads, length, head_dim) twice -> scores (batch, heads, length, length) before the mask."""
        return self.scale * rotate(self.q_norm(q)) @ rotate(self.k_norm(k)).mT


class SoftCap(nn.Module):
    """Soft-capped scores (Bello et al. 2016, arXiv 1611.09940, for pointer logits).

    cap * tanh(s / cap) of s = q k' / sqrt(head_dim): below `cap` in size, and s itself where s is small.
    """

    def __init__(self, heads: int, head_dim: int, cap: float = 20.0) -> None:
        super().__init__()
        self.scale, self.cap = head_dim**-0.5, cap

    def forward(self, q: Tensor, k: Tensor, rotate: Callable[[Tensor], Tensor]) -> Tensor:
        """(batch, heads, length, head_dim) twice -> scores (batch, heads, length, length) before the mask."""
        return self.cap * (self.scale * rotate(q) @ rotate(k).mT / self.cap).tanh()
