"""`generalization/wide_student`: ReLU students of growing width on a fixed number of samples of a ReLU teacher."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import slots
from bench.contract import Budget, Curves, Derived, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.generalization.base import STOPPING, WORST

if TYPE_CHECKING:
    from torch import nn

WIDTHS: dict[str, tuple[float, ...]] = {  # whole numbers, as the parameter is
    "smoke": (10, 40, 160),
    "small": (5, 14, 50, 150, 300, 1200),
    "paper": (5, 14, 50, 100, 150, 225, 300, 400, 600, 1200, 3000),
}


@dataclass
class Params:
    """dimension: inputs. samples, val, test: of each set. teacher: its hidden units. width: the student's. snr: mean square of
    the teacher's output over the variance of the noise. steps: full-batch updates. evaluations: at about equal ratios.
    """

    dimension: int = 20
    samples: int = 300
    val: int = 1000
    test: int = 4000
    teacher: int = 20
    snr: float = 5.0
    width: int = 300
    steps: int = 3000
    evaluations: int = 30


def student(*, inputs: int, width: int) -> nn.Module:
    """(batch, inputs) -> (batch,), with `width` hidden units."""
    raise NotImplementedError


def _mean(name: str) -> Callable[[Sequence[float], Sequence[Mapping[str, float]]], float]:
    return lambda grid, rows: math.exp(sum(math.log(row[name]) for row in rows) / len(rows))


def wide_excess(grid: Sequence[float], rows: Sequence[Mapping[str, float]]) -> float:
    """The widest student's error over the least of all widths; 1 if the widest is best."""
    errors = [row["gen_error"] for row in rows]
    return errors[-1] / min(errors)


class WideStudent(Task):
    """Does a wider network generalise worse? By default the hidden layer is random and fixed and its readout is trained."""

    name = "generalization/wide_student"
    version = 2
    Params = Params
    presets = {
        "smoke": {"samples": 40, "val": 100, "test": 200, "width": 40, "steps": 100, "evaluations": 6},
        "small": {},
        "paper": {"steps": 100000, "evaluations": 60},
    }
    rank = "mean_error"
    objective = "mean_val_error"
    positive = ("dimension", "samples", "val", "test", "width", "teacher", "steps", "evaluations", "snr")
    metrics = (
        Metric("gen_error", "1", "min", "squared error of a new target, its noise included: mean over test inputs of the squared "
               "distance to the teacher, plus 1/snr", scale="log", diverged=WORST),
        Metric("val_error", "1", "min", "mean squared error on validation samples", scale="log", diverged=WORST),
        Metric("train_error", "1", "min", "mean squared error on training samples"),
        Metric("overtraining", "1", "min", "val_error over the least on the way; undefined without evaluations", scale="log"),
    )  # fmt: skip
    derived = (
        Derived(Metric("mean_error", "1", "min", "geometric mean of gen_error over the widths", scale="log", diverged=WORST),
                "width", WIDTHS, _mean("gen_error")),
        Derived(Metric("mean_val_error", "1", "min", "geometric mean of val_error over the widths", scale="log", diverged=WORST),
                "width", WIDTHS, _mean("val_error")),
        Derived(Metric("wide_excess", "1", "min", "the widest student's gen_error over the least of all widths", scale="log"),
                "width", WIDTHS, wide_excess),
    )  # fmt: skip
    slots = (
        Slot("student", student, {"_target_": "tasks.generalization.network.Student"}),
        Slot(
            "optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "SGD", "lr": 1.0, "momentum": 0.9}
        ),
        STOPPING,
        Slot("procedure", slots.procedure, excludes=("student", "optimizer", "stopping")),
    )
    floors = ("constant_student",)
    reference = "gd_early_stopping"
    margin = 0.5

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.generalization import network

        return network.problem(self.params, seeds)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        from tasks.generalization import network

        return network.run(self.params, public, parts, log)

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from tasks.generalization import network

        return {"val_error": network.error(predict, *problem.hidden["val"])}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.generalization import network

        predict = solution.require_predict()
        test, val, train = (network.error(predict, *problem.hidden[name]) for name in ("test", "val", "train"))
        return {
            "gen_error": test + 1 / self.params.snr,
            "val_error": val,
            "train_error": train,
            "overtraining": network.overtraining(val, log.curve("val_error")[1]),
        }
