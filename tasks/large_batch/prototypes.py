"""`large_batch/prototypes`: a mixture of Gaussians in which small batches generalise better, in seconds and without data."""

from __future__ import annotations

from typing import Any

from bench.contract import Problem
from bench.seeds import Seeds
from tasks.large_batch.base import LargeBatch, shared_slots

DIMENSIONS, PROTOTYPES, NOISE = 64, 80, 1.1


class Prototypes(LargeBatch):
    """80 standard normal prototypes in 64 dimensions, eight to each of ten classes; samples add noise of deviation 1.1."""

    name = "large_batch/prototypes"
    version = 2
    presets = {
        "smoke": {"train": 512, "val": 500, "test": 1000, "epochs": 3, "evaluations": 2},
        "small": {},
        "paper": {"train": 50000, "val": 10000, "test": 10000, "batch": 128, "epochs": 200},
    }
    slots = shared_slots("tasks.large_batch.networks.Perceptron")
    margin = 0.5

    def problem(self, data: Any, seeds: Seeds) -> Problem:

        p = self.params
        prototypes = seeds.stream("data", "prototypes").normal(PROTOTYPES, DIMENSIONS)
        sets = {}
        for name, count in (("train", p.train), ("val", p.val), ("test", p.test)):
            stream = seeds.stream("data", name)
            which = stream.integers(PROTOTYPES, count)
            x = prototypes[which] + NOISE * stream.normal(count, DIMENSIONS)
            sets[name] = (x, which % self.classes)
        x, y = sets["train"]
        return Problem({"x": x, "y": y, "classes": self.classes, "budget": self.budget.limit}, sets)
