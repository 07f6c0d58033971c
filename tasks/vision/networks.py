"""The tasks' own networks, with any elementwise activation of torch.nn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.contract import BenchError

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "selu": nn.SELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid,
}  # fmt: skip


def activated(name: str) -> nn.Module:
    """A layer of this activation; BenchError, with the known ones, for another name."""
    if name not in ACTIVATIONS:
        raise BenchError(f"task.activation={name!r}: it is one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class Perceptron(nn.Sequential):
    """(batch, inputs) -> logits (batch, classes): one hidden layer of 64; 4,810 parameters on the digits."""

    def __init__(self, inputs: int, classes: int, activation: str, width: int = 64) -> None:
        super().__init__(nn.Linear(inputs, width), activated(activation), nn.Linear(width, classes))


class ConvNet(nn.Sequential):
    """(batch, 64) pictures of 8 x 8 -> logits (batch, classes): two convolutions, the second strided, and a linear layer."""

    def __init__(self, inputs: int, classes: int, activation: str, width: int = 8) -> None:
        super().__init__(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, width, 3, padding=1), activated(activation),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), activated(activation),
            nn.Flatten(), nn.Linear(32 * width, classes),
        )  # fmt: skip


class Block(nn.Module):
    """Two convolutions with batch norm beside a shortcut without parameters (He et al. 2016, option A).

    (batch, before, h, w) -> (batch, after, h / stride, w / stride).
    """

    def __init__(self, before: int, after: int, stride: int, activation: str) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after),
            activated(activation),
            nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.stride, self.more, self.last = stride, after - before, activated(activation)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        out: Tensor = self.last(shortcut + self.branch(x))
        return out


class ResNet(nn.Sequential):
    """(batch, 3 x 32 x 32) pictures -> logits (batch, classes): 6 blocks_per_stage + 2 layers, `width` channels doubled twice."""

    def __init__(self, inputs: int, classes: int, activation: str, width: int = 8, blocks_per_stage: int = 1) -> None:
        stem = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        layers: list[nn.Module] = [nn.Unflatten(1, (3, 32, 32)), stem, nn.BatchNorm2d(width), activated(activation)]
        channels = width
        for stage in range(3):
            for block in range(blocks_per_stage):
                after = width * 2**stage
                layers.append(Block(channels, after, 2 if stage and not block else 1, activation))
                channels = after
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def confusion(logits: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(classes, classes): share of the samples of a class, down, that are taken for each class, across."""
    counts = torch.zeros(classes, classes).index_put_(
        (labels, logits.argmax(-1)), torch.ones(len(labels)), accumulate=True
    )
    return counts / counts.sum(1, keepdim=True).clamp(min=1)
