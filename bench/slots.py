"""Typed stubs of the slots that several families share. A part is called with exactly these keywords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


def optimizer(*, model: nn.Module, steps: int) -> Optimizer:
    """An optimizer over `model`'s named parameters for a run of `steps` updates."""
    raise NotImplementedError


def schedule(*, step: int, steps: int) -> float:
    """The factor on the base learning rate at `step` in [0, steps)."""
    raise NotImplementedError


def procedure(*, public: Any, log: Any, seeds: Any) -> Any:
    """A whole training procedure on the public data; returns a `bench.contract.Solution`."""
    raise NotImplementedError
