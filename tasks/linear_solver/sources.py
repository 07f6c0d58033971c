"""Right-hand sides of four kinds, and domains with obstacles. Draws come from counter-based streams of the cell's seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.contract import BenchError
from bench.seeds import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.linear_solver.systems import System

WIDTHS = (0.05, 0.2)  # of a bump, in sides of the domain
RADII = (0.08, 0.16)  # of an obstacle, in sides of the domain
TRIES = 100


def _axes(shape: torch.Size) -> list[Tensor]:
    """Coordinates in (0, 1) of the cells' centres, each to be broadcast over the grid."""
    lines = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in shape]
    return list(torch.meshgrid(*lines, indexing="ij"))


def _distance2(shape: torch.Size, centre: Tensor) -> Tensor:
    return sum(((x - c) ** 2 for x, c in zip(_axes(shape), centre, strict=True)), torch.zeros(()))


def gaussian(shape: torch.Size, stream: Stream) -> Tensor:
    """A bump at a uniform place, of uniform width."""
    centre = 0.2 + 0.6 * stream.uniform(len(shape), dtype=torch.float64)
    width = WIDTHS[0] + (WIDTHS[1] - WIDTHS[0]) * float(stream.uniform(1))
    return torch.exp(-_distance2(shape, centre) / (2 * width**2))


def dipole(shape: torch.Size, stream: Stream) -> Tensor:
    """A point source and a point sink at two places."""
    b = torch.zeros(shape, dtype=torch.float64).reshape(-1)
    first, second = stream.permutation(b.numel())[:2].tolist()
    b[first], b[second] = 1.0, -1.0
    return b.reshape(shape)


def white(shape: torch.Size, stream: Stream) -> Tensor:
    """Independent standard normal values."""
    return stream.normal(*shape, dtype=torch.float64)


def affine(shape: torch.Size, stream: Stream) -> Tensor:
    """A constant and a slope along each axis, all standard normal: smooth up to the border."""
    constant, *slopes = stream.normal(1 + len(shape), dtype=torch.float64)
    return sum((slope * (x - 0.5) for slope, x in zip(slopes, _axes(shape), strict=True)), constant)


KINDS: dict[str, Callable[[torch.Size, Stream], Tensor]] = {
    "gaussian": gaussian,
    "dipole": dipole,
    "white": white,
    "affine": affine,
}


def right_hand_side(kind: str, system: System, stream: Stream) -> Tensor:
    """A right-hand side (*shape) of norm 1 that has a solution. Drawn again where nothing of it lies outside of obstacles."""
    for _ in range(TRIES):
        b = system.project(KINDS[kind](system.shape, stream))
        if float(b.norm()) > 1e-6:
            return b / b.norm()
    raise BenchError(f"{TRIES} draws of a {kind} right-hand side are all 0 on this domain; use fewer obstacles")


def obstructed(side: int, dims: int, obstacles: int, stream: Stream) -> Tensor:
    """A bool domain (side, ...) without `obstacles` balls of uniform place and radius, which may overlap."""
    domain = torch.ones((side,) * dims, dtype=torch.bool)
    for _ in range(obstacles):
        centre = 0.15 + 0.7 * stream.uniform(dims, dtype=torch.float64)
        radius = RADII[0] + (RADII[1] - RADII[0]) * float(stream.uniform(1))
        domain &= _distance2(domain.shape, centre) > radius**2
    return domain
