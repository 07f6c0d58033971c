"""The scorer's hold on the entry's process: its pipe, watched for time, memory and death, and the end of all below it."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.running import message_checks


class Ended(Exception):
    """The entry's process ended, or was ended, before it was done."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Guard:
    """The pipe to the entry's process, watched: wall time, memory of the process tree, death."""

    sock: socket.socket
    pid: int
    deadline: float
    job: Any
    evaluations: int = 0
    counts: Any = None
    ended: Ended | None = None
    checked: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.link = message_checks.Connection(self.sock, self._wait)

    def _wait(self, sending: bool) -> None:
        """Return once the pipe can be read, or written; raise Ended at a limit, however busy the pipe is."""
        ready = False
        while not ready:
            ready = any(select.select([] if sending else [self.sock], [self.sock] if sending else [], [], 0.1))
            now = time.monotonic()
            if now > self.deadline:
                raise self._end("timeout", f"it ran longer than limits.seconds={self.job.seconds:g}")
            if now - self.checked > 0.5:
                self.checked = now
                used = _held()
                if used > (self.job.memory_mb + 400) * 2**20:
                    told = f"its processes held {used >> 20} MB, limits.memory_mb={self.job.memory_mb}"
                    raise self._end("oom", told)

    def recv(self) -> list[Any]:
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

    def _end(self, status: str, reason: str) -> Ended:
        kill_descendants(self.pid)
        self.ended = Ended(status, reason)
        return self.ended

    def close(self) -> None:
        """End the entry's process, which has said all."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _death(self) -> Ended:
        if self.ended is None:
            os.kill(self.pid, signal.SIGKILL)  # its pipe is shut, which a living process can do as well
            _, status = os.waitpid(self.pid, 0)
            if os.WIFSIGNALED(status):
                reason = f"its process died of {signal.Signals(os.WTERMSIG(status)).name}"
            else:
                reason = f"its process left with exit code {os.waitstatus_to_exitcode(status)}"
            self.ended = Ended("crashed", reason)
        return self.ended

    def predict(self, *inputs: Any) -> Any:
        """What the entry predicts; `counts` is then what it says it has spent."""
        return self._ask("predict", inputs)

    def show(self, *inputs: Any) -> Any:
        """What the entry predicts for a picture, uncharged."""
        return self._ask("show", inputs)

    def _ask(self, kind: str, inputs: tuple[Any, ...]) -> Any:
        self.send([kind, list(inputs)])
        kind, *rest = self.recv()
        if kind != "output":
            raise RuntimeError(message_checks.text(rest[0]))
        self.counts = rest[1]
        return rest[0]


def _held() -> int:
    """Bytes that the processes below this one hold, beside what they map from files."""
    import psutil

    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            if sys.platform == "linux":
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "RssShmem")))
            else:
                total += process.memory_info().rss
        except (OSError, psutil.Error):
            pass  # it ended meanwhile
    return total


def kill_descendants(group: int) -> None:
    """End every process below this one, and wait for them, so that their CPU time is counted.

    group: of the entry's processes. A signal to all of it at once leaves none the time to fork; processes that could leave
    the group, where no filter kept them in, are looked for one by one. Orphans of the entry are this process's own
    children, so no child left means no descendant left.
    """
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        import psutil

        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # all of it has ended; macOS forbids what Linux cannot find
        for child in psutil.Process().children(recursive=True):
            try:
                child.kill()
            except psutil.Error:
                pass
        time.sleep(0.002)
