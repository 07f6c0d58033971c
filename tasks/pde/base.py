"""What the periodic 1-D tasks share: data and splits, the rollout protocol, the metrics."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import BenchError, Budget, Curves, Log, Metric, Problem, Seeds, Slot, Solution, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.data.hdf5 import Series

GENERATOR = 1  # raise it whenever generated numbers change
DATA_SEED = 20221012
WORST = 10.0  # what a diverged rollout counts as, and the most that one frame of one trajectory may


@dataclass
class Params:
    """Sizes of the stored data, of the splits and of the training. Defaults: the `small` preset.

    points, frames, final_time: as stored; with `file`, the file must match them. reduced_resolution and
    reduced_resolution_t stride both. initial_step: context frames. unroll: frames predicted in one training step.
    """

    file: str = ""
    points: int = 64
    frames: int = 21
    final_time: float = 1.0
    reduced_resolution: int = 1
    reduced_resolution_t: int = 1
    initial_step: int = 1
    train: int = 96
    valid: int = 16
    test: int = 32
    steps: int = 1000
    batch: int = 16
    unroll: int = 1
    evaluations: int = 5


SMOKE = {
    "points": 32, "frames": 9, "final_time": 0.4, "train": 8, "valid": 4, "test": 4, "steps": 8, "batch": 8,
    "evaluations": 2,
}  # fmt: skip
PAPER = {
    "points": 1024, "frames": 201, "final_time": 2.0, "reduced_resolution": 4, "reduced_resolution_t": 5,
    "initial_step": 10, "train": 8000, "valid": 1000, "test": 1000, "steps": 80000, "batch": 50, "unroll": 31,
    "evaluations": 50,
}  # fmt: skip


def surrogate(*, channels_in: int, channels_out: int, points: int) -> nn.Module:
    """A module (batch, points, channels_in) -> (batch, points, channels_out) that predicts the next frame.

    Input channels are the context frames, oldest first, then the coordinate; the grid is uniform and periodic.
    """
    raise NotImplementedError


def solver(*, initial: Tensor, x: Tensor, t: Tensor, equation: Mapping[str, Any]) -> Tensor:
    """States (batch, points, times) at times t > 0 (times,) after `initial` (batch, points) on the grid x (points,).

    equation: {"name": "advection", "beta": b} for u_t + b u_x = 0, or {"name": "burgers", "nu": n} for
    u_t + (u^2/2)_x = (n/pi) u_xx; the domain is periodic and of length 1.
    """
    raise NotImplementedError


def _error(name: str, doc: str, unit: str = "field") -> Metric:
    return Metric(name, unit, "min", doc, scale="log")


class PeriodicTask(Task):
    """Predict frames `initial_step` .. end of unseen trajectories from the frames before."""

    version = 1
    rank = "nrmse"
    objective = "val_nrmse"
    parameter: ClassVar[str]  # the equation's, as in Params and `equation`
    attribute: ClassVar[str]  # the same, as PDEBench's files call it
    equation: ClassVar[str]
    metrics = (
        Metric("nrmse", "1", "min", "relative RMS error, mean over test trajectories and frames", "log", WORST),
        Metric("val_nrmse", "1", "min", "the same on the validation trajectories, at the end", "log", WORST),
        _error("nrmse_t25", "relative RMS error at a quarter of the rollout", "1"),
        _error("nrmse_t50", "relative RMS error at half of the rollout", "1"),
        _error("nrmse_t100", "relative RMS error at the end of the rollout", "1"),
        _error("rmse", "RMS error over space, mean over test trajectories and frames"),
        _error("conserved", "absolute error of the spatial mean, which the equation conserves"),
        _error("max_error", "largest absolute error at any point, frame and test trajectory"),
        _error("boundary", "RMS error over the two outermost points"),
        _error("fourier_low", "RMS error in wave numbers 0-3"),
        _error("fourier_mid", "RMS error in wave numbers 4-11"),
        _error("fourier_high", "RMS error in wave numbers 12 and up"),
    )
    slots = (
        Slot("surrogate", surrogate, {"_target_": "tasks.pde.fno.FNO", "modes": 12, "width": 20}),
        Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "Adam", "lr": 5e-3}),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.cosine"}),
        Slot("solver", solver, None, excludes=("surrogate", "optimizer", "schedule")),
    )
    floors = ("persistence",)
    paper = "Takamoto et al. 2022, PDEBench: An Extensive Benchmark for Scientific Machine Learning, arXiv 2210.07182"
    data_licence = (
        "Generated data carry the project's own licence. A PDEBench file that you bring keeps the licence "
        "stated on its download page."
    )
    intended_use = (
        "Comparing surrogates, optimizers and classical solvers on autoregressive rollouts, by error over rollout time "
        "and by cost. Seeds vary initial weights and batch order; the data and the split are the same for all seeds, "
        "so intervals say nothing about other data."
    )

    params: Any

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    @property
    def samples(self) -> int:
        """Trajectories of the three splits together."""
        return int(self.params.train + self.params.valid + self.params.test)

    @abstractmethod
    def generate(self) -> Series:
        """All trajectories at the stored resolution, made in float64."""

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return {self.params.file: Path(self.params.file).expanduser()} if self.params.file else {}

    def generated_file(self, cache: Path) -> Path:
        """Where generated data lie; the name tells data apart that differ in a parameter or in the generator."""
        names = ("points", "frames", "final_time", "train", "valid", "test", self.parameter)
        parts = {name: asdict(self.params)[name] for name in names} | {"generator": GENERATOR, "seed": DATA_SEED}
        digest = hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=6).hexdigest()
        return cache / "pde" / f"{self.name.rsplit('/', 1)[-1]}_{digest}.hdf5"

    def prepare(self, cache: Path) -> Series:
        """The trajectories that all seeds share, read from `task.file` or from the cache, made there if need be."""
        from bench.data import hdf5

        p = self.params
        if not 0 < p.initial_step < len(range(0, p.frames, p.reduced_resolution_t)):
            raise BenchError(f"{self.name}: initial_step={p.initial_step} leaves no frame; it holds 1 to all but one")
        path = Path(p.file).expanduser() if p.file else self.generated_file(cache)
        if not p.file:
            hdf5.made_once(path, self.generate)
        self._match(path, hdf5.read_series(path, self.attribute, samples=0))
        return hdf5.read_series(path, self.attribute, self.samples, p.reduced_resolution, p.reduced_resolution_t)

    def problem(self, data: Series, seeds: Seeds) -> Problem:
        """Splits in file order, the test samples first as in PDEBench; seeds play no part."""
        import torch

        p = self.params
        values = torch.from_numpy(data.values.transpose(0, 2, 1).copy())
        test, valid, train = values.split([p.test, p.valid, p.train])
        public = {
            "train": train,
            "x": torch.from_numpy(data.x).float(),
            "t": torch.from_numpy(data.t).float(),
            "equation": {"name": self.equation, self.parameter: getattr(p, self.parameter)},
        }
        hidden = {"test": test, "valid": valid}
        return Problem(public, hidden, Path(p.file).name if p.file else "generated")

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: Seeds) -> Solution:
        from tasks.pde import rollout

        return rollout.run(self.params, public, parts, log, seeds)

    def _predicted(self, fields: Tensor, predict: Callable[..., Any]) -> tuple[Tensor, Tensor]:
        """(prediction, target) of the frames after the context."""
        context, target = fields[..., : self.params.initial_step], fields[..., self.params.initial_step :]
        pred = predict(context.contiguous())
        if pred.shape != target.shape:
            raise BenchError(f"predict returned {tuple(pred.shape)}; (batch, points, frames) = {tuple(target.shape)}")
        return pred, target

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from bench.metrics import pde

        return {"val_nrmse": pde.nrmse(*self._predicted(problem.hidden["valid"], predict), cap=WORST)}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from bench.metrics import pde

        if solution.predict is None:
            raise BenchError(f"{self.name} scores predictions; the solution has no `predict`")
        pair = self._predicted(problem.hidden["test"], solution.predict)
        horizon = pde.horizon(*pair, cap=WORST)
        last = len(horizon) - 1
        return {
            "nrmse": pde.nrmse(*pair, cap=WORST),
            **self.monitor(problem, solution.predict),
            **{f"nrmse_t{part}": float(horizon[round(last * part / 100)]) for part in (25, 50, 100)},
            "rmse": pde.rmse(*pair),
            "conserved": pde.conserved(*pair),
            "max_error": pde.max_error(*pair),
            "boundary": pde.boundary(*pair),
            **{f"fourier_{band}": value for band, value in pde.fourier_bands(*pair).items()},
        }

    def _match(self, path: Path, data: Series) -> None:
        """BenchError unless the data are what the parameters say; the message holds the settings that fit the file."""
        p = self.params
        _, frames, points = data.values.shape
        found = {
            "points": points,
            "frames": frames,
            "final_time": round(float(data.t[-1]), 6),
            self.parameter: data.attributes[self.attribute],
        }
        wrong = {k: v for k, v in found.items() if abs(v - getattr(p, k)) > 1e-4 * abs(v)}
        if wrong:
            fix = " ".join(f"task.{name}={value:g}" for name, value in wrong.items())
            raise BenchError(f"{path}: its data differ from the task's parameters; to use this file set {fix}")
        length = float(data.x[1] - data.x[0]) * points
        if abs(length - 1) > 1e-3:
            raise BenchError(
                f"{path}: its x-coordinate spans a length of {length:.3g}, not 1; the first PDEBench downloads did "
                "(issue 51 of its repository): download the file again"
            )
