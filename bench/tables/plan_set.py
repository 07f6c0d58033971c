"""The plans behind a set of claims or figures: each made once, all joined with the store as tables are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.contract import BenchError, Task
from bench.planning import config
from bench.planning import plan as planning
from bench.planning.plan import Plan
from bench.records.store import Store
from bench.tables.join import join
from bench.tables.seed_values import Joined


class PlanSet:
    """Plans by their words, with the store that holds their records.

    kind: "claim" or "figure", for the message. words: settings of the run, such as `workers=2`; BenchError for any other
    word. Published records count as done unless `reuse=` says otherwise.
    """

    def __init__(self, kind: str, words: Iterable[str]) -> None:
        self.words = ["reuse=ledger", *words]
        for word in self.words:
            if word.split("=")[0].split(".")[0] not in config.RUN_WORDS:
                known = ", ".join(config.RUN_WORDS)
                raise BenchError(f"{word}: a {kind}'s cells are its own; what may be set here is {known}")
        self.settings = config.parse(self.words).settings
        self.store = Store(Path(self.settings.results))
        self.plans: dict[tuple[str, ...], Plan] = {}

    def plan(self, words: tuple[str, ...]) -> Plan:
        """The plan of these words of a sweep. BenchError if it does not resolve."""
        if words not in self.plans:
            self.plans[words] = planning.make(config.parse([*self.words, *words]), self.store)
        return self.plans[words]

    @property
    def merged(self) -> Plan:
        """The cells of all plans as one plan."""
        return Plan([row for plan in self.plans.values() for row in plan.rows])

    def joined(self) -> dict[tuple[str, ...], list[tuple[type[Task], Joined]]]:
        """words -> the rows of their plan, each with its task's class and its records."""
        rows = {id(row.row): (cls, row) for cls, rows in join(self.merged, self.store) for row in rows}
        return {words: [rows[id(row)] for row in plan.rows] for words, plan in self.plans.items()}
