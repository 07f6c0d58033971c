"""Layer norm on queries and keys (Dehghani et al. 2023, arXiv 2302.05442; Wortsman et al. 2023, arXiv 2309.14322)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class QKLayerNorm(nn.Module):
    """Scores LN(q) LN(k)' / sqrt(head_dim), the norms over head_dim, with gains and without biases.

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
