"""From a plan and the store to tables: a board table is a plan joined with the store, never "all records".

This machine's record of the very key comes first. Where it has none, a published record of the same task version,
parameters, data, entry and seed stands in, and the table says if that record is of older code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench.contract import Task
from bench.planning import config
from bench.planning.plan import Plan
from bench.records import standing
from bench.records.ledger import Published, differences
from bench.records.record import Record
from bench.records.standing import Verification
from bench.records.store import Store
from bench.tables.seed_values import Joined
from bench.tables.table import Table, build

OLDER = "older code"


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
                    # a verification of the published record holds for this equal one too
                    joined.published[record.key] = other.key
                records.append(record)
            joined.cells[seed] = records
        groups.setdefault(row.table, []).append(joined)
    return [(config.task_spec(rows[0].row.task).cls, rows) for rows in groups.values()]


def build_all(plan: Plan, store: Store) -> list[Table]:
    """One table for each task and set of parameters of the plan."""
    return [table for table, _, _ in built(plan, store)]


def built(plan: Plan, store: Store) -> list[tuple[Table, Task, list[Joined]]]:
    """Each table with its task and the joined rows it was made from, these in the plan's order."""
    tables, verified = [], standing.standing(store)
    for cls, rows in join(plan, store):
        first = next(iter(rows[0].row.planned.values()))[0]
        task = cls(cls.Params(**first.given))
        table = build(task, rows, [record for row in rows for record in row.both], plan.suite or "")
        if older := sum(row.older for row in rows):
            note = f"{older} published records are of {OLDER}, with the same task version and data"
            table = replace(table, notes=(*table.notes, note))
        tables.append((_badged(table, verified), task, rows))
    return tables


def _badged(table: Table, verified: Mapping[tuple[str, str, str], Verification]) -> Table:
    """The table with a badge on each row that `bench verify` checked; a row that is only claimed has none."""
    rows = []
    for row in table.rows:
        badge = standing.badge(verified.get((table.task, table.preset, row.entry)), row.published)
        rows.append(replace(row, badge=badge if badge in ("verified", "disputed") else ""))
    return replace(table, rows=tuple(rows))
