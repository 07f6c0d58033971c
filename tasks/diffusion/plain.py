"""The reference part of `diffusion/initial_noise`: standard normal noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.diffusion.sampling import Sampler

BATCH = 16


class Plain:
    """Sampling without a search. It spends the budget as others do, and learns nothing."""

    def __init__(self, *, dimension: int, steps: int, generator: Generator) -> None:
        self.dimension, self.generator = dimension, generator

    def update(self, sampler: Sampler) -> None:
        """Draw a batch and forget it."""
        import torch

        sampler(torch.randn(BATCH, self.dimension, generator=self.generator))

    def start(self, e: Tensor) -> Tensor:
        """Initial noise (n, d) of standard normal e (n, d): the same."""
        return e
