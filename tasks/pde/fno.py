"""A 1-D Fourier neural operator (Li et al. 2020, arXiv 2010.08895) for few modes on a fixed, periodic grid.

With 12 of 129 modes kept, a truncated DFT is a thin matrix: two dense products replace a full FFT, its full inverse and
the copies between. Inside, fields lie as (points, batch, channels), so that both transforms and all pointwise maps are
single matrix products over contiguous memory.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def transforms(points: int, modes: int) -> tuple[Tensor, Tensor]:
    """Truncated real DFT and its inverse: (2 modes, points) and (points, 2 modes), real parts first.

    Equal to rfft cut to `modes` wave numbers, and to irfft of those padded with zeros. Computed in float64.
    """
    numbers = torch.arange(modes, dtype=torch.float64)
    angles = 2 * math.pi / points * torch.outer(numbers, torch.arange(points, dtype=torch.float64))
    waves = torch.cat([angles.cos(), -angles.sin()])
    weights = torch.full((modes,), 2.0, dtype=torch.float64)
    weights[0] = 1
    if 2 * (modes - 1) == points:
        weights[-1] = 1
    return waves.float(), (waves * weights.repeat(2)[:, None] / points).T.contiguous().float()


class SpectralConv(nn.Module):
    """One complex matrix per wave number. weight: (modes, channels in, 2 channels out), real part then imaginary."""

    def __init__(self, width: int, modes: int, points: int) -> None:
        super().__init__()
        forward, inverse = transforms(points, modes)
        self.register_buffer("dft", forward, persistent=False)
        self.register_buffer("idft", inverse, persistent=False)
        self.weight = nn.Parameter(torch.randn(modes, width, 2 * width) / math.sqrt(2 * width))

    def forward(self, x: Tensor) -> Tensor:
        """(points, batch, width) -> the same shape."""
        points, batch, width = x.shape
        modes = self.weight.shape[0]
        spectrum = (self.dft @ x.reshape(points, -1)).view(2, modes, batch, width)  # type: ignore[operator]
        # Both parts of a mode meet its matrix in one product: (modes, 2 batch, width) @ (modes, width, 2 width).
        stacked = torch.cat([spectrum[0], spectrum[1]], dim=1) @ self.weight
        upper, lower = stacked[:, :batch], stacked[:, batch:]
        real = upper[..., :width] - lower[..., width:]
        imaginary = upper[..., width:] + lower[..., :width]
        mixed = torch.cat([real, imaginary]).view(2 * modes, -1)
        return (self.idft @ mixed).view(points, batch, width)  # type: ignore[operator]


class FNO(nn.Module):
    """Lift, `layers` Fourier layers, a two-layer head. (batch, points, channels_in) -> (batch, points, channels_out).

    The defaults are PDEBench's: 12 modes, width 20, 4 layers, GELU between them, a head of 128; but no padding, for the
    domain is periodic. `modes` above points // 2 + 1, all that a grid holds, are cut to it.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        points: int,
        modes: int = 12,
        width: int = 20,
        layers: int = 4,
        head: int = 128,
    ) -> None:
        super().__init__()
        modes = min(modes, points // 2 + 1)
        self.lift = nn.Linear(channels_in, width)
        self.spectral = nn.ModuleList(SpectralConv(width, modes, points) for _ in range(layers))
        self.pointwise = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.head = nn.Sequential(nn.Linear(width, head), nn.GELU(), nn.Linear(head, channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """One prediction; see the class for the shapes."""
        x = self.lift(x.transpose(0, 1))
        last = len(self.spectral) - 1
        for i, (spectral, pointwise) in enumerate(zip(self.spectral, self.pointwise, strict=True)):
            x = spectral(x) + pointwise(x)
            x = functional.gelu(x) if i < last else x
        return self.head(x).transpose(0, 1)
