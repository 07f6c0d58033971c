"""The contracts between the harness, tasks and entries: words first, code second.

A *task* is a problem with data, parameters, a budget and metrics. An *entry* fills one or more *slots* of a task.
A *cell* is (task + parameters, entry, seed); running it leaves one *record*.

This module imports neither torch nor numpy, so that planning stays light; tasks import torch inside their methods.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec

STATUSES = ("ok", "diverged", "failed", "timeout", "oom", "crashed", "unavailable")


class BenchError(Exception):
    """An error for the user: names the thing, the reason and the next step. Printed without a traceback."""


class Misfit(BenchError):
    """An entry does not fit a task; the message names the task's slots and their signatures."""


class Unavailable(BenchError):
    """Data, a package or a device is absent. The cell's status becomes `unavailable`, not an error of the sweep."""


class Diverged(BenchError):
    """Training left the finite numbers."""


class Exhausted(Exception):
    """The budget is spent; what the entry has left in `log.incumbent` is scored."""


@dataclass(frozen=True)
class Target:
    """A monitored curve and the value it has to reach (`>=`)."""

    curve: str
    value: float


@dataclass(frozen=True)
class Metric:
    """One number of a record.

    scale: the scale on which seeds are averaged. diverged: what a diverged or failed cell counts as in an aggregate
    ("first" is the value before training, kept by the record as `initial_<name>`), so that nobody gains by failing.
    source "probe" never ranks. target: time-to-target; the run stops once every target is reached, and a run that
    never does is censored at its budget.
    """

    name: str
    unit: str
    better: Literal["min", "max"]
    doc: str
    scale: Literal["linear", "log", "logit"] = "linear"
    diverged: float | Literal["first"] | None = None
    source: Literal["score", "probe"] = "score"
    target: Target | None = None


@dataclass(frozen=True)
class Derived:
    """A metric of a group of cells that differ in one task parameter.

    axis: name of that parameter. grid: preset -> its values; the plan expands them. reduce(grid, rows) takes the
    metrics of the group's records in grid order (a diverged cell's metrics hold their `diverged` values).
    """

    metric: Metric
    axis: str
    grid: Mapping[str, tuple[float, ...]]
    reduce: Callable[[Sequence[float], Sequence[Mapping[str, float]]], float]


@dataclass(frozen=True)
class Slot:
    """A part of a task that an entry may replace.

    call: a typed stub; its parameters, passed by keyword, are the compatibility rule.
    default: the reference part (`{"_target_": "module.callable", **arguments}`), or None where empty is allowed.
    many: several parts compose in order. excludes: slots that make no sense beside this one.
    """

    name: str
    call: Callable[..., Any]
    default: Mapping[str, Any] | None = None
    many: bool = False
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Budget:
    """What a run may spend, counted and never timed, so that the same cell gives the same bits.

    unit: what is counted under this name by `Log.count`: steps, samples, evals, matvecs, or another that the task makes sense of.
    """

    unit: str
    limit: int


@dataclass(frozen=True)
class Problem:
    """public: plain tensors and numbers, crosses to the entry once. hidden: never crosses. origin: of the data."""

    public: Mapping[str, Any]
    hidden: Mapping[str, Any]
    origin: str = "generated"


@dataclass
class Solution:
    """predict: inputs -> outputs, stays alive in the entry's process and is served. tensors: plain results."""

    predict: Callable[..., Any] | None = None
    tensors: dict[str, Any] = field(default_factory=dict)

    def require_predict(self) -> Callable[..., Any]:
        """`predict`; BenchError if there is none."""
        if self.predict is None:
            raise BenchError("the task scores predictions, and the solution has no `predict`; return Solution(predict)")
        return self.predict


EXHIBIT_BYTES = 65536  # the most that all exhibits of a record hold


@dataclass(frozen=True)
class Exhibit:
    """Small arrays of a finished cell that are worth a picture. It never ranks.

    kind: "field", values on a grid; "series", values along one axis; "points", rows of coordinates; "matrix", rows against
    columns; "images", pictures one after another. arrays: tensors or arrays, all with the dimensions `axes`; one named as an
    axis holds that axis's coordinates. unit: of the values.
    """

    kind: Literal["field", "series", "points", "matrix", "images"]
    arrays: Mapping[str, Any]
    axes: tuple[str, ...]
    unit: str
    doc: str


@dataclass(frozen=True)
class Seeds:
    """Seeds derived per axis from (seed, axis, task): all entries meet the same data and draws.

    `axes` limits what a holder may derive; the entry's side gets no "data" and no "split".
    """

    seed: int
    task: str
    axes: tuple[str, ...] = ("data", "split", "init", "order", "noise")

    def __call__(self, axis: str) -> int:
        """A 63-bit seed for `axis`; KeyError if this holder has no such axis."""
        if axis not in self.axes:
            raise KeyError(f"no seed axis {axis!r} here; there are {', '.join(self.axes)}")
        text = f"{self.seed}/{axis}/{self.task}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


Text = Annotated[str, msgspec.Meta(pattern=r"\S", description="text that is not blank")]


class Datasheet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reader has to know of a task's data: prose in `configs/task/`, mandatory, and no part of a cell's identity.

    reference_error: how exact the reference solution is that entries are measured against.
    """

    paper: Text
    data_source: Text
    data_licence: Text
    intended_use: Text
    known_limits: Text
    reference_error: Text


class Log(Protocol):
    """What a running entry reports, and is told."""

    incumbent: Solution | None

    @property
    def stop(self) -> bool:
        """True once every target metric has been reached."""

    def count(self, **amounts: int) -> None:
        """Spend `steps=1, samples=32, …`; asks first, raises Exhausted if the budget's unit would be overdrawn."""

    def track(self, step: int, **values: float) -> None:
        """Keep points of training curves (the loss of a step, the current learning rate)."""

    def evaluate(self, step: int, predict: Callable[..., Any], stage: str = "") -> Mapping[str, float]:
        """Monitored metrics now; targets stay with the harness. Uncharged.

        stage: a name under which the curves are kept once more, as `stage/metric`, with the points of this stage only.
        """

    def probe(self, step: int, **state: Any) -> None:
        """Run the task's probes on `state`: own random stream, clock paused; scores do not depend on it. One that raises ends
        its own curves, and the record says so."""

    def phase(self, name: Literal["setup", "train", "predict"]) -> AbstractContextManager[None]:
        """CPU seconds inside are booked on this phase."""


class Curves(Protocol):
    """What the scorer can read back of a finished run."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What the run spent."""

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        """(steps, values) of a monitored, tracked or probed curve; empty lists if there is none."""


class Task(ABC):
    """A problem. Subclasses set the class attributes and implement problem, run and score.

    Importing a task's module must not import torch: import it inside the methods. What a reader should know of the data is
    prose, and stands in the task's configuration file (see `Datasheet`).
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    Params: ClassVar[type]  # a dataclass: names, types and defaults of the parameters
    file_params: ClassVar[tuple[str, ...]] = ()  # names of parameters that are a file's path: its content identifies it
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]  # smoke, small, paper -> parameters
    metrics: ClassVar[tuple[Metric, ...]]
    derived: ClassVar[tuple[Derived, ...]] = ()
    rank: ClassVar[str]  # the metric, or derived metric, that ranks
    positive: ClassVar[tuple[str, ...]] = ()  # parameters that have to be above 0
    objective: ClassVar[str]  # the metric, on validation data, that tuning minimises or maximises
    slots: ClassVar[tuple[Slot, ...]]
    probes: ClassVar[Mapping[str, str]] = {}  # name -> dotted path of f(**state) -> {curve: float}
    floors: ClassVar[tuple[str, ...]]  # names of entries that a useful entry beats; the first anchors skill at 0
    reference: ClassVar[str]  # name of the entry that anchors skill at 1
    margin: ClassVar[float]  # the reference's skill minus the floor's is 1; this is the least gap, on the rank's scale

    def __init__(self, params: Any) -> None:
        for name in self.positive:
            if not getattr(params, name) > 0:
                raise BenchError(
                    f"task.{name}={getattr(params, name)}: it has to be above 0; {self.name} needs a larger one"
                )
        self.params = params

    @property
    @abstractmethod
    def budget(self) -> Budget:
        """What a run may spend, from the parameters."""

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        """Files that the data come from (not generated ones), by a name without their place: a parameter, a file name.

        Their content is part of the cell's identity.
        """
        return {}

    def prepare(self, cache: Path) -> Any:
        """Make or find the data that all seeds share; idempotent, raises Unavailable. Never charged."""
        return None

    @abstractmethod
    def problem(self, data: Any, seeds: Seeds) -> Problem:
        """The cell's problem from the prepared data. Cheap."""

    @abstractmethod
    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: Seeds) -> Solution:
        """Train or solve, with the entry's parts (callables, or lists of them for `many` slots), in its process."""

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        """Metrics at intervals, on the harness side."""
        return {}

    @abstractmethod
    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        """Final metrics, on the harness side; None where a metric is undefined for this entry."""

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """What is worth a picture, on the harness side; at most EXHIBIT_BYTES in all."""
        return {}


@dataclass(frozen=True)
class Entry:
    """A named, configured filler of slots.

    parts: slot -> part configuration. A part with `_target_` replaces the slot's default, one without changes
    arguments of the default. search: path ("optimizer.lr") -> [low, high] on a log grid, or an explicit list under
    `values`. needs: packages, or "cuda".
    """

    name: str
    parts: Mapping[str, Any]
    search: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    doc: str = ""
    paper: str = ""

    @property
    def division(self) -> Literal["open", "closed"]:
        """Open: a whole procedure of one's own, compared only with its like."""
        return "open" if "procedure" in self.parts else "closed"
