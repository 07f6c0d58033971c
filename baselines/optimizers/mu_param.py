"""The maximal update parametrisation for Adam (Yang et al. 2022, arXiv 2203.03466, table 3), relative to a base width.

Up to Adam's eps, what it asks of a network of r = base_width / width:

    weights         initial deviation        rate
    embedding       as they are              lr
    hidden          1 / sqrt(fan_in)         lr r
    head            sqrt(r) / sqrt(fan_in)   lr r
    attention       scores q k' sqrt(base head_dim) / head_dim

At the base width all of it is the standard parametrisation. Wortsman et al. 2023 (arXiv 2309.14322, section 3.2.4) call
the rates alone muParam (simple); the head's smaller weights and the attention scale belong to their full variant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch.optim import Optimizer


def ratio(base_width: int, width: int) -> float:
    """base_width / width. ValueError unless both are positive."""
    if base_width <= 0 or width <= 0:
        raise ValueError(f"widths are positive: base_width = {base_width}, width = {width}")
    return base_width / width


def adamw(
    model: nn.Module,
    steps: int,
    lr: float,
    base_width: int = 32,
    head_power: float = 1.0,
    betas: Sequence[float] = (0.9, 0.95),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """AdamW at lr r for every linear layer inside the model, lr r^head_power for its head, and lr for all else.

    A layer's fan_in grows with the width, so base fan_in / fan_in is r for all of them. The width is the embedding's; the
    head is the linear layer named `head`. head_power is 1 for the rates alone, and 1/2 beside `ScaledOutput`, whose factor
    sqrt(r) on logits with Adam is the same as weights and rate sqrt(r) times as large. BenchError without an embedding.
    """
    import torch

    embedding = next((m for m in model.modules() if isinstance(m, nn.Embedding)), None)
    if embedding is None:
        raise BenchError("muParam takes the width from an embedding, and this model has none; use a language model")
    r = ratio(base_width, embedding.embedding_dim)
    factors: dict[float, list[Tensor]] = {}
    linear = {
        id(module.weight): r ** (head_power if name == "head" else 1.0)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }
    for weight in model.parameters():
        factors.setdefault(linear.get(id(weight), 1.0), []).append(weight)
    groups = [{"params": weights, "lr": lr * factor} for factor, weights in factors.items()]
    return torch.optim.AdamW(groups, lr=lr, betas=(betas[0], betas[1]), eps=eps, weight_decay=weight_decay)


class ScaledOutput(nn.Module):
    """Logits times sqrt(base_width / width)."""

    def __init__(self, width: int, base_width: int = 32) -> None:
        super().__init__()
        self.factor = ratio(base_width, width) ** 0.5

    def forward(self, logits: Tensor) -> Tensor:
        """Logits of any shape."""
        return self.factor * logits


class ScaledAttention(nn.Module):
    """Scores q k' sqrt(base_head_dim) / head_dim: fall with 1 / head_dim, and are the usual ones at the base."""

    def __init__(self, heads: int, head_dim: int, base_head_dim: int = 32) -> None:
        super().__init__()
        self.scale = ratio(base_head_dim, head_dim) ** 0.5 * head_dim**-0.5

    def forward(self, q: Tensor, k: Tensor, rotate: Callable[[Tensor], Tensor]) -> Tensor:
        """(batch, heads, length, head_dim) twice -> scores (batch, heads, length, length) before the mask."""
        return self.scale * rotate(q) @ rotate(k).mT
