"""`continual/permuted_digits`: the same digits with their pixels in another order for every task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.contract import Problem
from bench.seeds import Seeds
from tasks.continual import base
from tasks.continual.digits import FromDigits, drawn


@dataclass
class Params(base.Params):
    """As the family's; all tasks share the split of the digits."""

    tasks: int = 5
    train: int = 1000
    val: int = 297
    test: int = 500
    first_epochs: int = 10
    later_epochs: int = 10


class PermutedDigits(FromDigits):
    """Ten digits; the first task has the pixels as they are, each later one in an order of its own (Goodfellow et al. 2013,
    arXiv 1312.6211)."""

    name = "continual/permuted_digits"
    Params = Params
    classes = 10
    presets = {
        "smoke": {
            "tasks": 2, "train": 96, "val": 50, "test": 100, "first_epochs": 4, "later_epochs": 2, "width": 16, "evaluations": 2,
        },
        "small": {},
        "paper": {"tasks": 10, "first_epochs": 50, "later_epochs": 50, "width": 256},
    }  # fmt: skip

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        x, y = drawn(data)
        parts = self.divided(torch.arange(len(y)), "the file", seeds, "samples")
        pixels = x.shape[1]
        orders = [torch.arange(pixels)]
        orders += [seeds.stream("data", f"pixels {task}").permutation(pixels) for task in range(1, self.params.tasks)]
        sets = {
            name: [(x[part][:, order], y[part]) for order in orders]
            for name, part in zip(("train", "val", "test"), parts, strict=True)
        }
        return self.assembled(data, sets)
