"""`zeroth_order/train`: a network learns the digits from a budget of forward passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks import digit_sets
from tasks.large_batch import digits
from tasks.zeroth_order.parts import TRAINING

if TYPE_CHECKING:
    from tasks.zeroth_order.network import Network

WORST = 100.0  # nats that a diverged run counts as; one with a larger training loss has diverged
PROBED = 20  # evaluations and probes over a run
CLASSES = 10


@dataclass
class Params:
    """train, val, test: digits. width, depth: hidden units and layers. batch: samples of a step. evaluations: forward passes
    of a batch that the run may spend. queries: those that an estimate may take.
    """

    train: int = 1024
    val: int = 273
    test: int = 500
    width: int = 64
    depth: int = 2
    batch: int = 64
    evaluations: int = 4500
    queries: int = 2


class Train(Task):
    """1797 digits of 8 x 8 pixels, split by seed; tanh units; each method spends forward passes, a gradient counts as three."""

    name = "zeroth_order/train"
    Params = Params
    positive = ("train", "val", "test", "width", "depth", "batch", "evaluations", "queries")
    presets = {
        "smoke": {"train": 256, "val": 100, "test": 100, "width": 16, "depth": 1, "batch": 32, "evaluations": 120},
        "small": {},
        "paper": {"width": 512, "depth": 3, "evaluations": 300000},
    }
    metrics = (
        Metric("test_accuracy", "1", "max", "share of test digits classified right", diverged=0.1, sample="test"),
        Metric("val_loss", "nats", "min", "cross-entropy on validation digits", "log", diverged=WORST),
        Metric("val_accuracy", "1", "max", "share of validation digits classified right", diverged=0.1, sample="val"),
        Metric("train_accuracy", "1", "max", "share of training digits classified right", diverged=0.1, sample="train"),
        Metric("memory", "1", "min", "most bytes that tensors of the first step take at a time, over those of a forward pass",
               "log"),
        Metric("step_evaluations", "1", "min", "forward passes a step took"),
        Metric("alignment", "1", "max", "mean cosine with the batch's gradient over the last half of the run", source="probe"),
        Metric("hidden_alignment", "1", "max", "the same of the hidden layers alone", source="probe"),
    )  # fmt: skip
    rank = "test_accuracy"
    objective = "val_loss"
    probes = {"alignment": "tasks.zeroth_order.training.alignment"}
    slots = TRAINING
    floors = ("no_feedback",)
    reference = "backpropagation"
    margin = 0.3

    @property
    def budget(self) -> Budget:
        return Budget("evals", self.params.evaluations)

    def network(self) -> Network:
        """The network with the task's sizes."""
        from tasks.zeroth_order.network import Network

        return Network((digits.PIXELS, *[self.params.width] * self.params.depth, CLASSES))

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return digit_sets.files(cache)

    def prepare(self, cache: Path, pool: int) -> str:
        return digit_sets.path()

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        p = self.params
        if p.batch > p.train:
            raise BenchError(f"task.batch={p.batch}: there are {p.train} training digits")
        hidden, origin = digit_sets.drawn(self.name, data, seeds, p.train, p.val, p.test)
        return Problem(dict(zip(("x", "y"), hidden["train"], strict=True)), hidden, origin)

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from tasks.zeroth_order.training import judge

        loss, accuracy = judge(predict, *problem.hidden["val"])
        return {"val_loss": loss, "val_accuracy": accuracy}

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        from tasks.zeroth_order import training

        p = self.params
        return training.run(self.network(), p.batch, p.evaluations, p.queries, PROBED, public, parts, log, seeds)

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.zeroth_order.training import judge, late_mean

        predict, found = solution.require_predict(), solution.tensors
        val_loss, val_accuracy = judge(predict, *problem.hidden["val"])
        return {
            "test_accuracy": judge(predict, *problem.hidden["test"])[1],
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
            "train_accuracy": judge(predict, *problem.hidden["train"])[1],
            "memory": found.get("memory"),
            "step_evaluations": log.counts.get("evals", 0) / max(1, log.counts.get("steps", 0)),
            "alignment": late_mean(log.curve("alignment")[1]),
            "hidden_alignment": late_mean(log.curve("hidden_alignment")[1]),
        }

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """What the first hidden units see, and which digits are taken for which."""
        import torch

        x, y = problem.hidden["test"]
        taken = solution.require_predict()(x).argmax(dim=1)
        confusion = torch.zeros(CLASSES, CLASSES).index_put_((y, taken), torch.ones(len(y)), accumulate=True)
        shown = {"confusion": Exhibit("matrix", {"confusion": confusion}, ("digit", "taken for"), "test digits",
                                      "test digits by what they are and what they are taken for")}  # fmt: skip
        if (weights := solution.tensors.get("weights")) is not None:
            first = self.network().layers(weights)[0][0].T[:16].reshape(-1, 8, 8)
            doc = "weights of the first hidden units by pixel"
            shown["units"] = Exhibit("images", {"weight": first}, ("unit", "row", "column"), "1", doc)
        return shown
