"""MeZO: two-point differences whose direction is drawn again from its seed (Malladi et al. 2023, arXiv 2305.17333)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from bench.contract import BenchError

BLOCK = 1024  # numbers that are drawn at a time: what a step takes beside two forward passes


class Mezo:
    """x moves by +s z, -2s z and +s z in place, then by -lr slope z; z is standard normal, drawn block by block four times."""

    def __init__(
        self, *, dimension: int, evaluations: int, generator: Generator, lr: float = 0.003, smoothing: float = 1e-3
    ) -> None:
        if not lr > 0 or not smoothing > 0:
            raise BenchError(f"searcher: lr={lr} and smoothing={smoothing} have to be above 0")
        self.seeds, self.draws = generator, torch.Generator()
        self.lr, self.smoothing = lr, smoothing

    def move(self, x: Tensor, seed: int, factor: float) -> None:
        """Add factor z(seed) to x (d,) in place."""
        self.draws.manual_seed(seed)
        for block in x.split(BLOCK):
            block.add_(torch.randn(len(block), generator=self.draws, dtype=x.dtype), alpha=factor)

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        seed = int(torch.randint(2**62, (1,), generator=self.seeds))
        self.move(x, seed, self.smoothing)
        above = float(f(x))
        self.move(x, seed, -2 * self.smoothing)
        below = float(f(x))
        self.move(x, seed, self.smoothing)
        self.move(x, seed, -self.lr * (above - below) / (2 * self.smoothing))
        return x
