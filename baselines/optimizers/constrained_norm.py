"""Training on a sphere: the norm of all weights is held at a chosen value (Liu et al. 2023, Omnigrok, arXiv 2210.01117)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError
from bench.optim import named

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


def constrained_norm(model: nn.Module, steps: int, name: str, alpha: float = 1.0, **arguments: Any) -> Optimizer:
    """The optimizer `name`, after each of whose steps all weights are rescaled to `alpha` times their initial norm.

    They are rescaled before the first step too. The other arguments are those of `bench.optim.named`.
    ValueError unless alpha is positive; BenchError for an optimizer that has no step hooks.
    """
    import torch

    if not alpha > 0:
        raise ValueError(f"alpha={alpha}: the norm is held at a positive multiple of the initial one")
    parameters = [p for p in model.parameters() if p.requires_grad]

    def norm() -> float:
        return math.sqrt(sum(float(p.detach().square().sum()) for p in parameters))

    held = alpha * norm()

    def rescale(*_: Any) -> None:
        factor = held / norm()
        with torch.no_grad():
            for p in parameters:
                p.mul_(factor)

    optimizer = named(model, steps, name, **arguments)
    if not hasattr(optimizer, "register_step_post_hook"):
        raise BenchError(f"optimizer {name!r} has no step hooks to hold the norm with; choose one of torch.optim")
    rescale()
    optimizer.register_step_post_hook(rescale)
    return optimizer
