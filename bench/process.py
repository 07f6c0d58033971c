"""What runs in a cell's two processes (see bench.pool for the whole picture).

The scorer forks the entry's process before the problem exists, so hidden targets are in no memory the entry can read.
Whatever a cell does (hang, segfault, exit, exhaust memory, leave children behind) takes only itself down: the outcome
says how it ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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


def scorer_process(conn: socket.socket) -> None:
    from bench import execute

    os.setsid()
    prctl(PDEATHSIG, signal.SIGKILL)
    prctl(_SUBREAPER, 1)  # orphans of the entry come to us, so that they end with the cell
    started = time.monotonic()
    send_frame(conn, {"pid": os.getpid()})
    message = _read_job(conn)
    sink = _redirect()
    job = execute.Job(**message["job"])
    if message["kind"] == "prepare":
        outcome = _prepare(job)
        send_frame(conn, outcome)
        return
    ours, theirs = socket.socketpair()
    entry = os.fork()
    if entry == 0:
        ours.close()
        conn.close()
        _entry_process(theirs, job)
    theirs.close()
    outcome = _score(execute, job, ours, entry)
    _kill_descendants()
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    outcome["costs"] |= {
        "cpu_total": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "wall": time.monotonic() - started,
        "rss_mb": round(max(children.ru_maxrss, own.ru_maxrss) / 1024, 1),
    }
    if outcome["status"] not in ("ok", "diverged"):
        outcome["output"] = _tail(sink)
    send_frame(conn, {k: v for k, v in outcome.items() if k != "curves"}, npz(outcome.get("curves", {})))


def _prepare(job: Any) -> dict[str, Any]:
    from pathlib import Path

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


def _entry_process(sock: socket.socket, job: Any) -> None:
    """The entry's side: receive the public data, run, serve predictions, report costs. Never returns."""
    from bench import execute, wire

    code = 1
    try:
        prctl(PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _limit_memory(job.memory_mb)
        link = wire.Connection(sock)
        public = link.recv()
        report, solution, log = execute.run_entry(job, public, _PipeChannel(link))
        link.send(["done", execute.report_of(report, solution, log)])
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
    finally:
        sys.stdout.flush()
        os._exit(code)


def _limit_memory(megabytes: int) -> None:
    """RLIMIT_DATA above what the fork server's image already holds."""
    if sys.platform != "linux":
        return
    with open("/proc/self/status") as status:
        used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
    limit = used + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _serve(link: Any, predict: Callable[..., Any] | None, inputs: list[Any]) -> None:
    try:
        assert predict is not None
        answer = ["output", predict(*inputs)]
    except Exception as error:  # told to the scorer, which makes it the cell's failure
        answer = ["raised", f"predict: {type(error).__name__}: {error}"]
    link.send(answer)


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
    baseline: int = 0
    checked: float = field(default_factory=time.monotonic)

    def recv(self) -> Any:
        while not select.select([self.link.sock], [], [], 0.1)[0]:
            now = time.monotonic()
            if now > self.deadline:
                self._end()
                raise _Ended("timeout", f"it ran longer than limits.seconds={self.job.seconds:g}")
            if now - self.checked > 0.5:
                self.checked = now
                used = _tree_memory(self.pid)
                if used > (self.job.memory_mb + 400) * 2**20:
                    self._end()
                    raise _Ended("oom", f"its processes held {used >> 20} MB, limits.memory_mb={self.job.memory_mb}")
        try:
            return self.link.recv()
        except (EOFError, ConnectionError):
            raise self._death() from None
        except (ValueError, KeyError, TypeError, struct.error, MemoryError) as error:
            raise _Ended("crashed", f"it sent what is no message: {error}") from error

    def send(self, value: Any) -> None:
        try:
            self.link.send(value)
        except (BrokenPipeError, ConnectionError):
            raise self._death() from None

    def _end(self) -> None:
        _kill_descendants()

    def _death(self) -> _Ended:
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return _Ended("crashed", f"its process died of {signal.Signals(number).name}")
        return _Ended("crashed", f"its process left with exit code {os.waitstatus_to_exitcode(status)}")

    def predict(self, *inputs: Any) -> Any:
        self.send(["predict", list(inputs)])
        kind, value = self.recv()
        if kind != "output":
            raise RuntimeError(str(value))
        return value


def _score(execute: Any, job: Any, sock: socket.socket, pid: int) -> dict[str, Any]:
    from bench import wire

    scorer, outcome = execute.opened(job)
    if scorer is None:
        return dict(outcome)
    guard = _Guard(wire.Connection(sock), pid, time.monotonic() + job.seconds, job)
    try:
        guard.send(dict(scorer.problem.public))
        while True:
            kind, value = guard.recv()
            if kind == "done":
                break
            if kind != "evaluate":
                raise _Ended("crashed", f"it sent an unknown message {kind!r}")
            guard.send(["scores", *scorer.evaluate(int(value), guard.predict)])
        outcome = scorer.finish(value, guard.predict if value["predicts"] else None)
        guard.send(["close"])
        outcome["costs"]["cpu"] = guard.recv()[1]
        os.waitpid(pid, 0)
    except _Ended as ended:
        outcome = scorer.finish({"status": ended.status, "reason": str(ended)}, None)
    except RuntimeError as error:
        outcome = scorer.finish({"status": "failed", "reason": str(error)}, None)
    sock.close()
    return dict(outcome)


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
