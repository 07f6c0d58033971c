"""How the scorer supervises the entry's process: the pipe to it, its limits of time and memory, and its end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench import wire
from bench.running import message_checks


class Ended(Exception):
    """The entry's process exited, or was killed at a limit, before its run was complete. status: of the cell's record."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Guard(wire.Connection):
    """The scorer's end of the pipe to the entry's process. While it waits, it enforces the limits of wall time and of memory.

    Its methods raise `Ended` once the process is gone or a limit is passed. job: holds the limits. evaluations: how many scores
    the entry asked for. counts: what the entry says it has spent, as of its last prediction.
    """

    sock: socket.socket
    pid: int
    deadline: float
    job: Any
    evaluations: int = 0
    counts: Any = None
    ended: Ended | None = None
    memory_checked: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.sock.setblocking(False)

    def _wait(self, sending: bool) -> None:
        """Return once the pipe can be read (or written, if `sending`). Limits are checked even if the pipe is ready at once."""
        ready = False
        while not ready:
            ready = any(select.select([] if sending else [self.sock], [self.sock] if sending else [], [], 0.1))
            now = time.monotonic()
            if now > self.deadline:
                raise self._end("timeout", f"it ran longer than limits.seconds={self.job.seconds:g}")
            if now - self.memory_checked > 0.5:
                self.memory_checked = now
                used = _memory_of_descendants() >> 20
                if used > self.job.memory_mb + 400:
                    raise self._end("oom", f"its processes held {used} MB, limits.memory_mb={self.job.memory_mb}")

    def _exactly(self, size: int) -> bytes:
        buffer = bytearray()  # grows with the bytes received, since the announced size may be false
        while len(buffer) < size:
            self._wait(sending=False)
            if not (chunk := self.sock.recv(min(size - len(buffer), 2**20))):
                raise self._death()
            buffer += chunk
        return bytes(buffer)

    def recv(self) -> list[Any]:
        """The next message, a list whose first item names its kind; a malformed one ends the process."""
        try:
            header_size, body_size = struct.unpack("<QQ", self._exactly(16))
            if header_size > message_checks.HEADER_BYTES or body_size > message_checks.BODY_BYTES:
                raise ValueError(f"a message of {header_size + body_size} bytes is too large")
            header, body = self._exactly(header_size), self._exactly(body_size)
            message_checks.check(header, body_size)
            message = wire.decode(header, body)
            if not isinstance(message, list) or not message or not isinstance(message[0], str):
                raise ValueError("it is no list that starts with its kind")
            return message
        except ConnectionError:
            raise self._death() from None
        except (ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
            raise self._end("failed", f"it sent what is no message: {error}") from error

    def send(self, value: Any) -> None:
        """Send `value` as one message."""
        unsent = memoryview(wire.encode(value))
        try:
            while unsent:
                self._wait(sending=True)
                unsent = unsent[self.sock.send(unsent) :]
        except ConnectionError:
            raise self._death() from None

    def _end(self, status: str, reason: str) -> Ended:
        kill_descendants(self.pid)
        self.ended = Ended(status, reason)
        return self.ended

    def close(self) -> int:
        """Kill the entry's process, which can close its pipe and go on running; returns its exit code, -n after signal n."""
        os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _death(self) -> Ended:
        if self.ended is None:
            code = self.close()
            died = f"died of {signal.Signals(-code).name}" if code < 0 else f"left with exit code {code}"
            self.ended = Ended("crashed", f"its process {died}")
        return self.ended

    def predict(self, *inputs: Any, kind: str = "predict") -> Any:
        """The entry's output for `inputs`; RuntimeError if its `predict` raises. With kind "show", no cost is booked."""
        self.send([kind, list(inputs)])
        answer, *rest = self.recv()
        if answer != "output":
            raise RuntimeError(message_checks.text(rest[0]))
        self.counts = rest[1]
        return rest[0]


def _memory_of_descendants() -> int:
    """Bytes in use by this process's descendants; on Linux without memory that is mapped from files."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            if sys.platform == "linux":
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "RssShmem")))
            else:
                total += process.memory_info().rss
        except (OSError, psutil.Error):
            pass  # the process ended meanwhile
    return total


def reap_children() -> bool:
    """Collect every child that has ended, so that its CPU time is counted. Returns whether any child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def kill_descendants(group: int) -> None:
    """Kill every descendant of this process and wait for them all, so that their CPU time is counted.

    group: of the entry. A signal to it leaves none of its processes time to fork; without a system-call filter processes can
    leave it, so they are also killed one by one. This process adopts orphans, so no descendant is left once it has no child.
    """
    while reap_children():
        # Both errors mean that the group is already gone: ESRCH on Linux, EPERM on macOS.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        time.sleep(0.002)
