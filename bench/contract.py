"""The contracts between the harness, tasks and entries. Nothing here imports torch or numpy, so that a plan is made fast.

A *task* is a problem with data, parameters, a budget and metrics. An *entry* fills one or more *slots* of a task. A *cell* is
(task + parameters, preset, entry, seed); running it writes one *record*.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from bench.seeds import EntrySeeds, Seeds


class BenchError(Exception):
    """An error for the user. Its message names the thing, the reason and the next step; it is printed without a traceback."""


class Misfit(BenchError):
    """An entry does not fit a task; the message names the task's slots and their signatures."""


class Unavailable(BenchError):
    """Data, a package or a device is absent. The cell's status becomes `unavailable`, not an error of the sweep."""


class Diverged(BenchError):
    """A loss or another number of the training is not finite."""


class Exhausted(Exception):
    """The budget is spent. The solution in `log.incumbent` is scored."""


@dataclass(frozen=True)
class Target:
    """The value that a monitored curve has to reach (`>=`)."""

    curve: str
    value: float


@dataclass(frozen=True)
class Metric:
    """One number of a record.

    scale: the scale on which seeds are averaged. diverged: the value of a diverged or failed cell in an aggregate, so that
    no entry gains by failing; "first" is the value before training, which the record keeps as `initial_<name>`. source:
    metrics of a "probe" never rank. target: the metric is the time to this target; a run stops once every target is
    reached, and one that misses a target is censored at its budget.

    What a value is good to: entries whose means differ by at most `resolution`, in the metric's unit, tie. step: the metric
    is read off a grid, so that the true value is better than the one read by up to this number, or by the task parameter of
    this name; a derived metric that names its own axis is read off that axis's grid. sample: the metric is a share of this
    number of samples, or of the number that the parameter of this name holds; 1 for a metric that is 0 or 1.
    """

    name: str
    unit: str
    better: Literal["min", "max"]
    doc: str
    scale: Literal["linear", "log", "logit"] = "linear"
    diverged: float | Literal["first"] | None = None
    source: Literal["score", "probe"] = "score"
    target: Target | None = None
    resolution: float = 0.0
    step: float | str = 0.0
    sample: int | str = 0


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
    """What a run may spend, in a unit of `Log.count` (steps, samples, evals, matvecs, …) and never in seconds: equal cells
    give equal bits."""

    unit: str
    limit: int


@dataclass(frozen=True)
class Problem:
    """A cell's data. public: plain tensors and numbers, sent once to the entry's process. hidden: kept by the scorer. origin:
    such as "generated", "official" or "unverified"."""

    public: Mapping[str, Any]
    hidden: Mapping[str, Any]
    origin: str = "generated"


@dataclass
class Solution:
    """The result of a run. predict: inputs -> outputs, called in the entry's process. tensors: plain results."""

    predict: Callable[..., Any] | None = None
    tensors: dict[str, Any] = field(default_factory=dict)

    def require_predict(self) -> Callable[..., Any]:
        """`predict`; BenchError if there is none."""
        if self.predict is None:
            raise BenchError("the task scores predictions, and the solution has no `predict`; return Solution(predict)")
        return self.predict


EXHIBIT_BYTES = 65536  # the limit on all exhibits of a record together


@dataclass(frozen=True)
class Exhibit:
    """Small arrays of a finished cell from which a picture is drawn. It never ranks.

    kind: "field", values on a grid; "series", values along one axis; "points", rows of coordinates; "matrix", rows against
    columns; "images", a row of pictures. arrays: tensors or arrays with the dimensions `axes`; an array named like an axis
    holds that axis's coordinates. unit: of the values.
    """

    kind: Literal["field", "series", "points", "matrix", "images"]
    arrays: Mapping[str, Any]
    axes: tuple[str, ...]
    unit: str
    doc: str


Text = Annotated[str, msgspec.Meta(pattern=r"\S", description="text that is not blank")]


class Datasheet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reader has to know about a task's data: prose in `configs/task/`, no part of a cell's identity. reference_error:
    the error of the reference solution."""

    paper: Text
    data_source: Text
    data_licence: Text
    intended_use: Text
    known_limits: Text
    reference_error: Text


class Log(Protocol):
    """The interface by which a running entry reports its progress and asks for evaluations."""

    incumbent: Solution | None

    @property
    def stop(self) -> bool:
        """True once every target metric has been reached."""

    def count(self, **amounts: int) -> None:
        """Spend `steps=1, samples=32, …`; raises Exhausted, and counts nothing, if the budget would be overdrawn."""

    def track(self, step: int, **values: float) -> None:
        """Add points to training curves, such as the loss of a step."""

    def evaluate(self, step: int, predict: Callable[..., Any], stage: str = "") -> Mapping[str, float]:
        """The monitored metrics of `predict`, uncharged. stage: records their points a second time, as `stage/metric`."""

    def probe(self, step: int, **state: Any) -> None:
        """Run the task's probes on `state`, uncharged, with random draws of their own. One that raises ends its own curves
        only."""

    def phase(self, name: Literal["setup", "train", "predict"]) -> AbstractContextManager[None]:
        """A context whose CPU seconds are booked on this phase."""


class Curves(Protocol):
    """What `Task.score` reads of a finished run."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What the run spent."""

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        """(steps, values) of a monitored, tracked or probed curve; empty lists if there is none."""


class Task(ABC):
    """A problem. Importing its module must not import torch: import it inside the methods."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    Params: ClassVar[type]  # a dataclass: names, types and defaults of the parameters
    file_params: ClassVar[tuple[str, ...]] = ()  # parameters that are a file's path; the file's content identifies it
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]  # smoke, small, paper -> parameters
    metrics: ClassVar[tuple[Metric, ...]]
    derived: ClassVar[tuple[Derived, ...]] = ()
    rank: ClassVar[str]  # the metric or derived metric by which entries are ranked
    positive: ClassVar[tuple[str, ...]] = ()  # parameters that must be above 0
    objective: ClassVar[str]  # the metric, on validation data, that tuning minimises or maximises
    slots: ClassVar[tuple[Slot, ...]]
    probes: ClassVar[Mapping[str, str]] = {}  # name -> dotted path of f(**state) -> {curve: float}
    floors: ClassVar[tuple[str, ...]]  # names of entries that a useful entry beats; the first anchors skill at 0
    reference: str  # name of the entry that anchors skill at 1; empty where none does, and `unanchored` says why
    unanchored: str = ""
    outgrows_floor: ClassVar[bool] = (
        False  # whether one that trains and stays behind the first floor is told "undertrained"
    )
    margin: ClassVar[float]  # the least gap between floor and reference, on the scale of the ranking metric

    def __init__(self, params: Any) -> None:
        for name in self.positive:
            if not getattr(params, name) > 0:
                raise BenchError(f"task.{name}={getattr(params, name)}: it has to be above 0 for {self.name}")
        self.params = params

    @property
    @abstractmethod
    def budget(self) -> Budget:
        """What a run with these parameters may spend."""

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        """name -> file that the data come from. Names hold no folder: a parameter or a file name. Contents identify the cell."""
        return {}

    def prepare(self, cache: Path, pool: int) -> Any:
        """Make or find the data that the seeds of `pool` (see Seeds) share. Idempotent, never charged; raises Unavailable.

        Data that are generated differ from pool to pool; a data set is the same for all.
        """
        return None

    @abstractmethod
    def problem(self, data: Any, seeds: Seeds) -> Problem:
        """The cell's problem from the prepared data. Cheap."""

    @abstractmethod
    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        """Train or solve in the entry's process. parts: slot -> callable, or a list of them for a `many` slot."""

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        """Metrics during the run, computed in the scorer."""
        return {}

    @abstractmethod
    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        """Final metrics, computed in the scorer; None where a metric is undefined for this entry."""

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Arrays for pictures, made in the scorer; at most EXHIBIT_BYTES together."""
        return {}


@dataclass(frozen=True)
class Entry:
    """A named, configured filler of slots.

    parts: slot -> configuration; one with `_target_` replaces the slot's default, one without changes the default's arguments.
    search: path ("optimizer.lr") -> [low, high] on a log grid, or {values: list}. needs: packages, or "cuda".
    """

    name: str
    parts: Mapping[str, Any]
    search: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    doc: str = ""
    paper: str = ""

    @property
    def division(self) -> Literal["open", "closed"]:
        """Open: the entry brings a whole procedure; it is compared with other procedures only."""
        return "open" if "procedure" in self.parts else "closed"
