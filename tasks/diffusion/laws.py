"""The laws of `diffusion/score` whose scores are known: draws (count, dimension) and exact scores at every time, in float64.

gaussian: independent coordinates with means 1, -1, 1, ... and variances that fall evenly in the logarithm from 1 to 0.25.
mixture: three Gaussians of standard deviation 0.4 and unequal weights, in the first two coordinates; the others are N(0, 0.16).
bounded: independent coordinates on [-1.5, 1.5] with density (1 - cos(2 pi x / 1.5)) / 3, two bumps that meet at 0 in density 0.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bench.contract import BenchError
from bench.seeds import Stream
from tasks.diffusion.process import Mixture

BOUND = 1.5  # half the width of the bounded density's support
NODES = (
    128  # of its quadrature; they lie 0.04 apart at most, where the noise of the earliest time is several times wider
)
CDF = 20001  # places where its distribution function is inverted by linear interpolation, to 1e-8 in x where the density is not 0


class Law(Protocol):
    """A law of data. score(x (batch, dimension), t) -> (batch, dimension), the gradient of log p_t."""

    def draw(self, count: int, stream: Stream) -> Tensor:
        """`count` independent points (count, dimension)."""

    def score(self, x: Tensor, t: Tensor | float) -> Tensor:
        """The exact score at time t."""


class Bounded:
    """The bounded density. Its score is that of point masses at Gauss-Legendre nodes, coordinate by coordinate."""

    def __init__(self, dimension: int) -> None:
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        places = torch.as_tensor(BOUND * nodes)[:, None]
        masses = torch.as_tensor(BOUND * weights) * density(places[:, 0])
        self.dimension = dimension
        self.coordinate = Mixture(masses / masses.sum(), places, torch.zeros_like(places))

    def draw(self, count: int, stream: Stream) -> Tensor:
        """By the inverse of the distribution function."""
        grid = np.linspace(-BOUND, BOUND, CDF)
        below = (grid + BOUND) / (2 * BOUND) - np.sin(2 * math.pi * grid / BOUND) / (4 * math.pi)
        places = stream.uniform(count, self.dimension, dtype=torch.float64).numpy()
        return torch.as_tensor(np.interp(places, below, grid))

    def score(self, x: Tensor, t: Tensor | float) -> Tensor:
        return torch.cat([self.coordinate.score(column, t) for column in x.split(1, dim=1)], dim=1)


def density(x: Tensor) -> Tensor:
    """The bounded density of one coordinate, inside its support."""
    return (1 - torch.cos(2 * math.pi * x / BOUND)) / (2 * BOUND)


def gaussian_moments(dimension: int) -> tuple[Tensor, Tensor]:
    """Means and variances (dimension,) of `gaussian`."""
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(dimension)[:dimension]
    return signs, 0.25 ** torch.linspace(0, 1, dimension, dtype=torch.float64)


def law(name: str, dimension: int) -> Law:
    """The law `name` in `dimension` coordinates. BenchError for a name that there is not and a mixture of one coordinate."""
    if name == "gaussian":
        means, variances = gaussian_moments(dimension)
        return Mixture(torch.ones(1, dtype=torch.float64), means[None], variances[None])
    if name == "bounded":
        return Bounded(dimension)
    if name != "mixture":
        raise BenchError(f"task.law={name}: there are gaussian, mixture and bounded")
    if dimension < 2:
        raise BenchError(f"task.dimension={dimension}: the mixture lies in two dimensions or more")
    centres = torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]], dtype=torch.float64)
    means = torch.cat([centres, torch.zeros(3, dimension - 2, dtype=torch.float64)], dim=1)
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    return Mixture(weights, means, torch.full_like(means, 0.4**2))
