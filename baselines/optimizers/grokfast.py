"""Grokfast: amplify the slow part of the gradients (Lee et al. 2024, arXiv 2405.20233)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.contract import BenchError
from bench.optim import named

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


def grokfast(
    model: nn.Module, steps: int, name: str, alpha: float = 0.98, lamb: float = 2.0, **arguments: Any
) -> Optimizer:
    """The optimizer `name`, fed with g + lamb * m, where m <- alpha m + (1 - alpha) g starts at the first gradient.

    The exponential moving average filter of the paper's code, with its defaults. The other arguments go to
    `bench.optim.named`. ValueError unless 0 <= alpha < 1; BenchError for an optimizer that has no step hooks.
    """
    if not 0 <= alpha < 1:
        raise ValueError(f"alpha={alpha}: the average's memory is at least 0 and below 1")
    means: dict[int, Tensor] = {}

    def amplify(*_: Any) -> None:
        for i, p in enumerate(model.parameters()):
            if p.grad is None:
                continue
            gradient = p.grad.detach()
            means[i] = means[i].lerp(gradient, 1 - alpha) if i in means else gradient.clone()
            p.grad = gradient + lamb * means[i]

    optimizer = named(model, steps, name, **arguments)
    if not hasattr(optimizer, "register_step_pre_hook"):
        raise BenchError(f"optimizer {name!r} has no step hooks to filter gradients with; choose one of torch.optim")
    optimizer.register_step_pre_hook(amplify)
    return optimizer
