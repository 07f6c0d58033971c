"""diffGrad (Dubey et al. 2019, arXiv 1909.11015), the file that the paper's experiments used, and Adam at half its rate.

With g the gradient, m and v Adam's moments without their bias correction, and every operation elementwise,

    theta <- theta - lr sqrt(1 - beta2^t) / (1 - beta1^t) xi m / (sqrt(v) + eps),   xi = sigmoid(|g_t - g_{t-1}|),   g_0 = 0.

xi lies in [1/2, 1). The three rules below differ in xi alone: what they remember of the last gradient, or that it is 1/2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import nn

BETAS = (0.9, 0.999)


class DiffGrad(Optimizer):
    """The rule as the paper states it. BenchError for a rate or eps that is not positive, or a beta outside [0, 1)."""

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: Sequence[float] = BETAS, eps: float = 1e-8
    ) -> None:
        if not (lr > 0 and eps > 0):
            raise BenchError(f"diffGrad: lr={lr} and eps={eps} have to be positive")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise BenchError(f"diffGrad: betas={list(betas)} have to be two numbers, at least 0 and below 1")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps})

    def kept(self, gradient: Tensor) -> Tensor:
        """What is remembered of a gradient until the next step."""
        return gradient.clone()

    def multiplier(self, gradient: Tensor, before: Tensor) -> Tensor | float:
        """xi, of the gradient's shape or one number for all."""
        return torch.sigmoid((gradient - before).abs())

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient; returns the loss of `closure`, or None."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    zero = torch.zeros_like(p)
                    state |= {"t": 0, "m": zero, "v": zero.clone(), "before": zero.clone()}
                state["t"] += 1
                state["m"].lerp_(p.grad, 1 - beta1)
                state["v"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                xi = self.multiplier(p.grad, state["before"])
                state["before"] = self.kept(p.grad)
                rate = group["lr"] * math.sqrt(1 - beta2 ** state["t"]) / (1 - beta1 ** state["t"])
                p.addcdiv_(xi * state["m"], state["v"].sqrt() + group["eps"], value=-rate)
        return loss


class Published(DiffGrad):
    """The rule of the authors' first file, which keeps a reference to the gradient instead of a copy.

    Where gradients are cleared by filling them with zeros (`set_to_none` False, the only way before torch 1.7 and the default
    before 2.0), the next gradient is written into the remembered tensor: the difference is 0 and xi is 1/2 from the second
    step on. Where they are cleared by dropping them, the reference is as good as a copy.
    """

    def __init__(self, params: Iterable[Any], set_to_none: bool = False, **arguments: Any) -> None:
        super().__init__(params, **arguments)
        self.drops = set_to_none

    def kept(self, gradient: Tensor) -> Tensor:
        return gradient

    def zero_grad(self, set_to_none: bool | None = None) -> None:
        """Clear the gradients, in the way that was chosen when the optimizer was made unless one is given."""
        super().zero_grad(set_to_none=self.drops if set_to_none is None else set_to_none)


class HalfRate(DiffGrad):
    """xi = 1/2: Adam at half the rate."""

    def multiplier(self, gradient: Tensor, before: Tensor) -> float:
        return 0.5


def diffgrad(
    model: nn.Module, steps: int, lr: float = 1e-3, betas: Sequence[float] = BETAS, eps: float = 1e-8
) -> Optimizer:
    """diffGrad over the model's trained parameters."""
    return DiffGrad(trained(model), lr, betas, eps)


def published(
    model: nn.Module,
    steps: int,
    lr: float = 1e-3,
    betas: Sequence[float] = BETAS,
    eps: float = 1e-8,
    set_to_none: bool = False,
) -> Optimizer:
    """The authors' first file over the model's trained parameters; `set_to_none` is how gradients are cleared."""
    return Published(trained(model), set_to_none, lr=lr, betas=betas, eps=eps)


def half_rate(
    model: nn.Module, steps: int, lr: float = 1e-3, betas: Sequence[float] = BETAS, eps: float = 1e-8
) -> Optimizer:
    """Adam at lr / 2 over the model's trained parameters."""
    return HalfRate(trained(model), lr, betas, eps)


def trained(model: nn.Module) -> list[Tensor]:
    """The parameters that are trained."""
    return [p for p in model.parameters() if p.requires_grad]
