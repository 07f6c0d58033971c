"""The plan: from a request to rows of cells, each with its key."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from bench.contract import BenchError, Derived, Task
from bench.data import cache_dir
from bench.planning import config
from bench.planning.settings import Settings
from bench.records import identity
from bench.records.record import Cell
from bench.records.spelling import canonical_json
from bench.records.store import Store

Overrides = Mapping[str, Any]  # dotted path -> value
TUNING_FROM, TUNING_SEEDS = 1000, 1000  # seeds 1000 to 1999 tune; reported seeds count from 0


@dataclass
class Row:
    """One row of a table: an entry on a task with its parameters.

    params: without a derived metric's axis, a file named by its content. paths: parameter -> that file's place on this machine.
    edges: arguments whose tuned value is the least or the largest that was tried.
    planned: seed -> cells, several along a derived metric's axis.
    """

    task: str
    preset: str
    params: Mapping[str, Any]
    entry: str
    slots: tuple[str, ...]
    division: str
    trials: int | None
    paths: Mapping[str, str] = field(default_factory=dict)
    edges: tuple[str, ...] = ()
    planned: dict[int, list[Cell]] = field(default_factory=dict)

    @property
    def cls(self) -> type[Task]:
        """The class of the task."""
        return config.task_spec(self.task).cls

    @property
    def table(self) -> tuple[str, str, str]:
        """The table's identity: task, preset and parameters."""
        return (self.task, self.preset, canonical_json(dict(self.params)))

    def cells(self) -> Iterator[Cell]:
        """Every cell, seed by seed."""
        return chain.from_iterable(self.planned.values())


@dataclass
class Plan:
    """The rows of a request, in order."""

    rows: list[Row]
    suite: str | None = None

    def cells(self) -> Iterator[Cell]:
        """Every cell once, in the order of running: seed by seed, so that an interrupted sweep has whole comparisons."""
        seeds = sorted({seed for row in self.rows for seed in row.planned})
        cells = (cell for seed in seeds for row in self.rows for cell in row.planned.get(seed, ()))
        first: dict[str, Cell] = {}
        for cell in cells:
            first.setdefault(cell.key, cell)
        yield from first.values()


def axis_of(task: type[Task]) -> Derived | None:
    """The derived metric whose axis the plan expands, None if the task has none (all share one axis)."""
    return task.derived[0] if task.derived else None


def absent_of(needs: Iterable[str]) -> tuple[str, ...]:
    """The needed packages, or "cuda", that this machine lacks."""
    cuda = Path("/dev/nvidiactl")
    return tuple(n for n in needs if not (cuda.exists() if n == "cuda" else importlib.util.find_spec(n.split(".")[0])))


class Planner:
    """Builds rows. Its digests are cached beside the store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.settings = settings
        self.digests = identity.Digests(store.root / ".cache" / "digests.json")

    def row(self, task: str, entry: str, seeds: Sequence[int], task_set: Overrides, entry_set: Overrides) -> Row:
        """The row of one (task, entry) pair with its overrides."""
        spec, chosen, preset = config.task_spec(task), config.entry(entry), self.settings.preset
        given = config.parameters(spec, preset, task_set)
        paths = {name: given[name] for name in spec.cls.file_params if given[name]}
        contents = {name: self.digests.by_content(path) for name, path in paths.items()}
        values, trials = {}, None if chosen.search else 0  # None marks a row as untuned, and it is not ranked
        edges: tuple[str, ...] = ()
        tuned = config.tuned(task, chosen.name) if chosen.search and self.settings.tuned and not task_set else None
        if tuned is not None and tuned.preset == preset:
            values, edges, trials = tuned.values, tuned.at_the_edge, tuned.trials
        parts = config.resolve_parts(spec, chosen, {**values, **entry_set})
        derived = axis_of(spec.cls)
        sets = [task_set]
        if derived is not None and derived.axis not in task_set:
            sets = [{**task_set, derived.axis: step} for step in derived.grid[preset]]
        common = {name: value for name, value in (given | contents).items() if derived is None or name != derived.axis}
        slots = tuple(sorted(config.required(chosen)))  # the same on every task, so that means over tasks compare alike
        trials, edges = (None, ()) if entry_set else (trials, edges)
        row = Row(task, preset, common, chosen.name, slots, chosen.division, trials, paths, edges)
        absent = absent_of(chosen.needs)
        for point in (config.parameters(spec, preset, point_set) | contents for point_set in sets):
            files = spec.cls(spec.cls.Params(**{**point, **paths})).data_files(cache_dir())
            components, reads = identity.components(self.digests, spec.target, parts, files)
            about = {"task": task, "version": spec.cls.version, "params": point, "parts": parts}
            key_of = identity.key_maker(about | msgspec.structs.asdict(components))
            for seed in seeds:
                cell = Cell(
                    task, spec.cls.version, spec.target, preset, point, chosen.name, parts, seed, absent, trials, key_of(seed),
                    components, paths, reads,
                )  # fmt: skip
                row.planned.setdefault(seed, []).append(cell)
        return row


def pairs_of(request: config.Request) -> Iterator[tuple[str, str, list[int], dict[str, Any]]]:
    """(task, entry, seeds, parameters) of a request: a suite's pairs with extra entries, or the product of tasks and entries."""
    if request.suite is None:
        if not request.tasks or not request.entries:
            missing = "task=" if not request.tasks else "entry="
            raise BenchError(f"name what to run: {missing}… is missing (or suite=core); `bench list` shows the names")
        seeds = request.seeds or [request.settings.seed]
        yield from ((task, entry, seeds, {}) for task in request.tasks for entry in [*request.entries, *request.extra])
        return
    suite = config.suite(request.suite)
    if others := [task for task in request.tasks if task not in suite.tasks]:
        raise config.unknown(f"task in suite {request.suite}", others[0], suite.tasks)
    wanted = {config.canonical(entry) for entry in request.entries}
    for pair in (pair for pair in suite.pairs if pair.task in (request.tasks or suite.tasks)):
        slots = {slot.name for slot in config.task_spec(pair.task).cls.slots}
        fitting = [e for e in request.extra if request.tasks or config.required(config.entry(e)) <= slots]
        own = [entry for entry in pair.entries if not wanted or config.canonical(entry) in wanted]
        for entry in [*own, *(e for e in fitting if e not in own)]:
            seeds = request.seeds or list(range(pair.seeds or suite.seeds))
            yield pair.task, entry, seeds, dict(pair.params)


def make(request: config.Request, store: Store) -> Plan:
    """The plan of a request. BenchError, naming the pair and the reason, if an entry does not fit its task."""
    planner = Planner(store, request.settings)
    rows = [
        planner.row(task, entry, seeds, {**params, **task_set}, entry_set)
        for task_set, entry_set in request.crossed()
        for task, entry, seeds, params in pairs_of(request)
    ]
    planner.digests.save()
    if not rows:
        raise BenchError("the plan is empty: no pair of the suite matches; `bench plan suite=…` shows its pairs")
    return Plan(rows, request.suite)
