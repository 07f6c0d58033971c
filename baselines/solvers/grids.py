"""What the solvers share: moving a periodic field between uniform grids, and persistence, the floor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def resample(fields: Tensor, points: int) -> Tensor:
    """Trigonometric interpolation, or truncation, of (..., n) periodic values to (..., points); first points coincide.

    Exact for fields without wave numbers at or above half of the coarser grid. A solver puts its initial state on its
    own grid with it: waves that the grid cannot hold are cut off, not folded onto others.
    """
    n = fields.shape[-1]
    if n == points:
        return fields
    spectrum = torch.fft.rfft(fields)
    kept = (min(n, points) + 1) // 2  # without the Nyquist wave number, whose phase a grid cannot tell
    return torch.fft.irfft(spectrum[..., :kept], points) * (points / n)


def sample(fields: Tensor, points: int) -> Tensor:
    """Values at `points` points of the trigonometric interpolant of (..., n) periodic values; first points coincide.

    Unlike `resample` it does not smooth: a shock too steep for the coarser grid is read off where that grid has points,
    as the data are.
    """
    stride = math.ceil(fields.shape[-1] / points)
    return resample(fields, stride * points)[..., ::stride]


def persistence(initial: Tensor, axes: Sequence[Tensor], t: Tensor, equation: Mapping[str, Any]) -> Tensor:
    """Persistence: the initial state (batch, x.., channels), less the channels that are constants, at every time."""
    return initial[..., int(equation.get("constants", 0)) :].unsqueeze(-2).repeat_interleave(len(t), dim=-2)
