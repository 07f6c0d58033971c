"""The spectral solver with the heat equation added, where each wave decays at its own rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from baselines.solvers import spectral


def solve(
    initial: Tensor, axes: Sequence[Tensor], t: Tensor, equation: Mapping[str, Any], points: int, courant: float = 0.5
) -> Tensor:
    """As `spectral.solve`, and u_t = (nu/pi) u_xx exactly, on the grid of `initial`. Differentiable."""
    if equation["name"] != "heat":
        return spectral.solve(initial, axes, t, equation, points, courant)
    spectrum = torch.fft.rfft(initial[..., 0].double()).unsqueeze(-1)
    numbers = 2 * math.pi * torch.arange(spectrum.shape[1], dtype=torch.float64)[:, None]
    decay = torch.exp(-float(equation["nu"]) / math.pi * numbers**2 * t.double())
    return torch.fft.irfft(decay * spectrum, initial.shape[1], dim=1).unsqueeze(-1)
