"""`large_batch/cifar10`: the regimes on real pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract import Problem
from bench.seeds import Seeds
from tasks.large_batch import base
from tasks.large_batch.base import LargeBatch, shared_slots


@dataclass
class Params(base.Params):
    """As the family's, with a real data set's sizes; training and validation come from the 50,000 training pictures."""

    train: int = 2000
    val: int = 1000
    test: int = 2000
    batch: int = 32
    epochs: int = 4
    lr: float = 0.05
    evaluations: int = 4


class Cifar10(LargeBatch):
    """CIFAR-10, normalised by channel, without augmentation; a small convolutional network."""

    name = "large_batch/cifar10"
    version = 2
    Params = Params
    presets = {
        "smoke": {"train": 256, "val": 100, "test": 100, "epochs": 1, "evaluations": 1},
        "small": {},
        "paper": {"train": 45000, "val": 5000, "test": 10000, "batch": 128, "epochs": 200},
    }
    slots = shared_slots("tasks.large_batch.networks.ConvNet")
    margin = 0.15

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        from bench.data.cifar import files

        return files(cache)

    def prepare(self, cache: Path, pool: int) -> str:
        from bench.data.cifar import ensure

        return str(ensure(cache))

    def problem(self, data: Any, seeds: Seeds) -> Problem:

        from bench.data.cifar import load, origin

        p = self.params
        pictures, labels = load(Path(data), train=True, count=p.train + p.val)
        order = seeds.stream("split", "samples").permutation(len(labels))
        test_x, test_y = load(Path(data), train=False, count=p.test)
        x, y = pictures[order], labels[order]
        train = (x[: p.train], y[: p.train])
        hidden = {"train": train, "val": (x[p.train :], y[p.train :]), "test": (test_x, test_y)}
        public = {"x": train[0], "y": train[1], "classes": self.classes, "budget": self.budget.limit}
        return Problem(public, hidden, origin(Path(data)))
