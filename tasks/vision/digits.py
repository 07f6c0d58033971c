"""`vision/digits_mlp` and `vision/digits_conv`: handwritten digits that come with a package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contract import Problem
from bench.seeds import Seeds
from tasks import digit_sets
from tasks.vision.base import Vision, shared_slots


class DigitsPerceptron(Vision):
    """1797 digits of 8 x 8 pixels in ten classes, split by seed; one hidden layer of 64."""

    name = "vision/digits_mlp"
    presets = {
        "smoke": {"train": 256, "val": 100, "test": 200, "batch": 32, "epochs": 3, "evaluations": 2},
        "small": {},
        "paper": {"epochs": 100},
    }
    slots = shared_slots("tasks.vision.networks.Perceptron")
    margin = 0.6

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return digit_sets.files(cache)

    def prepare(self, cache: Path, pool: int) -> str:
        return digit_sets.path()

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        p = self.params
        return self.made(*digit_sets.drawn(self.name, data, seeds, p.train, p.val, p.test))


class DigitsConvolutional(DigitsPerceptron):
    """The same digits and splits by a small convolutional network."""

    name = "vision/digits_conv"
    slots = shared_slots("tasks.vision.networks.ConvNet")
