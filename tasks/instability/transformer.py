"""The decoder-only transformer of Wortsman et al. 2023 (arXiv 2309.14322), at any size.

Pre-layer-norm, no biases, rotary embeddings, untied embedding and head. Weights come from a normal law of standard
deviation 1/sqrt(fan_in), cut at two standard deviations; the embedding from a normal law of 1/sqrt(width).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.metrics.trajectories import weight_norm

EXPANSION = 4  # hidden units of a block's MLP per unit of width
WAVELENGTH = 10000.0  # of the slowest rotation


class Dot(nn.Module):
    """The plain attention scores q k' / sqrt(head_dim)."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        self.scale = head_dim**-0.5

    def forward(self, q: Tensor, k: Tensor, rotate: Callable[[Tensor], Tensor]) -> Tensor:
        """(batch, heads, length, head_dim) twice -> scores (batch, heads, length, length) before the mask."""
        return self.scale * rotate(q) @ rotate(k).mT


def rotation(length: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """(cosines, sines), each (length, head_dim / 2), of the rotary embedding (Su et al. 2021, arXiv 2104.09864).

    ValueError if head_dim is odd.
    """
    if head_dim % 2:
        raise ValueError(f"rotary embeddings turn pairs of numbers; head_dim = {head_dim} is odd")
    rates = WAVELENGTH ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    return angles.cos().float(), angles.sin().float()


def rotated(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """x (..., length, head_dim) with its halves turned as pairs by each position's angles; norms stay."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosines - second * sines, first * sines + second * cosines], dim=-1)


@dataclass(frozen=True)
class Size:
    """vocab: tokens. length: of the longest context. width: of the residual stream, a multiple of 2 heads."""

    vocab: int
    length: int
    width: int
    heads: int
    layers: int


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x))."""

    def __init__(self, size: Size, attention: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.heads = size.heads
        width = size.width
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.scores = attention(heads=size.heads, head_dim=width // size.heads)
        self.out = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, EXPANSION * width, bias=False)
        self.down = nn.Linear(EXPANSION * width, width, bias=False)

    def matrices(self) -> tuple[Tensor, ...]:
        """The block's own weight matrices, each (out, in), without those of the attention part."""
        return self.qkv.weight, self.out.weight, self.up.weight, self.down.weight

    def forward(self, x: Tensor, rotate: Callable[[Tensor], Tensor], future: Tensor) -> tuple[Tensor, Tensor]:
        """x (batch, length, width), future (length, length) True where masked -> (x, masked scores)."""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = self.scores(q, k, rotate).masked_fill(future, -math.inf)
        x = x + self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x)))), scores


class Transformer(nn.Module):
    """Tokens (batch, length) int64 -> logits (batch, length, vocab): each position sees itself and what is before it."""

    cosines: Tensor
    sines: Tensor
    future: Tensor

    def __init__(self, size: Size, attention: Callable[..., nn.Module], generator: torch.Generator) -> None:
        super().__init__()
        if size.width % size.heads:
            raise ValueError(f"width = {size.width} is no multiple of heads = {size.heads}")
        self.embedding = nn.Embedding(size.vocab, size.width)
        self.blocks = nn.ModuleList(Block(size, attention) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width, bias=False)
        self.head = nn.Linear(size.width, size.vocab, bias=False)
        cosines, sines = rotation(size.length, size.width // size.heads)
        self.register_buffer("cosines", cosines)
        self.register_buffer("sines", sines)
        self.register_buffer("future", torch.ones(size.length, size.length, dtype=torch.bool).triu(1))
        self._draw(generator)

    def _draw(self, generator: torch.Generator) -> None:
        """The model's own weights, in a fixed order from one stream: a part that draws weights too changes none of them."""
        nn.init.normal_(self.embedding.weight, std=self.embedding.embedding_dim**-0.5, generator=generator)
        matrices = [m for block in self.blocks for m in block.matrices()]  # type: ignore[operator]
        for weight in (*matrices, self.head.weight):
            std = weight.shape[1] ** -0.5
            nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)

    def forward(self, tokens: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        """Logits; each layer's masked attention scores (batch, heads, length, length) are appended to `seen`."""
        length = tokens.shape[1]
        cosines, sines, future = self.cosines[:length], self.sines[:length], self.future[:length, :length]

        def rotate(x: Tensor) -> Tensor:
            return rotated(x, cosines, sines)

        x = self.embedding(tokens)
        for block in self.blocks:
            x, scores = block(x, rotate, future)
            if seen is not None:
                seen.append(scores)
        logits: Tensor = self.head(self.norm(x))
        return logits


def probe(model: nn.Module, tokens: Tensor, **_: Any) -> dict[str, float]:
    """What grows before a run fails, on `tokens` (batch, length): the largest unmasked attention score of any layer, head
    and position, and the Euclidean norm of all weights. Scores are taken before the softmax, 1/sqrt(head_dim) included.
    """
    seen: list[Tensor] = []
    with torch.no_grad():
        model(tokens, seen)
    return {
        "max_attention_logit": max(float(scores.max()) for scores in seen),
        "weight_norm": weight_norm(model.parameters()),
    }
