"""Run a plan: skip cells with fresh records, run the others, and write each record as its cell ends."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench.contract import BenchError
from bench.data import cache_dir
from bench.outcome import Outcome
from bench.planning import config
from bench.planning.plan import Plan
from bench.planning.settings import Settings
from bench.planning.states import expected, states
from bench.records.files import write_atomically
from bench.records.provenance import here
from bench.records.record import FORMAT, Cell, Record
from bench.records.store import Store
from bench.running import calibration, numerics
from bench.seeds import POOL

WANDB_CONFIG = ("task", "preset", "entry", "seed", "params", "config", "key")  # fields of a record


@dataclass
class Progress:
    """Counts and time estimate of a sweep. On a terminal one line is redrawn; elsewhere a line is printed now and then.

    total: cells to run. fresh: cells whose records stand. statuses: cells by status, fresh ones excepted. costs: expected seconds
    of the cells that are left, by key, for those whose cost an earlier record tells. elsewhere: cells that another sweep runs.
    """

    total: int
    fresh: int
    workers: int
    costs: dict[str, float] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    out: Any = field(default_factory=lambda: sys.stderr)
    ran: int = 0
    elsewhere: int = 0
    bad: int = 0  # cells that ran, and ended neither ok nor unavailable
    interrupted: bool = False
    started: float = field(default_factory=time.monotonic)
    shown: float = 0.0
    measured_seconds: float = 0.0  # wall time of the cells that ran
    expected_seconds: float = 0.0  # what `costs` said of the same cells; the measured time where it said nothing

    @property
    def ok(self) -> bool:
        """Whether every cell ran without failure. Diverged cells are results; unavailable ones are not failures of the sweep."""
        return not self.interrupted and not set(self.statuses) - {"ok", "diverged", "unavailable"}

    @property
    def done(self) -> int:
        """The cells that have ended, here or in another sweep."""
        return self.ran + self.elsewhere

    def ended(self, key: str, status: str, wall: float) -> None:
        """Count a cell that ran. wall: its seconds, which count for the estimate if it is ok."""
        self.ran += 1
        self.bad += status not in ("ok", "unavailable")
        self.statuses[status] = self.statuses.get(status, 0) + 1
        cost = self.costs.pop(key, wall)
        if status == "ok":
            self.measured_seconds += wall
            self.expected_seconds += cost

    def seconds_left(self) -> float | None:
        """Expected seconds left: `costs` scaled by measured over expected time so far; None before any estimate is possible."""
        left = self.total - self.done
        unknown = left - len(self.costs)
        if unknown and not self.done:
            return None
        mean = self.measured_seconds / self.done if self.done else 0.0
        ratio = self.measured_seconds / self.expected_seconds if self.expected_seconds else 1.0
        return (ratio * sum(self.costs.values()) + mean * unknown) / self.workers

    def line(self, running: Iterable[str]) -> str:
        """The progress line. running: labels of the cells that run now."""
        left = self.total - self.done
        text = f"{self.done}/{self.total} done, {self.bad} not ok, {left} left"
        text += f", {self.fresh} fresh" if self.fresh else ""
        if self.done:
            text += f", {60 * self.done / (time.monotonic() - self.started):.3g} a minute"
        seconds = self.seconds_left()
        if seconds is not None and left:
            text += f", about {seconds / 60:.1f} min left" if seconds > 90 else f", about {seconds:.0f} s left"
        labels = "; ".join(running)
        return text + (f" | {labels}" if labels else "")

    def show(self, running: Iterable[str], force: bool = False) -> None:
        """Write the progress line, at most twice a second on a terminal and every ten seconds elsewhere unless `force`."""
        tty, now = self.out.isatty(), time.monotonic()
        if not force and now - self.shown < (0.5 if tty else 10.0):
            return
        self.shown, text = now, self.line(running)
        print(f"\r\x1b[2K{text[:140]}" if tty else text, end="" if tty else "\n", file=self.out, flush=True)

    def say(self, text: str) -> None:
        """Write a line that later progress lines do not overwrite."""
        print(f"\r\x1b[2K{text}" if self.out.isatty() else text, file=self.out, flush=True)


def wandb_sink(mode: str, store: Store) -> Callable[[Record], None]:
    """A function that sends a record to W&B as one run, "offline" (files under ./wandb) or "online"; BenchError without wandb."""
    try:
        import wandb
    except ImportError as error:
        told = f"wandb={mode} needs the package: pip install 'sweepstakes[wandb]'; or leave wandb off"
        raise BenchError(told) from error
    os.environ.setdefault("WANDB_SILENT", "true")

    def send(record: Record) -> None:
        name, group = f"{record.task}/{record.entry}/{record.seed}", f"{record.task}@{record.version}"
        about = {"name": name, "group": group, "config": {field: getattr(record, field) for field in WANDB_CONFIG}}
        run = wandb.init(project="sweepstakes", mode=mode, reinit="finish_previous", **about)
        for name, points in store.curves(record).items():
            run.define_metric(name, step_metric=f"step/{name}")
            for step, value in zip(*points, strict=True):
                run.log({f"step/{name}": step, name: value})
        run.summary.update({"status": record.status, **record.metrics})
        run.finish()

    return send


def run(plan: Plan, store: Store, settings: Settings, sink: Callable[[Record], None] | None = None) -> Progress:
    """Run the cells of `plan` that have no fresh record, and pass each new record to `sink`.

    Every planned cell ends with a record, whatever its status. Ctrl-C stops the sweep; finished records stay. Raises BenchError
    if the results folder cannot be written, before any cell runs, or as soon as the disk is full.
    """
    known = states(plan, store, settings)
    cells = {cell.key: cell for cell in plan.cells() if known[cell.key].rerun}
    kept = Counter(state.word for state in known.values() if not state.rerun and state.word != "fresh")
    costs = expected(cells.values(), store)
    progress = Progress(len(cells), len(known) - len(cells), settings.workers, costs, dict(kept))
    if not cells:
        return progress
    probe = store.root / ".cache" / ".writable"
    write_atomically(probe, b"x" * 4096)  # one disk block
    probe.unlink()
    speed = calibration.score(store.root / ".cache") if calibration.wanted(cells.values()) else None
    repeated = {key for key in cells if known[key].record is not None}
    sweep = _Sweep(cells, repeated, store, settings, progress)
    try:
        for key, outcome, curves in sweep.results():
            record = _record(cells[key], outcome, settings, sweep, speed)
            store.put(record, curves)
            store.release(key)
            del sweep.started[key]
            progress.ended(key, record.status, record.costs.wall)
            if record.status not in ("ok", "unavailable"):
                progress.say(f"{record.status}: {record.label}: {record.reason}")
            progress.show([])
            if sink is not None:
                sink(record)
    except KeyboardInterrupt:
        progress.interrupted = True
        progress.say("interrupted: finished cells are kept; the same command continues")
    finally:
        for key in sweep.started:
            store.release(key)
    progress.show([], force=True)
    if progress.out.isatty():
        progress.out.write("\n")
    return progress


@dataclass
class _Sweep:
    """The cells that a sweep has to run. repeated: keys of those that have a record already.

    started: key -> when the cell was started, ISO 8601, until its record is written. As long, the sweep holds the cell's lease.
    fingerprint: of the arithmetic of the cells that ran.
    """

    cells: dict[str, Cell]
    repeated: set[str]
    store: Store
    settings: Settings
    progress: Progress
    started: dict[str, str] = field(default_factory=dict)
    touched: float = field(default_factory=time.monotonic)
    fingerprint: str = ""

    def results(self) -> Iterator[tuple[str, Outcome, bytes]]:
        """(key, outcome, curves as .npz bytes) as the cells end."""
        from bench.running.pool import Pool, job_of

        runnable = []
        for key, cell in self.cells.items():
            if cell.absent:
                self.started[key] = now()
                reason = f"needs {', '.join(cell.absent)}; install it, then run the same command"
                yield key, Outcome.failure("unavailable", reason), b""
            else:
                runnable.append(cell)
        if self.settings.transport == "call":
            from bench.execute import call
            from bench.running.scorer_process import npz

            self.fingerprint = numerics.here(self.settings.numerics) if runnable else ""
            for cell in self._started(runnable):
                outcome = call(job_of(cell, self.settings))
                yield cell.key, outcome, npz(outcome)
        elif runnable:
            with Pool(self.settings.workers, [self.store.root, cache_dir()], self.settings.numerics) as pool:
                # The data of each task and pool are found or made once. A failure is ignored here: each cell records it later.
                tasks = {(cell.target, str(sorted(cell.given.items())), cell.seed // POOL): cell for cell in runnable}
                for _ in pool.run([(name, "prepare", job_of(cell, self.settings)) for name, cell in tasks.items()]):
                    pass
                jobs = ((cell.key, "cell", job_of(cell, self.settings)) for cell in self._started(runnable))
                for result in pool.run(jobs, lambda: self._idle(pool.running)):
                    self.fingerprint = pool.fingerprint
                    yield result

    def _started(self, cells: list[Cell]) -> Iterator[Cell]:
        """The cells whose lease could be taken, and whose record no other sweep has written meanwhile."""
        for cell in cells:
            if self.store.lease(cell.key):
                if cell.key in self.repeated or self.store.get(cell.key) is None:
                    self.started[cell.key] = now()
                    yield cell
                    continue
                self.store.release(cell.key)
            self.progress.costs.pop(cell.key, None)
            self.progress.elsewhere += 1

    def _idle(self, running: Iterable[str]) -> None:
        """Show the progress, and renew leases, which expire otherwise."""
        self.progress.show(_label(self.cells[key]) for key in running)
        if time.monotonic() - self.touched > 30:
            self.touched = time.monotonic()
            for key in running:
                self.store.touch(key)


def _label(cell: Cell) -> str:
    """The cell's label in the progress line; it names the parameters that differ from the preset."""
    changed = config.changed_parameters(cell.task, cell.preset, cell.params).items()
    return f"{cell.task} {cell.entry}{''.join(f' {name}={value}' for name, value in changed)} seed {cell.seed}"


def _record(cell: Cell, outcome: Outcome, settings: Settings, sweep: _Sweep, speed: float | None) -> Record:
    """The record of a cell that ended with `outcome`. speed: the machine's calibration score."""
    from bench.running import sandbox  # the import takes 20 ms, which a sweep of fresh cells does not need

    provenance = msgspec.structs.replace(
        here(), origin=outcome.origin, transport=settings.transport, isolation=sandbox.of(settings.transport),
        calibration=speed, numerics=settings.numerics, fingerprint=sweep.fingerprint, started=sweep.started[cell.key],
        ended=now(),
    )  # fmt: skip
    return Record(
        format=FORMAT, key=cell.key, task=cell.task, version=cell.version, preset=cell.preset, params=dict(cell.params),
        entry=cell.entry, config=dict(cell.parts), seed=cell.seed, status=outcome.status, reason=outcome.reason,
        traceback=outcome.traceback, output=outcome.output, metrics=outcome.metrics, censored=outcome.censored,
        costs=outcome.costs, trials=cell.trials, components=cell.components, limits=settings.limits,
        absent=list(cell.absent), unkeyed_reads=outcome.unkeyed_reads, exhibits=outcome.exhibits, provenance=provenance,
    )  # fmt: skip


def now() -> str:
    """The time in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def other_arithmetic(old: Record, new: Record) -> list[str]:
    """What differs between the arithmetics that made two records; without any of it, bits must agree.

    A record without a fingerprint was made under an unknown arithmetic.
    """
    unknown = [] if old.provenance.fingerprint else ["fingerprint"]
    names = ("fingerprint", "packages", "threads")
    return unknown or [name for name in names if getattr(old.provenance, name) != getattr(new.provenance, name)]
