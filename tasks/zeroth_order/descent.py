"""`zeroth_order/descent`: how many function evaluations a descent takes, by the dimension."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import (
    BenchError,
    Budget,
    Curves,
    Derived,
    Diverged,
    Exhausted,
    Exhibit,
    Log,
    Metric,
    Problem,
    Solution,
    Task,
)
from bench.seeds import EntrySeeds, Seeds
from tasks.zeroth_order.parts import ESTIMATOR, SEARCHER

if TYPE_CHECKING:
    from torch import Generator, Tensor

GRID = {
    "smoke": (5, 10),
    "small": (10, 30, 100, 300),
    "paper": (10, 30, 100, 300, 1000, 3000),
}
LOST = 1e6  # evaluations that a diverged cell counts as
SHOWN = 200  # points of the exhibit


def mean_evaluations(grid: Sequence[float], rows: Sequence[Mapping[str, float]]) -> float:
    """Geometric mean of the evaluations over the dimensions."""
    return math.exp(sum(math.log(row["evaluations"]) for row in rows) / len(rows))


def exponent(grid: Sequence[float], rows: Sequence[Mapping[str, float]]) -> float:
    """Least-squares slope of log steps against log dimension."""
    x, y = [math.log(d) for d in grid], [math.log(row["steps"]) for row in rows]
    centre, level = sum(x) / len(x), sum(y) / len(y)
    return sum((a - centre) * (b - level) for a, b in zip(x, y, strict=True)) / sum((a - centre) ** 2 for a in x)


@dataclass
class Params:
    """dimension: d. queries: evaluations of an estimate. condition: largest over smallest curvature. rate: of a step, in units
    of the best one for the estimator's second moment. reduction: of f, at which the run ends. patience: evaluations per
    dimension that the run may take.
    """

    dimension: int = 100
    queries: int = 2
    condition: float = 10.0
    rate: float = 1.0
    reduction: float = 1e-3
    patience: int = 200


class Descent(Task):
    """x^T H x / 2 from N(0, I) to `reduction` of its start. An estimator's step is rate / (condition x its second moment)."""

    name = "zeroth_order/descent"
    Params = Params
    positive = ("dimension", "queries", "rate", "patience")
    presets = {"smoke": {}, "small": {}, "paper": {"condition": 100.0}}
    metrics = (
        Metric("evaluations", "1", "min", "function evaluations to the reduction; the budget where it was missed", "log",
               diverged=LOST),
        Metric("steps", "1", "min", "steps to the reduction, or to the end", "log", diverged=LOST),
        Metric("reached", "1", "max", "1 if the reduction was reached, else 0", diverged=0.0, sample=1),
        Metric("final", "1", "min", "f at the end over f at the start", "log"),
    )  # fmt: skip
    derived = (
        Derived(Metric("mean_evaluations", "1", "min", "geometric mean of the evaluations over the dimensions", "log",
                       diverged=LOST), "dimension", GRID, mean_evaluations),
        Derived(Metric("exponent", "1", "min", "slope of log steps against log dimension"), "dimension", GRID, exponent),
    )  # fmt: skip
    rank = "mean_evaluations"
    objective = "evaluations"
    slots = (ESTIMATOR, SEARCHER)
    floors = ("no_feedback",)
    reference = "backpropagation"
    margin = 1.0

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if not params.condition >= 1 or not 0 < params.reduction < 1:
            raise BenchError(
                f"task.condition={params.condition} has to be 1 or more, task.reduction={params.reduction} between 0 and 1"
            )

    @property
    def budget(self) -> Budget:
        p = self.params
        return Budget("evals", p.patience * (p.dimension + 4))

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.zeroth_order.quadratic import DTYPE, hessian

        p = self.params
        matrix = hessian(p.dimension, p.condition, seeds.stream("data", "hessian"))
        return Problem({"hessian": matrix, "start": seeds.stream("data", "start").normal(p.dimension, dtype=DTYPE)}, {})

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.zeroth_order.oracles import Oracle
        from tasks.zeroth_order.quadratic import values

        p, x, spent = self.params, public["start"].clone(), 0

        def count(**amounts: int) -> None:
            nonlocal spent
            log.count(**amounts)
            spent += amounts.get("evals", 0)

        def f(points: Tensor) -> Tensor:
            return values(public["hessian"], points)

        oracle = Oracle(f, count)
        step = self.stepper(parts, len(x), torch.Generator().manual_seed(seeds("noise")))
        first = now = float(f(x))
        path, steps = [(0, 1.0)], 0
        log.track(0, loss=first)
        while now > p.reduction * first and steps < self.budget.limit:
            try:
                x = step(oracle, x)
            except Exhausted:
                break
            steps, now = steps + 1, float(f(x))
            log.track(steps, loss=now)
            if not math.isfinite(now):
                raise Diverged(f"f is {now} at step {steps}")
            path.append((spent, now / first))
        shown = [path[round(i * (len(path) - 1) / (SHOWN - 1))] for i in range(SHOWN)]
        found = {"path": torch.tensor(shown), "final": now / first, "steps": max(steps, 1)}
        return Solution(None, {**found, "evaluations": spent if now <= p.reduction * first else self.budget.limit})

    def stepper(
        self, parts: Mapping[str, Any], dimension: int, generator: Generator
    ) -> Callable[[Any, Tensor], Tensor]:  # fmt: skip
        """The searcher, or steps along the estimates: oracle, point -> the next point."""
        p = self.params
        if parts.get("searcher") is not None:
            searcher: Callable[[Any, Tensor], Tensor] = parts["searcher"](
                dimension=dimension, evaluations=self.budget.limit, generator=generator
            )
            return searcher
        estimate = parts["estimator"](dimension=dimension, evaluations=p.queries, generator=generator)
        rate = p.rate / (p.condition * estimate.second_moment)
        return lambda oracle, x: x - rate * estimate(oracle, x)

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        found = solution.tensors
        if not {"evaluations", "steps", "final"} <= found.keys():
            raise BenchError(f"{self.name} scores `evaluations`, `steps` and `final`; the solution lacks one of them")
        return {
            "evaluations": float(found["evaluations"]),
            "steps": float(found["steps"]),
            "reached": float(found["final"] <= self.params.reduction),
            "final": float(found["final"]),
        }

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        spent, values = solution.tensors["path"].T
        doc = "f over f at the start, against function evaluations"
        return {"path": Exhibit("series", {"evaluations": spent, "f": values}, ("evaluations",), "1", doc)}
