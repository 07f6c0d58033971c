"""Quadratic functions whose minimum, gradient and curvature are known, in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from bench.seeds import Stream

DTYPE = torch.float64


def hessian(dimension: int, condition: float, stream: Stream) -> Tensor:
    """A symmetric matrix (d, d) with eigenvalues evenly spaced in the logarithm from 1 to `condition`, in random axes."""
    values = torch.logspace(0, torch.tensor(condition).log10(), dimension, dtype=DTYPE)
    axes, triangle = torch.linalg.qr(stream.normal(dimension, dimension, dtype=DTYPE))
    axes = axes * triangle.diagonal().sign()  # else they would not be uniform over rotations
    return (axes * values) @ axes.T


def values(matrix: Tensor, points: Tensor) -> Tensor:
    """x^T H x / 2 (...) at points (..., d); its gradient is H x."""
    return 0.5 * ((points @ matrix) * points).sum(dim=-1)
