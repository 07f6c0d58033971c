"""Rewards of samples, and what they are worth in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Reward = Callable[[Tensor], Tensor]
QUANTUM = 0.2  # step of the quantiser, where pixels have deviation 1


def region(centre: Tensor, width: float) -> Reward:
    """exp(-|x - centre|^2 / 2 width^2), in (0, 1]."""
    return lambda x: torch.exp(-(x - centre).square().sum(dim=1) / (2 * width**2))


def class_probability(centres: Tensor, labels: Tensor, target: int, width: float) -> Reward:
    """Probability (n,) of class `target` at x, if each centre (m, d) stands for its label with a normal density of `width`."""

    def reward(x: Tensor) -> Tensor:
        shares = torch.softmax(-torch.cdist(x, centres).square() / (2 * width**2), dim=1)
        return shares[:, labels == target].sum(dim=1)

    return reward


def compressibility(side: int) -> Reward:
    """How well a picture (n, side * side) compresses, in (0, 1]: mean of exp(-c^2 / 2 q^2) over its cosine coefficients c.

    That is the share of them which a quantiser of step q rounds to 0, made smooth so that it has a gradient.
    """
    k = torch.arange(float(side))
    cosines = torch.cos(math.pi * (2 * k + 1) * k[:, None] / (2 * side)) * math.sqrt(2 / side)
    cosines[0] /= math.sqrt(2)

    def reward(x: Tensor) -> Tensor:
        coefficients = cosines @ x.reshape(-1, side, side) @ cosines.T
        return torch.exp(-coefficients.square() / (2 * QUANTUM**2)).mean(dim=(1, 2))

    return reward


def mean_region(centres: Tensor, weights: Tensor, deviation: float, target: Tensor, width: float) -> float:
    """Mean of `region` under a mixture of normal components: what an exact sampler without a search gets."""
    total, d = width**2 + deviation**2, centres.shape[1]
    values = (width**2 / total) ** (d / 2) * torch.exp(-(centres - target).square().sum(dim=1) / (2 * total))
    return float((weights * values).sum())


def mean_distance(x: Tensor) -> float:
    """Mean distance of two different samples of x (n, d)."""
    return float(torch.cdist(x, x).sum() / (len(x) * (len(x) - 1)))


def nearest_distance(x: Tensor, centres: Tensor, deviation: float) -> float:
    """Mean distance of x (n, d) to the nearest of centres (m, d), over deviation and the root of d: about 1 on the data."""
    nearest = torch.cdist(x, centres).amin(dim=1)
    return float(nearest.mean()) / (deviation * math.sqrt(x.shape[1]))


def normal_distance(deviation: float) -> float:
    """The same of a normal distribution in the plane: deviation times the root of pi."""
    return deviation * math.sqrt(math.pi)
