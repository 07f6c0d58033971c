"""The activations that Tian 2025 (arXiv 2509.21519) trains beside x²."""

from __future__ import annotations

import torch
from torch import Tensor


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return x.relu()


def silu(x: Tensor) -> Tensor:
    """x / (1 + exp(-x))."""
    return torch.nn.functional.silu(x)


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0)²."""
    return x.relu().square()
