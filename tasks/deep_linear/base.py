"""What the deep linear tasks share: the slot of initialisations, and the target of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Slot

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def deep_linear_init(*, sizes: Sequence[int], generator: torch.Generator) -> list[Tensor]:
    """Starting weights [W_1, ..., W_D] of a linear network, W_l of shape (sizes[l], sizes[l-1]). It sees no target."""
    raise NotImplementedError


INIT = Slot("deep_linear_init", deep_linear_init, {"_target_": "tasks.deep_linear.network.gaussian", "gain": 1.0})


def at_least(params: Any, **bounds: float) -> None:
    """BenchError, naming the parameter, unless each is at least its bound."""
    for name, low in bounds.items():
        value = getattr(params, name)
        if not value >= low:
            raise BenchError(f"task.{name}={value}: it is at least {low:g}")


def above(params: Any, *names: str) -> None:
    """BenchError, naming the parameter, unless each is above 0."""
    for name in names:
        if not getattr(params, name) > 0:
            raise BenchError(f"task.{name}={getattr(params, name)}: it is above 0")
