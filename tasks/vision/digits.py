"""`vision/digits_mlp` and `vision/digits_conv`: handwritten digits that come with a package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contract import BenchError, Problem, Unavailable
from bench.seeds import Seeds
from tasks.large_batch import digits
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
        return {digits.FILE.name: digits.location() or cache / digits.FILE.name}

    def prepare(self, cache: Path, pool: int) -> str:
        where = digits.location()
        if where is None:
            raise Unavailable("the digits come with scikit-learn, which is not here: pip install scikit-learn")
        return str(where)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from bench.data.download import md5

        p = self.params
        if (asked := p.train + p.val + p.test) > digits.DIGITS:
            raise BenchError(f"{self.name}: train, val and test add up to {asked}; there are {digits.DIGITS} digits")
        x, y = digits.load(Path(data))
        order = seeds.stream("split", "samples").permutation(digits.DIGITS)
        picked = order[:asked].split([p.train, p.val, p.test])
        sets = {name: (x[part], y[part]) for name, part in zip(("train", "val", "test"), picked, strict=True)}
        return self.made(sets, "official" if md5(Path(data)) == digits.MD5 else "unverified")


class DigitsConvolutional(DigitsPerceptron):
    """The same digits and splits by a small convolutional network."""

    name = "vision/digits_conv"
    slots = shared_slots("tasks.vision.networks.ConvNet")
