"""Processes: a fork server with torch loaded, two processes a cell, limits, and a parent that only schedules.

    parent ──spawns──▶ fork server ──forks──▶ scorer ──forks──▶ the entry's process
       └────────────── one socket a cell ──────┘ └──── wire ────┘

This module is the parent's side; `bench.running.fork_server` and `bench.running.scorer_process` are what the others run.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.data import cache_dir
from bench.outcome import Outcome
from bench.parts import python_path
from bench.running import sandbox
from bench.running.frames import send_frame, take_frame

GRACE = 20.0  # seconds the parent waits beyond a cell's limit before it steps in
# Of the fork server, and so of every cell: the order of sets, and no helpers of torch.compile that would outlive a fork.
FIXED = {"PYTHONHASHSEED": "0", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
KINDS = {"prepare": b"p", "cell": b"c"}  # what a job's process does, as the fork server is told


@dataclass
class _Running:
    name: Any
    sock: socket.socket
    seconds: float
    buffer: bytearray = field(default_factory=bytearray)
    started: float = field(default_factory=time.monotonic)
    pid: int = 0


class Pool:
    """Runs jobs on `workers` slots at a time. Use as a context manager; leaving it ends everything it started.

    withheld: folders that no entry may read; None: the data folder.
    """

    def __init__(self, workers: int, withheld: Sequence[Path] | None = None) -> None:
        self.workers = workers
        self.withheld = [str(path) for path in (withheld if withheld is not None else [cache_dir()])]
        self._folder = tempfile.TemporaryDirectory(prefix="sweepstakes-", ignore_cleanup_errors=True)
        self.running: dict[Any, _Running] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for running in list(self.running.values()):
            self._kill(running)
        if self._sock is not None:
            self._sock.close()
        if self._server is not None:
            self._server.terminate()
            self._server.wait()
        with contextlib.suppress(OSError):
            sandbox.remove(Path(self._folder.name))  # of cells that were killed: whatever they left
        self._folder.cleanup()

    def _start_server(self) -> None:
        ours, theirs = socket.socketpair()
        code = f"import sys; sys.path[:] = {python_path()!r}; from bench.running.fork_server import serve; "
        code += f"serve({theirs.fileno()}, {self.withheld!r})"
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        environment = sandbox.environment() | threads
        environment |= {"TMPDIR": self._folder.name, **FIXED}
        self._server = subprocess.Popen(
            [sys.executable, "-P", "-c", code], pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL
        )
        theirs.close()
        if ours.recv(1) != b"r":
            raise RuntimeError("the fork server did not start; its error stands above")
        self._sock = ours

    def server_pid(self) -> int | None:
        """The fork server's process, once there is one."""
        return self._server.pid if self._server else None

    def _launch(self, name: Any, kind: str, job: Any) -> None:
        if self._server is None or self._server.poll() is not None:
            self._start_server()
        assert self._sock is not None
        ours, theirs = socket.socketpair()
        socket.send_fds(self._sock, [KINDS[kind]], [theirs.fileno()])
        theirs.close()
        send_frame(ours, {"job": asdict(job), "environment": dict(os.environ)})
        ours.setblocking(False)
        self.running[name] = _Running(name, ours, job.seconds)
        self._selector.register(ours, selectors.EVENT_READ, self.running[name])

    def run(
        self,
        jobs: Iterable[tuple[Any, str, Any]],
        idle: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[Any, Outcome, bytes]]:
        """(name, kind, job)s in; (name, outcome, curves) out, as they end. `idle` is called a few times a second."""
        waiting = iter(jobs)
        exhausted = False
        while True:
            while not exhausted and len(self.running) < self.workers:
                following = next(waiting, None)
                if following is None:
                    exhausted = True
                else:
                    self._launch(*following)
            if not self.running:
                return
            for event, _ in self._selector.select(0.2):
                ended = self._read(event.data)
                if ended is not None:
                    yield ended
            now = time.monotonic()
            for running in list(self.running.values()):
                if now - running.started > running.seconds + GRACE:
                    self._kill(running)
                    yield (
                        running.name,
                        Outcome.failure("timeout", f"it ran longer than limits.seconds={running.seconds:g}"),
                        b"",
                    )
            idle()

    def _read(self, running: _Running) -> tuple[Any, Outcome, bytes] | None:
        try:
            chunk = running.sock.recv(1 << 20)
        except BlockingIOError:
            return None
        except ConnectionError:
            chunk = b""
        running.buffer += chunk
        frame = take_frame(running.buffer)
        if frame is not None and "pid" in frame[0]:
            running.pid = int(frame[0]["pid"])
            frame = take_frame(running.buffer)
        if frame is not None:
            self._forget(running)
            return running.name, msgspec.convert(frame[0]["outcome"], Outcome), frame[1]
        if not chunk:
            self._kill(running)
            return (
                running.name,
                Outcome.failure("crashed", "the cell's own process died; see the machine's log for a killer"),
                b"",
            )
        return None

    def _forget(self, running: _Running) -> None:
        self._selector.unregister(running.sock)
        running.sock.close()
        self.running.pop(running.name, None)

    def _kill(self, running: _Running) -> None:
        if running.pid:
            import psutil

            groups = {running.pid}  # the scorer leads one, its entry another; all of one end at once, and none can fork
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                groups |= {os.getpgid(child.pid) for child in psutil.Process(running.pid).children(recursive=True)}
            for group in groups:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
        self._forget(running)
