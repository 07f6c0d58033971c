"""`continual/digits_then_gratings`: ten digits, then ten gratings, two unlike sets of images under one head of ten classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.continual import base
from tasks.continual.digits import FromDigits, drawn

if TYPE_CHECKING:
    from torch import Tensor

    from bench.seeds import Stream

SIDE = 8  # pixels of a digit's side


@dataclass
class Params(base.Params):
    """As the family's. noise: deviation of the pixels' noise of a grating, whose own deviation is 1."""

    train: int = 1000
    val: int = 297
    test: int = 500
    noise: float = 0.5


class DigitsThenGratings(FromDigits):
    """The order of the paper's experiment, MNIST and then FashionMNIST under the same ten outputs, with data that are here."""

    name = "continual/digits_then_gratings"
    Params = Params
    classes = 10
    positive = (*FromDigits.positive, "noise")
    presets = {
        "smoke": {"train": 96, "val": 50, "test": 100, "first_epochs": 5, "later_epochs": 2, "width": 16, "evaluations": 2},
        "small": {},
        "paper": {"first_epochs": 80, "later_epochs": 20, "width": 256},
    }  # fmt: skip

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.tasks != 2:
            raise BenchError(f"task.tasks={params.tasks}: there are two tasks, digits and gratings")

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        x, y = drawn(data)
        parts = self.divided(torch.arange(len(y)), "the file", seeds, "samples")
        sets = {}
        for name, part in zip(("train", "val", "test"), parts, strict=True):
            stream = seeds.stream("data", f"gratings {name}")
            sets[name] = [(x[part], y[part]), gratings(len(part), self.params.noise, stream)]
        return self.assembled(data, sets)


def gratings(count: int, noise: float, stream: Stream) -> tuple[Tensor, Tensor]:
    """(count, 64) images and labels (count,): waves of unit mean square, plus noise.

    Class c is one of five directions, 36 degrees apart, and of two lengths of wave, 8 and 4 pixels; the phase is drawn within a
    quarter of a turn.
    """
    import torch

    labels = stream.integers(10, count)
    angle = (labels % 5) * (math.pi / 5)
    waves = 1 + labels // 5
    phase = (math.pi / 2) * stream.uniform(count)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    along = angle.cos()[:, None, None] * columns + angle.sin()[:, None, None] * rows
    turn = 2 * math.pi * waves[:, None, None] * along / SIDE + phase[:, None, None]
    images = math.sqrt(2) * turn.sin().reshape(count, -1) + noise * stream.normal(count, SIDE * SIDE)
    return images, labels
