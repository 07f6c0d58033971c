"""Accuracies of every task after every task, and the numbers made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.contract import Exhibit, Problem, Solution
from bench.metrics.classification import accuracy

Sets = Sequence[tuple[Tensor, Tensor]]  # a task each: samples (n, inputs) and labels (n,)


def accuracies(predict: Callable[..., Any], sets: Sets, *stage: int) -> list[float]:
    """Share of right answers on each task, of the network now or as it was after `stage` tasks."""
    return [accuracy(predict(x, *stage), y) for x, y in sets]


def matrix(predict: Callable[..., Any], sets: Sets) -> list[list[float]]:
    """Accuracy of each task (column) after each number of tasks from 0 on (row)."""
    return [accuracies(predict, sets, stage) for stage in range(len(sets) + 1)]


def summary(table: Sequence[Sequence[float]]) -> dict[str, float]:
    """The numbers of a `matrix`. Forgetting follows Chaudhry et al. 2018 (arXiv 1801.10112), with the accuracy just after a
    task in place of the best one."""
    end, tasks = table[-1], len(table[-1])
    lost = [table[task + 1][task] - end[task] for task in range(tasks - 1)]
    return {
        "average_accuracy": sum(end) / tasks,
        "forgetting": sum(lost) / len(lost),
        "first_accuracy": end[0],
        "first_before": table[1][0],
        "last_accuracy": end[-1],
    }


def score(problem: Problem, solution: Solution) -> dict[str, float | None]:
    """The task's metrics; what the run measured of its own updates is undefined for a procedure that does not say it."""
    predict, tasks = solution.require_predict(), len(problem.hidden["test"])
    val = accuracies(predict, problem.hidden["val"], tasks)
    own = {name: solution.tensors.get(name) for name in ("update_density", "later_density", "stored")}
    return {**summary(matrix(predict, problem.hidden["test"])), "val_accuracy": sum(val) / tasks, **own}


def exhibit(problem: Problem, solution: Solution, classes: int) -> dict[str, Exhibit]:
    """The accuracy matrix, and what samples of the first task are taken for at the end."""
    predict, sets = solution.require_predict(), problem.hidden["test"]
    x, y = sets[0]
    taken = predict(x, len(sets)).argmax(-1)
    counts = torch.zeros(classes, classes)
    counts.index_put_((y, taken), torch.ones(len(y)), accumulate=True)
    return {
        "accuracy_matrix": Exhibit(
            "matrix", {"accuracy": torch.tensor(matrix(predict, sets))}, ("after task", "of task"), "1",
            "test accuracy of each task (column) after each number of tasks learned (row, from 0)",
        ),
        "first_confusion": Exhibit(
            "matrix", {"share": counts / counts.sum(1, keepdim=True).clamp(min=1)}, ("class", "answer"), "1",
            "what test samples of the first task are taken for after the last one; rows add up to 1",
        ),
    }  # fmt: skip
