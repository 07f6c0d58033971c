"""`bilevel/ridge`: one ridge penalty a feature, chosen on validation data, for the progression of diabetes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Curves, Exhibit, Metric, Problem, Solution
from bench.seeds import Seeds
from tasks.bilevel import tables
from tasks.bilevel.base import METRICS, WORST, Bilevel

if TYPE_CHECKING:
    from tasks.bilevel.regression import Regression

PATIENTS, FEATURES = 442, 10
START = 1.0  # logarithm of every penalty at the start: far too strong for features of variance 1


@dataclass
class Params:
    """train, val: patients of the two levels; the rest is test data. gradients: the budget. evaluations: on the way."""

    train: int = 150
    val: int = 150
    gradients: int = 20000
    evaluations: int = 40


class Ridge(Bilevel):
    """x: logarithms of ten penalties, in [-8, 2]. y: weights of a linear model of standardised data."""

    name = "bilevel/ridge"
    Params = Params
    presets = {
        "smoke": {"train": 40, "val": 40, "gradients": 600, "evaluations": 6},
        "small": {},
        "paper": {"gradients": 200000},
    }
    metrics = (
        *METRICS,
        Metric("test_error", "1", "min", "mean squared error on test data of the exact ridge solution at x, over the variance of "
               "all targets", diverged=WORST),
    )  # fmt: skip
    rank = "test_error"
    objective = "upper_loss"
    positive = (*Bilevel.positive, "train", "val")
    reference = "aid_cg"
    margin = 0.1

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.train + params.val >= PATIENTS:
            raise BenchError(
                f"task.train={params.train} and task.val={params.val}: of {PATIENTS} patients none is left to test"
            )

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return tables.files(tables.DIABETES, cache)

    def prepare(self, cache: Path, pool: int) -> Any:
        return tables.here(tables.DIABETES)

    def model(self, public: Mapping[str, Any]) -> Regression:
        from tasks.bilevel.regression import Regression

        return Regression(public)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        p, (features, target) = self.params, (data[name] for name in tables.DIABETES)
        u, b = tables.read(features, None, PATIENTS, FEATURES), tables.read(target, None, PATIENTS, 1)[:, 0]
        order = seeds.stream("split", "patients").permutation(PATIENTS)
        train, val, test = order.split([p.train, p.val, PATIENTS - p.train - p.val])
        u = (u - u[train].mean(dim=0)) / u[train].std(dim=0)
        b = (b - b[train].mean()) / b.std()
        start = torch.full((FEATURES,), START, dtype=torch.float64)
        public = {
            "u": u[train],
            "b": b[train],
            "u_val": u[val],
            "b_val": b[val],
            "x": start,
            "y": torch.zeros_like(start),
        }
        made = self.opened(public, {"u": u[test], "b": b[test]})
        return Problem(made.public, made.hidden, tables.origin(data))

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        scores = super().score(problem, solution, log)
        weights = self.model(problem.public).solution(solution.tensors["x"].to(problem.public["x"].dtype))
        hidden = problem.hidden
        return {**scores, "test_error": float((hidden["u"] @ weights - hidden["b"]).square().mean())}

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """The ten penalties, and the weights that they give."""
        import torch

        x = solution.tensors["x"]
        arrays = {"feature": torch.arange(FEATURES), "log_penalty": x, "weight": self.model(problem.public).solution(x)}
        doc = "logarithm of each feature's penalty, and its weight at the ridge solution"
        return {"penalties": Exhibit("series", arrays, ("feature",), "1", doc), **super().exhibit(problem, solution)}
