"""A network with tanh units whose weights are one flat vector, and its loss on a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.contract import BenchError


@dataclass(frozen=True)
class Passed:
    """A forward pass. inputs: of each layer, (B, units). losses: (B,). error: of the loss by the output's sums, (B, classes)."""

    inputs: list[Tensor]
    losses: Tensor
    error: Tensor


@dataclass(frozen=True)
class Network:
    """sizes: units of each layer, from the inputs to the classes. Weights (..., d) hold each layer's matrix and then its bias."""

    sizes: tuple[int, ...]

    @property
    def dimension(self) -> int:
        """d, the number of weights."""
        return sum((before + 1) * after for before, after in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def output_weights(self) -> int:
        """The number of weights of the last layer, which come last."""
        return (self.sizes[-2] + 1) * self.sizes[-1]

    def layers(self, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Views (..., before, after) and (..., after) of each layer's matrix and bias."""
        found, at = [], 0
        for before, after in zip(self.sizes, self.sizes[1:], strict=False):
            matrix = weights[..., at : at + before * after].unflatten(-1, (before, after))
            at += before * after
            found.append((matrix, weights[..., at : at + after]))
            at += after
        return found

    def outputs(self, weights: Tensor, x: Tensor) -> Tensor:
        """Logits (..., B, classes) for weights (..., d) and x (B, inputs)."""
        layers = self.layers(weights)
        for matrix, bias in layers[:-1]:
            x = torch.tanh(x @ matrix + bias[..., None, :])
        matrix, bias = layers[-1]
        return x @ matrix + bias[..., None, :]

    def loss(self, weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy (...) in nats of labels y (B,)."""
        return cross_entropy(self.outputs(weights, x), y).mean(dim=-1)

    def forward(self, weights: Tensor, x: Tensor, y: Tensor, noise: Sequence[Tensor] | None = None) -> Passed:
        """See `NetworkOracle.forward`; weights (d,). BenchError unless there is a noise for every layer."""
        layers = self.layers(weights)
        if noise is not None and len(noise) != len(layers):
            raise BenchError(f"noise for {len(noise)} layers; the network has {len(layers)}")
        inputs, sums = [x], x
        for place, (matrix, bias) in enumerate(layers):
            sums = inputs[-1] @ matrix + bias
            if noise is not None:
                sums = sums + noise[place]
            if place < len(layers) - 1:
                inputs.append(torch.tanh(sums))
        error = torch.softmax(sums, dim=-1)
        error[torch.arange(len(y)), y] -= 1
        return Passed(inputs, cross_entropy(sums, y), error)

    def outer(self, passed: Passed, errors: Sequence[Tensor]) -> Tensor:
        """Mean over the batch of each layer's input times its error: (d,), the gradient where the errors are exact."""
        parts = []
        for before, error in zip(passed.inputs, errors, strict=True):
            parts += [(before.T @ error).flatten() / len(error), error.mean(dim=0)]
        return torch.cat(parts)

    def start(self, generator: torch.Generator) -> Tensor:
        """Weights N(0, 1 / inputs of the layer), biases 0: (d,) float32."""
        parts = []
        for before, after in zip(self.sizes, self.sizes[1:], strict=False):
            parts += [torch.randn(before * after, generator=generator) / before**0.5, torch.zeros(after)]
        return torch.cat(parts)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy (..., B) of labels y (B,) under logits (..., B, classes)."""
    picked = logits.gather(-1, y[:, None].expand(*logits.shape[:-1], 1)).squeeze(-1)
    return logits.logsumexp(dim=-1) - picked


class Weights(nn.Module):
    """The layers' matrices and biases as parameters that share the memory of `flat` (d,), for optimizers."""

    def __init__(self, network: Network, flat: Tensor) -> None:
        super().__init__()
        self.network, self.flat = network, flat
        self.parts = nn.ParameterList(part for layer in network.layers(flat) for part in layer)

    def follow(self, direction: Tensor) -> None:
        """Set the parameters' gradients to views of `direction` (d,)."""
        views = [part for layer in self.network.layers(direction) for part in layer]
        for parameter, view in zip(self.parts, views, strict=True):
            parameter.grad = view
