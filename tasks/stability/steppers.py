"""The reference part: SGD by batch size. Gradient descent is the batch of all samples.

A stepper is made once a run and then called at every step: theta, gradient -> the next theta. It says its `lr` and
`batch` (None: all samples), from which the tasks work out what it can be stable at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Minibatch:
    """theta - lr times the mean gradient of `batch` samples drawn with replacement, or of all samples if batch is None."""

    def __init__(
        self, *, samples: int, steps: int, generator: Generator, lr: float = 0.02, batch: int | None = 1
    ) -> None:
        if not lr > 0:
            raise BenchError(f"stepper.lr={lr}: a learning rate is positive")
        if batch is not None and not 1 <= batch <= samples:
            raise BenchError(f"stepper.batch={batch}: there are {samples} samples; use 1 to {samples}, or null for all")
        self.samples, self.generator = samples, generator
        self.lr, self.batch = lr, batch

    def draw(self) -> Tensor | None:
        """Indices (batch,) of this step's samples; None for all."""
        import torch

        if self.batch is None:
            return None
        return torch.randint(self.samples, (self.batch,), generator=self.generator)

    def __call__(self, theta: Tensor, gradient: Callable[..., Tensor]) -> Tensor:
        return theta - self.lr * gradient(theta, self.draw())
