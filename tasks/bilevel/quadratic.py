"""`bilevel/quadratic`: two quadratic levels, the lower one strongly convex, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Curves, Metric, Problem, Solution
from bench.seeds import Seeds
from tasks.bilevel.base import EXACT, METRICS, WORST, Bilevel

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.bilevel.quadratics import Quadratics

GAP = Metric(
    "upper_gap", "1", "min", "psi above its minimum, over that at the start", "log", diverged=WORST, resolution=EXACT
)


@dataclass
class Params:
    """upper, lower: dimensions of x and y. condition: of the lower curvature Q. noise: deviation of each component of a
    sampled gradient; 0 is exact gradients. gradients: the budget, in gradient evaluations. evaluations: on the way.
    """

    upper: int = 5
    lower: int = 10
    condition: float = 10.0
    noise: float = 0.0
    gradients: int = 20000
    evaluations: int = 40


class Quadratic(Bilevel):
    """Q has eigenvalues at equal ratios from 1 / condition to 1 in a random basis; P, c and t are normal, C is the identity."""

    name: ClassVar[str] = "bilevel/quadratic"
    Params: ClassVar[type] = Params
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"upper": 2, "lower": 3, "gradients": 600, "evaluations": 6},
        "small": {},
        "paper": {"upper": 100, "lower": 100, "gradients": 200000},
    }
    metrics = (*METRICS, GAP)
    rank = "stationarity"
    objective = "upper_gap"
    positive: ClassVar[tuple[str, ...]] = ("upper", "lower", "condition", "gradients", "evaluations")
    reference = "aid_cg"
    margin = 5.0

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if not params.noise >= 0 or not params.condition >= 1:
            raise BenchError(
                f"task.noise={params.noise} has to be 0 or more, task.condition={params.condition} 1 or more"
            )

    def model(self, public: Mapping[str, Any]) -> Quadratics:
        from tasks.bilevel.quadratics import Quadratics

        return Quadratics(public)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        p, dtype = self.params, torch.float64
        basis = torch.linalg.qr(seeds.stream("data", "basis").normal(p.lower, p.lower, dtype=dtype))[0]
        values = p.condition ** -torch.linspace(0, 1, p.lower, dtype=dtype)
        public = {
            "Q": (basis * values) @ basis.T,
            "P": seeds.stream("data", "coupling").normal(p.lower, p.upper, dtype=dtype) / p.upper**0.5,
            "c": seeds.stream("data", "force").normal(p.lower, dtype=dtype),
            "C": torch.eye(p.lower, dtype=dtype),
        }
        return self.started(public, seeds)

    def started(self, public: Mapping[str, Any], seeds: Seeds) -> Problem:
        """With a target t, normal starts, and P scaled so that |C y*(x) - t|^2 / 2 has second derivatives of at most 1 in x.

        The minimum of psi, `least`, stays hidden.
        """
        import torch

        p = self.params
        normal: dict[str, Tensor] = {
            name: seeds.stream("data", name).normal(size, dtype=public["Q"].dtype)
            for name, size in (("t", p.lower), ("x", p.upper), ("y", p.lower))
        }
        whole = {**public, **normal, "noise": p.noise}
        model = self.model(whole)
        whole["P"] = whole["P"] / float(torch.linalg.matrix_norm(model.outer @ model.slope, 2))
        return self.opened(whole, {"least": self.model(whole).least()[1]})

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        scores = super().score(problem, solution, log)
        first, least = self.model(problem.public).hyper(problem.public["x"])[0], problem.hidden["least"]
        gap = (float(scores["upper_loss"] or 0) - least) / (first - least)
        return {**scores, "upper_gap": max(gap, EXACT**2)}  # below it roundings decide the sign
