"""The family's network."""

from __future__ import annotations

from torch import nn


def perceptron(inputs: int, classes: int, width: int) -> nn.Module:
    """(batch, inputs) -> logits (batch, classes), one hidden layer of `width` ReLUs, PyTorch's own initial weights."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, classes))
