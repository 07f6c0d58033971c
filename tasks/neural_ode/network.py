"""The networks: a field that depends on time, and what reads its last state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn

from bench.contract import BenchError


class Layer(nn.Module):
    """A linear map that also sees the time: x W + b + t v; without v if it is not `timed`."""

    def __init__(self, inputs: int, outputs: int, timed: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, dtype=torch.float64)
        self.time = nn.Parameter(torch.zeros(outputs, dtype=torch.float64)) if timed else None

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        mapped: Tensor = self.linear(x)
        return mapped if self.time is None else mapped + t * self.time


class Field(nn.Module):
    """(t, z) -> dz/dt of z's shape (..., d): layers of tanh units, each of which sees the time if the field is `timed`.

    power: z enters as z^power.
    """

    def __init__(self, dimension: int, width: int, depth: int, power: int = 1, timed: bool = True) -> None:
        super().__init__()
        widths = [dimension, *[width] * depth, dimension]
        self.layers = nn.ModuleList(Layer(a, b, timed) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.power = power

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        x = z if self.power == 1 else z**self.power
        for layer in self.layers[:-1]:
            x = torch.tanh(layer(t, x))
        slope: Tensor = self.layers[-1](t, x)
        return slope


class Network(nn.Module):
    """A field, with a linear head (outputs > 0) or with a constant noise sigma (d,) for each coordinate (noisy)."""

    def __init__(self, field: Field, dimension: int, outputs: int = 0, noisy: bool = False) -> None:
        super().__init__()
        self.field = field
        self.head = nn.Linear(dimension, outputs, dtype=torch.float64) if outputs else None
        self.log_noise = nn.Parameter(torch.full((dimension,), -1.0, dtype=torch.float64)) if noisy else None

    @property
    def noise(self) -> Tensor:
        """sigma (d,)."""
        assert self.log_noise is not None
        return self.log_noise.exp()

    @torch.no_grad()
    def draw(self, generator: Generator) -> Network:
        """Draw all weights, biases included, uniformly up to 1 / sqrt(inputs), and return the network."""
        for module in self.modules():
            if isinstance(module, Layer | nn.Linear):
                linear = module.linear if isinstance(module, Layer) else module
                bound = 1 / math.sqrt(linear.in_features)
                for parameter in module.parameters(recurse=False):
                    parameter.uniform_(-bound, bound, generator=generator)
        return self

    def vector(self) -> Tensor:
        """All weights as one vector, without a graph."""
        return nn.utils.parameters_to_vector(self.parameters()).detach().clone()

    def load(self, vector: Any) -> bool:
        """Take the weights; whether they are finite. BenchError if they are no tensor of the network's size."""
        size = sum(parameter.numel() for parameter in self.parameters())
        if not isinstance(vector, Tensor) or vector.shape != (size,):
            raise BenchError(
                f"the solution has no tensor `weights` of shape ({size},), all weights of the network in order"
            )
        nn.utils.vector_to_parameters(vector.double(), self.parameters())
        return bool(vector.isfinite().all())


def padded(x: Tensor, dimension: int) -> Tensor:
    """x (batch, inputs) with columns of 0 up to `dimension`: the augmented state of Dupont, Doucet and Teh 2019."""
    return nn.functional.pad(x.double(), (0, dimension - x.shape[1]))


def batches(rows: int, size: int, generator: Generator) -> Iterator[Tensor]:
    """Endless epochs of shuffled numbers of rows (size,); a last partial batch is dropped."""
    while True:
        yield from torch.randperm(rows, generator=generator)[: rows // size * size].view(-1, size)
