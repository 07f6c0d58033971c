"""`neural_ode/digits`: handwritten digits by a flow of their pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract import Problem
from bench.seeds import Seeds
from tasks import digit_sets
from tasks.neural_ode import base
from tasks.neural_ode.base import metrics
from tasks.neural_ode.classes import Classes


@dataclass
class Params(base.Params):
    """train, val, test: of the 1797 digits. The others are as those of `neural_ode/annuli`."""

    width: int = 32
    depth: int = 1
    tolerance: float = 1e-7
    steps: int = 200
    required: float = 0.9
    train: int = 1024
    val: int = 350
    test: int = 350
    augmented: int = 0
    sensitivity: str = "backpropagation"


class Digits(Classes):
    """1797 digits of 8 x 8 pixels, split by seed; the state has a coordinate for each pixel."""

    name = "neural_ode/digits"
    Params = Params
    inputs = 64
    classes = 10
    presets = {
        "smoke": {"train": 64, "val": 50, "test": 50, "width": 8, "steps": 4, "batch": 32, "tolerance": 1e-3, "evaluations": 2,
                  "required": 0.1},
        "small": {},
        "paper": {"width": 100, "steps": 7500, "batch": 512, "tolerance": 1.4e-8},
    }  # fmt: skip
    metrics = metrics("accuracy", "share of test digits classified right", 0.0)

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return digit_sets.files(cache)

    def prepare(self, cache: Path, pool: int) -> str:
        return digit_sets.path()

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        p = self.params
        sets, origin = digit_sets.drawn(self.name, data, seeds, p.train, p.val, p.test)
        hidden = {name: {"x": x, "y": y} for name, (x, y) in sets.items()}
        return Problem(hidden.pop("train"), hidden, origin)
