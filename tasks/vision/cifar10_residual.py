"""`vision/cifar10_residual`: real pictures and a residual network, the kind of network the paper uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.vision import base
from tasks.vision.base import Vision, shared_slots

POOL, TEST = 10000, 10000  # pictures to draw from; all 50,000 as float32 would take 600 MB in every cell


@dataclass
class Params(base.Params):
    """As the family's; training and validation come from the 50,000 training pictures, test from the 10,000 others."""

    train: int = 2048
    val: int = 1000
    test: int = 2000
    batch: int = 32
    epochs: int = 3
    evaluations: int = 3


class Cifar10Residual(Vision):
    """CIFAR-10, normalised by channel, without augmentation; a residual network of eight layers."""

    name = "vision/cifar10_residual"
    Params = Params
    presets = {
        "smoke": {"train": 256, "val": 100, "test": 100, "epochs": 1, "evaluations": 1},
        "small": {},
        "paper": {"train": 45000, "val": 5000, "test": 10000, "epochs": 100},
    }
    slots = shared_slots("tasks.vision.networks.ResNet")
    margin = 0.1

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        from bench.data.cifar import files

        return files(cache)

    def prepare(self, cache: Path, pool: int) -> str:
        from bench.data.cifar import ensure

        return str(ensure(cache))

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        """Training and validation pictures are drawn by seed from the first POOL of 50,000, test pictures from all 10,000."""
        from bench.data.cifar import load, origin

        p = self.params
        if p.train + p.val > 50000 or p.test > TEST:
            raise BenchError(
                f"{self.name}: {p.train} + {p.val} pictures to train and validate, {p.test} to test; there are 50000, {TEST}"
            )
        x, y = load(Path(data), train=True, count=max(POOL, p.train + p.val))
        test_x, test_y = load(Path(data), train=False, count=TEST)
        picked = seeds.stream("split", "samples").permutation(len(y))[: p.train + p.val]
        tested = seeds.stream("split", "test").permutation(len(test_y))[: p.test]
        train, val = picked[: p.train], picked[p.train :]
        sets = {"train": (x[train], y[train]), "val": (x[val], y[val]), "test": (test_x[tested], test_y[tested])}
        return self.made(sets, origin(Path(data)))
