"""How far weights have moved against the number of updates, at a constant rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bench.contract import Curves, Metric, Problem, Solution
from bench.metrics.trajectories import fit_log, fit_power, fit_sqrt
from tasks.large_batch.base import LargeBatch
from tasks.large_batch.fitting import Fitting
from tasks.large_batch.recipe import Recipe

FIRST = 5  # update at which the window of the fits begins


class Walk(Fitting):
    """The phase before the rate falls, as long for every regime: a constant rate, and as many updates as the small batch makes.

    Each fit is least squares over the evaluated updates from the fifth on, which are evenly spaced.
    """

    metrics = (  # type: ignore[assignment]  # more than the family's
        *LargeBatch.metrics,
        Metric("log_r2", "1", "max", "R2 of distance on log t", source="probe"),
        Metric("root_r2", "1", "max", "R2 of distance on sqrt t", source="probe"),
        Metric("log_rate", "1", "max", "slope of distance on log t", source="probe"),
        Metric("exponent", "1", "max", "slope of log distance on log t", source="probe"),
    )

    def adapted(self, recipe: Recipe, samples: int) -> Recipe:
        epochs = math.ceil(self.budget.limit / (samples // recipe.batch))
        return replace(recipe, drops=(), epochs=epochs)

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        return super().score(problem, solution, log) | growth(*log.curve("weight_distance"))


def growth(steps: Sequence[int], distances: Sequence[float]) -> dict[str, float | None]:
    """log_r2, root_r2, log_rate and exponent of `distances` at `steps` >= 5; all None for fewer than three points, or weights
    that never move.

    Hoffer et al. 2017 (arXiv 1705.08741): a walk on a random landscape moves as log t, free diffusion as sqrt t.
    """
    window = [(t, d) for t, d in zip(steps, distances, strict=True) if t >= FIRST]
    if len(window) < 3 or min(d for _, d in window) <= 0:
        return dict.fromkeys(("log_r2", "root_r2", "log_rate", "exponent"))
    times, moved = zip(*window, strict=True)
    logarithm = fit_log(times, moved)
    return {
        "log_r2": logarithm.r2,
        "root_r2": fit_sqrt(times, moved).r2,
        "log_rate": logarithm.slope,
        "exponent": fit_power(times, moved).exponent,
    }
