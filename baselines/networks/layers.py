"""Layers: elementwise functions inside a network, and what stands at its output."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def relu(x: Tensor) -> Tensor:
    """max(x, 0), one of the activations that Tian 2025 (arXiv 2509.21519) trains beside x²."""
    return x.relu()


def silu(x: Tensor) -> Tensor:
    """x / (1 + exp(-x)) (Tian 2025)."""
    return torch.nn.functional.silu(x)


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0)² (Tian 2025)."""
    return x.relu().square()


class OutputCap(nn.Module):
    """Soft-capped output logits (Gemma Team 2024, arXiv 2408.00118: cap tanh(logits / cap), 30 at the output).

    cap * tanh(y / cap) of logits y of any shape: below `cap` in size, and y itself where y is small. Unlike the z-loss it
    bounds the logits outright; a shift that all share is no longer without effect on the loss. ValueError if cap is not
    positive.
    """

    def __init__(self, width: int, cap: float = 30.0) -> None:
        super().__init__()
        if cap <= 0:
            raise ValueError(f"logits are bent below the cap in size; cap = {cap} is not positive")
        self.cap = cap

    def forward(self, logits: Tensor) -> Tensor:
        return self.cap * (logits / self.cap).tanh()


def ridge(features: Tensor, targets: Tensor, strength: float = 1.0) -> Tensor:
    """A top layer that is solved, not trained: the lazy stage of Tian 2025 (arXiv 2509.21519), made exact.

    V (classes, width) minimises |targets - F Vᵀ|² + strength |V|². features F (n, width), targets (n, classes). Solved in
    float64, on the smaller side of F. ValueError unless strength > 0.
    """
    if not strength > 0:
        raise ValueError(f"strength={strength}: the solution is unique for a positive one only")
    f, y = features.double(), targets.double()
    n, width = f.shape
    if n < width:
        gram = f @ f.T + strength * torch.eye(n, dtype=f.dtype)
        solution = f.T @ torch.linalg.solve(gram, y)
    else:
        gram = f.T @ f + strength * torch.eye(width, dtype=f.dtype)
        solution = torch.linalg.solve(gram, f.T @ y)
    return solution.T.to(features.dtype)
