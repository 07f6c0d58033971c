"""Sharpness-aware minimisation on single samples (Foret et al. 2021, arXiv 2010.01412)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from bench.contract import BenchError

TINY = 1e-30  # a gradient shorter than this has no direction


class Sam:
    """The gradient at theta + rho g / |g|, g the gradient of the same sample at theta. It does not interpolate exactly."""

    batch = 1

    def __init__(self, *, samples: int, steps: int, generator: Generator, lr: float = 0.02, rho: float = 0.05) -> None:
        if not lr > 0 or not rho >= 0:
            raise BenchError(f"SAM: lr={lr} is positive and rho={rho} not negative")
        self.samples, self.generator = samples, generator
        self.lr, self.rho = lr, rho

    def __call__(self, theta: Tensor, gradient: Callable[..., Tensor]) -> Tensor:
        chosen = torch.randint(self.samples, (1,), generator=self.generator)
        here = gradient(theta, chosen)
        above = theta + (self.rho / (float(here.norm()) + TINY)) * here
        return theta - self.lr * gradient(above, chosen)
