"""The parent's side of running cells in processes: scheduling, time limits, and the outcomes that come back.

    parent ──spawns──▶ fork server ──forks──▶ scorer ──forks──▶ the entry's process
       └────────────── one socket a cell ──────┘ └──── wire ────┘

The other processes run `bench.running.fork_server`, `bench.running.scorer_process` and `bench.running.entry_process`.
"""

from __future__ import annotations

import contextlib
import itertools
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
from bench.execute import Job
from bench.outcome import Outcome
from bench.parts import python_path
from bench.planning.settings import Settings
from bench.records.record import Cell
from bench.running import numerics, sandbox
from bench.running.frames import send_frame, take_frame

GRACE = 20.0  # seconds beyond a cell's limit after which the parent kills it; the scorer should have done so earlier
# Every cell inherits these: a fixed order of sets, and no worker processes of torch.compile.
FIXED = {"PYTHONHASHSEED": "0", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
KINDS = {"prepare": b"p", "cell": b"c"}  # kind of job -> the byte that requests it from the fork server


def job_of(cell: Cell, settings: Settings) -> Job:
    """The job that a cell's processes, or `bench.execute.call`, run."""
    return Job(
        cell.target, cell.given, dict(cell.parts), cell.seed, str(cache_dir()), settings.probes, settings.limits.seconds,
        settings.limits.memory_mb, cell.reads,
    )  # fmt: skip


@dataclass
class _Running:
    name: Any
    sock: socket.socket
    seconds: float
    buffer: bytearray = field(default_factory=bytearray)
    started: float = field(default_factory=time.monotonic)
    pid: int = 0


class Pool:
    """Runs up to `workers` jobs at a time. Use it as a context manager: on exit it ends every process it started.

    withheld: folders that no entry may read; by default the data folder. mode: portable or native (`bench.running.numerics`).
    fingerprint: of the processes' arithmetic, known once a job was started.
    """

    def __init__(self, workers: int, withheld: Sequence[Path] | None = None, mode: str = "portable") -> None:
        self.workers = workers
        self.mode = mode
        self.fingerprint = ""
        self.withheld = [str(path) for path in (withheld if withheld is not None else [cache_dir()])]
        self._folder = tempfile.TemporaryDirectory(prefix="sweepstakes-", ignore_cleanup_errors=True)
        self.running: dict[Any, _Running] = {}
        self.server: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for running in list(self.running.values()):
            self._kill(running)
        if self._sock is not None:
            self._sock.close()
        if self.server is not None:
            self.server.terminate()
            self.server.wait()
        with contextlib.suppress(OSError):
            sandbox.remove(Path(self._folder.name))  # killed cells may leave folders that cleanup() cannot remove
        self._folder.cleanup()

    def _start_server(self) -> None:
        ours, theirs = socket.socketpair()
        code = f"import sys; sys.path[:] = {python_path()!r}; from bench.running.fork_server import serve; "
        code += f"serve({theirs.fileno()}, {self.withheld!r}, {self.mode!r})"
        environment = sandbox.environment() | sandbox.ONE_THREAD | numerics.environment(self.mode)
        environment |= {"TMPDIR": self._folder.name, **FIXED}
        self.server = subprocess.Popen(
            [sys.executable, "-P", "-c", code], pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL
        )
        theirs.close()
        self.fingerprint = ours.recv(64).decode()
        if not self.fingerprint:
            raise RuntimeError("the fork server did not start; its error stands above")
        self._sock = ours

    def _launch(self, name: Any, kind: str, job: Job) -> None:
        if self.server is None or self.server.poll() is not None:
            self._start_server()
        assert self._sock is not None
        ours, theirs = socket.socketpair()
        socket.send_fds(self._sock, [KINDS[kind]], [theirs.fileno()])
        theirs.close()
        send_frame(ours, {"job": asdict(job), "environment": dict(os.environ)})
        running = _Running(name, ours, job.seconds)
        self._selector.register(ours, selectors.EVENT_READ, running)
        self.running[name] = running

    def run(
        self, jobs: Iterable[tuple[Any, str, Job]], idle: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[Any, Outcome, bytes]]:
        """Run `jobs` of (name, kind, job) and yield (name, outcome, .npz bytes of curves) as each ends.

        kind: a key of `KINDS`. `jobs` is read only as workers become free. `idle` is called several times a second.
        """
        pending = iter(jobs)
        while True:
            for job in itertools.islice(pending, self.workers - len(self.running)):
                self._launch(*job)
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
                    reason = f"it ran longer than limits.seconds={running.seconds:g}"
                    yield running.name, Outcome.failure("timeout", reason), b""
            idle()

    def _read(self, running: _Running) -> tuple[Any, Outcome, bytes] | None:
        """Read what a job has sent; its result once that is complete, or once its process has died."""
        try:
            chunk = running.sock.recv(1 << 20)
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
            reason = "the cell's own process died; see the machine's log for a killer"
            return running.name, Outcome.failure("crashed", reason), b""
        return None

    def _forget(self, running: _Running) -> None:
        del self.running[running.name]  # first, since Ctrl-C may come in between, and `__exit__` forgets what is left
        self._selector.unregister(running.sock)
        running.sock.close()

    def _kill(self, running: _Running) -> None:
        if running.pid:
            import psutil

            # The scorer and its entry lead a group each. One signal to a whole group leaves no process time to fork.
            groups = {running.pid}
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                groups |= {os.getpgid(child.pid) for child in psutil.Process(running.pid).children(recursive=True)}
            for group in groups:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
        self._forget(running)
