"""`grokking/modular_addition`: learn a binary operation mod p from part of its table (Power et al. 2022; Tian 2025).

The network fits its training pairs in tens of steps and the rest of the table only much later. The ranked metric
is how many steps it takes to reach 99 % on the *monitor* pairs; tuning sees the *validation* pairs; the three sets are disjoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Slot, Solution, Target, Task
from bench.seeds import EntrySeeds, Seeds

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass
class Params:
    """op: add, sub, mul or div. p: modulus (prime for mul and div, whose operands are the nonzero residues).

    train: training pairs. width: hidden units. steps: full-batch updates. eval_every: steps between evaluations, the
    resolution of every time to target.
    """

    op: str = "add"
    p: int = 23
    train: int = 216
    width: int = 256
    steps: int = 1500
    eval_every: int = 10


def model(*, symbols: int, classes: int, width: int) -> nn.Module:
    """Maps one-hot pairs (batch, 2 x symbols) to logits (batch, classes)."""
    raise NotImplementedError


SHOWN = 160  # operands in each direction of the exhibit


class ModularAddition(Task):
    """a op b mod p as classification of concatenated one-hot operands."""

    name = "grokking/modular_addition"
    version = 2
    Params = Params
    presets = {
        "smoke": {"p": 13, "train": 100, "width": 128, "steps": 150, "eval_every": 25},
        "small": {},
        "paper": {"p": 127, "train": 1691, "width": 2048, "steps": 10000, "eval_every": 25},
    }
    metrics = (
        Metric(
            "steps_to_monitor", "steps", "min", "first evaluated step with 99 % of the monitor pairs right", "log",
            target=Target("monitor_acc", 0.99), step="eval_every",
        ),
        Metric(
            "steps_to_val", "steps", "min", "first evaluated step with 99 % of the validation pairs right", "log",
            target=Target("val_acc", 0.99), step="eval_every",
        ),
        Metric(
            "steps_to_train", "steps", "min", "first evaluated step with 99 % of the training pairs right", "log",
            target=Target("train_acc", 0.99), step="eval_every",
        ),
        Metric("delay", "x", "min", "steps_to_monitor over steps_to_train; undefined where either was not reached", "log"),
        Metric("monitor_acc", "1", "max", "accuracy on the monitor pairs at the end", diverged=0.0),
        Metric("val_acc", "1", "max", "accuracy on the validation pairs at the end", diverged=0.0),
        Metric("train_acc", "1", "max", "accuracy on the training pairs at the end", diverged=0.0),
        Metric("fourier_purity", "1", "max", "mean over neurons of the strongest frequency's share of power", source="probe"),
        Metric("weight_norm", "1", "min", "l2 norm of all weights", source="probe"),
    )  # fmt: skip
    rank = "steps_to_monitor"
    objective = "steps_to_val"
    positive: ClassVar[tuple[str, ...]] = ("train", "width", "steps", "eval_every")
    slots = (
        Slot(
            "optimizer",
            slots.optimizer,
            {"_target_": "bench.optim.named", "name": "Adam", "lr": 5e-3, "weight_decay": 1e-3},
        ),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.constant"}),
        Slot("model", model, {"_target_": "tasks.grokking.network.Quadratic"}),
    )
    probes = {"network": "tasks.grokking.network.probe"}
    floors = ("chance",)
    reference = "adam"
    margin = 1.0  # natural log of the ratio of steps: a factor of 2.7

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    def table(self) -> tuple[Tensor, Tensor]:
        """Every pair of operands (n², 2), the first operand's pairs together, and the results (n²,)."""
        from tasks.grokking.arithmetic import table

        return table(self.params.op, self.params.p)

    def problem(self, data: Any, seeds: Seeds) -> Problem:

        p = self.params
        pairs, labels = self.table()
        left = len(labels) - p.train
        if left < 2:
            raise BenchError(
                f"task.train={p.train}: the table of {p.op} mod {p.p} has {len(labels)} pairs; leave two or more"
            )
        order = seeds.stream("split", "pairs").permutation(len(labels))
        train, val, monitor = order[: p.train], order[p.train : p.train + left // 2], order[p.train + left // 2 :]
        public = {"pairs": pairs[train], "labels": labels[train], "p": p.p}
        hidden = {"val": (pairs[val], labels[val]), "monitor": (pairs[monitor], labels[monitor])}
        return Problem(public, {**hidden, "train": (pairs[train], labels[train])})

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        import torch

        sets = [problem.hidden[name] for name in ("train", "val", "monitor")]
        logits = predict(torch.cat([pairs for pairs, _ in sets]))
        right = logits.argmax(-1) == torch.cat([labels for _, labels in sets])
        shares = [float(part.float().mean()) for part in right.split([len(labels) for _, labels in sets])]
        return {"train_acc": shares[0], "val_acc": shares[1], "monitor_acc": shares[2]}

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import itertools

        from bench.train import fit
        from tasks.grokking.arithmetic import centred_mse, one_hot

        p = self.params
        with log.phase("setup"):
            network = parts["model"](symbols=public["p"], classes=public["p"], width=p.width)
            optimizer = parts["optimizer"](model=network, steps=p.steps)
            inputs = one_hot(public["pairs"], public["p"])
        return fit(
            network, optimizer, lambda batch: centred_mse(network(batch[0]), batch[1]),
            itertools.repeat((inputs, public["labels"])), p.steps, log,
            forward=lambda pairs: network(one_hot(pairs, public["p"])), schedule=parts["schedule"],
            eval_every=p.eval_every, probe_state={"network": network, "symbols": public["p"]},
        )  # fmt: skip

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        level = 0.99
        final = self.monitor(problem, solution.predict) if solution.predict else {}

        def first(name: str) -> int | None:
            return next((step for step, value in zip(*log.curve(name), strict=True) if value >= level), None)

        fitted, understood = first("train_acc"), first("monitor_acc")
        scores: dict[str, float | None] = {**final}
        scores["delay"] = understood / max(fitted, 1) if fitted is not None and understood is not None else None
        for name in ("fourier_purity", "weight_norm"):
            values = log.curve(name)[1]
            scores[name] = values[-1] if values else None
        return scores

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Which products are right, over the first operands in each direction, and which of them were trained on."""
        import torch

        pairs, labels = self.table()
        size = math.isqrt(len(labels))
        pairs, labels = (tensor.unflatten(0, (size, size))[:SHOWN, :SHOWN] for tensor in (pairs, labels))
        right = solution.require_predict()(pairs.flatten(0, 1)).argmax(-1).unflatten(0, labels.shape) == labels
        operands = pairs[:, 0, 0]
        trained = torch.zeros(size, size, dtype=torch.uint8)
        first, second = (problem.hidden["train"][0] - operands[0]).T
        trained[first, second] = 1
        arrays = {"right": right.to(torch.uint8), "trained": trained[:SHOWN, :SHOWN], "a": operands, "b": operands}
        return {
            "table": Exhibit("matrix", arrays, ("a", "b"), "1", "1 where the answer is right; where it was trained on")
        }
