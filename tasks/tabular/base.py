"""What the two tasks share: a split by seed, a budget of hidden units, and units switched off at prediction.

Source: Emami and Martínez-Muñoz, Sequential Training of Neural Networks with Gradient Boosting (arXiv 1909.12098).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import (
    BenchError,
    Budget,
    Curves,
    Diverged,
    Exhibit,
    Log,
    Metric,
    Problem,
    Slot,
    Solution,
    Task,
)  # fmt: skip
from bench.seeds import EntrySeeds, Seeds
from tasks.tabular.parts import FITTER

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 25  # points of the exhibit: shares of the units kept


@dataclass
class Params:
    """data: name of the table. units: hidden units of the budget. val, test: shares of the rows that judge. rows: of a table that
    is drawn. eval_every: units between two looks at the validation rows.
    """

    data: str = "breast_cancer"
    units: int = 100
    val: float = 0.2
    test: float = 0.2
    rows: int = 500
    eval_every: int = 10


class Tabular(Task):
    """A table; networks are plain tensors, whose units the task counts and switches off."""

    Params: ClassVar[type] = Params
    positive: ClassVar[tuple[str, ...]] = ("units", "val", "test", "rows", "eval_every")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"units": 10, "eval_every": 5},
        "small": {},
        "paper": {"units": 200, "val": 0.1, "test": 0.1},
    }
    slots = (FITTER, Slot("procedure", slots.procedure, excludes=("fitter",)))
    floors = ("constant_output",)
    margin = 0.15

    @property
    def budget(self) -> Budget:
        return Budget("units", self.params.units)

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        from tasks.tabular import tables

        return tables.files(self.params.data, cache)

    def prepare(self, cache: Path, pool: int) -> dict[str, str]:
        from tasks.tabular import tables

        return tables.here(self.params.data, cache)

    @abstractmethod
    def targets(self, y: Tensor) -> tuple[Tensor, int]:
        """(targets, classes) of the last column (rows,). BenchError if it is not of this task's kind."""

    @abstractmethod
    def loss(self, outputs: Tensor, y: Tensor) -> float:
        """Mean loss of outputs (n, outputs) on targets (n,)."""

    @abstractmethod
    def quality(self, outputs: Tensor, y: Tensor) -> float:
        """What ranks, of outputs (n, outputs) on targets (n,)."""

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        from tasks.tabular import tables

        p = self.params
        if p.val + p.test >= 1:
            raise BenchError(f"task.val={p.val} and task.test={p.test} leave no row to train on")
        table = tables.read(p.data, data) if data else tables.friedman(seeds, p.rows)
        x, (y, classes) = table[:, :-1], self.targets(table[:, -1])
        parts = tables.split(y if classes else torch.zeros(len(y)), seeds, p.val, p.test)
        if not all(len(part) for part in parts.values()) or classes != len(y[parts["train"]].unique()) * bool(classes):
            raise BenchError(f"{p.data} has too few rows for the shares task.val={p.val} and task.test={p.test}")
        known = x[parts["train"]]
        scale = known.std(dim=0, correction=0)
        x = (x - known.mean(dim=0)) / torch.where(scale > 0, scale, torch.ones_like(scale))
        if not classes:
            known = y[parts["train"]]
            y = (y - known.mean()) / known.std(correction=0)
        hidden = {name: (x[part], y[part]) for name, part in parts.items()}
        public = {"x": hidden["train"][0], "y": hidden["train"][1], "classes": classes, "budget": p.units}
        return Problem(public, hidden, tables.origin(p.data, data))

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.tabular import constant, network

        x, y, classes, p = public["x"], public["y"], public["classes"], self.params
        width, spent, due = outputs_of(classes), 0, p.eval_every
        generator = torch.Generator().manual_seed(seeds("init"))

        def shown(found: Mapping[str, Tensor]) -> Solution:
            kept = {name: tensor.detach().clone() for name, tensor in found.items()}
            return Solution(lambda rows: network.outputs(kept, rows), kept)

        def report(found: Mapping[str, Tensor], end: bool = False) -> None:
            nonlocal spent, due
            units = network.size(network.checked(found, x.shape[1], width))
            if (more := units - spent) > 0:
                log.count(units=more)
                spent = units
            log.incumbent = shown(found)
            log.track(units, train_loss=self.loss(network.outputs(found, x), y))
            if units >= due or units == 0 or end:
                due = units + p.eval_every
                log.evaluate(units, log.incumbent.require_predict())

        given = {"x": x, "y": y, "classes": classes, "units": p.units, "generator": generator}
        report(constant.constant(**given, report=report))
        found = parts["fitter"](**given, report=report)
        if network.size(network.checked(found, x.shape[1], width)) != spent:
            report(found, end=True)
        return shown(found)

    def told(self, solution: Solution, x: Tensor, kept: int | None = None) -> Tensor:
        """Outputs (n, outputs): of the network's tensors where there are any, else of `predict`."""
        from tasks.tabular import network

        if "hidden" in solution.tensors:
            return network.outputs(solution.tensors, x, kept)
        return solution.require_predict()(x)

    def judged(self, told: Tensor, y: Tensor, classes: int) -> Tensor:
        """The outputs themselves. BenchError for another shape, Diverged for a number that is not finite."""
        if tuple(told.shape) != (len(y), outputs_of(classes)):
            raise BenchError(f"predictions of shape {tuple(told.shape)}; expected {(len(y), outputs_of(classes))}")
        if not bool(told.isfinite().all()):
            raise Diverged("a prediction is not finite")
        return told

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        x, y = problem.hidden["val"]
        return {f"val_{self.rank}": self.quality(self.judged(predict(x), y, problem.public["classes"]), y)}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        classes, network = problem.public["classes"], solution.tensors
        found: dict[str, float | None] = {}
        for prefix, name in (("", "test"), ("val_", "val")):
            x, y = problem.hidden[name]
            found[prefix + self.rank] = self.quality(self.judged(self.told(solution, x), y, classes), y)
        x, y = problem.hidden["test"]
        units = len(network["hidden_bias"]) if "hidden" in network else None
        for prefix, share in (("half", 2), ("quarter", 4)):
            found[f"{prefix}_{self.rank}"] = (
                None if units is None else self.quality(self.told(solution, x, units // share), y)
            )
        x, y = problem.hidden["train"]
        found["train_loss"] = self.loss(self.judged(self.told(solution, x), y, classes), y)
        losses = [] if units is None else [self.loss(self.told(solution, x, kept), y) for kept in range(units + 1)]
        rises = [after > before for before, after in zip(losses, losses[1:], strict=False)]
        found["rising"] = sum(rises) / len(rises) if rises else None
        return found

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """What is left when the last units are switched off; nothing for a model that is no network."""
        if "hidden" not in solution.tensors:
            return {}
        import torch

        x, y = problem.hidden["test"]
        units = len(solution.tensors["hidden_bias"])
        kept = torch.linspace(0, units, min(units, SHOWN) + 1).round().long()
        values = torch.tensor([self.quality(self.told(solution, x, int(k)), y) for k in kept])
        doc = "quality on test rows with the first units kept"
        return {"kept": Exhibit("series", {"units": kept, self.rank: values}, ("units",), "1", doc)}


def outputs_of(classes: int) -> int:
    """Outputs of a network: one for regression and for two classes."""
    return classes if classes > 2 else 1


def shared_metrics(rank: str, better: Any, doc: str, scale: Any, diverged: float) -> tuple[Metric, ...]:
    """The family's metrics; `doc` says what `rank` is."""
    return (
        Metric(rank, "1", better, f"{doc} on test rows", scale, diverged=diverged),
        Metric(f"val_{rank}", "1", better, f"{doc} on validation rows", scale, diverged=diverged),
        Metric(
            f"half_{rank}", "1", better, f"{doc} on test rows with the second half of the units switched off", scale
        ),
        Metric(f"quarter_{rank}", "1", better, f"{doc} on test rows with the last three quarters switched off", scale),
        Metric("train_loss", "1", "min", "loss on the training rows", "log"),
        Metric("rising", "1", "min", "share of the units that raise the training loss when they are added in order"),
    )
