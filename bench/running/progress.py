"""The progress line of a sweep on the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Counts and time estimate of a sweep. On a terminal one line is redrawn; elsewhere a line is printed now and then.

    total: cells to run. skipped: cells whose records are fresh. costs: expected seconds of the cells that are left, by key,
    for those whose cost an earlier record tells.
    """

    total: int
    skipped: int
    workers: int
    costs: dict[str, float] = field(default_factory=dict)
    out: Any = field(default_factory=lambda: sys.stderr)
    done: int = 0
    bad: int = 0
    started: float = field(default_factory=time.monotonic)
    shown: float = 0.0
    measured_seconds: float = 0.0  # wall time of the cells that ran
    expected_seconds: float = 0.0  # what `costs` said of the same cells; the measured time where it said nothing

    def ended(self, key: str, wall: float | None) -> None:
        """Count a cell as done. wall: its seconds; None if it did not run to its end."""
        self.done += 1
        cost = self.costs.pop(key, None)
        if wall is not None:
            self.measured_seconds += wall
            self.expected_seconds += wall if cost is None else cost

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
        if self.skipped:
            text += f", {self.skipped} fresh"
        if self.done:
            text += f", {60 * self.done / (time.monotonic() - self.started):.3g} a minute"
        seconds = self.seconds_left()
        if seconds is not None and left:
            text += f", about {seconds / 60:.1f} min left" if seconds > 90 else f", about {seconds:.0f} s left"
        labels = "; ".join(running)
        return text + (f" | {labels}" if labels else "")

    def show(self, running: Iterable[str], force: bool = False) -> None:
        """Write the progress line, at most twice a second on a terminal and every ten seconds elsewhere unless `force`."""
        tty = self.out.isatty()
        now = time.monotonic()
        if not force and now - self.shown < (0.5 if tty else 10.0):
            return
        self.shown = now
        text = self.line(running)
        self.out.write(f"\r\x1b[2K{text[:140]}" if tty else f"{text}\n")
        self.out.flush()

    def say(self, text: str) -> None:
        """Write a line that later progress lines do not overwrite."""
        self.out.write(f"\r\x1b[2K{text}\n" if self.out.isatty() else f"{text}\n")
        self.out.flush()
