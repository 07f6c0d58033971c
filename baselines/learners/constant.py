"""The floor of `generalization/wide_student`: a student that learned nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Constant(nn.Module):
    """(batch, inputs) -> (batch,) zeros. One parameter that changes nothing, so that any optimizer can step."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return (self.idle * 0.0).expand(len(x))
