"""The family's default parts: Kaiming's weights, and no norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from tasks.graph.network import Shape


def uniform(shape: Shape, variance: float, generator: Generator) -> Tensor:
    """Weights drawn uniformly between -sqrt(3 v) and sqrt(3 v)."""
    import torch

    return (2 * torch.rand(shape, generator=generator) - 1) * math.sqrt(3 * variance)


def kaiming(*, shapes: Sequence[Shape], operators: Sequence[Tensor], x: Tensor, generator: Generator) -> list[Tensor]:
    """Variance 2 / inputs, which keeps the mean square of a ReLU network without a graph (He et al. 2015, arXiv 1502.01852)."""
    return [uniform(shape, 2 / shape[1], generator) for shape in shapes]


def no_norm(*, width: int) -> nn.Module:
    """Nothing between weights and ReLU."""
    from torch import nn

    return nn.Identity()
