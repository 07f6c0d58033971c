"""From plans and the store to tables: a board table is a plan joined with the store, never "all records".

This machine's record of the very key comes first. Where it has none, a published record of the same task version,
parameters, data, entry and seed stands in, and the table says if that record is of older code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from bench.contract import BenchError, Task
from bench.planning import config
from bench.planning import plan as planning
from bench.planning.plan import Plan
from bench.records import standing
from bench.records.ledger import Published, differences
from bench.records.standing import Verification
from bench.records.store import Store
from bench.tables.seed_values import Joined
from bench.tables.table import Table, build


def join(plan: Plan, store: Store) -> list[Joined]:
    """The plan's rows with their records."""
    cells = list(plan.cells())
    local = store.latest(cell.key for cell in cells)
    published = Published(store, cells)
    rows = []
    for row in plan.rows:
        joined = Joined(row)
        for cell in row.cells():
            record, (other, older) = local.get(cell.key), published.get(cell)
            joined.cells.setdefault(cell.seed, []).append(other if record is None else record)
            if record is None:
                joined.older += older
            elif other is not None and other.key == record.key:
                joined.both += [record, other]
            if record is not None and other is not None and not older and not differences(other, record):
                # a verification of the published record holds for this equal one too
                joined.published[record.key] = other.key
        rows.append(joined)
    return rows


def built(plan: Plan, store: Store) -> list[tuple[Table, Task, list[Joined]]]:
    """A table for each task and set of parameters, with its task and the joined rows it was made from, in the plan's order."""
    tables, verified = [], standing.standing(store)
    groups: dict[tuple[str, str, str], list[Joined]] = {}
    for row in join(plan, store):
        groups.setdefault(row.row.table, []).append(row)
    for rows in groups.values():
        first = rows[0].row
        task = first.cls(first.cls.Params(**next(first.cells()).given))
        tables.append((_badged(build(task, rows, plan.suite or ""), verified), task, rows))
    return tables


def _badged(table: Table, verified: Mapping[tuple[str, str, str], Verification]) -> Table:
    """The table with a badge on each row that `bench verify` checked; a row that is only claimed has none."""
    rows = []
    for row in table.rows:
        line = verified.get((table.task, table.preset, row.entry))
        badge, fresh = standing.badge(line, row.published), line.fresh if line else None
        if badge != "claimed":
            row = replace(row, badge=badge, fresh=len(fresh.seeds) if fresh else 0)
        rows.append(row)
    return replace(table, rows=tuple(rows))


def build_all(plan: Plan, store: Store) -> list[Table]:
    """The tables of a plan."""
    return [table for table, _, _ in built(plan, store)]


class PlanSet:
    """The plans behind a set of claims or figures: each made once by its words, all joined with the store as tables are.

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

    def joined(self) -> dict[tuple[str, ...], list[Joined]]:
        """words -> the rows of their plan with their records."""
        rows = iter(join(self.merged, self.store))
        return {words: [*islice(rows, len(plan.rows))] for words, plan in self.plans.items()}
