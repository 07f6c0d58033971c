"""What the tasks share: data and splits, the rollout protocol, the metrics."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tasks.pde.files.fields import Fields
    from tasks.pde.files.layout import Family, Layout

GENERATOR = 3  # raise it whenever generated numbers change
EPSILON = 1e-6  # of an RMS below which any field is at rest
ROUNDING = 4 * 2.0**-23  # four float32 roundings: data and predictions are float32, and exact ones differ by about one
WORST = 10.0  # what a diverged rollout counts as, and the largest error of one frame of one trajectory


@dataclass
class Params:
    """Sizes of the stored data, of the splits and of the training. Defaults: the `small` preset.

    points (along every axis), frames, final_time: as stored; with `file`, the file must match them. reduced_resolution
    and reduced_resolution_t stride both. initial_step: context frames. unroll: frames predicted in one training step.
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
SMOKE_2D = {
    "points": 16, "frames": 5, "train": 4, "valid": 2, "test": 2, "steps": 4, "batch": 4, "evaluations": 1,
}  # fmt: skip
PAPER = {
    "points": 1024, "frames": 201, "final_time": 2.0, "reduced_resolution": 4, "reduced_resolution_t": 5,
    "initial_step": 10, "train": 8000, "valid": 1000, "test": 1000, "steps": 80000, "batch": 50, "unroll": 31,
    "evaluations": 50,
}  # fmt: skip


def surrogate(*, channels_in: int, channels_out: int, grid: tuple[int, ...], periodic: bool) -> nn.Module:
    """A module (batch, x[, y[, z]], channels_in) -> (batch, x[, y[, z]], channels_out) that predicts the next frame.

    Input channels are the context frames' channels, oldest frame first, then the coordinates. grid: points along each axis.
    periodic: whether the domain is; otherwise its edges are ends.
    """
    raise NotImplementedError


def output_form(*, model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """What a surrogate's output is: (last context frame, output) -> the next frame, all (batch, x.., predicted channels) in the
    model's units. It may change the model before training.
    """
    raise NotImplementedError


def solver(*, initial: Tensor, axes: Sequence[Tensor], t: Tensor, equation: Mapping[str, Any]) -> Tensor:
    """States (batch, x.., times, predicted channels) at times t > 0 (times,) after `initial` (batch, x.., channels).

    The first equation["constants"] channels of `initial` do not change and are not predicted. axes: the coordinates along
    each dimension. equation: its name and parameters, such as {"name": "advection", "beta": b} or {"name": "burgers",
    "nu": n}; the task's README gives each.
    """
    raise NotImplementedError


def error(name: str, doc: str, unit: str = "field", cap: float | None = None) -> Metric:
    """A metric that is an error: less is better, seeds are averaged on a log scale. A relative one is good to `ROUNDING`."""
    return Metric(name, unit, "min", doc, "log", cap, resolution=ROUNDING if unit == "1" else 0.0)


METRICS = (
    error("nrmse", "relative RMS error, mean over test trajectories, frames and channels", "1", WORST),
    error("val_nrmse", "the same on the validation trajectories, at the end", "1", WORST),
    error("nrmse_t25", "relative RMS error at a quarter of the rollout", "1"),
    error("nrmse_t50", "relative RMS error at half of the rollout", "1"),
    error("nrmse_t100", "relative RMS error at the end of the rollout", "1"),
    error("vrmse", "RMS error over the standard deviation in space", "1"),
    Metric("correlation_time", "1", "max", "share of the rollout before the correlation in space falls below 0.8"),
    error("rmse", "RMS error over space, mean over test trajectories, frames and channels"),
    error("conserved", "absolute error of the spatial mean"),
    error("max_error", "largest absolute error at any point, frame and test trajectory"),
    error("boundary", "RMS error over the outermost points"),
    error("fourier_low", "RMS error in wave numbers 0-3"),
    error("fourier_mid", "RMS error in wave numbers 4-11"),
    error("fourier_high", "RMS error in wave numbers 12 and up"),
)


def loss(*, pred: Tensor, target: Tensor, epsilon: Tensor) -> Tensor:
    """What training minimises, a number, of predicted and true frames (batch, x.., frames, channels).

    epsilon: (channels,), the RMS below which a channel of the target is at rest.
    """
    raise NotImplementedError


def metrics_of(*channels: str) -> tuple[Metric, ...]:
    """The metrics of a task with several channels: those that all tasks have, and the relative error of each channel."""
    each = (error(f"nrmse_{name}", f"relative RMS error of {name} alone", "1") for name in channels)
    return (*METRICS, *each)


def unrolling(*, unroll: int, frames: int) -> tuple[int, int]:
    """How a training step rolls the surrogate out: (frames first, through which no gradient flows; frames that the loss sees).

    unroll: the task's parameter. frames: of a whole rollout, which the two together may not exceed.
    """
    raise NotImplementedError


class Evolution(Task):
    """Predict frames `initial_step` .. end of unseen trajectories from the frames before."""

    version = 2
    rank = "nrmse"
    objective = "val_nrmse"
    file_params = ("file",)
    positive: ClassVar[tuple[str, ...]] = (
        "points", "frames", "final_time", "reduced_resolution", "reduced_resolution_t", "initial_step", "train", "valid", "test",
        "steps", "batch", "unroll",
    )  # fmt: skip
    equation: ClassVar[str]
    attributes: ClassVar[Mapping[str, str]] = {}  # a parameter of `Params` -> what PDEBench's files call it
    channels: tuple[str, ...] = ("u",)
    dims: ClassVar[int] = 1
    length: ClassVar[float] = 1.0  # of the domain, along every axis
    periodic: ClassVar[bool] = True
    family: ClassVar[Family] = "scalar"  # the layout of its files, see tasks.pde.files.pdebench
    constants: int = 0  # number of first channels that do not change in time: they are given, not predicted
    shard_size: ClassVar[int] = 50  # trajectories generated, and stored, at a time
    resting: ClassVar[float] = 0.0  # share of a channel's RMS below which a frame of it counts as at rest
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    slots: ClassVar[tuple[Slot, ...]] = (
        Slot("surrogate", surrogate, {"_target_": "baselines.surrogates.fno.FNO", "modes": 12, "width": 20}),
        Slot("output_form", output_form, {"_target_": "tasks.pde.rollout.correction"}),
        Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "Adam", "lr": 5e-3}),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.cosine"}),
        Slot("loss", loss, {"_target_": "tasks.pde.rollout.relative_loss"}),
        Slot("unrolling", unrolling, {"_target_": "tasks.pde.rollout.unrolled"}),
        Slot(
            "solver", solver, None, excludes=("surrogate", "output_form", "optimizer", "schedule", "loss", "unrolling")
        ),
    )
    floors: ClassVar[tuple[str, ...]] = ("persistence",)
    outgrows_floor = True

    params: Any

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    @property
    def samples(self) -> int:
        """Trajectories of the three splits together."""
        return int(self.params.train + self.params.valid + self.params.test)

    @property
    def physics(self) -> dict[str, Any]:
        """The parameters that are the equation's, and not those of sizes, splits or training."""
        common = {field.name for field in fields(Params)}
        return {name: value for name, value in asdict(self.params).items() if name not in common}

    @abstractmethod
    def shard(self, count: int, seed: int) -> Fields:
        """`count` trajectories at the stored resolution, made in float64. seed: 128 bits, another for each shard."""

    def shards(self, pool: int) -> Callable[[int, int], Fields]:
        """(start, count) -> trajectories start .. start + count - 1 of a pool; start is a multiple of `shard_size`."""

        def trajectories(start: int, count: int) -> Fields:
            text = f"{self.name}/{GENERATOR}/{pool}/{start}".encode()
            return self.shard(count, int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big"))

        return trajectories

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return {"file": Path(self.params.file).expanduser()} if self.params.file else {}

    def identity(self, pool: int) -> dict[str, Any]:
        """What the generated data of a pool depend on, beside the code."""
        names = ("points", "frames", "final_time", "train", "valid", "test")
        parts = {name: asdict(self.params)[name] for name in names} | self.physics
        return parts | {"generator": GENERATOR, "pool": pool}

    def generated_file(self, cache: Path, pool: int) -> Path:
        """Where a pool's data lie; the name tells data apart that differ in a parameter, in the pool or in the generator."""
        digest = hashlib.blake2b(json.dumps(self.identity(pool), sort_keys=True).encode(), digest_size=6).hexdigest()
        return cache / "pde" / f"{self.name.rsplit('/', 1)[-1]}_{digest}.{'h5' if self.family == 'seeds' else 'hdf5'}"

    def prepare(self, cache: Path, pool: int) -> Fields:
        """The trajectories of `task.file`, or those that the seeds of a pool share, from the cache or made there."""
        import numpy as np

        from tasks.pde.files import make, reading

        p = self.params
        self.check()
        path = Path(p.file).expanduser() if p.file else self.generated_file(cache, pool)
        if not p.file:
            identity = json.dumps(self.identity(pool))
            make.make(path, self.shards(pool), self.samples, self.family, self.shard_size, print, identity)
        self.match(path, reading.info(path))
        data = reading.read(path, slice(0, self.samples), p.reduced_resolution, p.reduced_resolution_t)
        finite = np.isfinite(data.values).reshape(len(data.values), -1).all(axis=1)
        if not finite.all():
            raise BenchError(
                f"{path}: sample {int(np.argmin(finite))} holds values that are not finite; `bench data check {path}` says "
                "which, generate or download it anew"
            )
        return data

    def check(self) -> None:
        """BenchError for parameters that make no problem."""
        p = self.params
        if not 0 < p.initial_step < len(range(0, p.frames, p.reduced_resolution_t)):
            raise BenchError(f"{self.name}: initial_step={p.initial_step} leaves no frame; it holds 1 to all but one")

    def problem(self, data: Fields, seeds: Seeds) -> Problem:
        """Splits of the pool that each seed draws anew; of a file in its own order, the test samples first as in PDEBench."""
        import torch

        p = self.params
        values = torch.from_numpy(data.values.astype("float32")).movedim(1, -2).contiguous()
        if not p.file:
            values = values[seeds.stream("split", "samples").permutation(len(values))]
        test, valid, train = values.split([p.test, p.valid, p.train])
        rms = train.double().square().mean(dim=tuple(range(train.ndim - 1))).sqrt().float()
        public = {
            "train": train,
            "axes": [torch.from_numpy(axis).float() for axis in data.axes],
            "t": torch.from_numpy(data.t).float(),
            "equation": {"name": self.equation, "constants": self.constants, **self.physics},
            "channels": list(self.channels),
            "constants": self.constants,
            "periodic": self.periodic,
            "rest": self.resting * rms[self.constants :] + EPSILON,
        }
        hidden = {"test": test, "valid": valid, "rest": public["rest"]}
        return Problem(public, hidden, Path(p.file).name if p.file else "generated")

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        from tasks.pde import rollout

        return rollout.run(self.params, public, parts, log, seeds)

    def _predicted(self, values: Tensor, predict: Callable[..., Any]) -> tuple[Tensor, Tensor]:
        """(prediction, target) of the frames after the context."""
        context, target = values[..., : self.params.initial_step, :], values[..., self.params.initial_step :, :]
        pred, target = predict(context.contiguous()), target[..., self.constants :]
        if pred.shape != target.shape:
            raise BenchError(
                f"predict returned {tuple(pred.shape)}; (batch, x.., frames, channels) = {tuple(target.shape)} is wanted"
            )
        return pred, target

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from bench.metrics import pde

        pair, rest = self._predicted(problem.hidden["valid"], predict), problem.hidden["rest"]
        return {"val_nrmse": pde.nrmse(*pair, cap=WORST, epsilon=rest)}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from bench.metrics import pde

        predict = solution.require_predict()
        pair, rest = self._predicted(problem.hidden["test"], predict), problem.hidden["rest"]
        errors = pde.relative_errors(*pair, cap=WORST, epsilon=rest)
        horizon, by_channel = errors.mean(dim=(0, 2)), errors.mean(dim=(0, 1))
        last = len(horizon) - 1
        scores: dict[str, float | None] = {
            "nrmse": float(errors.mean()),
            **self.monitor(problem, predict),
            **{f"nrmse_t{part}": float(horizon[round(last * part / 100)]) for part in (25, 50, 100)},
            "vrmse": pde.vrmse(*pair, cap=WORST),
            "correlation_time": pde.correlation_time(*pair),
            "rmse": pde.rmse(*pair),
            "conserved": pde.conserved(*pair),
            "max_error": pde.max_error(*pair),
            "boundary": pde.boundary(*pair),
            **{f"fourier_{band}": value for band, value in pde.fourier_bands(*pair).items()},
        }
        if len(self.channels) > 1:
            names = self.channels[self.constants :]
            scores |= {f"nrmse_{name}": float(value) for name, value in zip(names, by_channel, strict=True)}
        return scores

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        from tasks.pde import exhibits

        pred, target = self._predicted(problem.hidden["test"][:1], solution.require_predict())
        late = problem.public["t"][self.params.initial_step :]
        return {"sample": exhibits.field(pred[0], target[0], problem.public["axes"], late)}

    def match(self, path: Path, held: Layout) -> None:
        """BenchError unless the data are what the parameters say; the message holds the settings that fit the file."""
        p = self.params
        names = held.names if held.named else self.channels[: len(held.names)]  # PDEBench's "seeds" name none
        if names != self.channels or len(held.axes) != self.dims:
            raise BenchError(
                f"{path}: holds {', '.join(held.names)} in {len(held.axes)} dimensions; {self.name} wants "
                f"{', '.join(self.channels)} in {self.dims}; it belongs to another equation"
            )
        lacking = [name for name in self.attributes.values() if name not in held.attributes]
        if lacking:
            has = ", ".join(held.attributes) or "none"
            raise BenchError(f"{path}: has no attribute {lacking[0]!r} (it has: {has}); it belongs to another equation")
        sizes = {
            "points": len(held.axes[0]),
            "frames": held.frames,
            "final_time": round(float(held.t[-1]), 6),
            **{name: held.attributes[attribute] for name, attribute in self.attributes.items()},
        }
        wrong = {k: v for k, v in sizes.items() if abs(v - getattr(p, k)) > 1e-4 * abs(v)}
        if wrong:
            fix = " ".join(f"task.{name}={value:g}" for name, value in wrong.items())
            raise BenchError(f"{path}: its data differ from the task's parameters; to use this file set {fix}")
        if held.samples < self.samples:
            raise BenchError(
                f"{path}: holds {held.samples} samples, {self.samples} are wanted; lower task.train, task.valid and "
                "task.test to fit"
            )
        length = float(held.axes[0][1] - held.axes[0][0]) * len(held.axes[0])
        if abs(length - self.length) > 1e-3 * self.length:
            raise BenchError(
                f"{path}: its x-coordinate spans a length of {length:.3g}, not {self.length:g}; the first PDEBench "
                "downloads did (issue 51 of its repository): download the file again"
            )
