"""`grokking/group_arithmetic`: learn the product of a finite group from part of its Cayley table (Tian 2025, Li₂).

As in `grokking/modular_addition` the ranked number is how many steps it takes to reach 99 % on held-back *monitor* pairs. What
differs: any group, a sample size in units of M ln M, parts of the network as slots, and probes of features and stages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import slots
from bench.contract import BenchError, Budget, Curves, Log, Metric, Problem, Slot, Solution
from bench.seeds import EntrySeeds, Seeds
from tasks.grokking.modular_addition import ModularAddition

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass
class Params:
    """group: cyclic:23, product:2x3x4, dihedral:12, symmetric:4 or quaternion:8. ratio: training pairs over M ln M, rounded
    down, M the group's order. width: hidden units. steps: full-batch updates. eval_every: steps between evaluations.
    """

    group: str = "symmetric:4"
    ratio: float = 5.0
    width: int = 256
    steps: int = 1500
    eval_every: int = 10


def activation(*, x: Tensor) -> Tensor:
    """The hidden layer's elementwise function."""
    raise NotImplementedError


def weights(*, network: nn.Module) -> None:
    """Changes the initial weights in place."""
    raise NotImplementedError


def top(*, features: Tensor, targets: Tensor) -> Tensor:
    """The top layer V (classes, width) from features (n, width) and centred labels (n, classes), solved before each step."""
    raise NotImplementedError


SHARED = [m for m in ModularAddition.metrics if m.name != "fourier_purity"]


class GroupArithmetic(ModularAddition):
    """The product of two group elements as classification of concatenated one-hot operands."""

    name = "grokking/group_arithmetic"
    version = 2
    Params = Params  # type: ignore[assignment]
    presets = {
        "smoke": {"group": "cyclic:13", "ratio": 3.0, "width": 128, "steps": 150, "eval_every": 25},
        "small": {},
        "paper": {"group": "cyclic:127", "ratio": 2.75, "width": 2048, "steps": 10000, "eval_every": 25},
    }
    metrics = (  # type: ignore[assignment]
        *SHARED,
        Metric("irrep_purity", "1", "max", "mean over neurons of the strongest irrep's share of power", source="probe"),
        Metric("irreps_covered", "1", "max", "share of the real irreps that some neuron has learned", source="probe"),
        Metric("gf_norm", "1", "min", "norm of the gradient at the features, over the number of pairs", source="probe"),
        Metric("feature_overlap", "1", "min", "off-diagonal over diagonal norm of the features' covariance", source="probe"),
        Metric("restricted_loss", "1", "min", "loss of the logits' mean over unseen pairs of one product", source="probe"),
        Metric("excluded_loss", "1", "max", "training loss of the logits less that mean", source="probe"),
        Metric("unseen_loss", "1", "min", "loss on all pairs that are not trained on", source="probe"),
        Metric(
            "hidden_progress", "1", "max", "share of restricted_loss's fall by when monitor_acc last was below 10 %",
            source="probe",
        ),
    )  # fmt: skip
    slots = (  # type: ignore[assignment]
        Slot(
            "optimizer",
            slots.optimizer,
            {"_target_": "bench.optim.named", "name": "Adam", "lr": 5e-3, "weight_decay": 1e-3},
        ),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.constant"}),
        Slot("activation", activation, {"_target_": "tasks.grokking.groups_network.square"}),
        Slot("weights", weights, {"_target_": "tasks.grokking.groups_network.unchanged"}),
        Slot("top", top, None),
    )
    probes = {"network": "tasks.grokking.groups_network.probe"}
    positive = ("width", "steps", "eval_every")
    floors = ("untrained",)

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    def table(self) -> tuple[Tensor, Tensor]:
        from tasks.grokking.groups import group

        return group(self.params.group).products()

    def problem(self, data: Any, seeds: Seeds) -> Problem:

        from tasks.grokking.groups import group

        p = self.params
        structure = group(p.group)
        size, train = structure.order, structure.sample_size(p.ratio)
        left = size * size - train
        if train < 1 or left < 2:
            raise BenchError(
                f"task.ratio={p.ratio}: {train} training pairs of the {size * size} of {p.group}; give a ratio from "
                f"{1 / (size * math.log(size)):.2g} to {(size * size - 2) / (size * math.log(size)):.3g}"
            )
        pairs, labels = self.table()
        order = seeds.stream("split", "pairs").permutation(len(labels))
        cuts = dict(zip(("train", "val", "monitor"), order.split([train, left // 2, left - left // 2]), strict=True))
        public = {"pairs": pairs[cuts["train"]], "labels": labels[cuts["train"]]}
        return Problem(public, {name: (pairs[rows], labels[rows]) for name, rows in cuts.items()})

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import itertools

        import torch

        from bench.train import fit
        from tasks.grokking.arithmetic import centred_mse, one_hot
        from tasks.grokking.groups import group
        from tasks.grokking.groups_network import TwoLayer, centred_one_hot

        p, pairs, labels = self.params, public["pairs"], public["labels"]
        with log.phase("setup"):
            structure = group(p.group)
            size = structure.order
            network = TwoLayer(size, p.width, parts["activation"])
            parts["weights"](network=network)
            inputs, targets = one_hot(pairs, size), centred_one_hot(labels, size)
            network.output.weight.requires_grad_(parts["top"] is None)
            optimizer = parts["optimizer"](model=network, steps=p.steps)
            seen = torch.zeros(size, size, dtype=torch.bool)
            seen[pairs[:, 0], pairs[:, 1]] = True

        def solve_top() -> None:
            if parts["top"] is not None:
                with torch.no_grad():
                    network.output.weight.copy_(parts["top"](features=network.features(inputs), targets=targets))

        def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
            solve_top()
            return centred_mse(network(batch[0]), batch[1])

        def forward(asked: Tensor) -> Tensor:
            solve_top()
            return network(one_hot(asked, size))

        return fit(
            network, optimizer, loss, itertools.repeat((inputs, labels)), p.steps, log, forward,
            schedule=parts["schedule"], eval_every=p.eval_every,
            probe_state={
                "network": network, "group": structure, "inputs": inputs, "labels": labels, "unseen": (~seen).nonzero(),
            },
        )  # fmt: skip

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        scores = super().score(problem, solution, log)
        del scores["fourier_purity"]
        for metric in self.metrics:
            values = log.curve(metric.name)[1]
            if metric.source == "probe":
                scores[metric.name] = values[-1] if values else None
        understood = (scores.get("monitor_acc") or 0.0) >= 0.99
        scores["hidden_progress"] = hidden_progress(log) if understood else None
        return scores


def hidden_progress(log: Curves) -> float | None:
    """How much of the fall of restricted_loss, from its highest to its last value, was over by the last evaluated step with
    less than 10 % of the monitor pairs right (after Nanda et al. 2023, arXiv 2301.05217). None without probes, or without a fall.
    """
    (steps, accuracy), (probed, restricted) = log.curve("monitor_acc"), log.curve("restricted_loss")
    at = max((step for step, value in zip(steps, accuracy, strict=True) if value < 0.1), default=None)
    if at not in probed or max(restricted) == restricted[-1]:
        return None
    return (max(restricted) - restricted[probed.index(at)]) / (max(restricted) - restricted[-1])
