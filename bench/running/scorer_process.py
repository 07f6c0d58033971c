"""What runs in a cell's two processes (see bench.running.pool for the whole picture).

The scorer forks the entry's process before it is told which cell this is, so neither hidden targets nor the seed that the
data come from are in any memory the entry can read. The entry's process shuts itself in (`bench.running.sandbox`) before it
imports an entry's code. Whatever a cell does (hang, segfault, exit, exhaust memory, leave children behind) takes only
itself down: the outcome says how it ended.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.contract import Unavailable
from bench.outcome import SETTLED, Outcome, plain
from bench.running import message_checks, reads, sandbox
from bench.running.entry_process import entry_process
from bench.running.entry_watch import Ended, Guard, kill_descendants
from bench.running.frames import send_frame, take_frame
from bench.running.linux_sandbox import PDEATHSIG, SUBREAPER, prctl

TAIL = 4000  # characters of a cell's own output that a failed record keeps


def _redirect() -> Any:
    """Send this process's output to an unnamed file; what a cell prints never reaches the terminal."""
    sink = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    os.dup2(sink.fileno(), 1)
    os.dup2(sink.fileno(), 2)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    return sink


def _tail(sink: Any) -> str:
    size = os.fstat(sink.fileno()).st_size
    return os.pread(sink.fileno(), TAIL, max(0, size - TAIL)).decode(errors="replace")


def _read_job(conn: socket.socket) -> dict[str, Any]:
    buffer = bytearray()
    while True:
        chunk = conn.recv(1 << 16)
        if not chunk:
            os._exit(0)
        buffer += chunk
        frame = take_frame(buffer)
        if frame is not None:
            message = dict(frame[0])
            for name, value in message["environment"].items():
                os.environ.setdefault(name, value)
            return message


def prepare_process(conn: socket.socket, grants: sandbox.Grants) -> None:
    """Make or find a task's data, tell the parent how that ended. grants: what every process of a cell may read."""
    from bench import execute

    _lead(conn)
    job = execute.Job(**_read_job(conn)["job"])
    _redirect()
    reads.watch(reads.of_scorer(grants, job.reads, job.cache), refuse=True)
    _send(conn, _prepare(job))


def scorer_process(conn: socket.socket, grants: sandbox.Grants) -> None:
    """Run one cell. grants: what its entry may read (see bench.running.sandbox), the task's own data files excepted."""
    from bench import execute

    _lead(conn)
    prctl(SUBREAPER, 1)  # orphans of the entry come to us, so that they end with the cell
    started = time.monotonic()
    sink = _redirect()
    ours, theirs = socket.socketpair()
    entry = os.fork()
    if entry == 0:
        ours.close()
        conn.close()
        entry_process(theirs, grants)
    os.setpgid(entry, entry)
    theirs.close()
    sandbox.close_memory()
    message = _read_job(conn)
    job = execute.Job(**message["job"])
    reads.watch(reads.of_scorer(grants, job.reads, job.cache), refuse=True)
    private = tempfile.mkdtemp(prefix="cell-")
    outcome = _score(execute, job, ours, entry, private)
    kill_descendants(entry)
    with contextlib.suppress(OSError):
        sandbox.remove(Path(private))
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_entry = children.ru_utime + children.ru_stime
    costs = outcome.costs
    costs.cpu_entry, costs.cpu_total = cpu_entry, own.ru_utime + own.ru_stime + cpu_entry
    costs.wall = time.monotonic() - started
    costs.rss_mb = round(max(children.ru_maxrss, own.ru_maxrss) / 1024, 1)
    if outcome.status not in SETTLED:
        outcome.output = _tail(sink)
    _send(conn, outcome)


def _send(conn: socket.socket, outcome: Outcome) -> None:
    """The outcome to the parent: JSON, and curves and exhibits as the bytes of an .npz file."""
    body = npz(outcome)
    outcome.curves, outcome.arrays = {}, {}
    send_frame(conn, {"outcome": plain(outcome)}, body)


def _lead(conn: socket.socket) -> None:
    """Become the head of a cell's processes, and tell the parent which that is."""
    os.setsid()
    prctl(PDEATHSIG, signal.SIGKILL)
    send_frame(conn, {"pid": os.getpid()})


def _start_of(task: Any, job: Any, private: str) -> dict[str, Any]:
    """All that the entry's process is told of its cell: not the seed, only its axes' numbers; not where data are."""
    from bench.contract import Seeds
    from bench.execute import ENTRY_AXES

    seeds = Seeds(job.seed, task.name, ENTRY_AXES)
    told = {name: getattr(job, name) for name in ("target", "params", "parts", "probes", "seconds", "memory_mb")}
    files = [str(path.resolve()) for path in task.data_files(Path(job.cache)).values()]
    told["reads"] = reads.with_bytecode(path for path in job.reads if os.path.realpath(path) not in files)
    return {"job": told, "seeds": {axis: seeds(axis) for axis in ENTRY_AXES}, "private": private, "withheld": files}


def _prepare(job: Any) -> Outcome:
    try:
        job.task().prepare(Path(job.cache))
    except Unavailable as error:
        return Outcome.failure("unavailable", str(error))
    except Exception as error:  # every cell of this task then says so in its own record
        return Outcome.failure("failed", f"prepare: {type(error).__name__}: {error}")
    return Outcome(status="ok")


def npz(outcome: Outcome) -> bytes:
    """Curves, each an array (2, n) of steps and values, and the arrays of exhibits; empty if there are none."""
    import io

    import numpy as np

    arrays = {name: np.asarray(points, float) for name, points in outcome.curves.items()} | outcome.arrays
    if not arrays:
        return b""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _score(execute: Any, job: Any, sock: socket.socket, pid: int, private: str) -> Outcome:
    """The outcome of a cell, whatever its entry does."""
    scorer = execute.opened(job)
    if isinstance(scorer, Outcome):
        return scorer
    guard = Guard(sock, pid, time.monotonic() + job.seconds, job)
    try:
        guard.send(_start_of(scorer.task, job, private))
        guard.send(dict(scorer.problem.public))
        report = _watched(scorer, guard)
        outcome = scorer.finish(report, _counted(scorer, guard) if report["predicts"] else None)
        if guard.ended is not None:  # while it was scored
            raise guard.ended
        if outcome.status == "ok":
            scorer.show(outcome, guard.show if report["predicts"] else None)
        if guard.ended is None:  # while it was shown, which costs the picture only
            guard.send(["close"])
            kind, *rest = guard.recv()
            outcome.costs.cpu = message_checks.seconds(rest[0]["cpu"])
            outcome.unkeyed_reads = message_checks.paths(rest[0]["unkeyed_reads"])
            guard.close()
    except Ended as ended:
        outcome = scorer.finish({"status": ended.status, "reason": message_checks.text(ended)}, None)
    except Exception as error:  # what the entry sent cannot be used, which is its failure, with a row
        reason = message_checks.text(f"{type(error).__name__}: {error}")
        outcome = scorer.finish({"status": "failed", "reason": reason}, None)
    sock.close()
    outcome.costs.evaluations = guard.evaluations
    return outcome


def _counted(scorer: Any, guard: Guard) -> Callable[..., Any]:
    """The final `predict`, of which the entry counts what it spends."""

    def predict(*inputs: Any) -> Any:
        outputs = guard.predict(*inputs)
        scorer.counts = message_checks.counts(guard.counts, scorer.task.budget)
        return outputs

    return predict


def _watched(scorer: Any, guard: Guard) -> dict[str, Any]:
    """Evaluate as the entry asks, until it reports; the report, screened."""
    budget, last, paid = scorer.task.budget, 0, 0
    while True:
        kind, *rest = guard.recv()
        if kind == "done":
            metrics = scorer.task.metrics
            measured = {m.name for m in metrics if m.source == "score"} | {m.target.curve for m in metrics if m.target}
            return message_checks.report(rest[0], budget, measured | set(scorer.curves))
        if kind != "evaluate":
            raise Ended("failed", f"it sent an unknown message {kind[: message_checks.NAME]!r}")
        step, spent = map(message_checks.whole, rest[:2])
        stage = message_checks.name(rest[2]) if rest[2] else ""
        guard.evaluations += 1
        if step < last or spent < paid:
            raise Ended("failed", f"it evaluated at step {step} after step {last}")
        if budget.unit == "steps" and spent != step:
            raise Ended("failed", f"it evaluated at step {step}, having spent {spent} steps")
        if spent > budget.limit or guard.evaluations > budget.limit + 2:
            told = f"evaluation {guard.evaluations}, at step {step}"
            raise Ended(
                "failed", f"{told}: the budget is {budget.limit} {budget.unit}, with a score at most after each"
            )
        last, paid = step, spent
        guard.send(["scores", *scorer.evaluate(step, spent, guard.predict, stage)])
