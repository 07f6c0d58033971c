"""`bilevel/discontinuous`: a bilinear lower level on a box; the hyper-objective jumps where its solution is not unique."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import Curves, Exhibit, Metric, Problem, Solution
from bench.seeds import Seeds
from tasks.bilevel.base import METRICS, WORST, Bilevel

if TYPE_CHECKING:
    from tasks.bilevel.boxes import Boxes

TOLERANCE = 1e-2  # by which a lower variable may miss the lower minimum, in each coordinate, where a solution is ranked


@dataclass
class Params:
    """dimension: coordinates, each a problem of its own. gradients: the budget. evaluations: on the way."""

    dimension: int = 10
    gradients: int = 20000
    evaluations: int = 10


class Discontinuous(Bilevel):
    """Coordinate by coordinate min (x - s)^2 + b y^2 where y minimises x y over [-1, 1], for x in [-1, 1].

    psi = (x - s)^2 + b but at x = 0, where y = 0 solves the lower problem and psi = s^2. With b = 1 and s = 0 it is the example
    of penalties that cannot be close everywhere; here s and b are drawn so that in some coordinates 0 is best, in others s.
    """

    name = "bilevel/discontinuous"
    Params = Params
    presets = {
        "smoke": {"dimension": 3, "gradients": 600, "evaluations": 4},
        "small": {},
        "paper": {"dimension": 100, "gradients": 100000},
    }
    metrics = (
        *METRICS,
        Metric("relaxed_gap", "1", "min", "least upper loss over lower variables that miss the lower minimum by at most 0.01 a "
               "coordinate, above the best of all x, over that at the start", diverged=WORST),
        Metric("coarse_gap", "1", "min", "the same for lower variables that miss it by at most 0.03", diverged=WORST),
        Metric("sup_gap", "1", "max", "largest |psi_sigma - psi| / b over x other than 0 of coordinate 1, of the method's last "
               "sigma, from sigma b / 500 on"),
        Metric("far_gap", "1", "min", "the same over |x| of at least 2 sigma b"),
    )  # fmt: skip
    rank = "relaxed_gap"
    objective = "coarse_gap"
    positive = (*Bilevel.positive, "dimension")
    reference = "penalty_annealed"
    margin = 0.2

    def model(self, public: Mapping[str, Any]) -> Boxes:
        from tasks.bilevel.boxes import Boxes

        return Boxes(public)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        def uniform(name: str) -> torch.Tensor:
            return seeds.stream("data", name).uniform(self.params.dimension, dtype=torch.float64)

        s = (0.2 + 0.6 * uniform("distance")) * torch.where(uniform("side") < 0.5, -1.0, 1.0)
        b = s.square() * (0.25 + 3.75 * uniform("height"))  # 0 is best where b is above s^2
        return self.opened({"s": s, "b": b, "x": 2 * uniform("x") - 1, "y": 2 * uniform("y") - 1})

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        import torch

        scores = super().score(problem, solution, log)
        model, x = self.model(problem.public), solution.tensors["x"].to(torch.float64)
        for name, tolerance in (("relaxed_gap", TOLERANCE), ("coarse_gap", 3 * TOLERANCE)):
            least = model.least(tolerance)
            excess, first = (model.relaxed(point, tolerance) - least for point in (x, problem.public["x"]))
            scores[name] = excess / first
        sigma = scores["sigma"]
        gaps = (None, None) if sigma is None else model.gaps(sigma)
        return scores | dict(zip(("sup_gap", "far_gap"), gaps, strict=True))

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """psi and psi_sigma of coordinate 1."""
        import torch

        model, sigma = self.model(problem.public), float(solution.tensors.get("sigma", 0.1))
        places = torch.linspace(-1, 1, 401, dtype=torch.float64)
        arrays = {
            "x": places,
            "psi": model.psi(places[:, None])[:, 0],
            "psi_sigma": model.psi_sigma(places[:, None], sigma)[:, 0],
        }
        answer = float(solution.tensors["x"][0])
        doc = f"hyper-objective of coordinate 1, and with sigma = {sigma:g}; the answer is x = {answer:.3g}"
        return {"coordinate": Exhibit("series", arrays, ("x",), "1", doc)}
