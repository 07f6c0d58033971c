"""The regimes of Hoffer, Hubara and Soudry 2017 (arXiv 1705.08741), each a transform of the task's own recipe.

A recipe has batch, base (the small batch), lr, epochs, drops, clip and ghost; `replace` leaves the rest as it is.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

GROWTH = 16  # the large batch in units of the small one
CLIP = 5.0  # bound on the gradient's norm that goes with the larger rate (the paper's section 7 settings)


def small_batch(recipe: Any, lr: float | None = None) -> Any:
    """The recipe with another rate."""
    return replace(recipe, lr=recipe.lr if lr is None else lr)


def large_batch(recipe: Any, lr: float | None = None, growth: int = GROWTH) -> Any:
    """`growth` times the batch at the same rate and number of epochs, hence `growth` times fewer updates."""
    return replace(small_batch(recipe, lr), batch=recipe.base * growth)


def sqrt_lr(recipe: Any, lr: float | None = None, growth: int = GROWTH) -> Any:
    """Large batch with the rate times sqrt(growth), which keeps the covariance of an update, and a clipped gradient."""
    grown = large_batch(recipe, lr, growth)
    return replace(grown, lr=grown.lr * math.sqrt(growth), clip=CLIP)


def ghost_batch_norm(recipe: Any, lr: float | None = None, growth: int = GROWTH) -> Any:
    """`sqrt_lr`, with batch norm on ghost batches of the small batch's size."""
    return replace(sqrt_lr(recipe, lr, growth), ghost=recipe.base)


def regime_adaptation(recipe: Any, lr: float | None = None, growth: int = GROWTH) -> Any:
    """`ghost_batch_norm`, with as many updates as the small batch makes: `growth` times the epochs."""
    return replace(ghost_batch_norm(recipe, lr, growth), epochs=recipe.epochs * growth)
