"""From a plan and the store to tables and exports.

A board table is a plan joined with the store, never "all records". This machine's record of the very key comes first;
a published one of the same task version, parameters, data, entry and seed stands in, and the table says if it is of older code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.contract import Task
from bench.planning import config
from bench.planning.plan import Plan, Row
from bench.records import standing
from bench.records.ledger import Published, differences
from bench.records.record import Record
from bench.records.standing import Verification
from bench.records.store import Store
from bench.tables import table

OLDER = "older code"


@dataclass
class Joined:
    """A planned row with its records (see table.Planned)."""

    row: Row
    cells: dict[int, list[Record | None]] = field(default_factory=dict)
    older: int = 0
    both: list[Record] = field(default_factory=list)  # this machine's and the published record of one key
    published: dict[str, str] = field(default_factory=dict)  # own key -> the published one's, equal in every bit

    @property
    def entry(self) -> str:
        return self.row.entry

    @property
    def slots(self) -> tuple[str, ...]:
        return self.row.slots

    @property
    def division(self) -> str:
        return self.row.division

    @property
    def trials(self) -> int | None:
        return self.row.trials


def join(plan: Plan, store: Store) -> list[tuple[type[Task], list[Joined]]]:
    """The plan's rows with their records, grouped into tables: same task, preset and parameters."""
    cells = list(plan.cells())
    local = store.latest(cell.key for cell in cells)
    published = Published(store, cells)
    groups: dict[tuple[str, str, str], list[Joined]] = {}
    for row in plan.rows:
        joined = Joined(row)
        for seed, cells in row.planned.items():
            records: list[Record | None] = []
            for cell in cells:
                record: Record | None = local.get(cell.key)
                if record is not None and cell.key in published.by_key:
                    joined.both += [record, published.by_key[cell.key]]
                other, older = published.get(cell)
                if record is None:
                    record = other
                    joined.older += older
                elif other is not None and not older and not differences(other, record):
                    joined.published[record.key] = other.key  # what was said of that one holds for it
                records.append(record)
            joined.cells[seed] = records
        groups.setdefault(row.table, []).append(joined)
    return [(config.task_spec(rows[0].row.task).cls, rows) for rows in groups.values()]


def build_all(plan: Plan, store: Store) -> list[table.Table]:
    """One table for each task and set of parameters of the plan."""
    return [one for one, _, _ in built(plan, store)]


def built(plan: Plan, store: Store) -> list[tuple[table.Table, Task, list[Joined]]]:
    """Each table with its task and the joined rows it was made from, these in the plan's order."""
    found, checked = [], standing.standing(store)
    for cls, rows in join(plan, store):
        first = next(iter(rows[0].row.planned.values()))[0]
        task = cls(cls.Params(**first.given))
        made = table.build(task, rows, [r for j in rows for r in j.both], plan.suite or "")
        older = sum(joined.older for joined in rows)
        if older:
            text = f"{older} published records are of {OLDER}, with the same task version and data"
            made = replace(made, notes=(*made.notes, text))
        found.append((_badged(made, checked), task, rows))
    return found


def _badged(made: table.Table, checked: Mapping[tuple[str, str, str], Verification]) -> table.Table:
    """The table with what `bench verify` said of its rows; that nobody has looked needs no word."""
    words = [standing.badge(checked.get((made.task, made.preset, row.entry)), row.published) for row in made.rows]
    told = [word if word in ("verified", "disputed") else "" for word in words]
    return replace(made, rows=tuple(replace(row, badge=word) for row, word in zip(made.rows, told, strict=True)))
