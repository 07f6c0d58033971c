"""What runs in a cell's two processes (see bench.pool for the whole picture).

The scorer forks the entry's process before it is told which cell this is, so neither hidden targets nor the seed that the
data come from are in any memory the entry can read. The entry's process shuts itself in (`bench.isolation`) before it
imports an entry's code. Whatever a cell does (hang, segfault, exit, exhaust memory, leave children behind) takes only
itself down: the outcome says how it ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import isolation, screening
from bench.contract import BenchError

TAIL = 4000  # characters of a cell's own output that a failed record keeps
PDEATHSIG, _SUBREAPER = 1, 36  # prctl options (Linux)


# ---------------------------------------------------------------- frames between parent and scorer: JSON and bytes


def send_frame(sock: socket.socket, head: Any, body: bytes = b"") -> None:
    """[8 bytes][8 bytes] lengths, JSON, bytes."""
    text = json.dumps(head).encode()
    sock.sendall(struct.pack("<QQ", len(text), len(body)) + text + body)


def take_frame(buffer: bytearray) -> tuple[Any, bytes] | None:
    """The first whole frame of `buffer`, removed from it; None while it is incomplete."""
    if len(buffer) < 16:
        return None
    head, body = struct.unpack_from("<QQ", buffer)
    if len(buffer) < 16 + head + body:
        return None
    frame = json.loads(bytes(buffer[16 : 16 + head])), bytes(buffer[16 + head : 16 + head + body])
    del buffer[: 16 + head + body]
    return frame


def prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


# ---------------------------------------------------------------- a cell: the scorer and the entry's process


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
            return dict(frame[0])


@dataclass(frozen=True)
class AxisSeeds:
    """What stands for `bench.contract.Seeds` in an entry's process: the numbers of its axes, and no way back from them."""

    numbers: Mapping[str, int]

    def __call__(self, axis: str) -> int:
        """The seed of `axis`; KeyError if an entry has no such axis."""
        if axis not in self.numbers:
            raise KeyError(f"no seed axis {axis!r} here; there are {', '.join(self.numbers)}")
        return self.numbers[axis]


def prepare_process(conn: socket.socket) -> None:
    """Make or find a task's data, tell the parent how that ended."""
    from bench import execute

    _lead(conn)
    message = _read_job(conn)
    _redirect()
    send_frame(conn, _prepare(execute.Job(**message["job"])))


def scorer_process(conn: socket.socket, grants: isolation.Grants) -> None:
    """Run one cell. grants: what its entry may read (see bench.isolation), the task's own data files excepted."""
    from bench import execute

    _lead(conn)
    prctl(_SUBREAPER, 1)  # orphans of the entry come to us, so that they end with the cell
    started = time.monotonic()
    sink = _redirect()
    ours, theirs = socket.socketpair()
    entry = os.fork()
    if entry == 0:
        ours.close()
        conn.close()
        _entry_process(theirs, grants)
    theirs.close()
    isolation.close_memory()
    message = _read_job(conn)
    job = execute.Job(**message["job"])
    private = tempfile.mkdtemp(prefix="cell-")
    outcome, kept = _score(execute, job, ours, entry, _start_of(job, private), bool(message.get("keep")))
    _kill_descendants()
    shutil.rmtree(private, ignore_errors=True)
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_entry = children.ru_utime + children.ru_stime
    outcome["costs"] |= {
        "cpu_entry": cpu_entry,
        "cpu_total": own.ru_utime + own.ru_stime + cpu_entry,
        "wall": time.monotonic() - started,
        "rss_mb": round(max(children.ru_maxrss, own.ru_maxrss) / 1024, 1),
    }
    if outcome["status"] not in ("ok", "diverged"):
        outcome["output"] = _tail(sink)
    _send_outcome(conn, outcome, kept)


def rescore_process(conn: socket.socket) -> None:
    """Score what is kept of a cell, with the task's code of now. Nothing is trained; there is no entry's process."""
    from bench import execute, keeping

    _lead(conn)
    message = _read_job(conn)
    _redirect()
    _send_outcome(conn, keeping.rescored(execute.Job(**message["job"]), Path(message["kept"])))


def _send_outcome(conn: socket.socket, outcome: dict[str, Any], kept: bytes = b"") -> None:
    head = {name: value for name, value in outcome.items() if name != "curves"}
    send_frame(conn, head, npz(outcome.get("curves", {})) + kept)


def _lead(conn: socket.socket) -> None:
    """Become the head of a cell's processes, and tell the parent which that is."""
    os.setsid()
    prctl(PDEATHSIG, signal.SIGKILL)
    send_frame(conn, {"pid": os.getpid()})


def _start_of(job: Any, private: str) -> dict[str, Any]:
    """All that the entry's process is told of its cell: not the seed, only its axes' numbers; not where data are."""
    from bench.contract import Seeds
    from bench.execute import ENTRY_AXES

    files: list[str] = []
    numbers: dict[str, int] = {}
    try:
        task = job.task()
        seeds = Seeds(job.seed, task.name, ENTRY_AXES)
        numbers = {axis: seeds(axis) for axis in ENTRY_AXES}
        files = [str(path.resolve()) for path in task.data_files(Path(job.cache)).values()]
    except Exception:  # a task that cannot be made says so when its problem is opened, and the entry never starts
        pass
    told = {name: getattr(job, name) for name in ("target", "params", "parts", "probes", "seconds", "memory_mb")}
    return {"job": told, "seeds": numbers, "private": private, "withheld": files}


def _prepare(job: Any) -> dict[str, Any]:
    from bench import execute
    from bench.contract import Unavailable

    try:
        job.task().prepare(Path(job.cache))
    except Unavailable as error:
        return execute.failure("unavailable", str(error))
    except Exception as error:  # every cell of this task then says so in its own record
        return execute.failure("failed", f"prepare: {type(error).__name__}: {error}")
    return execute.failure("ok", "")


def npz(curves: dict[str, Any]) -> bytes:
    import io

    import numpy as np

    if not curves:
        return b""
    stream = io.BytesIO()
    np.savez_compressed(
        stream, allow_pickle=False, **{name: np.asarray(points, float) for name, points in curves.items()}
    )
    return stream.getvalue()


def _entry_process(sock: socket.socket, grants: isolation.Grants) -> None:
    """The entry's side: receive the public data, run, serve predictions, report costs. Never returns."""
    from bench import execute, wire

    code = 1
    try:
        prctl(PDEATHSIG, signal.SIGKILL)
        _close_all_but(sock.fileno())
        link = wire.Connection(sock)
        start = link.recv()
        _limit_memory(start["job"]["memory_mb"])
        isolation.confine(Path(start["private"]), [Path(path) for path in start["withheld"]], grants)
        # run_entry makes its seeds from the cell's, which this process is not told: it gets their numbers instead
        vars(execute)["Seeds"] = lambda *_: AxisSeeds(start["seeds"])
        job = execute.Job(**start["job"], seed=0, cache=os.devnull)
        public = link.recv()
        report, solution, log = execute.run_entry(job, public, _PipeChannel(link))
        try:
            link.send(["done", execute.report_of(report, solution, log)])
        except TypeError as error:  # an object that is no plain value
            report = {"status": "failed", "reason": f"solution: {error}"}
            link.send(["done", execute.report_of(report, execute.Solution(), log)])
        while True:
            kind, *rest = link.recv()
            if kind == "close":
                if log is not None:
                    log.book()
                link.send(["cpu", dict(log.cpu) if log is not None else {}])
                break
            if log is None:
                break
            log.paused_until_now()
            with log.phase("predict"):
                _serve(link, solution.predict, rest[0])
        code = 0
    except EOFError:
        code = 0  # the scorer is gone, and with it the cell
    except BaseException:
        traceback.print_exc()  # to the cell's own output, of which the record keeps the end
    finally:
        sys.stdout.flush()
        os._exit(code)


def _close_all_but(kept: int) -> None:
    """Close every file this process inherited but its standard streams and `kept`."""
    for name in os.listdir("/dev/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # the list's own


def _limit_memory(megabytes: int) -> None:
    """RLIMIT_DATA above what the fork server's image already holds."""
    if sys.platform != "linux":
        return
    with open("/proc/self/status") as status:
        used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
    limit = used + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _serve(link: Any, predict: Callable[..., Any] | None, inputs: list[Any]) -> None:
    from bench import wire

    try:
        if predict is None:
            raise BenchError("the solution has no predict")
        frame = wire.encode(["output", predict(*inputs)])
    except Exception as error:  # told to the scorer, which makes it the cell's failure
        frame = wire.encode(["raised", f"predict: {type(error).__name__}: {error}"])
    link.sock.sendall(frame)


class _PipeChannel:
    """`log.evaluate` over the pipe: the scorer asks for predictions until it has its scores."""

    def __init__(self, link: Any) -> None:
        self.link = link

    def evaluate(self, step: int, predict: Callable[..., Any]) -> tuple[dict[str, float], bool]:
        self.link.send(["evaluate", step])
        while True:
            kind, *rest = self.link.recv()
            if kind == "scores":
                return rest[0], rest[1]
            _serve(self.link, predict, rest[0])


class _Ended(Exception):
    """The entry's process ended, or was ended, before it was done."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class _Guard:
    """The pipe to the entry's process, watched: wall time, memory of the process tree, death."""

    link: Any
    pid: int
    deadline: float
    job: Any
    evaluations: int = 0
    ended: _Ended | None = None
    checked: float = field(default_factory=time.monotonic)

    def recv(self) -> list[Any]:
        while not select.select([self.link.sock], [], [], 0.1)[0]:
            now = time.monotonic()
            if now > self.deadline:
                raise self._end("timeout", f"it ran longer than limits.seconds={self.job.seconds:g}")
            if now - self.checked > 0.5:
                self.checked = now
                used = _tree_memory(self.pid)
                if used > (self.job.memory_mb + 400) * 2**20:
                    told = f"its processes held {used >> 20} MB, limits.memory_mb={self.job.memory_mb}"
                    raise self._end("oom", told)
        try:
            return self.link.recv()
        except (EOFError, ConnectionError):
            raise self._death() from None
        except (ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
            raise self._end("failed", f"it sent what is no message: {error}") from error

    def send(self, value: Any) -> None:
        try:
            self.link.send(value)
        except (BrokenPipeError, ConnectionError):
            raise self._death() from None

    def _end(self, status: str, reason: str) -> _Ended:
        _kill_descendants()
        self.ended = _Ended(status, reason)
        return self.ended

    def _death(self) -> _Ended:
        if self.ended is None:
            _, status = os.waitpid(self.pid, 0)
            if os.WIFSIGNALED(status):
                reason = f"its process died of {signal.Signals(os.WTERMSIG(status)).name}"
            else:
                reason = f"its process left with exit code {os.waitstatus_to_exitcode(status)}"
            self.ended = _Ended("crashed", reason)
        return self.ended

    def predict(self, *inputs: Any) -> Any:
        self.send(["predict", list(inputs)])
        kind, *rest = self.recv()
        if kind != "output":
            raise RuntimeError(screening.text(rest[0]))
        return rest[0]


def _score(
    execute: Any, job: Any, sock: socket.socket, pid: int, start: dict[str, Any], keep: bool
) -> tuple[dict[str, Any], bytes]:
    """The outcome, and the file of predictions if they are to be kept and can be."""
    scorer, outcome = execute.opened(job)
    if scorer is None:
        return dict(outcome), b""
    if keep:
        from bench.keeping import Keeper

        scorer = Keeper(scorer.task, scorer.problem)
    guard = _Guard(screening.Connection(sock), pid, time.monotonic() + job.seconds, job)
    try:
        guard.send(start)
        guard.send(dict(scorer.problem.public))
        report = _watched(scorer, guard)
        outcome = scorer.finish(report, guard.predict if report["predicts"] else None)
        if guard.ended is not None:  # while it was scored
            raise guard.ended
        guard.send(["close"])
        kind, *rest = guard.recv()
        outcome["costs"]["cpu"] = screening.seconds(rest[0])
        os.waitpid(pid, 0)
    except _Ended as ended:
        outcome = scorer.finish({"status": ended.status, "reason": str(ended)}, None)
    except Exception as error:  # what the entry sent cannot be used, which is its failure, with a row
        outcome = scorer.finish({"status": "failed", "reason": f"{type(error).__name__}: {error}"}, None)
    sock.close()
    outcome["costs"]["evaluations"] = guard.evaluations
    if not keep:
        return dict(outcome), b""
    return {**outcome, "kept": {"bytes": len(scorer.content), "reason": scorer.lost}}, scorer.content


def _watched(scorer: Any, guard: _Guard) -> dict[str, Any]:
    """Evaluate as the entry asks, until it reports; the report, screened."""
    budget, last = scorer.task.budget, 0
    while True:
        kind, *rest = guard.recv()
        if kind == "done":
            metrics = scorer.task.metrics
            measured = {m.name for m in metrics if m.source == "score"} | {m.target.curve for m in metrics if m.target}
            return screening.report(rest[0], budget, measured | set(scorer.curves))
        if kind != "evaluate":
            raise _Ended("failed", f"it sent an unknown message {kind!r}")
        step = screening.whole(rest[0])
        guard.evaluations += 1
        if step < last:
            raise _Ended("failed", f"it evaluated at step {step} after step {last}")
        if budget.unit == "steps" and (step > budget.limit or guard.evaluations > budget.limit + 2):
            told = f"evaluation {guard.evaluations}, at step {step}"
            raise _Ended("failed", f"{told}: the budget is {budget.limit} steps, with a score at most after each")
        last = step
        guard.send(["scores", *scorer.evaluate(step, guard.predict)])


def _tree_memory(pid: int) -> int:
    """Bytes held by a process and its descendants that are not shared with the fork server's image."""
    import psutil

    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            memory = process.memory_info()
            total += memory.rss - getattr(memory, "shared", 0)
    except psutil.Error:
        pass
    return total


def _kill_descendants() -> None:
    """End every process below this one, and wait for them, so that their CPU time is counted.

    Orphans of the entry are this process's own children, so no child left means no descendant left.
    """
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        import psutil

        for child in psutil.Process().children(recursive=True):
            try:
                child.kill()
            except psutil.Error:
                pass
        time.sleep(0.002)
