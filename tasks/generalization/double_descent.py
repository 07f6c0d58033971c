"""`generalization/double_descent`: the error over the ratio of samples to weights, and its peak where they are equal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.contract import Derived, Metric
from tasks.generalization.base import ROUNDING, WORST, Linear

GRID = {
    "smoke": (0.5, 1.0, 2.0),
    "small": (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0),
    "paper": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0),
}


def mean_gap(grid: Sequence[float], rows: Sequence[Mapping[str, float]]) -> float:
    """Mean over the ratios of log(gen_error / that of the best ridge on the same draws)."""
    return sum(math.log1p(row["ridge_gap"]) for row in rows) / len(rows)


def mean_val_error(grid: Sequence[float], rows: Sequence[Mapping[str, float]]) -> float:
    """Geometric mean of the validation errors."""
    return math.exp(sum(math.log(row["val_error"]) for row in rows) / len(rows))


def peak_height(grid: Sequence[float], rows: Sequence[Mapping[str, float]]) -> float:
    """The largest error over the larger of the two at the ends of the grid; 1 if there is no peak between them."""
    errors = [row["gen_error"] for row in rows]
    return max(errors) / max(errors[0], errors[-1])


class DoubleDescent(Linear):
    """The linear teacher at every ratio of a grid."""

    name = "generalization/double_descent"
    version = 2
    presets = {
        "smoke": {"dimension": 20, "draws": 4, "val": 20, "time": 20.0, "evaluations": 8},
        "small": {"time": 300.0},
        "paper": {"dimension": 1000, "draws": 20, "time": 10000.0},
    }
    rank = "mean_gap"
    objective = "mean_val_error"
    derived = (
        Derived(Metric("mean_gap", "nats", "min", "mean over ratios P/N of log gen_error over that of the best ridge on the "
                       "same draws", diverged=5.0, resolution=ROUNDING), "ratio", GRID, mean_gap),
        Derived(Metric("mean_val_error", "1", "min", "geometric mean of val_error over the ratios", scale="log",
                       diverged=WORST), "ratio", GRID, mean_val_error),
        Derived(Metric("peak_height", "1", "min", "largest gen_error of the grid over the larger of those at its ends",
                       scale="log"), "ratio", GRID, peak_height),
    )  # fmt: skip
    margin = 0.4
