"""The objective of tuning: the metric, on validation data, by which `bench tune` chooses settings."""

from __future__ import annotations

from typing import Any, Final

from bench.contract import BenchError, Metric

DIVERGED: Final = "diverged"  # stands for a value that is not finite in a tuned file


def objective(task: Any) -> Metric:
    """The metric on which a task's entries are tuned. BenchError if the task does not declare it."""
    for metric in (*task.metrics, *(derived.metric for derived in task.derived)):
        if metric.name == task.objective:
            return metric
    raise BenchError(f"{task.name}: objective {task.objective!r} is none of its metrics")
