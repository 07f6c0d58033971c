"""Multiplicative gradient noise (Hoffer, Hubara and Soudry 2017, arXiv 1705.08741): the step follows (1/M) sum_n z_n g_n.

z_n ~ N(1, v), one a sample. Drawn with replacement, M samples give the step the covariance [(1 + v) S - m m^T] / M, where
S is the mean of g g^T and m that of g; a small batch of b gives it [S - m m^T] / b. With v = M / b - 1 the two agree up to
m m^T (1/b - 1/M), which is small where the noise outweighs the mean.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import Tensor, nn, randn
from torch.optim import Optimizer

from baselines.regimes.hoffer import GROWTH, large_batch
from bench.optim import named


def weighted(model: nn.Module, variance: float) -> nn.Module:
    """`model`, whose gradients in training are those of sum_n z_n loss_n, in place; the loss itself is as before.

    What flows back into the output of sample n is multiplied by z_n: exact for every loss that is a sum, or a mean, over
    samples of a function of their own outputs (batch, …). ValueError for a negative variance.
    """
    if variance < 0:
        raise ValueError(f"a variance of {variance}; it is 0 or more, M / b - 1 for a batch of M in place of b")
    deviation = math.sqrt(variance)

    def hook(module: nn.Module, _: Any, output: Tensor) -> None:
        if module.training and output.requires_grad:
            z = 1 + deviation * randn(len(output), *[1] * (output.ndim - 1), device=output.device)
            output.register_hook(lambda gradient: gradient * z)

    model.register_forward_hook(hook)
    return model


def sgd(model: nn.Module, steps: int, lr: float, variance: float = GROWTH - 1, **options: Any) -> Optimizer:
    """SGD whose gradients carry the noise; `options` are those of torch.optim.SGD."""
    return named(weighted(model, variance), steps, "SGD", lr=lr, **options)


def large_batch_with_ghosts(recipe: Any, lr: float | None = None, growth: int = GROWTH) -> Any:
    """Large batch at the same rate, with batch norm on ghost batches of the small batch's size."""
    return replace(large_batch(recipe, lr, growth), ghost=recipe.base)
