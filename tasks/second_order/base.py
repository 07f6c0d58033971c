"""What the tasks of the family share: slots, metrics, the run, and its score."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import (
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
    Target,
    Task,
)  # fmt: skip
from bench.seeds import EntrySeeds

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.second_order.functions import Function
    from tasks.second_order.matrices import Matrix
    from tasks.second_order.oracle import Oracle

MOST = 8  # digits: the last target, at which a run ends
FINEST = 1e-16  # a gap below this is rounding
SHOWN = 500  # points of an exhibit


def method(*, start: Tensor, oracle: Oracle, visit: Callable[[Tensor], None]) -> None:
    """Minimise from `start` (d,), float64, and call visit(x) at every new point; return where no step helps any more.

    oracle(x) is (value, gradient), oracle.hessian(x) the matrix of slot `curvature`, oracle.solve(matrix, shift, right) the
    solution of a shifted system, or None. All are counted.
    """
    raise NotImplementedError


def curvature(*, function: Function, x: Tensor) -> Matrix:
    """The approximate Hessian of `function` at x (d,), a matrix of `tasks.second_order.matrices`."""
    raise NotImplementedError


def dated(digits: int) -> Metric:
    """The cost to a gap of 10^-digits."""
    doc = f"gradient evaluations, with their values, until f - f* is at most 1e-{digits}"
    return Metric(f"gradients_to_{digits}", "gradients", "min", doc, "log", target=Target("digits", float(digits)))


class Done(Exception):
    """Every target is reached."""


class Minimisation(Task):
    """Find the minimum of a function. Subclasses draw the function and its start.

    The budget is in gradient evaluations, which every method needs; a method that tries a step evaluates there, so linear solves
    are never more than a small multiple of them. Both are counted.
    """

    positive: ClassVar[tuple[str, ...]] = ("gradients",)
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(dated(digits) for digits in (2, 4, 6, MOST)),
        Metric("mean_digits", "1", "max", "-log10(f - f*), held to [0, 8], mean over the budget", diverged=0.0),
        Metric("digits", "1", "max", "-log10(f - f*) at the end", diverged=0.0, resolution=1e-6),
        Metric("steps_to_8", "steps", "min", "points until f - f* is at most 1e-8; undefined if it never is", "log"),
        Metric("solves_to_8", "solves", "min", "linear systems solved until then; undefined for a method that solves none, or "
               "inside a library"),
        Metric("rise", "1", "min", "largest increase of f from one point to the next over f - f* at the start; negative or 0 "
               "for a method that descends"),
        Metric("digits_per_step", "1", "max", "slope of the digits against the number of the point, least squares"),
        Metric("linearity", "1", "max", "R^2 of that line"),
    )  # fmt: skip
    rank = "gradients_to_8"
    objective = "mean_digits"
    slots = (
        Slot("method", method, {"_target_": "tasks.second_order.oracle.descend"}),
        Slot("curvature", curvature, {"_target_": "tasks.second_order.matrices.exact"}),
    )
    floors: ClassVar[tuple[str, ...]] = ("gd_line_search",)
    reference = "trust_region"
    margin = 0.5

    @property
    def budget(self) -> Budget:
        return Budget("gradients", self.params.gradients)

    @abstractmethod
    def function(self, public: Mapping[str, Any]) -> Function:
        """The function from the public data."""

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        x, gap = predict(), math.inf
        if x.shape == problem.public["start"].shape and bool(x.isfinite().all()):
            gap = self._gap(problem, x)
        return {"digits": -math.log10(max(gap, FINEST)), "gap": gap}

    def _gap(self, problem: Problem, x: Tensor) -> float:
        return self.function(problem.public).value_and_gradient(x.double())[0] - problem.hidden["minimum"]

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.second_order.oracle import Oracle, rescaled

        with log.phase("setup"):
            function, start = self.function(public), public["start"]
            seen, transform = rescaled(function, getattr(self.params, "metric", "identity"))
            oracle = Oracle(seen, parts["curvature"], log)
            first = start if transform is None else torch.linalg.solve(transform, start)
            log.count(parameters=len(start))
        path: list[Tensor] = []
        solves: list[int] = []

        def visit(y: Tensor) -> None:
            x = y.detach() if transform is None else transform @ y.detach()
            if path and torch.equal(x, path[-1]):  # a library reports a rejected step as the point before it
                return
            value = function.value_and_gradient(x)[0] if bool(x.isfinite().all()) else math.nan
            if not math.isfinite(value):
                raise Diverged(f"f is {value} after {len(path)} points")
            log.track(len(path), loss=value)
            path.append(x.clone())
            solves.append(oracle.solves)
            log.incumbent = Solution(lambda: x, {"x": x})
            log.evaluate(oracle.gradients, lambda: x)
            if len(path) > 1:
                log.count(steps=1)
            if log.stop:
                raise Done

        try:
            visit(first)
            parts["method"](start=first.clone(), oracle=oracle, visit=visit)
        except (Done, Exhausted):
            pass
        last = path[-1]
        tensors = {"x": last, "path": torch.stack(path)[:, :2], "solves": torch.tensor(solves)}
        return Solution(lambda: last, tensors)

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        final = self.monitor(problem, solution.require_predict())["digits"]
        spent, digits = log.curve("digits")
        _, gaps = log.curve("gap")
        solves = [int(count) for count in solution.tensors["solves"]]
        reached = next((at for at, value in enumerate(digits) if value >= MOST), None)
        slope, linearity = line(digits[: len(digits) if reached is None else reached + 1])
        return {
            "digits": final,
            "mean_digits": mean_digits(spent, digits, self.budget.limit),
            "steps_to_8": reached,
            "solves_to_8": solves[reached] if reached is not None and solves[reached] else None,
            "rise": max((after - before for before, after in zip(gaps, gaps[1:], strict=False)), default=0.0) / gaps[0],
            "digits_per_step": slope,
            "linearity": linearity,
        }

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        path = solution.tensors["path"]
        stride = -(-len(path) // SHOWN)
        x, best = solution.tensors["x"], problem.hidden["minimiser"]
        path_doc = "the first two unknowns at every point, or at every k-th of a long run"
        answer_doc = "the unknowns at the end, and at the minimum"
        return {
            "path": Exhibit("points", {"path": path[::stride]}, ("point", "unknown"), "1", path_doc),
            "answer": Exhibit("series", {"found": x, "minimiser": best}, ("unknown",), "1", answer_doc),
        }


def mean_digits(spent: Sequence[int], digits: Sequence[float], budget: int) -> float:
    """Digits as a step function of what was spent, held to [0, 8], mean over the budget; after the last point it stays."""
    ends = [*spent[1:], max(budget, spent[-1])]
    held = (min(max(value, 0.0), MOST) for value in digits)
    return sum(value * (end - begin) for value, begin, end in zip(held, spent, ends, strict=True)) / ends[-1]


def line(values: Sequence[float]) -> tuple[float | None, float | None]:
    """(slope, R^2) of the least-squares line through values at 0, 1, 2, …; None for fewer than three, or if all are equal."""
    n = len(values)
    middle, mean = (n - 1) / 2, sum(values) / max(n, 1)
    total = sum((value - mean) ** 2 for value in values)
    if n < 3 or total == 0:
        return None, None
    spread = sum((at - middle) ** 2 for at in range(n))
    covariance = sum((at - middle) * (value - mean) for at, value in enumerate(values))
    return covariance / spread, covariance**2 / (spread * total)
