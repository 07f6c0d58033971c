"""Numbers about training runs, as pure functions of curves. Importing this needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def lr_sensitivity(losses: Sequence[float], initial: float, attainable: float = math.inf) -> float:
    """Learning-rate sensitivity, in the losses' unit: mean of min(loss, initial) minus the least loss, over a grid of rates.

    A loss that is not a number, or infinite, counts as `initial`, the loss before training. ValueError if `losses` is
    empty. Wortsman et al. 2023 (arXiv 2309.14322), section 2.2: there the mean is over a log-spaced grid, unweighted.

    attainable: the least loss is taken to be at most this. By the paper's formula alone (the default) the steadiest
    recipe is the one that learns nothing at any rate; with it, such a recipe pays what it fails to learn.
    """
    if not losses:
        raise ValueError("the sensitivity of no losses is undefined")
    capped = [min(loss, initial) if math.isfinite(loss) else initial for loss in losses]
    least = min(attainable, *capped)
    return sum(loss - least for loss in capped) / len(capped)


def time_to_target(steps: Sequence[int], values: Sequence[float], target: float, budget: int) -> tuple[int, bool]:
    """(step of the first value >= target, True), or (budget, False): a run that never arrives is censored there.

    NaN never arrives. ValueError if `steps` and `values` differ in length.
    """
    for step, value in zip(steps, values, strict=True):
        if value >= target and step <= budget:
            return step, True
    return budget, False


def weight_norm(parameters: Iterable[Tensor]) -> float:
    """Euclidean norm of all numbers of all tensors together; 0 for none."""
    return math.sqrt(sum(float(p.detach().abs().double().square().sum()) for p in parameters))
