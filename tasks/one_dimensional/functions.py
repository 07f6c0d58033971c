"""The three functions of Dubey et al. 2019 (arXiv 1909.11015), elementwise on tensors of any shape.

Bodies of F1 and all derivatives are those of the authors' notebooks, but for the derivative of F2, where the notebook drops a
factor 8 (docs/audits.md); F3 follows from its derivative and continuity. At a kink the left branch counts, as there.
"""

from __future__ import annotations

import torch
from torch import Tensor


def f1(x: Tensor) -> Tensor:
    """Two parabolas: 0 at -0.3, and a local minimum of 0.05 at 0.2."""
    return torch.where(x <= 0, (x + 0.3).square(), (x - 0.2).square() + 0.05)


def f2(x: Tensor) -> Tensor:
    """A steep line up to -0.9, then x^3 + x sin 8x + 0.85; lowest near -0.643, with local minima at 0, 0.588 and 1.322.

    At -0.9 it jumps by 0.0147, as published.
    """
    return torch.where(x <= -0.9, -40 * x - 35.15, x**3 + x * torch.sin(8 * x) + 0.85)


def f3(x: Tensor) -> Tensor:
    """x^2 outside of 0.5, a ridge of 0.35 at 0.4, and 7/8 |x| inside: 0 at 0, and local minima of 0.25 at -0.5 and 0.5."""
    inside = torch.where(x <= 0, -7 * x / 8, 7 * x / 8)
    left, right = torch.where(x <= -0.5, x.square(), 0.75 + x), torch.where(x <= 0.5, 0.75 - x, x.square())
    return torch.where(x <= -0.4, left, torch.where(x <= 0.4, inside, right))


LOWEST = {"f1": -0.3, "f2": -0.6429185989152617, "f3": 0.0}  # where the function is least
FUNCTIONS = {"f1": f1, "f2": f2, "f3": f3}


class Walker(torch.nn.Module):
    """Points x (any shape), float64, each of which descends a function on its own."""

    def __init__(self, starts: Tensor) -> None:
        super().__init__()
        self.x = torch.nn.Parameter(starts.clone())
