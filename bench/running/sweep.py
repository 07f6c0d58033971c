"""Run a plan: skip cells with fresh records, run the others, and write each record as its cell ends."""

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
    """The job that a cell's processes, or `bench.execute.call`, run."""
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
    """The record of a cell that ended with `outcome`. started: ISO 8601."""
    from bench.running import sandbox  # the import takes 20 ms, which a sweep of fresh cells does not need

    provenance = msgspec.structs.replace(
        here(),
        origin=outcome.origin,
        transport=settings.transport,
        isolation=sandbox.of(settings.transport),
        started=started,
        ended=_now(),
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Summary:
    """How a sweep ended. statuses: cells by status, fresh ones excepted. elsewhere: cells that another sweep runs or ran."""

    ran: int = 0
    fresh: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    elsewhere: int = 0
    interrupted: bool = False
    held: set[str] = field(default_factory=set)  # keys of cells whose lease this sweep holds

    @property
    def ok(self) -> bool:
        """Whether every cell ran without failure. Diverged cells are results; unavailable ones are not failures of the sweep."""
        return not self.interrupted and not set(self.statuses) - {"ok", "diverged", "unavailable"}


def run(plan: Plan, store: Store, settings: Settings, sink: Callable[[Record], None] | None = None) -> Summary:
    """Run the cells of `plan` that have no fresh record, and pass each new record to `sink`.

    Every planned cell ends with a record, whatever its status. Ctrl-C stops the sweep; finished records stay. Raises BenchError
    if the results folder cannot be written, before any cell runs, or as soon as the disk is full.
    """
    known = states(plan, store, settings)
    todo = [cell for cell in plan.cells() if known[cell.key].rerun]
    summary = Summary(fresh=len(known) - len(todo))
    for state in known.values():
        if not state.rerun and state.word != "fresh":
            summary.statuses[state.word] = summary.statuses.get(state.word, 0) + 1
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
    """Raise BenchError unless a file of one disk block can be written in the results folder."""
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
    """Records, with their curves as .npz bytes, as the cells end."""
    for cell in todo:
        if cell.absent:
            reason = f"needs {', '.join(cell.absent)}; install it, then run the same command"
            yield record_of(cell, Outcome.failure("unavailable", reason), settings, _now()), b""
    runnable = [cell for cell in todo if not cell.absent]
    if settings.transport == "call":
        yield from _run_by_call(runnable, store, settings, summary)
    elif runnable:
        yield from _run_in_pool(runnable, store, settings, progress, summary)


def _run_by_call(
    cells: list[Cell], store: Store, settings: Settings, summary: Summary
) -> Iterator[tuple[Record, bytes]]:
    from bench.execute import call
    from bench.running.scorer_process import npz

    for cell in cells:
        if not _claim(cell, store, summary):
            continue
        started = _now()
        outcome = call(job_of(cell, settings))
        yield record_of(cell, outcome, settings, started), npz(outcome)


@cache
def _preset_parameters(task: str, preset: str) -> dict[str, Any]:
    from bench.planning import config

    return config.parameters(config.task_spec(task), preset, {})


def _label(cell: Cell) -> str:
    """The cell's label in the progress line; it names the parameters that differ from the preset."""
    preset = _preset_parameters(cell.task, cell.preset)
    changed = "".join(f" {name}={value}" for name, value in cell.params.items() if preset.get(name) != value)
    return f"{cell.task} {cell.entry}{changed} seed {cell.seed}"


def _claim(cell: Cell, store: Store, summary: Summary) -> bool:
    """Take the lease of the cell; False if another sweep holds it."""
    if not store.lease(cell.key):
        summary.elsewhere += 1
        return False
    summary.held.add(cell.key)
    return True


def prepare(pool: Any, cells: Iterable[Cell], settings: Settings) -> None:
    """Find or make the data of each of the cells' tasks once. A failure is ignored here, since each cell records it later."""
    tasks: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        tasks.setdefault((cell.target, str(sorted(cell.given.items()))), cell)
    for _ in pool.run([(name, "prepare", job_of(cell, settings)) for name, cell in tasks.items()]):
        pass


def _run_in_pool(
    cells: list[Cell], store: Store, settings: Settings, progress: Progress, summary: Summary
) -> Iterator[tuple[Record, bytes]]:
    from bench.running.pool import Pool

    by_key = {cell.key: cell for cell in cells}
    started: dict[str, str] = {}
    reruns = {cell.key for cell in cells if store.get(cell.key) is not None}

    def jobs() -> Iterator[tuple[str, str, Any]]:
        for cell in cells:
            if not _claim(cell, store, summary):
                progress.ended(cell.key, None)
                continue
            if cell.key not in reruns and store.get(cell.key) is not None:
                store.release(cell.key)  # another sweep finished it meanwhile
                progress.ended(cell.key, None)
                summary.elsewhere += 1
                continue
            started[cell.key] = _now()
            yield cell.key, "cell", job_of(cell, settings)

    last_touch = time.monotonic()

    def idle() -> None:
        nonlocal last_touch
        progress.show([_label(by_key[key]) for key in pool.running])
        if time.monotonic() - last_touch > 30:  # a lease that is not renewed expires
            last_touch = time.monotonic()
            for key in pool.running:
                store.touch(key)

    with Pool(settings.workers, [store.root, cache_dir()]) as pool:
        prepare(pool, cells, settings)
        for key, outcome, body in pool.run(jobs(), idle):
            yield record_of(by_key[key], outcome, settings, started[key]), body
