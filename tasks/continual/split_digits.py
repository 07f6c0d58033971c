"""`continual/split_digits`: the digits 0 to 4, then 5 to 9, under one head of five classes."""

from __future__ import annotations

from typing import Any

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.continual.digits import FromDigits, drawn


class SplitDigits(FromDigits):
    """The ten digits divided among the tasks in order. Task number k has the digits from k * classes on, and all share a head
    (domain-incremental, van de Ven and Tolias 2019, arXiv 1904.07734)."""

    name = "continual/split_digits"
    presets = {
        "smoke": {"train": 64, "val": 30, "test": 60, "first_epochs": 5, "later_epochs": 2, "width": 16, "evaluations": 2},
        "small": {},
        "paper": {"first_epochs": 80, "later_epochs": 20, "width": 256},
    }  # fmt: skip

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.tasks not in (2, 5):
            raise BenchError(f"task.tasks={params.tasks}: ten digits are divided among 2 or 5 tasks")
        self.classes = 10 // params.tasks  # type: ignore[misc]

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        x, y = drawn(data)
        sets: dict[str, list[Any]] = {"train": [], "val": [], "test": []}
        for task in range(self.params.tasks):
            low = task * self.classes
            rows = ((y >= low) & (y < low + self.classes)).nonzero()[:, 0]
            parts = self.divided(rows, f"task {task + 1}", seeds, f"task {task}")
            for name, part in zip(sets, parts, strict=True):
                sets[name].append((x[part], y[part] - low))
        return self.assembled(data, sets)
