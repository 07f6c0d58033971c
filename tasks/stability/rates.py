"""What `linear` and `escape` share: start beside a minimum, step at eta = rate / trace, and see how far the run goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Curves, Derived, Diverged, Log, Metric, Problem, Slot, Solution
from bench.seeds import EntrySeeds
from tasks.stability.minima import LeastSquares, stability

if TYPE_CHECKING:
    from torch import Generator, Tensor

ESCAPED = 1e3  # a run whose loss has risen by this factor has left the minimum; stable ones rise transiently too
SETTLED, GONE = 1e-12, 1e6  # a run ends once its loss over that at the start is outside these bounds

GRID = {
    "smoke": (1.0, 3.0),
    "small": (1.4, 1.8, 2.2, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 17.0),
    "paper": (1.4, 1.8, 2.2, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 17.0, 20.0, 25.0, 30.0),
}


def stepper(*, samples: int, steps: int, generator: Generator, lr: float) -> Callable[[Tensor, Any], Tensor]:
    """As in `tasks.stability.minima`; `lr` is the task's rate / trace, which replaces the rule's own."""
    raise NotImplementedError


def stable_rate(grid: Sequence[float], rows: Sequence[Mapping[str, float]]) -> float:
    """The largest rate of the grid at which, and below which, no run escaped; 0 if the smallest one did."""
    last = 0.0
    for rate, row in sorted(zip(grid, rows, strict=True), key=lambda pair: pair[0]):
        if not row.get("escape_ratio", math.inf) < ESCAPED:
            break
        last = rate
    return last


class Rates(LeastSquares):
    """A minimum, a start beside it, and a grid of rates. Subclasses make the minimum and the start too."""

    positive: ClassVar[tuple[str, ...]] = ("samples", "inputs", "steps", "rate")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("escape_ratio", "1", "min", "largest training loss over that at the start", "log", diverged=GONE),
        Metric("final_ratio", "1", "min", "training loss at the end over that at the start", "log", diverged=GONE),
        Metric("trace", "1", "min", "trace of the Gauss-Newton matrix at the minimum", "log"),
        Metric("sharpness", "1", "min", "its largest eigenvalue", "log"),
        Metric("rate_trace", "1", "max", "learning rate times trace, which is the task's `rate`"),
        Metric("rate_sharpness", "1", "max", "learning rate times sharpness"),
        Metric("threshold_trace", "1", "max", "largest rate stable in mean square, for the rule's batch, times trace"),
        Metric("rate_threshold", "1", "max", "learning rate over the largest rate stable in mean square"),
    )
    derived = (
        Derived(
            Metric(
                "stable_rate", "1", "max", "largest rate of the grid, in units of 1 / trace, that stays", diverged=0.0,
                step="rate",
            ),
            "rate", GRID, stable_rate,
        ),
    )  # fmt: skip
    rank = "stable_rate"
    objective = "escape_ratio"
    slots = (Slot("stepper", stepper, {"_target_": "tasks.stability.steppers.Minibatch", "batch": 1}),)
    floors = ("sgd_single",)
    reference = "full_gd"
    margin = 2.0

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        """Ends early once the run has settled or escaped. Each step is also followed in |theta - minimum|^2."""
        import torch

        from tasks.stability.models import Gradient, loss

        p, x, y, minimum = self.params, public["x"], public["y"], public["minimum"]
        with log.phase("setup"):
            model, theta = self.model(), public["start"]
            lr = p.rate / public["trace"]
            order = torch.Generator().manual_seed(seeds("order"))
            step = parts["stepper"](samples=len(x), steps=p.steps, generator=order, lr=lr)
            gradient = Gradient(model, x, y)
            log.count(parameters=len(theta))
        drawn = getattr(step, "batch", None) or len(x)
        first, before = loss(model, theta, x, y), float((theta - minimum).square().sum())
        highest, now, longest, shortest = first, first, 0.0, math.inf
        log.track(0, loss=first)
        for at in range(1, p.steps + 1):
            log.count(steps=1, samples=drawn)
            theta = step(theta, gradient)
            now, after = loss(model, theta, x, y), float((theta - minimum).square().sum())
            log.track(at, loss=now)
            if not (math.isfinite(now) and math.isfinite(after)):
                raise Diverged(f"the training loss is {now} at step {at}, one step after a rise of less than {GONE:g}")
            longest, shortest, before = max(longest, after / before), min(shortest, after / before), after
            highest = max(highest, now)
            if not SETTLED * first < now < GONE * first:
                break
        tensors = {
            "escape_ratio": highest / first,
            "final_ratio": now / first,
            "longest": longest,
            "shortest": shortest,
        }
        return Solution(None, {**tensors, "lr": lr, "batch": getattr(step, "batch", None)})

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        tensors, public = solution.tensors, problem.public
        if "escape_ratio" not in tensors:
            raise BenchError(f"{self.name} scores `escape_ratio` and `final_ratio`; the solution has neither")
        scores = {name: tensors[name] for name in ("escape_ratio", "final_ratio")}
        return scores | stability(self.model().jacobian(public["minimum"], public["x"]), tensors)
