"""What the tasks share: the slot, the metrics, the counted run, and how an upper variable is scored.

A cell is scored by its last upper variable alone: the scorer solves the lower problem there itself.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import (
    BenchError,
    Budget,
    Curves,
    Diverged,
    Exhausted,
    Exhibit,
    Log,
    Metric,
    Problem,
    Slot,
    Solution,
    Task,
)
from bench.seeds import EntrySeeds

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.bilevel.oracle import Model, Oracle
    from tasks.bilevel.penalty import Iterates

WORST = 1e6  # what a diverged run counts as, relative to 1 at the start
FAR = 1e5  # a component of the upper variable beyond it has left; the starts are of size 1
EXACT = 1e-9  # below it, a stationarity is that of the closed form's roundings
TOLERANCES = {f"calls_{10 * power:02.0f}": 10**-power for power in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)}


def bilevel_method(*, oracle: Oracle, x: Tensor, y: Tensor, generator: Generator) -> Iterates:
    """Upper variables (dx,) in order, each with the penalty sigma that it was found with, or None. The last one is scored.

    x (dx,), y (dy,): the start. oracle: all that the method sees of the problem. generator: of its own draws.
    """
    raise NotImplementedError


SLOT = Slot("bilevel_method", bilevel_method, {"_target_": "tasks.bilevel.penalty.double_loop"})
METRICS = (
    Metric("stationarity", "1", "min", "norm of the exact gradient of the hyper-objective psi over that at the start; on a "
           "bounded set, of the projected gradient step", scale="log", diverged=WORST, resolution=EXACT),
    Metric("upper_loss", "1", "min", "hyper-objective psi: the upper loss at the exact lower solution", diverged=WORST),
    Metric("value_error", "1", "min", "at the start, |psi_sigma - psi| / |psi| of the method's last sigma, in closed form",
           scale="log"),
    Metric("gradient_error", "1", "min", "at the start, the same of the gradients", scale="log"),
    Metric("sigma", "1", "min", "the method's last sigma", scale="log"),
    *(Metric(name, "gradients", "min", f"gradient evaluations until stationarity is at most {value:.3g}, read off the "
             "evaluations; undefined if it never is", scale="log") for name, value in TOLERANCES.items()),
)  # fmt: skip


class Bilevel(Task):
    """min over x in X of psi(x) = min of f(x, y) over the minimisers y in Y of g(x, .). Subclasses make the model."""

    slots: ClassVar[tuple[Slot, ...]] = (SLOT,)
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    positive: ClassVar[tuple[str, ...]] = ("gradients", "evaluations")
    floors = ("upper_start",)

    @property
    def budget(self) -> Budget:
        return Budget("gradients", self.params.gradients)

    @abstractmethod
    def model(self, public: Mapping[str, Any]) -> Model:
        """The two levels, from the problem's public part."""

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        """Evaluates at about equal ratios of what is spent, and keeps the last upper variable."""
        import torch

        from tasks.bilevel.oracle import Oracle

        x = public["x"]
        with log.phase("setup"):
            oracle = Oracle(self.model(public), log, torch.Generator().manual_seed(seeds("order")))
            own = torch.Generator().manual_seed(seeds("noise"))
        places = checkpoints(self.params.gradients, self.params.evaluations)
        tensors: dict[str, Any] = {"x": x}
        log.evaluate(0, lambda: x)
        try:
            for latest, sigma in parts["bilevel_method"](oracle=oracle, x=x, y=public["y"], generator=own):
                if not float(latest.abs().max()) < FAR:
                    raise Diverged(f"the upper variable is beyond {FAR:g} after {oracle.spent} gradient evaluations")
                tensors = {"x": latest} if sigma is None else {"x": latest, "sigma": sigma}
                if oracle.spent >= places[0]:
                    while oracle.spent >= places[0]:
                        places.pop(0)
                    log.evaluate(oracle.spent, lambda x=latest: x)
        except Exhausted:
            pass
        return Solution(None, tensors)

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        x = self.checked(problem, predict())
        return {"stationarity": self.step_size(problem, x) / problem.hidden["first"]}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        x = self.checked(problem, solution.tensors.get("x"))
        scores = dict.fromkeys((metric.name for metric in METRICS), None) | reached(*log.curve("stationarity"))
        scores["stationarity"] = self.step_size(problem, x) / problem.hidden["first"]
        scores["upper_loss"] = self.model(problem.public).hyper(x)[0]
        if "sigma" in solution.tensors:
            scores |= self.penalty_errors(problem, float(solution.tensors["sigma"]))
        return scores

    def penalty_errors(self, problem: Problem, sigma: float) -> dict[str, float | None]:
        """sigma and the relative errors of psi_sigma and its gradient at the start, where these have a closed form."""
        model, x = self.model(problem.public), problem.public["x"]
        if (penalised := model.penalised(x, sigma)) is None:
            return {"sigma": sigma}
        (value, slope), (value_s, slope_s) = model.hyper(x), penalised
        return {
            "sigma": sigma,
            "value_error": abs(value_s - value) / abs(value),
            "gradient_error": float((slope_s - slope).norm() / slope.norm()),
        }

    def step_size(self, problem: Problem, x: Tensor) -> float:
        """Length of the projected gradient step of size 1 on psi at x; the gradient's norm where X is all of space."""
        model = self.model(problem.public)
        return float((x - model.project_x(x - model.hyper(x)[1])).norm())

    def opened(self, public: Mapping[str, Any], hidden: Mapping[str, Any] | None = None) -> Problem:
        """The problem with the size of the first step, by which stationarity is measured; BenchError if that is 0."""
        first = self.step_size(Problem(public, {}), public["x"])
        if not first > 0:
            raise BenchError(f"{self.name}: the start is stationary already, so nothing is left to optimise")
        return Problem(public, {**(hidden or {}), "first": first})

    def checked(self, problem: Problem, x: Any) -> Tensor:
        """The solution's upper variable in float64; BenchError if it is none, of another shape, or outside X."""
        import torch

        start = problem.public["x"]
        if not isinstance(x, torch.Tensor) or x.shape != start.shape:
            raise BenchError(
                f"{self.name} scores the upper variable `x` of shape {tuple(start.shape)}; the solution has none"
            )
        x = x.to(start.dtype)
        if not torch.allclose(self.model(problem.public).project_x(x), x):
            raise BenchError(f"{self.name}: the upper variable lies outside of its set; project it")
        return x

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """psi and psi_sigma on the segment from the start to the answer and as far beyond."""
        import torch

        model, start = self.model(problem.public), problem.public["x"]
        answer, sigma = solution.tensors["x"], float(solution.tensors.get("sigma", 0.1))
        shares = torch.linspace(-0.5, 2.0, 51, dtype=start.dtype)
        points = [model.project_x(start + share * (answer - start)) for share in shares]
        arrays = {"position": shares, "psi": torch.tensor([model.hyper(point)[0] for point in points])}
        if all(found := [model.penalised(point, sigma) for point in points]):
            arrays["psi_sigma"] = torch.tensor([one[0] for one in found if one])
        doc = f"hyper-objective, and with sigma = {sigma:g}, from the start (0) to the answer (1) and beyond"
        return {"segment": Exhibit("series", arrays, ("position",), "1", doc)}


def checkpoints(limit: int, count: int) -> list[float]:
    """About `count` numbers from 10 to `limit` at equal ratios, then infinity."""
    first = min(10, limit)
    ratio = (limit / first) ** (1 / max(1, count - 1))
    return [*sorted({float(round(first * ratio**i)) for i in range(count)}), float("inf")]


def reached(steps: list[int], values: list[float]) -> dict[str, float | None]:
    """For each tolerance, the first step whose value is at most that, at least 1; None if there is none."""
    return {
        name: next((float(max(1, step)) for step, value in zip(steps, values, strict=True) if value <= limit), None)
        for name, limit in TOLERANCES.items()
    }
