"""The floors of learning: networks that answer without having learned anything.

Each has one parameter that changes nothing, so that any optimizer can step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Chance(nn.Module):
    """(batch, …) -> (batch, classes) zeros: every class equally likely, whatever the input."""

    def __init__(self, classes: int, **_: Any) -> None:
        super().__init__()
        self.classes = classes
        self.idle = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return (self.idle * 0.0).expand(len(x), self.classes)


class Constant(nn.Module):
    """(batch, inputs) -> (batch,) zeros: one number whatever the input."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return (self.idle * 0.0).expand(len(x))
