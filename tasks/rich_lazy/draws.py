"""The tasks' own initial weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def gaussian(rows: int, columns: int, gain: float, generator: torch.Generator) -> Tensor:
    """Independent entries N(0, gain^2 / columns): the initialization whose rank the paper lowers."""
    return torch.randn(rows, columns, generator=generator) * (gain / math.sqrt(columns))


def as_drawn(weight: Tensor, target: Tensor) -> Tensor:
    """`weight` as it is, whatever direction (columns,) the data want."""
    return weight
