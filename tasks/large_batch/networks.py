"""The tasks' own models, and the probe of how far weights have moved."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Perceptron(nn.Sequential):
    """(batch, inputs) -> (batch, classes): two hidden layers of 128 with batch norm and ReLU."""

    def __init__(self, inputs: int, classes: int) -> None:
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Linear(inputs, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()]
            inputs = 128
        super().__init__(*layers, nn.Linear(128, classes))


class ConvNet(nn.Sequential):
    """(batch, 3 x 32 x 32) pictures -> (batch, classes): three strided convolutions with batch norm, 24,000 parameters."""

    def __init__(self, inputs: int, classes: int) -> None:
        layers: list[nn.Module] = [nn.Unflatten(1, (3, 32, 32))]
        for before, after in ((3, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def distance(model: nn.Module, start: list[Tensor]) -> dict[str, float]:
    """Euclidean distance of all weights from where they started (Hoffer et al. 2017, section 3)."""
    moved = sum(float((p.detach() - s).square().sum()) for p, s in zip(model.parameters(), start, strict=True))
    return {"weight_distance": math.sqrt(moved)}


def copies(model: nn.Module) -> list[Tensor]:
    """The weights as they are now."""
    return [p.detach().clone() for p in model.parameters()]


def batches(x: Tensor, y: Tensor, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless epochs of shuffled batches (x, y); a last partial batch is dropped, unless it is all there is."""
    size = min(size, len(x))
    while True:
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x) - size + 1, size):
            picked = order[start : start + size]
            yield x[picked], y[picked]
