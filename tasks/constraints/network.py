"""The network of all tasks of the family: (parameters, t, x) to N basis functions, with their derivatives."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class Basis(nn.Module):
    """tanh layers in float64. On a periodic domain x enters as a point on a circle, so that every output is periodic.

    The first layer's weights are `spread` times torch's, without which all basis functions start out nearly linear.
    """

    def __init__(
        self, parameters: int, count: int, width: int, depth: int, periodic: bool, spread: float = 3.0
    ) -> None:
        super().__init__()
        sizes = [parameters + 1 + (2 if periodic else 1), *[width] * depth, count]
        layers = [nn.Linear(a, b, dtype=torch.float64) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        with torch.no_grad():
            layers[0].weight.mul_(spread)
        self.layers: Any = nn.ModuleList(layers)
        self.periodic = periodic

    def forward(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Jets (C, 4, M, N): value, d/dt, d/dx and d2/dx2 of N basis functions at M points t, x (M,), for parameters (C, p)."""
        jets = self._inputs(parameters, t, x)
        for place, layer in enumerate(self.layers):
            if place:
                jets = _tanh(jets)
            jets = jets @ layer.weight.T
            jets = torch.cat([jets[:, :1] + layer.bias, jets[:, 1:]], dim=1)
        return jets

    def _inputs(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        one, zero = torch.ones_like(x), torch.zeros_like(x)
        if self.periodic:
            turn = 2 * math.pi
            sine, cosine = torch.sin(turn * x), torch.cos(turn * x)
            places = [
                torch.stack([sine, zero, turn * cosine, -(turn**2) * sine]),
                torch.stack([cosine, zero, -turn * sine, -(turn**2) * cosine]),
            ]
        else:
            places = [torch.stack([2 * x - 1, zero, 2 * one, zero])]
        times = torch.stack([2 * t - 1, 2 * one, zero, zero])
        shared = torch.stack([times, *places], dim=-1)  # (4, M, features)
        own = torch.zeros(len(parameters), 4, len(x), parameters.shape[1], dtype=x.dtype)
        own[:, 0] = parameters[:, None]
        return torch.cat([own, shared.expand(len(parameters), -1, -1, -1)], dim=-1)


def _tanh(jets: Tensor) -> Tensor:
    """tanh of a jet (C, 4, M, width), by the chain rule."""
    value, dt, dx, dxx = jets.unbind(1)
    y = torch.tanh(value)
    slope = 1 - y * y
    return torch.stack([y, slope * dt, slope * dx, slope * (dxx - 2 * y * dx * dx)], dim=1)
