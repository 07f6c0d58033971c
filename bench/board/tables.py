"""From a plan and the store to tables, exports and the static page.

A board table is a plan joined with the store, never "all records". This machine's record of the very key comes first;
a published one of the same task version, parameters, data, entry and seed stands in, and the table says if it is of older code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import config
from bench.board import figures, render, site, table
from bench.contract import Figure, Task
from bench.plan import Cell, Plan, Row
from bench.publish import comparable
from bench.store import Store

if TYPE_CHECKING:
    from bench.figures import Drawing

Record = Mapping[str, Any]
OLDER = "older code"


@dataclass
class Joined:
    """A planned row with its records (see table.Planned)."""

    row: Row
    cells: dict[int, list[Record | None]] = field(default_factory=dict)
    older: int = 0
    both: list[Record] = field(default_factory=list)  # this machine's and the published record of one key

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


class _Published:
    """The ledger, by key and by what makes rows comparable."""

    def __init__(self, store: Store) -> None:
        self.by_key: dict[str, Record] = {}
        self.by_row: dict[tuple[str, ...], list[Record]] = {}
        for record in store.published():
            self.by_key[record["key"]] = record
            self.by_row.setdefault(self._row(record), []).append(record)

    @staticmethod
    def _row(record: Record) -> tuple[str, ...]:
        return (record["task"], str(record["version"]), *comparable(record))

    def get(self, cell: Cell) -> tuple[Record | None, bool]:
        """(record, whether it is of older code). Data that are absent here cannot contradict a published record's."""
        if cell.key in self.by_key:
            return self.by_key[cell.key], False
        like = {
            "task": cell.task, "version": cell.version, "params": dict(cell.params), "config": dict(cell.parts),
            "seed": cell.seed,
        }  # fmt: skip
        here = cell.components["data"]
        for record in self.by_row.get(self._row(like), ()):
            theirs = record["components"]["data"]
            if here == theirs or (here and set(here.values()) == {"absent"}):
                return record, record["components"]["code"] != cell.components["code"]
        return None, False


def join(plan: Plan, store: Store) -> list[tuple[type[Task], list[Joined]]]:
    """The plan's rows with their records, grouped into tables: same task, preset and parameters."""
    published = _Published(store)
    groups: dict[tuple[str, str, str], list[Joined]] = {}
    for row in plan.rows:
        joined = Joined(row)
        for seed, cells in row.planned.items():
            records: list[Record | None] = []
            for cell in cells:
                record: Record | None = store.get(cell.key)
                if record is not None and cell.key in published.by_key:
                    joined.both += [record, published.by_key[cell.key]]
                if record is None:
                    record, older = published.get(cell)
                    joined.older += older
                records.append(record)
            joined.cells[seed] = records
        groups.setdefault(row.table, []).append(joined)
    return [(config.task_spec(rows[0].row.task).cls, rows) for rows in groups.values()]


def build_all(plan: Plan, store: Store) -> list[table.Table]:
    """One table for each task and set of parameters of the plan."""
    return [one for one, _, _ in _built(plan, store)]


def _built(plan: Plan, store: Store) -> list[tuple[table.Table, type[Task], list[Joined]]]:
    found = []
    for cls, rows in join(plan, store):
        first = next(iter(rows[0].row.planned.values()))[0]
        task = cls(cls.Params(**first.params))
        made = table.build(task, rows, [r for j in rows for r in j.both], plan.suite or "")
        older = sum(joined.older for joined in rows)
        if older:
            text = f"{older} published records are of {OLDER}, with the same task version and data"
            made = table.Table(**{**vars(made), "notes": (*made.notes, text)})
        found.append((made, cls, rows))
    return found


def _each(one: Callable[[table.Table], str], between: str = "\n\n") -> Callable[[Sequence[table.Table]], str]:
    return lambda tables: between.join(one(t).rstrip("\n") for t in tables)


def _json(tables: Sequence[table.Table]) -> str:
    rows = [row for one in tables for row in json.loads(render.json(one))]
    return json.dumps(rows, indent=1, ensure_ascii=False)


RENDERERS: dict[str, Callable[[Sequence[table.Table]], str]] = {
    "terminal": _each(render.terminal),
    "markdown": _each(render.markdown),
    "csv": lambda tables: render.csv(*tables),
    "latex": _each(render.latex),
    "json": _json,
}


def write_site(plan: Plan, store: Store, out: Path, drawings: Sequence[Drawing] = ()) -> Path:
    """The static page of a plan, with the families' figures; returns its path."""
    built = _built(plan, store)
    records = [r for _, _, rows in built for j in rows for cell in j.cells.values() for r in cell if r is not None]
    drawn: dict[str, str] = {}
    for one, cls, rows in built:
        for figure in cls.figures:
            svg = _draw(figure, rows, cls, store)
            if svg:
                drawn[f"{one.task}: {figure.title}"] = svg
    return site.write([one for one, _, _ in built], records, out, drawn, drawings)


def _draw(figure: Figure, rows: Sequence[Joined], cls: type[Task], store: Store) -> str:
    """The figure as SVG from the first seed's curves, or every seed's points; empty without records."""
    good = [
        (j.entry, [r for cell in j.cells.values() for r in cell if r is not None and r["status"] == "ok"]) for j in rows
    ]
    good = [(entry, records) for entry, records in good if records]
    if not good:
        return ""
    name = figure.names[0]
    if figure.kind == "delay":
        curves = {entry: store.curves(records[0]) for entry, records in good}
        pair = [{e: _series(c[n]) for e, c in curves.items() if n in c} for n in figure.names]
        return figures.delay(pair[0], pair[1], level=_level(cls))
    if figure.kind == "horizon":
        curves = {entry: store.curves(records[0]) for entry, records in good}
        return figures.horizon({e: _series(c[name]) for e, c in curves.items() if name in c})
    if figure.kind == "sensitivity":
        axis = cls.derived[0].axis
        points = {e: _means([(r["params"][axis], r["metrics"].get(name, math.nan)) for r in rs]) for e, rs in good}
        return figures.sensitivity(points)
    cost = {
        e: [sum(r["costs"]["cpu"].get(p, 0.0) for p in ("setup", "train", "predict")) for r in rs] for e, rs in good
    }
    return figures.ladder({e: (cost[e], [r["metrics"].get(name, math.nan) for r in rs]) for e, rs in good})


def _series(points: Any) -> tuple[list[float], list[float]]:
    return list(points[0]), list(points[1])


def _level(cls: type[Task]) -> float:
    return next((metric.target.value for metric in cls.metrics if metric.target is not None), 0.99)


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """x values in order, and the mean of their finite y values."""
    found: dict[float, list[float]] = {}
    for x, y in pairs:
        if math.isfinite(y):
            found.setdefault(x, []).append(y)
    xs = sorted(found)
    return xs, [sum(found[x]) / len(found[x]) for x in xs]
