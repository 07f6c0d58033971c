"""The log of one run: its counts, CPU clock, curves, evaluations and probes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from bench import chance
from bench.contract import Exhausted, Solution, Task
from bench.parts import locate
from bench.seeds import EntrySeeds

DENSE, SPARSE = 10, 200  # a tracked curve keeps its first DENSE steps, then about SPARSE points over the run


class Channel(Protocol):
    """The way from the entry's side to the scorer. spent: of the budget, by which targets are dated."""

    def evaluate(
        self, step: int, spent: int, predict: Callable[..., Any], stage: str
    ) -> tuple[dict[str, float], bool]: ...


class RunLog:
    """The entry's `log` (see `bench.contract.Log`)."""

    def __init__(self, task: Task, channel: Channel, seeds: EntrySeeds, probes: bool) -> None:
        self.incumbent: Solution | None = None
        self.stop = False
        self.counts: dict[str, int] = defaultdict(int)
        self.cpu: dict[str, float] = {"setup": 0.0, "train": 0.0, "predict": 0.0}
        self.curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self._budget = task.budget
        self._channel = channel
        self._probe_seed = seeds("noise") ^ 0x5EED
        self._probes = {name: locate(path) for name, path in task.probes.items()} if probes else {}
        self.notes: list[str] = []  # faults that did not end the run
        self._uncharged = False
        self._kept: dict[str, int] = {}  # curve -> stretch of the budget of its latest value
        self._phase = "setup"
        self._since = time.process_time()

    def book(self) -> None:
        """Charge the CPU time since the last booking to the current phase."""
        now = time.process_time()
        self.cpu[self._phase] += now - self._since
        self._since = now

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A context whose work is uncharged and leaves the random generators as they were."""
        self.book()
        before, self._uncharged = self._uncharged, True
        try:
            with chance.restored():
                yield
        finally:
            self._uncharged = before
            self.paused_until_now()

    def paused_until_now(self) -> None:
        """Drop the CPU time since the last booking: it was the harness's own."""
        self._since = time.process_time()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self.book()
        before, self._phase = self._phase, name
        try:
            yield
        finally:
            self.book()
            self._phase = before

    def count(self, **amounts: int) -> None:
        if self._uncharged:
            return
        unit, limit = self._budget.unit, self._budget.limit
        if self.counts[unit] + amounts.get(unit, 0) > limit:
            raise Exhausted(f"the budget of {limit} {unit} is spent")
        for name, amount in amounts.items():
            self.counts[name] += amount

    def track(self, step: int, **values: float) -> None:
        stretch = self._spent(step) // max(1, self._budget.limit // SPARSE)
        for name, value in values.items():
            if step <= DENSE or stretch != self._kept.get(name):
                self.curves[name].append((step, float(value)))
            self._kept[name] = stretch

    def evaluate(self, step: int, predict: Callable[..., Any], stage: str = "") -> Mapping[str, float]:
        with self.paused():
            scores, self.stop = self._channel.evaluate(step, self._spent(step), predict, stage)
        return scores

    def _spent(self, step: int) -> int:
        """What the run has spent at `step`, in the budget's unit."""
        return step if self._budget.unit == "steps" else self.counts[self._budget.unit]

    def probe(self, step: int, **state: Any) -> None:
        if not self._probes:
            return
        with self.paused():
            for name, probe in list(self._probes.items()):
                chance.seed(self._probe_seed)
                try:
                    points = {curve: float(value) for curve, value in probe(**state).items()}
                except Exception as error:  # a failing probe ends its own curve, not the run
                    del self._probes[name]
                    self.notes.append(f"probe {name} ended at step {step}: {type(error).__name__}: {error}")
                    continue
                for curve, value in points.items():
                    self.curves[curve].append((step, value))
