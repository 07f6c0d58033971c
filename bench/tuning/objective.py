"""What a task's entries are tuned on."""

from __future__ import annotations

from typing import Any

from bench.contract import BenchError, Metric

DIVERGED = "diverged"  # in a tuned file: a value that is not finite


def objective(task: Any) -> Metric:
    """The metric on which a task's entries are tuned."""
    for metric in (*task.metrics, *(derived.metric for derived in task.derived)):
        if metric.name == task.objective:
            return metric
    raise BenchError(f"{task.name}: objective {task.objective!r} is none of its metrics")
