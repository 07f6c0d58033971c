"""The scorer, one of a cell's two processes (`bench.running.pool` has a diagram of all processes).

The scorer forks the entry's process before it reads the job, so the entry inherits no memory that holds hidden targets or the
seed of the data. The entry's process confines itself (`bench.running.sandbox`) before it imports the entry's code. If a cell
hangs, crashes, exits, exhausts memory or leaves children behind, only that cell fails, and its outcome says how it ended.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import Task, Unavailable
from bench.outcome import SETTLED, Outcome, plain
from bench.running import linux_sandbox, message_checks, reads, sandbox
from bench.running.entry_process import entry_process
from bench.running.entry_watch import Ended, Guard, kill_descendants
from bench.running.frames import send_frame, take_frame
from bench.running.linux_sandbox import PDEATHSIG, SUBREAPER, prctl
from bench.seeds import POOL

if TYPE_CHECKING:
    from bench.execute import Job, Scorer

TAIL = 4000  # characters of a cell's own output that a failed record keeps


def _redirect() -> Any:
    """Send this process's output to an unnamed file, which is returned, and give it an empty input."""
    output = tempfile.TemporaryFile()  # noqa: SIM115 - stays open as long as the process
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return output


def _read_job(conn: socket.socket) -> Job:
    """Receive the job, add compiled files to its reads and the parent's environment to ours; exits if the parent is gone."""
    from bench import execute

    buffer = bytearray()
    while (frame := take_frame(buffer)) is None:
        chunk = conn.recv(1 << 16)
        if not chunk:
            os._exit(0)
        buffer += chunk
    for name, value in frame[0]["environment"].items():
        os.environ.setdefault(name, value)
    job = execute.Job(**frame[0]["job"])
    return replace(job, reads=tuple(reads.with_bytecode(job.reads)))


def prepare_process(conn: socket.socket, grants: sandbox.Grants) -> None:
    """Find or make a task's data and send the parent the outcome. grants: paths that every process of a cell may read."""
    _lead_group(conn)
    job = _read_job(conn)
    _redirect()
    reads.watch_scorer(grants, job.reads, job.cache)
    try:
        job.task().prepare(Path(job.cache), job.seed // POOL)
        outcome = Outcome(status="ok")
    except Unavailable as error:
        outcome = Outcome.failure("unavailable", str(error))
    except Exception as error:  # each cell of this task meets the same error and records it
        outcome = Outcome.failure("failed", f"prepare: {type(error).__name__}: {error}")
    _send(conn, outcome)


def scorer_process(conn: socket.socket, grants: sandbox.Grants) -> None:
    """Run one cell and send the parent the outcome.

    grants: paths that every process of a cell may read; the task's data files are withheld from the entry in any case.
    """
    _lead_group(conn)
    prctl(SUBREAPER, 1)  # this process adopts orphans of the entry, so that they end with the cell
    started = time.monotonic()
    output = _redirect()
    ours, theirs = socket.socketpair()
    entry = os.fork()
    if entry == 0:
        ours.close()
        conn.close()
        entry_process(theirs, grants)
    os.setpgid(entry, entry)
    theirs.close()
    linux_sandbox.undumpable()
    job = _read_job(conn)
    reads.watch_scorer(grants, job.reads, job.cache)
    private = tempfile.mkdtemp(prefix="cell-")
    outcome = _score(job, ours, entry, private)
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
        size = os.fstat(output.fileno()).st_size
        outcome.output = os.pread(output.fileno(), TAIL, max(0, size - TAIL)).decode(errors="replace")
    _send(conn, outcome)


def _send(conn: socket.socket, outcome: Outcome) -> None:
    """Send the parent the outcome: as JSON, with curves and exhibits as the bytes of an .npz file."""
    body = npz(outcome)
    outcome.curves, outcome.arrays = {}, {}
    send_frame(conn, {"outcome": plain(outcome)}, body)


def _lead_group(conn: socket.socket) -> None:
    """Start a process group and send the parent its number, so that the parent can kill it."""
    os.setsid()
    prctl(PDEATHSIG, signal.SIGKILL)
    send_frame(conn, {"pid": os.getpid()})


def _start_message(task: Task, job: Job, private: str) -> dict[str, Any]:
    """The first message to the entry's process. It contains neither the cell's seed nor the place of the data folder."""
    from bench.seeds import Seeds

    seeds = Seeds(job.seed, task.name).of_entry()
    fields = {
        name: getattr(job, name) for name in ("target", "params", "parts", "probes", "seconds", "memory_mb", "reads")
    }
    files = [str(path.resolve()) for path in task.data_files(Path(job.cache)).values()]
    if files:
        fields["reads"] = [path for path in job.reads if os.path.realpath(path) not in files]
    return {"job": fields, "seeds": dict(seeds.numbers), "private": private, "withheld": files}


def npz(outcome: Outcome) -> bytes:
    """The bytes of an .npz file with curves, as arrays (2, n) of steps and values, and exhibits; empty if there are none."""
    import io

    import numpy as np

    arrays = {name: np.asarray(points, float) for name, points in outcome.curves.items()} | outcome.arrays
    if not arrays:
        return b""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _score(job: Job, sock: socket.socket, pid: int, private: str) -> Outcome:
    """Run the entry in the process `pid` and score it. Every error of the entry becomes part of the outcome."""
    from bench import execute

    scorer = execute.opened(job)
    if isinstance(scorer, Outcome):
        return scorer
    guard = Guard(sock, pid, time.monotonic() + job.seconds, job)
    try:
        guard.send(_start_message(scorer.task, job, private))
        guard.send(dict(scorer.problem.public))
        report = _evaluate_until_done(scorer, guard)

        def predict(*inputs: Any) -> Any:
            outputs = guard.predict(*inputs)
            scorer.counts = message_checks.counts(guard.counts, scorer.task.budget)
            return outputs

        outcome = scorer.finish(report, predict if report["predicts"] else None)
        if guard.ended is not None:  # the process ended during scoring
            raise guard.ended
        if outcome.status == "ok":
            scorer.show(outcome, partial(guard.predict, kind="show") if report["predicts"] else None)
        if guard.ended is None:  # a process that ended during `show` loses its exhibits and phase costs only
            guard.send(["close"])
            kind, *rest = guard.recv()
            outcome.costs.cpu = message_checks.seconds(rest[0]["cpu"])
            outcome.unkeyed_reads = message_checks.paths(rest[0]["unkeyed_reads"])
            guard.close()
    except Ended as ended:
        outcome = scorer.finish({"status": ended.status, "reason": message_checks.text(ended)}, None)
    except Exception as error:  # a message of the entry failed a check, which counts as its failure
        reason = message_checks.text(f"{type(error).__name__}: {error}")
        outcome = scorer.finish({"status": "failed", "reason": reason}, None)
    sock.close()
    outcome.costs.evaluations = guard.evaluations
    return outcome


def _evaluate_until_done(scorer: Scorer, guard: Guard) -> dict[str, Any]:
    """Evaluate whenever the entry asks for scores, until it sends its report; returns the checked report."""
    budget, last_step, last_spent = scorer.task.budget, 0, 0
    while True:
        kind, *rest = guard.recv()
        if kind == "done":
            metrics = scorer.task.metrics
            measured = {m.name for m in metrics if m.source == "score"} | {m.target.curve for m in metrics if m.target}
            return message_checks.report(rest[0], budget, measured | set(scorer.curves))
        if kind != "evaluate":
            raise Ended("failed", f"it sent an unknown message {kind[: message_checks.NAME]!r}")
        step, spent = map(message_checks.whole_number, rest[:2])
        stage = message_checks.name(rest[2]) if rest[2] else ""
        guard.evaluations += 1
        if step < last_step or spent < last_spent:
            raise Ended("failed", f"it evaluated at step {step} after step {last_step}")
        if budget.unit == "steps" and spent != step:
            raise Ended("failed", f"it evaluated at step {step}, having spent {spent} steps")
        if spent > budget.limit or guard.evaluations > budget.limit + 2:
            limit = f"the budget is {budget.limit} {budget.unit}, with a score at most after each"
            raise Ended("failed", f"evaluation {guard.evaluations}, at step {step}: {limit}")
        last_step, last_spent = step, spent
        guard.send(["scores", *scorer.evaluate(step, spent, guard.predict, stage)])
