"""What the linear tasks share: parameters, slots, metrics, and how a student is trained and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import Budget, Curves, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Params:
    """dimension: N, inputs and weights. ratio: alpha = P/N. snr: variance of the teacher's weights over that of the noise.
    draws: independent problems, learned side by side; errors are means over them. val: validation samples of each.
    time: steps x rate of gradient descent. evaluations: on the way, at about equal ratios of the step.
    """

    dimension: int = 100
    ratio: float = 1.0
    snr: float = 5.0
    draws: int = 40
    val: int = 50
    time: float = 1000.0
    rate: float = 0.2
    evaluations: int = 30


def start(*, draws: int, dimension: int) -> Tensor:
    """The students' first weights, (draws, dimension)."""
    raise NotImplementedError


def learner(
    *, x: Tensor, y: Tensor, start: Tensor, snr: float, rate: float, checkpoints: Sequence[int],
    gradient: Callable[[Tensor], Tensor],
) -> Iterator[tuple[int, Tensor]]:  # fmt: skip
    """Candidates (step, weights (draws, N)) in order; each is evaluated on validation data, and slot `stopping` chooses.

    x (draws, P, N), y (draws, P), start (draws, N). gradient(weights) is that of half the sum of squares, X'(Xw - y), and is
    counted as a step. checkpoints: the steps at which a descent should yield, from 0 to the budget.
    """
    raise NotImplementedError


def stopping(*, errors: list[float]) -> bool:
    """Whether the candidate with the latest of these validation errors becomes the answer, in place of the one before."""
    raise NotImplementedError


def last(errors: list[float]) -> bool:
    """Training without early stopping: the latest candidate is the answer."""
    return True


STOPPING = Slot("stopping", stopping, {"_target_": "tasks.generalization.base.last"})
ROUNDING = 1e-12  # two ways to one solution of a well-conditioned problem agree to 1e-15 in float64
WORST = 1e4  # what a diverged run counts as: far above the error of a student that learns nothing, 1 + 1/snr


def checkpoints(steps: int, count: int) -> list[int]:
    """About `count` steps from 0 to `steps`, both included, at equal ratios."""
    return sorted({0, steps, *(round(steps ** (i / max(1, count - 1))) for i in range(count))})


class Linear(Task):
    """A linear student of a noisy linear teacher, many draws at once. Subclasses say what ranks."""

    Params: ClassVar[type] = Params
    objective = "val_error"
    positive = ("dimension", "draws", "val", "evaluations", "ratio", "snr", "time", "rate")
    metrics = (
        Metric("gen_error", "1", "min", "squared error of a new target, its noise included; the population's mean, exact "
               "given the weights, and the mean over draws", scale="log", diverged=WORST,
               resolution=ROUNDING),
        Metric("val_error", "1", "min", "mean squared error on validation samples", scale="log", diverged=WORST),
        Metric("train_error", "1", "min", "mean squared error on training samples"),
        Metric("ridge_gap", "1", "min", "gen_error over that of ridge regression with the best penalty on the same draws, "
               "minus 1", diverged=WORST, resolution=ROUNDING),
        Metric("overtraining", "1", "min", "gen_error over the least among the candidates on the way", scale="log"),
        Metric("theory_distance", "1", "min", "largest relative distance, on the way, of gen_error to the Marchenko-Pastur "
               "curve of gradient descent; undefined without gradient steps"),
        Metric("frozen_energy", "1", "min", "mean square of the weights' part outside the span of the training inputs, "
               "divided by N"),
    )  # fmt: skip
    slots = (
        Slot("start", start, {"_target_": "tasks.generalization.linear.gaussian", "deviation": 0.0}),
        Slot("learner", learner, {"_target_": "tasks.generalization.linear.descend"}),
        STOPPING,
        Slot("procedure", slots.procedure, excludes=("start", "learner", "stopping")),
    )
    floors = ("zero_student",)
    reference = "ridge_optimal"

    @property
    def budget(self) -> Budget:
        return Budget("steps", max(1, round(self.params.time / self.params.rate)))

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.generalization import linear

        return linear.problem(self.params, self.budget.limit, seeds)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        from tasks.generalization import linear

        places = checkpoints(self.budget.limit, self.params.evaluations)
        return linear.run(public, parts, log, places)

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        x, y = problem.hidden["val"]
        return {"val_error": float((predict(x) - y).square().mean())}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.generalization import linear

        return linear.score(self.params, self.name, problem, solution, bool(log.counts.get("steps")))
