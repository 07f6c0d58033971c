"""The Fourier neural operator (Li et al. 2020, arXiv 2010.08895) for few modes on a fixed grid, in 1, 2 or 3 dimensions.

With 12 of 129 modes kept, a truncated DFT is a thin matrix: dense products, one axis after the other, replace a full FFT,
its full inverse and the copies between. Inside, fields lie as (x.., batch, channels), so that both transforms and all
pointwise maps are matrix products over contiguous memory.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

ROWS = 4096  # points that pass through the head together, so that its wide layer stays in the processor's cache


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


def two_sided(points: int, modes: int) -> tuple[Tensor, Tensor]:
    """Truncated complex DFT and its inverse, (2, kept, points) and (2, points, kept), real parts first.

    Kept are the wave numbers -(modes - 1) .. modes - 1, at most all that the grid tells apart.
    """
    low = min(modes - 1, (points - 1) // 2)
    numbers = torch.arange(-low, low + 1, dtype=torch.float64)
    angles = 2 * math.pi / points * torch.outer(numbers, torch.arange(points, dtype=torch.float64))
    forward = torch.stack([angles.cos(), -angles.sin()])
    inverse = torch.stack([angles.cos().T, angles.sin().T]) / points
    return forward.float(), inverse.float()


class SpectralConvND(nn.Module):
    """One complex matrix per wave vector in two or three dimensions: real along the last axis, two-sided along the others.

    weight: (wave vectors, channels in, 2 channels out), real part then imaginary.
    """

    def __init__(self, width: int, modes: int, grid: tuple[int, ...]) -> None:
        super().__init__()
        last = min(modes, grid[-1] // 2 + 1)
        forward, inverse = transforms(grid[-1], last)
        self.register_buffer("dft", forward, persistent=False)
        self.register_buffer("idft", inverse, persistent=False)
        kept = []
        for axis, points in enumerate(grid[:-1]):
            there, back = two_sided(points, modes)
            kept.append(there.shape[1])
            self.register_buffer(f"dft_{axis}", there, persistent=False)
            self.register_buffer(f"idft_{axis}", back, persistent=False)
        self.grid, self.kept, self.last = grid, tuple(kept), last
        self.weight = nn.Parameter(torch.randn(math.prod(kept) * last, width, 2 * width) / math.sqrt(2 * width))

    def _along(self, name: str, axis: int, spectrum: Tensor) -> Tensor:
        """A complex transform along one of the leading axes of (2, n.., modes, batch * width), as real products."""
        matrix = getattr(self, f"{name}_{axis}")
        moved = spectrum.movedim(1 + axis, 1)
        shape = moved.shape
        flat = moved.reshape(2, shape[1], -1)
        real = matrix[0] @ flat[0] - matrix[1] @ flat[1]
        imaginary = matrix[0] @ flat[1] + matrix[1] @ flat[0]
        out = torch.stack([real, imaginary]).view(2, -1, *shape[2:])
        return out.movedim(1, 1 + axis)

    def forward(self, x: Tensor) -> Tensor:
        """(x, y[, z], batch, width) -> the same shape."""
        *grid, batch, width = x.shape
        lead = len(grid) - 1
        spectrum = self.dft @ x.reshape(*grid, -1)  # type: ignore[operator]
        spectrum = spectrum.unflatten(-2, (2, self.last)).movedim(lead, 0)  # (2, x.., modes, batch width)
        for axis in range(lead):
            spectrum = self._along("dft", axis, spectrum)
        vectors = spectrum.reshape(2, -1, batch, width)
        stacked = torch.cat([vectors[0], vectors[1]], dim=1) @ self.weight
        upper, lower = stacked[:, :batch], stacked[:, batch:]
        mixed = torch.stack([upper[..., :width] - lower[..., width:], upper[..., width:] + lower[..., :width]])
        mixed = mixed.reshape(2, *self.kept, self.last, batch * width)
        for axis in range(lead):
            mixed = self._along("idft", axis, mixed)
        both = mixed.movedim(0, lead).flatten(lead, lead + 1)  # (x.., 2 modes, batch width)
        return (self.idft @ both).view(*grid, batch, width)  # type: ignore[operator]


class FNO(nn.Module):
    """Lift, `layers` Fourier layers, a two-layer head. (batch, x.., channels_in) -> (batch, x.., channels_out).

    The defaults are PDEBench's: 12 modes, width 20, 4 layers, GELU between them, a head of 128; but no padding on a periodic
    domain. On another one, the grid is continued by an eighth of its length with the outermost value, which is cut off
    again. `modes` above points // 2 + 1, all that a grid holds, are cut to it.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        grid: tuple[int, ...],
        periodic: bool = True,
        modes: int = 12,
        width: int = 20,
        layers: int = 4,
        head: int = 128,
    ) -> None:
        super().__init__()
        self.pad = 0 if periodic else max(1, min(grid) // 8)
        grid = tuple(points + self.pad for points in grid)
        self.lift = nn.Linear(channels_in, width)
        self.spectral = nn.ModuleList(
            SpectralConv(width, min(modes, grid[0] // 2 + 1), grid[0])
            if len(grid) == 1
            else SpectralConvND(width, modes, grid)
            for _ in range(layers)
        )
        self.pointwise = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.head = nn.Sequential(nn.Linear(width, head), nn.GELU(), nn.Linear(head, channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """One prediction; see the class for the shapes."""
        dims = x.ndim - 2
        x = self.lift(x.movedim(0, -2))
        if self.pad:
            for axis in range(dims):
                x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1).expand(*self._edge(x, axis))], dim=axis)
        last = len(self.spectral) - 1
        for i, (spectral, pointwise) in enumerate(zip(self.spectral, self.pointwise, strict=True)):
            x = spectral(x) + pointwise(x)
            x = functional.gelu(x) if i < last else x
        for axis in range(dims if self.pad else 0):
            x = x.narrow(axis, 0, x.shape[axis] - self.pad)
        rows = x.flatten(0, -2).split(ROWS)
        return torch.cat([self.head(chunk) for chunk in rows]).view(*x.shape[:-1], -1).movedim(-2, 0)

    def _edge(self, x: Tensor, axis: int) -> list[int]:
        return [self.pad if i == axis else n for i, n in enumerate(x.shape)]
