"""How much a gradient differs from the one before, on the scale of diffGrad's multiplier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.contract import Log


class GradientChange:
    """Called after each update, it follows sigmoid(|g_t - g_{t-1}|) over a model's parameters, from the second step on.

    This is what diffGrad multiplies its step with (Dubey et al. 2019, arXiv 1909.11015), measured for
    whatever rule trains the model: a property of the path. It is 1/2 where the gradient does not change. `rows` holds the
    mean and the largest of each step; the mean is also the curve `multiplier_now`.
    """

    def __init__(self, model: nn.Module, log: Log) -> None:
        self.model, self.log = model, log
        self.before: Tensor | None = None
        self.rows: list[tuple[int, float, float]] = []

    def __call__(self, step: int) -> None:
        gradients = [p.grad.reshape(-1) for p in self.model.parameters() if p.grad is not None]
        if not gradients:
            return
        now = torch.cat(gradients)  # a copy: an optimizer may write the next gradient into the same tensors
        if self.before is not None:
            xi = torch.sigmoid((now - self.before).abs())
            mean, largest = float(xi.mean()), float(xi.max())
            self.rows.append((step, mean, largest))
            self.log.track(step, multiplier_now=mean)
        self.before = now

    def table(self) -> Tensor:
        """(steps, 3): step, mean, largest; float32."""
        return torch.tensor(self.rows, dtype=torch.float32).reshape(-1, 3)
