"""`diffusion/score`: what a denoiser that was learned from few samples knows of the score (2401.15604)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import slots
from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    Batch = tuple[Tensor, Tensor, Tensor]
    Denoiser = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Params:
    """law: gaussian, mixture or bounded. samples: n, all that is known of it. dimension: of a sample. draws: fixed pairs of time
    and noise for each sample, M. start, end: the window of times. val, test: samples of each set, with one draw of time and noise
    a test sample and `draws` of them a validation sample. steps: updates. batch: noisy points an update sees. evaluations: on the
    way, at about equal ratios of the step. generated: samples drawn from the learned score. sampler_steps: for that.
    """

    law: str = "mixture"
    samples: int = 64
    dimension: int = 2
    draws: int = 16
    start: float = 0.05
    end: float = 2.0
    val: int = 256
    test: int = 2000
    steps: int = 1500
    batch: int = 256
    evaluations: int = 24
    generated: int = 1000
    sampler_steps: int = 50


def network(*, dimension: int) -> nn.Module:
    """A denoiser, (x (batch, dimension), t (batch,)) -> estimate of E[x_0|x_t] (batch, dimension)."""
    raise NotImplementedError


def noising(
    *, samples: Tensor, x: Tensor, t: Tensor, y: Tensor, batch: int, start: float, end: float, generator: Generator
) -> Iterator[Batch]:
    """Endless batches (x_t, t, x_0) of training. x (N, dimension), t (N,), y (N, dimension): the fixed noisy points and their
    labels, N = n M, from samples (n, dimension). generator: of all that is drawn."""
    raise NotImplementedError


def stopping(*, errors: list[float]) -> bool:
    """Whether the candidate with the latest of these validation losses becomes the answer, in place of the one before."""
    raise NotImplementedError


def estimator(
    *, samples: Tensor, x: Tensor, t: Tensor, y: Tensor, generator: Generator
) -> Iterator[tuple[int, Denoiser]]:
    """A method without gradient steps: candidates (number, denoiser) in order, of which `stopping` chooses. See `noising`."""
    raise NotImplementedError


WORST = 100.0  # what a diverged run counts as; estimating x_0 by 0 has an error of about 1


class Score(Task):
    """n samples of a law whose score is known, each noised M times; the error of the score on new noisy points."""

    name = "diffusion/score"
    Params = Params
    positive = ("samples", "dimension", "draws", "start", "val", "test", "steps", "batch", "evaluations", "generated",
                "sampler_steps")  # fmt: skip
    presets = {
        "smoke": {"samples": 16, "draws": 4, "val": 64, "test": 200, "steps": 60, "batch": 64, "evaluations": 6,
                  "generated": 100, "sampler_steps": 10},
        "small": {},
        "paper": {"samples": 1024, "dimension": 4, "steps": 20000, "generated": 2000},
    }  # fmt: skip
    metrics = (
        Metric("score_error", "1", "min", "mean of s_t^2 |score - exact score|^2 over new noisy points of the window of times",
               "log", diverged=WORST),
        Metric("val_loss", "1", "min", "denoising score-matching loss on noisy validation samples, mean of |noise predicted - "
               "noise|^2, which is score_error plus a constant of the law", "log", diverged=WORST),
        Metric("train_loss", "1", "min", "the same on the fixed noisy points of training", "log"),
        Metric("last_error", "1", "min", "score_error of the last candidate, where training ended", "log"),
        Metric("best_error", "1", "min", "the least score_error of all candidates on the way", "log"),
        Metric("overtraining", "1", "min", "last_error over best_error", "log"),
        Metric("regret", "1", "min", "score_error of the chosen candidate over best_error: what the stopping rule cost", "log"),
        Metric("stopped_at", "1", "min", "step or number of the chosen candidate"),
        Metric("kernel_distance", "1", "min", "distance of the last candidate to kernel regression at the nearest time of its "
               "flow, root mean square over new noisy points, over that of the regression; undefined beyond 1024 points",
               "log"),
        Metric("sliced_wasserstein", "1", "min", "sliced Wasserstein-2 distance of generated samples to new draws of the law at "
               "the earliest time", "log", diverged=WORST),
        Metric("mmd", "1", "min", "maximum mean discrepancy of the two, Gaussian kernel of deviation 0.5", "log", diverged=1.0),
    )  # fmt: skip
    rank = "score_error"
    objective = "val_loss"
    slots = (
        Slot("network", network, {"_target_": "tasks.diffusion.training.Mlp", "width": 128}),
        Slot("noising", noising, {"_target_": "tasks.diffusion.training.fixed"}),
        Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "Adam", "lr": 0.002}),
        Slot("stopping", stopping, {"_target_": "tasks.diffusion.training.last"}),
        Slot("estimator", estimator, excludes=("network", "noising", "optimizer")),
    )
    floors = ("standard_score", "gaussian_score")
    reference = "score_validated"
    margin = 0.5

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        p = params
        if not p.start < p.end:
            raise BenchError(f"task.start={p.start}, task.end={p.end}: the window of times has to start before it ends")
        if p.samples <= p.dimension:
            raise BenchError(
                f"task.samples={p.samples} in task.dimension={p.dimension}: give more samples than dimensions, since "
                "fewer have no covariance that could be inverted"
            )

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.diffusion import estimation

        return estimation.problem(self.params, seeds)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        from tasks.diffusion import training

        return training.run(self.params, public, parts, log, seeds)

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from tasks.diffusion import estimation

        return {"val_loss": estimation.matching_loss(predict, *problem.hidden["val"])}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.diffusion import estimation

        return estimation.score(self.params, problem, solution)

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        from tasks.diffusion import estimation

        return estimation.exhibit(self.params, problem, solution)


def checkpoints(steps: int, count: int) -> Sequence[int]:
    """About `count` steps from 0 to `steps`, both included, at equal ratios."""
    return sorted({0, steps, *(round(steps ** (i / max(1, count - 1))) for i in range(count))})
