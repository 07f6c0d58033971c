"""`grokking/energy`: ascend the energy whose local maxima are the features that emerge (Tian 2025, Li₂).

While hidden units do not interact, each follows the gradient of E(w) = ½ |Ỹᵀ σ(Xw)|² with |w| = 1. On the whole table of a
group and with x² every local maximum is a single irreducible representation, at a known height. The ranked metric is
how many different features the hidden units find, where there are as many units as features. Their purity is measured too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import slots
from bench.contract import BenchError, Budget, Curves, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.grokking.group_arithmetic import activation

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1e-9  # impurity and gap are not told apart below this


@dataclass
class Params:
    """group: as for grokking/group_arithmetic. width: hidden units, each ascending from its own start. ratio: pairs over
    M ln M, drawn at random; 0 is the whole table. steps: of the optimizer.
    """

    group: str = "cyclic:23"
    width: int = 11
    ratio: float = 0.0
    steps: int = 600
    eval_every: int = 25


class Energy(Task):
    """Gradient ascent of the energy on the unit sphere, by any optimizer."""

    name = "grokking/energy"
    version = 2
    Params = Params
    presets = {
        "smoke": {"group": "symmetric:3", "width": 8, "steps": 200},
        "small": {},
        "paper": {"group": "cyclic:127", "width": 1024, "steps": 5000, "eval_every": 100},
    }
    metrics = (
        Metric("impurity", "1", "min", "mean over hidden units of the power outside their strongest irrep", "log", diverged=1.0,
               resolution=LEAST),
        Metric("worst_impurity", "1", "min", "the largest of them", "log", diverged=1.0, resolution=LEAST),
        Metric("irreps_covered", "1", "max", "share of the real irreps that some unit of purity above ½ has", diverged=0.0),
        Metric("energy", "1", "max", "mean energy; known only up to M/2", diverged="first"),
        Metric("level_gap", "1", "min", "mean of |1 - E / level| at the strongest irrep's level; x², whole table", "log",
               resolution=LEAST),
    )  # fmt: skip
    rank = "irreps_covered"
    positive = ("width", "steps", "eval_every")
    objective = "impurity"  # tuning sees how pure the features are, not how many differ
    slots = (
        Slot(
            "optimizer",
            slots.optimizer,
            {"_target_": "bench.optim.named", "name": "SGD", "lr": 0.1, "momentum": 0.9},
        ),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.cosine", "warmup": 0.0}),
        Slot("activation", activation, {"_target_": "tasks.grokking.groups_network.square"}),
    )
    floors = ("untrained",)
    reference = "sgd"
    margin = 0.3

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    def problem(self, data: Any, seeds: Seeds) -> Problem:

        from tasks.grokking.groups import group

        p = self.params
        structure = group(p.group)
        size, (pairs, labels) = structure.order, structure.products()
        if p.ratio:
            count = structure.sample_size(p.ratio)
            if not 1 < count <= size * size:
                raise BenchError(
                    f"task.ratio={p.ratio}: {count} of the {size * size} pairs of {p.group}; give a ratio up to "
                    f"{size / math.log(size):.3g}, or 0 for all"
                )
            kept = seeds.stream("split", "pairs").permutation(size * size)[:count]
            pairs, labels = pairs[kept], labels[kept]
        return Problem({"pairs": pairs, "labels": labels}, {})

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import itertools

        from torch import nn

        from bench.train import fit
        from tasks.grokking.arithmetic import one_hot
        from tasks.grokking.groups import group

        p = self.params
        with log.phase("setup"):
            size = group(p.group).order
            units = nn.Linear(2 * size, p.width, bias=False).double()
            optimizer = parts["optimizer"](model=units, steps=p.steps)
            inputs = one_hot(public["pairs"], size).double()
            labels = centred(public["labels"], size)

        def directions() -> Tensor:
            return nn.functional.normalize(units.weight, dim=1)

        def loss(_: Any) -> Tensor:
            """The negative sum of the units' energies, in units of M/4, which is the height of a cyclic group's features."""
            return -energies(directions(), inputs, labels, parts["activation"]).sum() * 4 / size

        return fit(
            units, optimizer, loss, itertools.repeat(None), p.steps, log, directions, lambda _: len(labels),
            schedule=parts["schedule"], eval_every=p.eval_every,
        )  # fmt: skip

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from tasks.grokking.groups import group

        structure = group(self.params.group)
        purity, strongest = structure.shares(predict()).max(1)
        impurity = (1 - purity).clamp_min(LEAST)
        return {
            "impurity": float(impurity.mean()),
            "worst_impurity": float(impurity.max()),
            "irreps_covered": len(strongest[purity > 0.5].unique()) / len(structure.components),
        }

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        import torch

        from tasks.grokking.arithmetic import one_hot
        from tasks.grokking.groups import group
        from tasks.grokking.groups_network import square

        predict, structure = solution.require_predict(), group(self.params.group)
        weights = predict()
        inputs = one_hot(problem.public["pairs"], structure.order).double()
        height = energies(weights, inputs, centred(problem.public["labels"], structure.order), square)
        strongest = structure.shares(weights).argmax(1)
        levels = torch.tensor([structure.level(c) for c in structure.components], dtype=torch.float64)[strongest]
        gap = (1 - height / levels).abs().clamp_min(LEAST).mean()
        scores: dict[str, float | None] = {**self.monitor(problem, predict), "energy": float(height.mean())}
        scores["level_gap"] = None if self.params.ratio else float(gap)
        return scores


def centred(labels: Tensor, order: int) -> Tensor:
    """(n, M) float64 Ỹ: one-hot labels less their mean over the samples."""
    from torch.nn import functional

    hot = functional.one_hot(labels, order).double()
    return hot - hot.mean(0)


def energies(rows: Tensor, inputs: Tensor, labels: Tensor, activation: Callable[..., Tensor]) -> Tensor:
    """(width,) energies E = ½ |Ỹᵀ σ(Xw)|² of rows w (width, 2M); inputs X (n, 2M), labels Ỹ (n, M)."""
    return 0.5 * (labels.T @ activation(x=inputs @ rows.T)).square().sum(0)
