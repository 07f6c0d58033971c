"""Norms of graph networks, (nodes, width) -> (nodes, width)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def layer_norm(*, width: int) -> nn.Module:
    """Each node's units to mean 0 and variance 1, then scaled and shifted (Ba, Kiros and Hinton 2016, arXiv 1607.06450)."""
    return nn.LayerNorm(width)


class PairNorm(nn.Module):
    """Units centred over nodes, and all divided by the root of the nodes' mean square, times the root of `width`.

    The total squared distance of pairs of nodes is then the same in every layer (Zhao and Akoglu 2020, arXiv 1909.12223).
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, h: Tensor) -> Tensor:
        centred = h - h.mean(0)
        size = centred.square().sum(1).mean().sqrt()
        return centred * (self.width**0.5 / torch.clamp(size, min=1e-12))
