"""How far a sweep is, for people."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Done, failed, left, rate, time left, and what runs now; one line, redrawn on a terminal, else now and then.

    total: cells to run. skipped: that were there. costs: seconds by stored costs, by key, of the cells that are left.
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
    walls: float = 0.0  # of the cells that ended, and what stored costs said of those
    foretold: float = 0.0

    def ended(self, key: str, wall: float | None) -> None:
        """A cell is done. wall: its seconds; None if it did not run, or did not run through."""
        self.done += 1
        cost = self.costs.pop(key, None)
        if wall is not None:
            self.walls += wall
            self.foretold += wall if cost is None else cost

    def seconds_left(self) -> float | None:
        """By stored costs, corrected by how the cells so far compare with theirs; None while nothing is known."""
        left = self.total - self.done
        unknown = left - len(self.costs)
        if unknown and not self.done:
            return None
        usual = self.walls / self.done if self.done else 0.0
        pace = self.walls / self.foretold if self.foretold else 1.0
        return (pace * sum(self.costs.values()) + usual * unknown) / self.workers

    def line(self, running: list[str]) -> str:
        """The state of the sweep in words."""
        left = self.total - self.done
        text = f"{self.done}/{self.total} done, {self.bad} not ok, {left} left"
        if self.skipped:
            text += f", {self.skipped} fresh"
        if self.done:
            text += f", {60 * self.done / (time.monotonic() - self.started):.3g} a minute"
        seconds = self.seconds_left()
        if seconds is not None and left:
            text += f", about {seconds / 60:.1f} min left" if seconds > 90 else f", about {seconds:.0f} s left"
        return text + (f" | {'; '.join(running)}" if running else "")

    def show(self, running: list[str], force: bool = False) -> None:
        """Redraw, at most twice a second on a terminal and every ten seconds elsewhere."""
        tty = self.out.isatty()
        now = time.monotonic()
        if not force and now - self.shown < (0.5 if tty else 10.0):
            return
        self.shown = now
        text = self.line(running)
        self.out.write(f"\r\x1b[2K{text[:140]}" if tty else f"{text}\n")
        self.out.flush()

    def say(self, text: str) -> None:
        """A line that stays."""
        self.out.write(f"\r\x1b[2K{text}\n" if self.out.isatty() else f"{text}\n")
        self.out.flush()
