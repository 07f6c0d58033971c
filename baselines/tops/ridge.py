"""A top layer that is the ridge solution for the features of the moment: the lazy stage of Tian 2025, made exact."""

from __future__ import annotations

import torch
from torch import Tensor


def ridge(features: Tensor, targets: Tensor, strength: float = 1.0) -> Tensor:
    """V (classes, width) that minimises |targets - F Vᵀ|² + strength |V|² (Tian 2025, arXiv 2509.21519).

    features F (n, width), targets (n, classes). Solved in float64, on the smaller side of F. ValueError unless strength > 0.
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
