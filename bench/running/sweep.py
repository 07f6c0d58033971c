"""From a plan to records: skip what is fresh, run the rest, write each cell's record as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from bench.contract import BenchError
from bench.data import cache_dir
from bench.outcome import Outcome
from bench.planning.plan import Plan
from bench.planning.settings import Settings
from bench.planning.states import expected, states
from bench.records.cell import Cell
from bench.records.provenance import here
from bench.records.record import FORMAT, Record
from bench.records.store import Store
from bench.running import calibration
from bench.running.progress import Progress


def job_of(cell: Cell, settings: Settings) -> Any:
    """What the cell's process needs to know."""
    from bench.execute import Job

    return Job(
        target=cell.target,
        params=cell.given,
        parts=dict(cell.parts),
        seed=cell.seed,
        cache=str(cache_dir()),
        probes=settings.probes,
        seconds=settings.limits.seconds,
        memory_mb=settings.limits.memory_mb,
        reads=cell.reads,
    )


def record_of(cell: Cell, outcome: Outcome, settings: Settings, started: str) -> Record:
    """The record that a cell leaves behind."""
    from bench.running import sandbox  # 20 ms, which a sweep whose cells are all there can save

    provenance = msgspec.structs.replace(
        here(),
        origin=outcome.origin,
        transport=settings.transport,
        isolation=sandbox.of(settings.transport),
        started=started,
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Record(
        format=FORMAT,
        key=cell.key,
        task=cell.task,
        version=cell.version,
        preset=cell.preset,
        params=dict(cell.params),
        entry=cell.entry,
        config=dict(cell.parts),
        seed=cell.seed,
        status=outcome.status,
        reason=outcome.reason,
        traceback=outcome.traceback,
        output=outcome.output,
        metrics=outcome.metrics,
        censored=outcome.censored,
        costs=outcome.costs,
        trials=cell.trials,
        components=cell.components,
        limits=settings.limits,
        absent=list(cell.absent),
        unkeyed_reads=outcome.unkeyed_reads,
        exhibits=outcome.exhibits,
        provenance=provenance,
    )


@dataclass
class Summary:
    """How a sweep ended."""

    ran: int = 0
    fresh: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    elsewhere: int = 0
    interrupted: bool = False
    held: set[str] = field(default_factory=set)  # leases to give back

    @property
    def ok(self) -> bool:
        """Nothing failed; a diverged cell is a result, an unavailable one no error of the sweep."""
        return not self.interrupted and not set(self.statuses) - {"ok", "diverged", "unavailable"}


def run(plan: Plan, store: Store, settings: Settings, sink: Callable[[Record], None] | None = None) -> Summary:
    """Run what is to run. Every planned cell ends in a record; Ctrl-C leaves the finished ones and stops.

    Raises BenchError if the results folder cannot be written: before anything runs, or at once when a disk fills.
    """
    found = states(plan, store, settings)
    todo = [cell for cell in plan.cells() if found[cell.key].rerun]
    summary = Summary(fresh=len(found) - len(todo))
    for was in found.values():
        if not was.rerun and was.word != "fresh":
            summary.statuses[was.word] = summary.statuses.get(was.word, 0) + 1
    if not todo:
        return summary
    _check_writable(store)
    speed = calibration.score(store.root / ".cache") if calibration.wanted(todo) else None
    progress = Progress(len(todo), summary.fresh, settings.workers, expected(todo, store))
    try:
        for record, curves in _outcomes(todo, store, settings, progress, summary):
            if speed is not None:
                record.provenance.calibration = speed
            store.put(record, curves)
            store.release(record.key)
            summary.held.discard(record.key)
            summary.ran += 1
            status = record.status
            summary.statuses[status] = summary.statuses.get(status, 0) + 1
            progress.ended(record.key, record.costs.wall if status == "ok" else None)
            if status not in ("ok", "unavailable"):
                progress.bad += 1
                progress.say(f"{status}: {record.label}: {record.reason}")
            progress.show([])
            if sink is not None:
                sink(record)
    except KeyboardInterrupt:
        summary.interrupted = True
        progress.say("interrupted: finished cells are kept; the same command continues")
    finally:
        for key in summary.held:
            store.release(key)
    progress.show([], force=True)
    if progress.out.isatty():
        progress.out.write("\n")
    return summary


def _check_writable(store: Store) -> None:
    probe = store.root / ".cache" / ".writable"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"results folder {store.root}: {reason}; choose another with results=PATH") from error


def _outcomes(
    todo: list[Cell], store: Store, settings: Settings, progress: Progress, summary: Summary
) -> Iterator[tuple[Record, bytes]]:
    runnable: list[Cell] = []
    for cell in todo:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        if cell.absent:
            reason = f"needs {', '.join(cell.absent)}; install it, then run the same command"
            outcome = Outcome.failure("unavailable", reason)
            yield record_of(cell, outcome, settings, now), b""
        else:
            runnable.append(cell)
    if settings.transport == "call":
        yield from _called(runnable, store, settings, summary)
    elif runnable:
        yield from _pooled(runnable, store, settings, progress, summary)


def _called(cells: list[Cell], store: Store, settings: Settings, summary: Summary) -> Iterator[tuple[Record, bytes]]:
    from bench.execute import call
    from bench.running.scorer_process import npz

    for cell in cells:
        if not _claim(cell, store, summary):
            continue
        now = datetime.now(UTC).isoformat(timespec="seconds")
        outcome = call(job_of(cell, settings))
        yield record_of(cell, outcome, settings, now), npz(outcome)


@cache
def _usual(task: str, preset: str) -> dict[str, Any]:
    from bench.planning import config

    return config.parameters(config.task_spec(task), preset, {})


def _label(cell: Cell) -> str:
    """The cell in a few words, with the parameters that are not the preset's."""
    usual = _usual(cell.task, cell.preset)
    set_ = "".join(f" {name}={value}" for name, value in cell.params.items() if usual.get(name) != value)
    return f"{cell.task} {cell.entry}{set_} seed {cell.seed}"


def _claim(cell: Cell, store: Store, summary: Summary) -> bool:
    """Take the cell, unless another sweep runs it now or has just finished it."""
    if not store.lease(cell.key):
        summary.elsewhere += 1
        return False
    summary.held.add(cell.key)
    return True


def prepare(pool: Any, cells: Iterable[Cell], settings: Settings) -> None:
    """Make or find the data of the cells' tasks, once each; what cannot be done, each cell says in its own outcome."""
    ready: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        ready.setdefault((cell.target, str(sorted(cell.given.items()))), cell)
    for _ in pool.run([(name, "prepare", job_of(cell, settings)) for name, cell in ready.items()]):
        pass


def _pooled(
    cells: list[Cell], store: Store, settings: Settings, progress: Progress, summary: Summary
) -> Iterator[tuple[Record, bytes]]:
    from bench.running.pool import Pool

    by_key = {cell.key: cell for cell in cells}
    started: dict[str, str] = {}
    skip = {cell.key for cell in cells if store.get(cell.key) is not None}  # reruns: a record is there already

    def jobs() -> Iterator[tuple[str, str, Any]]:
        for cell in cells:
            if not _claim(cell, store, summary):
                progress.ended(cell.key, None)
                continue
            if cell.key not in skip and store.get(cell.key) is not None:
                store.release(cell.key)  # another sweep finished it meanwhile
                progress.ended(cell.key, None)
                summary.elsewhere += 1
                continue
            started[cell.key] = datetime.now(UTC).isoformat(timespec="seconds")
            yield cell.key, "cell", job_of(cell, settings)

    touched = time.monotonic()

    def idle() -> None:
        nonlocal touched
        progress.show([_label(by_key[name]) for name in pool.running if name in by_key])
        if time.monotonic() - touched > 30:
            touched = time.monotonic()
            for running in pool.running:
                store.touch(running)

    with Pool(settings.workers, [store.root, cache_dir()]) as pool:
        prepare(pool, cells, settings)
        for key, outcome, body in pool.run(jobs(), idle):
            yield record_of(by_key[key], outcome, settings, started[key]), body
