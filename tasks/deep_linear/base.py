"""What the deep linear tasks share: the slot of initialisations, and the target of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.contract import Slot

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def deep_linear_init(*, sizes: Sequence[int], generator: torch.Generator) -> list[Tensor]:
    """Starting weights [W_1, ..., W_D] of a linear network, W_l of shape (sizes[l], sizes[l-1]). It sees no target."""
    raise NotImplementedError


INIT = Slot("deep_linear_init", deep_linear_init, {"_target_": "tasks.deep_linear.network.gaussian", "gain": 1.0})
