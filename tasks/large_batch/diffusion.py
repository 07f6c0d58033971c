"""`large_batch/diffusion`: how far the weights wander on the mixture, at a constant rate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.large_batch import base
from tasks.large_batch.prototypes import Prototypes
from tasks.large_batch.walk import Walk


@dataclass
class Params(base.Params):
    """As the family's, on more samples, so that the loss does not vanish within the run. flipped: share of the training
    labels that are drawn anew, which keeps the gradients noisy for good.
    """

    train: int = 16384
    val: int = 500
    test: int = 2000
    epochs: int = 3
    evaluations: int = 192
    flipped: float = 0.0


class Diffusion(Walk, Prototypes):
    """The mixture of `large_batch/prototypes`, seen three times at a constant rate, with the distance at every eighth update."""

    name = "large_batch/diffusion"
    version = 2
    Params = Params
    presets = {
        "smoke": {"train": 512, "val": 100, "test": 200, "epochs": 3, "evaluations": 12},
        "small": {},
        "paper": {"train": 50000, "val": 10000, "test": 10000, "batch": 128, "epochs": 100},
    }

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        share = self.params.flipped
        if not 0 <= share <= 1:
            raise BenchError(f"{self.name}: flipped={share}; it is a share of the labels, from 0 to 1")
        original = super().problem(data, seeds)
        x, y = original.hidden["train"]
        stream = seeds.stream("data", "flips")
        drawn = stream.integers(self.classes, len(y))
        y = torch.where(stream.uniform(len(y)) < share, drawn, y)
        return replace(original, public={**original.public, "y": y}, hidden={**original.hidden, "train": (x, y)})
