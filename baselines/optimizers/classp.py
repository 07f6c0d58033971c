"""CLASSP: a learning rate that falls with a weight's past gradients, and a threshold below which a weight stays.

Ludwig 2024 (arXiv 2405.09637).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from bench.contract import BenchError


class Classp(Optimizer):
    """Where g^2 > threshold, weight by weight: S <- S + |g|^power, w <- w - lr g / (eps + S)^(1/power); all others stay.

    plain_first: during the first task S grows, and steps are w - lr g, as in the paper's experiments; `stage_end` ends that.
    With power 2 and threshold 0 it is Adagrad, but for the place of eps. The current gradient is part of S, so that no step is
    longer than lr |g| / |g|: without it a weight that has never moved would step by lr g / eps.
    """

    def __init__(
        self,
        model: nn.Module,
        steps: int,
        lr: float = 0.2,
        threshold: float = 0.0,
        power: float = 1.0,
        eps: float = 1e-5,
        plain_first: bool = True,
    ) -> None:
        for name, value, good in (
            ("lr", lr, lr >= 0),
            ("threshold", threshold, threshold >= 0),
            ("power", power, power > 0),
            ("eps", eps, eps >= 0),
        ):
            if not good or not math.isfinite(value):
                raise BenchError(
                    f"CLASSP: {name}={value} has to be finite and {'above' if name == 'power' else 'at least'} 0"
                )
        super().__init__(
            [p for p in model.parameters() if p.requires_grad],
            {"lr": lr, "threshold": threshold, "power": power, "eps": eps},
        )
        self.plain = plain_first

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update; returns the loss of `closure`, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            power = group["power"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p not in self.state:
                    self.state[p]["sum"] = torch.zeros_like(p)
                total = self.state[p]["sum"]
                gradient = torch.where(p.grad.square() > group["threshold"], p.grad, 0.0)
                total += gradient.abs().pow(power)
                if self.plain:
                    p.sub_(group["lr"] * gradient)
                else:  # a weight without any gradient so far stays, also with eps = 0
                    scale = (group["eps"] + total).pow(1 / power)
                    p.sub_(group["lr"] * torch.where(gradient == 0, 0.0, gradient / scale))
        return loss

    def stage_end(self, model: nn.Module, data: Any) -> None:
        """From the second task on each weight has its own rate."""
        self.plain = False
