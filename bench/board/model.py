"""The content of the board's pages as plain values, from tables and records.

A table's rows are lists in the order of `COLUMNS`; numbers have four significant digits, None is an absent one, and the first
`SHOWN` characters of the records' keys follow one another without a separator. Fields in which many rows agree (`ALIKE`)
are written once for each table, and a row's `alike` is their index. The page's scripts (static/) read the same names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from bench.board import comparing
from bench.board.comparing import several, short
from bench.contract import Datasheet, Task
from bench.records.ledger import thin
from bench.records.record import Record
from bench.records.spelling import SHOWN
from bench.tables import printers
from bench.tables.seed_values import Group, Joined
from bench.tables.standings import Standing, Summary, summarise
from bench.tables.table import GROUPS, Row, Table
from bench.tuning.trials import Tuning

COLUMNS = (
    "entry", "rank", "value", "lo", "hi", "median", "skill", "skill_lo", "skill_hi", "values", "cpu", "costs", "others",
    "alike", "keys",
)  # fmt: skip
ALIKE = (
    "group", "slots", "anchor", "provisional", "reason", "states", "ok", "seeds", "ok_lo", "ok_hi", "reached", "failures",
    "trials", "declared", "badges",
)  # fmt: skip
COSTS = ("cpu_entry", "wall", "rss_mb", "steps", "samples", "evals", "parameters")
STATES = {"ok": "o", "failed": "x", "missing": "-", "undefined": "u"}
METHOD = (
    "Intervals are 95 % t intervals over seeds, on each metric’s scale; with a failed seed there is none. A rank is the range "
    "that paired t tests (moderated variances, Holm, wider in small tables and where noise is skewed) leave open, starred with "
    "3 or 4 seeds. A failed seed has skill 0, is listed at the metric’s penalty, and decides no rank by itself. Untuned or "
    "incomplete rows are unranked."
)
Run = tuple[Sequence[float], Sequence[float], bool]  # steps and values of a curve, and whether the cell ended well


@dataclass(frozen=True)
class Built:
    """A table with its task, joined rows and datasheet. id: of its page's address. tunings: by entry, of those tuned."""

    id: str
    table: Table
    task: Task
    rows: Sequence[Joined]
    sheet: Datasheet
    tunings: Mapping[str, Tuning] = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        """Every record of the table, once."""
        return list({record.key: record for row in self.rows for record in row.records}.values())

    def joined(self, entry: str) -> Joined:
        """The joined row of an entry."""
        return next(row for row in self.rows if row.entry == entry)


def badges(rows: Sequence[Row], older: int) -> list[str]:
    """Badges of an entry on tables: verified if it is on all, disputed if it is on any; untuned and older code on any.

    Verdicts bear the fewest fresh seeds behind them on any table: "verified (5)".
    """
    fresh = {badge: min(row.fresh for row in rows if row.badge == badge) for badge in {row.badge for row in rows}}
    known = "disputed" if "disputed" in fresh else "verified" if [*fresh] == ["verified"] else ""
    verdict = f"{known} ({fresh[known]})" if known else "claimed"
    return [verdict, *["untuned"] * any(row.trials is None for row in rows), *["older code"] * (older > 0)]


def _states(row: Row) -> str:
    return "".join(STATES[state] for state in row.states)


def table_model(built: Built, suites: Sequence[str]) -> dict[str, Any]:
    """A task's page, without its curves and figures."""
    table, task = built.table, built.task
    others = list(dict.fromkeys(name for row in table.rows for name in row.others))
    rows = []
    alike: dict[str, int] = {}
    for row in table.rows:
        joined = built.joined(row.entry)
        well = [record.costs.own for record in joined.records if record.status == "ok"]  # of the whole process
        costs = [sum(well) / len(well) if well else None, *(row.costs[name] for name in COSTS[1:])]
        shared = [
            row.group, "+".join(row.slots), row.anchor, int(row.provisional), row.reason,
            _states(row), row.ok, row.seeds, *several((row.ok_lo, row.ok_hi), 3), row.reached, dict(row.failures),
            row.trials, printers.declared(row.entry), badges([row], joined.older),
        ]  # fmt: skip
        rows.append([
            row.entry, row.rank, *several((row.value, row.lo, row.hi)),
            short(row.median) if math.isnan(row.value) else None,
            *several((row.skill, row.skill_lo, row.skill_hi), 3), several(row.values),
            short(row.cpu), several(costs), several((row.others.get(name) for name in others), 3),
            alike.setdefault(json.dumps(shared), len(alike)), "".join(key[:SHOWN] for key in row.keys),
        ])  # fmt: skip
    metrics = [*task.metrics, *(derived.metric for derived in task.derived)]
    suite = f" suite={table.suite}" if table.suite else ""
    return {
        "id": built.id, "task": table.task, "version": table.version, "preset": table.preset, "suites": list(suites),
        "params": dict(table.params), "metric": table.metric.name,
        "metrics": [{"name": m.name, "unit": m.unit, "better": m.better, "doc": m.doc, "scale": m.scale, "source": m.source,
                     "target": [m.target.curve, m.target.value] if m.target else None} for m in metrics],
        "budget": [task.budget.unit, task.budget.limit], "presets": {n: dict(p) for n, p in task.presets.items()},
        "sheet": msgspec.structs.asdict(built.sheet),
        "floors": list(task.floors), "reference": task.reference or task.unanchored, "others": others, "rows": rows,
        "alike": [json.loads(shared) for shared in alike], "shown": SHOWN,
        "notes": [table.scope, *table.notes], "method": METHOD,
        "command": f"bench table{suite} task={table.task} preset={table.preset}",
        "duels": [comparing.duels(table, group) for group in GROUPS if len(table.group(group)) > 1],
        "tuned": _tuned(built), **_spent([built]),
    }  # fmt: skip


def _tuned(built: Built) -> list[Any] | None:
    """[k, objective, by row (expected best of k trials, share within 5 % of the best)]: every tuned row has k trials."""
    own = (built.tunings.get(row.entry) for row in built.table.rows)
    tunings = [t if t and t.preset == built.table.preset and t.trials > 1 else None for t in own]
    k = min((tuning.trials for tuning in tunings if tuning), default=0)
    objective = next((tuning.objective for tuning in tunings if tuning), "")
    numbers = [[short(t.best_of[k - 1]), short(t.sensitivity, 2)] if t else None for t in tunings]
    return [k, objective, numbers] if k else None


def _spent(built: Sequence[Built]) -> dict[str, Any]:
    """When the newest record was made, and core-seconds of all records, failures included, and of tuning where known.

    untimed: rows that were tuned, but of whose tuning no CPU time is known.
    """
    records = {record.key: record for page in built for record in page.records}.values()
    tuning = {(page.table.task, entry): tuning.cpu_seconds for page in built for entry, tuning in page.tunings.items()}
    timed = {pair: seconds for pair, seconds in tuning.items() if not math.isnan(seconds)}
    tuned = {(page.table.task, row.entry) for page in built for row in page.table.rows if row.trials}
    return {
        "ended": max((record.provenance.ended for record in records), default=""), "records": len(records),
        "cpu": short(sum(record.costs.cpu_total for record in records)), "cpu_tuning": short(sum(timed.values())),
        "failed": sum(record.status not in ("ok", "unavailable") for record in records),
        "untimed": len(tuned - timed.keys()),
    }  # fmt: skip


def band(runs: Sequence[Run]) -> tuple[list[float], Any, Any, Any]:
    """(steps, median, lowest, highest over seeds) on at most `ledger.POINTS` of all steps that any run has.

    A run is linear between its own steps. After its end one that stopped at its targets keeps its last value, a failed one none.
    """
    steps = sorted({float(step) for xs, _, _ in runs for step in xs})
    steps = thin([steps, steps])[0]
    table = np.array([np.interp(steps, xs, ys, left=np.nan, right=None if ok else np.nan) for xs, ys, ok in runs])
    table = table[:, known := np.isfinite(table).any(axis=0)]
    bands = np.full((3, len(steps)), np.nan)
    bands[:, known] = np.nanmedian(table, 0), np.nanmin(table, 0), np.nanmax(table, 0)
    return steps, *bands


def curves_model(built: Built, read: Callable[[Record], Mapping[str, Any]]) -> dict[str, Any]:
    """The learning curves of a table: median and range over seeds. read: a record's curves, name -> (steps, values).

    axis: of a derived metric, whose values `at` keep the curves of its cells apart. xs: each list of steps once. lines: each
    [place of the row, name, at, x, median, low, high, seeds], name, at and x as indices, low and high 0 for a single seed.
    """
    order = {row.entry: place for place, row in enumerate(built.table.rows)}
    axis = built.task.derived[0].axis if built.task.derived else None
    groups: dict[tuple[int, str, Any], list[Run]] = {}
    for row in built.rows:
        for record in row.records:
            at = record.params.get(axis) if axis else None
            for name, (xs, ys) in read(record).items():
                groups.setdefault((order[row.entry], name, at), []).append((xs, ys, record.status == "ok"))
    names, ats = (list(dict.fromkeys(key[i] for key in groups)) for i in (1, 2))
    grids: dict[tuple[float, ...], int] = {}  # lists of steps, each with its index
    lines = []
    for (place, name, at), runs in groups.items():
        steps, mid, low, high = band(runs)
        x = grids.setdefault(tuple(steps), len(grids))
        edges = [several(low), several(high)] if len(runs) > 1 else [0, 0]
        lines.append([place, names.index(name), ats.index(at), x, several(mid), *edges, len(runs)])
    return {"names": names, "axis": axis, "at": ats, "xs": [list(steps) for steps in grids], "lines": lines}


def suite_model(name: str, doc: str, built: Sequence[Built]) -> dict[str, Any]:
    """A suite's sections: one for each kind of entries that several tasks have, then single tables for all other rows."""
    sections, covered = [], set()
    for summary in summarise([page.table for page in built]):
        if sum(not entry.reason for entry in summary.standings) >= 2:
            covering = [page for page in built if any(page.table is table for table in summary.tables)]
            sections.append(_section("tasks", summary, covering))
            covered |= {(id(table), summary.group, summary.slots) for table in summary.tables}
    for page in built:
        for group in GROUPS:
            rows = page.table.group(group)
            if any((id(page.table), row.group, row.slots) not in covered for row in rows):
                sections.append(_single(page, group, rows))
    return {"suite": name, "doc": doc, "sections": sections, "method": METHOD, "scope": built[0].table.scope,
            "version": sorted({f"{b.table.task}@{b.table.version}" for b in built}), **_spent(built)}  # fmt: skip


def _single(built: Built, group: Group, rows: Sequence[Row]) -> dict[str, Any]:
    """The section of one table, with its own ranks; where skill is undefined, its metric on an axis of its own."""
    metric = built.table.metric
    has_skill = any(not math.isnan(row.skill) for row in rows)
    standings = []
    for row in rows:
        centre = row.median if math.isnan(row.value) else row.value
        mean, lo, hi = (row.skill, row.skill_lo, row.skill_hi) if has_skill else (centre, row.lo, row.hi)
        fields = {name: getattr(row, name) for name in ("entry", "reason", "rank", "provisional")}
        standings.append(Standing(**fields, rows=(row,), mean=mean, lo=lo, hi=hi, by_seed=row.values))
    slots = tuple(sorted({slot for row in rows for slot in row.slots}))
    summary = Summary(group, slots, (built.table,), tuple(standings))
    axis = None if has_skill else [metric.name, metric.unit, metric.better, metric.scale]
    return _section("task", summary, [built], axis)


def _section(kind: str, summary: Summary, built: Sequence[Built], axis: list[Any] | None = None) -> dict[str, Any]:
    """What is shown of entries on one task or on several tasks."""
    lines = [_line(entry, built, axis is not None) for entry in summary.standings]
    section = {
        "id": "-".join([summary.group, *summary.slots] if kind == "tasks" else [built[0].table.task, summary.group]),
        "kind": kind, "group": summary.group, "division": printers.TITLES[summary.group], "slots": list(summary.slots),
        "tasks": [[b.id, b.table.task, b.table.version, b.table.preset] for b in built], "rows": lines,
    }  # fmt: skip
    if kind == "task":
        metric = built[0].table.metric
        sentence = comparing.sentence(summary.standings, metric.scale, metric.resolution)
        return section | {"axis": axis, "sentence": sentence, **_spent(built)}
    for line, entry in zip(lines, summary.standings, strict=True):
        line |= {"middle": short(entry.middle, 3), "without": several((entry.out_lo, entry.out_hi), 3)}
    duels = comparing.over_tasks(summary.tables, [entry for entry in summary.standings if not entry.reason])
    return section | {"sentence": comparing.sentence(summary.standings, "linear"), "duels": [duels], **_spent(built)}


def _line(entry: Standing, built: Sequence[Built], raw: bool) -> dict[str, Any]:
    """An entry of a section. raw: numbers are the metric's own. cells: by table a number a seed, and its state as a letter."""
    rows = [row for row in entry.rows if row is not None]
    trials = {row.trials for row in rows}
    cpu = [row.cpu for row in rows if not math.isnan(row.cpu)]
    older = sum(page.joined(entry.entry).older for page, row in zip(built, entry.rows, strict=True) if row is not None)
    skill, lo, hi = several((entry.mean, entry.lo, entry.hi), 4 if raw else 3)
    return {
        "entry": entry.entry, "rank": entry.rank, "provisional": int(entry.provisional), "reason": entry.reason,
        "badges": badges(rows, older), "declared": printers.declared(entry.entry),
        "anchor": next((row.anchor for row in rows if row.anchor), ""),
        "ok": sum(row.ok for row in rows), "seeds": sum(row.seeds + row.missing for row in rows),
        "cpu": short(sum(cpu)) if cpu else None,
        "trials": None if None in trials else sorted(trials),
        "cells": [row and [several(row.values) if raw else several(row.skills, 3), _states(row)] for row in entry.rows],
        "skill": skill, "lo": lo, "hi": hi,
    }  # fmt: skip
