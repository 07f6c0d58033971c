"""The scorer's hold on the entry's process: its pipe, watched for time, memory and death, and the end of all below it."""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from bench import screening


class Ended(Exception):
    """The entry's process ended, or was ended, before it was done."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Guard:
    """The pipe to the entry's process, watched: wall time, memory of the process tree, death."""

    link: Any
    pid: int
    deadline: float
    job: Any
    evaluations: int = 0
    ended: Ended | None = None
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

    def _end(self, status: str, reason: str) -> Ended:
        kill_descendants()
        self.ended = Ended(status, reason)
        return self.ended

    def _death(self) -> Ended:
        if self.ended is None:
            _, status = os.waitpid(self.pid, 0)
            if os.WIFSIGNALED(status):
                reason = f"its process died of {signal.Signals(os.WTERMSIG(status)).name}"
            else:
                reason = f"its process left with exit code {os.waitstatus_to_exitcode(status)}"
            self.ended = Ended("crashed", reason)
        return self.ended

    def predict(self, *inputs: Any) -> Any:
        self.send(["predict", list(inputs)])
        kind, *rest = self.recv()
        if kind != "output":
            raise RuntimeError(screening.text(rest[0]))
        return rest[0]


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


def kill_descendants() -> None:
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
