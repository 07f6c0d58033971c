"""The inverse problem in one dimension: from the state at the final time, with noise, to the initial state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import slots
from bench.contract import BenchError, Curves, Exhibit, Log, Problem, Slot, Solution
from bench.seeds import EntrySeeds, Seeds
from tasks.pde import base

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from tasks.pde.files.fields import Fields
    from tasks.pde.files.layout import Layout

PARAMETER = {"advection": "beta", "heat": "nu", "burgers": "nu"}  # equation -> its parameter
ATTRIBUTE = {"advection": "beta", "burgers": "Nu"}  # what PDEBench's files call it


@dataclass
class Params(base.Params):
    """equation: "burgers", "heat" or "advection". nu: pi times the diffusion of the first two. beta: speed of the last.

    noise: its standard deviation as a share of the late state's RMS, in the observations only. frames is 2: the initial and
    the late state; of a file with more, the first and the last are taken.
    """

    frames: int = 2
    final_time: float = 0.2
    evaluations: int = 1
    equation: str = "burgers"
    nu: float = 0.05
    beta: float = 0.4
    noise: float = 0.01


def inversion(*, observed: Tensor, forward: Callable[[Tensor], Tensor], states: Tensor, noise: float) -> Tensor:
    """Initial states (batch, x, channels) from late ones `observed` (batch, x, channels).

    forward: (any, x, channels) -> the late states of these initial ones, differentiable. states: the initial states of the
    training pairs, (samples, x, channels). noise: as in `Params`.
    """
    raise NotImplementedError


METRICS = (
    base.error("nrmse", "relative RMS error of the initial state, mean over test samples", "1", base.WORST),
    base.error("val_nrmse", "the same on the validation samples, at the end", "1", base.WORST),
    base.error("nrmse_reached", "relative RMS error of the state that the initial state found leads to, truly", "1"),
    base.error("rmse", "RMS error of the initial state"),
    base.error("fourier_low", "the same in wave numbers 0-3"),
    base.error("fourier_mid", "the same in wave numbers 4-11"),
    base.error("fourier_high", "the same in wave numbers 12 and up"),
)


class Inverse(base.Evolution):
    """Find the initial state, given a model of what follows from it; data and splits are made as for the other tasks."""

    name = "pde/inverse_1d"
    Params = Params
    presets = {
        "smoke": {**base.SMOKE, "frames": 2, "final_time": 0.1, "equation": "heat", "nu": 0.1, "evaluations": 1},
        "small": {},
        "paper": {
            **base.PAPER, "frames": 2, "final_time": 0.2, "reduced_resolution_t": 1, "initial_step": 1, "unroll": 1,
            "evaluations": 1,
        },
    }  # fmt: skip
    equation = "burgers"  # where the parameter names no other
    metrics = METRICS
    slots = (
        Slot("inversion", inversion, {"_target_": "tasks.pde.inverse.search", "lr": 0.2, "iterations": 100}),
        Slot("surrogate", base.surrogate, {"_target_": "baselines.surrogates.fno.FNO", "modes": 12, "width": 20}),
        Slot("output_form", base.output_form, {"_target_": "tasks.pde.rollout.correction"}),
        Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "Adam", "lr": 5e-3}),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.cosine"}),
        Slot("loss", base.loss, {"_target_": "tasks.pde.rollout.relative_loss"}),
        Slot("solver", base.solver, None, excludes=("surrogate", "output_form", "optimizer", "schedule", "loss")),
    )
    floors = ("inverse_mean", "persistence")
    reference = "inverse_filtered"
    margin = 2.0

    @property
    def physics(self) -> dict[str, Any]:
        """The parameter of the equation that is chosen."""
        name = PARAMETER[self.params.equation]
        return {name: getattr(self.params, name)}

    def identity(self, pool: int) -> dict[str, Any]:
        return super().identity(pool) | {"equation": self.params.equation}

    def check(self) -> None:
        p = self.params
        if p.equation not in PARAMETER:
            raise BenchError(f"{self.name}: equation={p.equation!r} is none of {', '.join(PARAMETER)}")
        if not p.noise >= 0 or p.initial_step != 1:
            raise BenchError(
                f"{self.name}: noise={p.noise} must not be negative, initial_step={p.initial_step} must be 1"
            )
        super().check()

    def match(self, path: Path, held: Layout) -> None:
        super().match(path, held)
        p, parameter = self.params, next(iter(self.physics.values()))
        attribute = held.attributes.get(ATTRIBUTE.get(p.equation, ""))
        if p.file and (attribute is None or abs(attribute - parameter) > 1e-4 * abs(parameter)):
            raise BenchError(
                f"{path}: holds {attribute}, not the {p.equation} equation with {parameter}; set the parameters to fit"
            )

    def shard(self, count: int, seed: int) -> Fields:
        import numpy as np

        from tasks.pde import fields, inverse
        from tasks.pde.files.fields import Fields

        p = self.params
        t = np.linspace(0, p.final_time, p.frames)
        waves = fields.Waves.draw(count, seed)
        (parameter,) = self.physics.values()
        values = inverse.evolved(waves, p.points, t, p.equation, **self.physics)[..., None]
        return Fields(values, (fields.grid(p.points),), t, self.channels, {ATTRIBUTE.get(p.equation, "nu"): parameter})

    def problem(self, data: Fields, seeds: Seeds) -> Problem:
        """The usual splits of first and last frames; noise from the seed, on what is observed of test and validation."""
        from dataclasses import replace

        p = self.params
        ends = replace(data, values=data.values[:, [0, -1]], t=data.t[[0, -1]])
        evolution = super().problem(ends, seeds)
        equation = {"name": p.equation, "constants": 0, **self.physics}
        hidden = dict(evolution.hidden)
        for split in ("test", "valid"):
            late = hidden[split][..., 1, :]
            size = p.noise * late.square().mean(dim=1, keepdim=True).sqrt()
            hidden[f"observed_{split}"] = late + size * seeds.stream("data", f"noise {split}").normal(*late.shape)
        return Problem({**evolution.public, "equation": equation, "noise": p.noise}, hidden, evolution.origin)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        from tasks.pde import inverse

        return inverse.run(self.params, public, parts, log, seeds)

    def _estimate(
        self, problem: Problem, split: str, predict: Callable[..., Any], most: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """(initial states found, true ones), each (batch, x, 1, channels) as metrics take them; of the first `most` samples."""
        observed, true = problem.hidden[f"observed_{split}"][:most], problem.hidden[split][:most, ..., :1, :]
        estimate = predict(observed)
        if estimate.shape != observed.shape:
            raise BenchError(
                f"predict returned {tuple(estimate.shape)}; (batch, x, channels) = {tuple(observed.shape)} is wanted"
            )
        return estimate.unsqueeze(-2), true

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from bench.metrics import pde

        return {"val_nrmse": pde.nrmse(*self._estimate(problem, "valid", predict), cap=base.WORST)}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from bench.metrics import pde
        from tasks.pde import inverse

        predict = solution.require_predict()
        pair = self._estimate(problem, "test", predict)
        p, late = self.params, problem.hidden["test"][..., 1:, :]
        reached = inverse.reached(pair[0][..., 0, 0], p.final_time, p.equation, **self.physics)[..., None, None]
        return {
            "nrmse": pde.nrmse(*pair, cap=base.WORST),
            **self.monitor(problem, predict),
            "nrmse_reached": pde.nrmse(reached, late, cap=base.WORST),
            "rmse": pde.rmse(*pair),
            **{f"fourier_{band}": value for band, value in pde.fourier_bands(*pair).items()},
        }

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        from tasks.pde import exhibits

        estimate, true = self._estimate(problem, "test", solution.require_predict(), most=1)
        return {"sample": exhibits.field(estimate[0], true[0], problem.public["axes"], problem.public["t"][:1])}
