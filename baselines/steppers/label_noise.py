"""Label-noise SGD: fresh noise on the targets of every step (Blanc et al. 2020, arXiv 1904.09080)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from bench.contract import BenchError


class LabelNoise:
    """SGD on single samples whose targets get N(0, noise^2) in the first `share` of the run, none after, to interpolate."""

    batch = 1

    def __init__(
        self,
        *,
        samples: int,
        steps: int,
        generator: Generator,
        lr: float = 0.02,
        noise: float = 0.5,
        share: float = 0.75,
    ) -> None:
        if not lr > 0 or not noise >= 0 or not 0 <= share <= 1:
            raise BenchError(f"label noise: lr={lr} has to be positive, noise={noise} >= 0, share={share} in [0, 1]")
        self.samples, self.generator = samples, generator
        self.lr, self.noise = lr, noise
        self.left = round(share * steps)  # noisy steps still to come

    def __call__(self, theta: Tensor, gradient: Callable[..., Tensor]) -> Tensor:
        chosen = torch.randint(self.samples, (1,), generator=self.generator)
        if self.left == 0:
            return theta - self.lr * gradient(theta, chosen)
        self.left -= 1
        noise = self.noise * torch.randn(1, generator=self.generator, dtype=theta.dtype)
        return theta - self.lr * gradient(theta, chosen, noise)
