"""Any file of trajectories, of whatever equation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Curves, Problem, Solution, Unavailable
from bench.seeds import Seeds
from tasks.pde import base

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.pde.files.fields import Fields
    from tasks.pde.files.layout import Layout


@dataclass
class Params:
    """As base.Params, without what the file tells: grid, frames and times. periodic: whether the domain is, in every direction.

    Defaults: the `small` preset.
    """

    file: str = ""
    periodic: bool = False
    reduced_resolution: int = 1
    reduced_resolution_t: int = 1
    initial_step: int = 1
    train: int = 48
    valid: int = 8
    test: int = 16
    steps: int = 500
    batch: int = 8
    unroll: int = 1
    evaluations: int = 4


class File(base.Evolution):
    """The trajectories of a file. Dimensions and channels are the file's; its constants are told to the surrogate."""

    name = "pde/file"
    Params = Params
    presets = {
        "smoke": {"train": 4, "valid": 2, "test": 2, "steps": 4, "batch": 4, "evaluations": 1},
        "small": {},
        "paper": {"train": 800, "valid": 100, "test": 100, "steps": 80000, "evaluations": 50},
    }
    version = 1
    positive = (
        "reduced_resolution", "reduced_resolution_t", "initial_step", "train", "valid", "test", "steps", "batch", "unroll",
    )  # fmt: skip
    equation, resting = "unknown", 0.01
    shard = None  # type: ignore[assignment]  # as with `__hash__ = None`: nothing is generated
    reference, unanchored = "", "no solver knows the equation of the file"
    margin = 0.0

    @property
    def physics(self) -> dict[str, Any]:
        """Nothing: the equation is not known."""
        return {}

    @property
    def periodic(self) -> bool:  # type: ignore[override]
        """Whether the domain is a ring or a torus."""
        return bool(self.params.periodic)

    def check(self) -> None:
        if not self.params.file:
            raise Unavailable(f"{self.name}: no file is given; name one of trajectories as task.file=PATH")

    def match(self, path: Path, held: Layout) -> None:
        """BenchError unless the file holds enough frames and samples; the message holds the settings that fit it."""
        p = self.params
        if held.frames < 2:
            other = ", or run pde/darcy_2d, which predicts one from the other" if "nu" in held.constants else ""
            raise BenchError(f"{path}: holds one frame, from which nothing follows; take a file of trajectories{other}")
        kept = len(range(0, held.frames, p.reduced_resolution_t))
        if p.initial_step >= kept:
            what = f"initial_step={p.initial_step} leaves none of its {kept} frames to predict"
            raise BenchError(f"{path}: {what}; lower task.initial_step or task.reduced_resolution_t")
        if held.samples < self.samples:
            raise BenchError(
                f"{path}: holds {held.samples} samples, {self.samples} are wanted; lower task.train, task.valid and "
                "task.test to fit"
            )
        if held.periodic is not None and held.periodic != p.periodic:
            fit = str(held.periodic).lower()
            raise BenchError(
                f"{path}: its boundaries differ from the parameters; to use this file set task.periodic={fit}"
            )

    def problem(self, data: Fields, seeds: Seeds) -> Problem:
        """As the other tasks', with constants as the first channels."""
        self.channels, self.constants = (*data.constants, *data.names), len(data.constants)
        return super().problem(data.joined(), seeds)

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        """The metrics that all tasks have: a file's channels are not known before it is read."""
        declared = {metric.name for metric in self.metrics}
        return {name: value for name, value in super().score(problem, solution, log).items() if name in declared}
