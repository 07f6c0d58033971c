"""The board as plain values: what each page says, before anybody thinks of how it looks. Pure; nothing is read or written.

A table's rows are lists in the order of `COLUMNS`; numbers have four significant digits, None stands for what is absent,
and the first `SHOWN` characters of the records' keys stand one after another. What many rows say alike (`ALIKE`) is written
once a table, and a row's `alike` is its place. The page's scripts (static/) read the same names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from bench.board import comparing
from bench.contract import Datasheet, Task
from bench.records import standing
from bench.records.record import Record
from bench.records.spelling import SHOWN
from bench.records.standing import Verification
from bench.tables import printers
from bench.tables.seed_values import Joined
from bench.tables.standings import Summary, summarise
from bench.tables.table import GROUPS, Row, Table

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
    "that paired t tests (moderated variances, Holm) leave open, starred with 3 or 4 seeds. A failed cell counts 0 in "
    "skill and as the metric’s penalty in ranks, so that nobody gains by failing. Untuned or incomplete rows stand below "
    "the line, unranked."
)


@dataclass(frozen=True)
class Known:
    """What other parts of the project say of rows.

    verified: (task, preset, entry) -> the latest verification. declared: entry -> trials that its authors declare.
    tuning_cpu: (task, entry) -> CPU seconds of its tuning trials, where known. tuned: (task, preset, entry) -> (objective,
    its expected best of 1, 2, … trials, share of the tried space within 5 % of the best).
    """

    verified: Mapping[tuple[str, str, str], Verification] = field(default_factory=dict)
    declared: Mapping[str, int] = field(default_factory=dict)
    tuning_cpu: Mapping[tuple[str, str], float] = field(default_factory=dict)
    tuned: Mapping[tuple[str, str, str], tuple[str, Sequence[float], float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """A table with what it was made from; id: its place in the address of its page."""

    id: str
    table: Table
    task: Task
    rows: Sequence[Joined]
    sheet: Datasheet

    @property
    def records(self) -> list[Record]:
        """Every record of the table, once."""
        found = (r for row in self.rows for cell in row.cells.values() for r in cell or () if r is not None)
        return list({record.key: record for record in found}.values())


def short(value: float | None, digits: int = 4) -> float | None:
    """`digits` significant digits, a count without a point; None for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e6 else rounded


def _several(values: Iterable[float | None], digits: int = 4) -> list[float | None]:
    return [short(value, digits) for value in values]


def badges(row: Row, older: int, known: Verification | None) -> list[str]:
    """verified, disputed or claimed, then untuned and older code where they apply."""
    return [standing.badge(known, row.published), *["untuned"] * (row.trials is None), *["older code"] * (older > 0)]


def table_model(built: Built, suites: Sequence[str], known: Known) -> dict[str, Any]:
    """A task's page, without its curves and figures."""
    table, task = built.table, built.task
    joined = {row.entry: row for row in built.rows}
    others = list(dict.fromkeys(name for row in table.rows for name in row.others))
    rows = []
    alike: dict[str, int] = {}
    for row in table.rows:
        costs = [_cpu_entry(joined[row.entry]), *(getattr(row.costs, name) for name in COSTS[1:])]
        mark = known.verified.get((table.task, table.preset, row.entry))
        said = [
            row.group, "+".join(row.slots), row.anchor, int(row.provisional), row.reason,
            "".join(STATES[state] for state in row.states), row.ok, row.seeds, *_several((row.ok_lo, row.ok_hi), 3),
            row.reached, dict(row.failures), row.trials, known.declared.get(row.entry),
            badges(row, joined[row.entry].older, mark),
        ]  # fmt: skip
        rows.append([
            row.entry, row.rank, *_several((row.value, row.lo, row.hi)),
            short(row.median) if math.isnan(row.value) else None,
            *_several((row.skill, row.skill_lo, row.skill_hi), 3), _several(row.values),
            short(row.costs.own), _several(costs), _several((row.others.get(name) for name in others), 3),
            alike.setdefault(json.dumps(said), len(alike)), "".join(key[:SHOWN] for key in row.keys),
        ])  # fmt: skip
    metrics = [*task.metrics, *(derived.metric for derived in task.derived)]
    return {
        "id": built.id, "task": table.task, "version": table.version, "preset": table.preset, "suites": list(suites),
        "params": {name: value for name, value in table.params.items()}, "metric": table.metric.name,
        "metrics": [{"name": m.name, "unit": m.unit, "better": m.better, "doc": m.doc, "scale": m.scale, "source": m.source,
                     "target": [m.target.curve, m.target.value] if m.target else None} for m in metrics],
        "budget": [task.budget.unit, task.budget.limit], "presets": {n: dict(p) for n, p in task.presets.items()},
        "sheet": msgspec.structs.asdict(built.sheet),
        "floors": list(task.floors), "reference": task.reference, "others": others, "rows": rows,
        "alike": [json.loads(said) for said in alike], "shown": SHOWN,
        "notes": [table.scope, *table.notes], "method": METHOD, "command": _command(table),
        "duels": [comparing.duels(table, group) for group in GROUPS if len(table.group(group)) > 1],
        "tuned": _tuned(table, known), **_spent([built], known),
    }  # fmt: skip


def _tuned(table: Table, known: Known) -> list[Any] | None:
    """[k, objective, by row (expected best of k trials, share within 5 % of the best)]: k is what all tuned rows had."""
    found = [known.tuned.get((table.task, table.preset, row.entry)) for row in table.rows]
    told = [one for one in found if one and len(one[1]) > 1]
    if not told:
        return None
    k = min(len(one[1]) for one in told)
    return [k, told[0][0], [[short(one[1][k - 1]), short(one[2], 2)] if one in told else None for one in found]]


def _cpu_entry(joined: Joined) -> float | None:
    """Mean over the cells that ended well."""
    records = (r for cell in joined.cells.values() for r in cell or () if r is not None and r.status == "ok")
    spent = [record.costs.own for record in records]
    return sum(spent) / len(spent) if spent else None


def _command(table: Table) -> str:
    suite = f" suite={table.suite}" if table.suite else ""
    return f"bench table{suite} task={table.task} preset={table.preset}"


def _spent(built: Sequence[Built], known: Known) -> dict[str, Any]:
    """When the newest record was made, and core-seconds of all records, failures and tuning included where known."""
    found = {record.key: record for one in built for record in one.records}
    ended = max((r.provenance.ended for r in found.values()), default="")
    cpu = sum(record.costs.cpu_total for record in found.values())
    pairs = {(one.table.task, row.entry) for one in built for row in one.table.rows}
    tuning = sum(known.tuning_cpu.get(pair, 0.0) for pair in pairs)
    tuned = {(one.table.task, row.entry) for one in built for row in one.table.rows if row.trials}
    failed = sum(r.status not in ("ok", "unavailable") for r in found.values())
    return {"ended": ended, "records": len(found), "cpu": short(cpu), "cpu_tuning": short(tuning), "failed": failed,
            "untold": len(tuned - set(known.tuning_cpu))}  # fmt: skip


# --- the first screen of a suite


def suite_model(name: str, doc: str, built: Sequence[Built], known: Known) -> dict[str, Any]:
    """A suite's sections: every kind that is on several tasks, then the tables that have nothing to be aggregated with."""
    own = [replace(one, table=replace(one.table, suite=name)) for one in built]  # another suite may share the table
    place = {id(one.table): one for one in own}
    sections, covered = [], set()
    for summary in summarise([one.table for one in own]):
        if sum(not one.reason for one in summary.standings) >= 2:
            sections.append(_aggregate(summary, place, known))
            covered |= {(id(t), summary.group, summary.slots) for t in summary.tables}
    for one in own:
        for group in GROUPS:
            rows = one.table.group(group)
            if any((id(one.table), row.group, row.slots) not in covered for row in rows):
                sections.append(_single(one, group, rows, known))
    return {"suite": name, "doc": doc, "sections": sections, "method": METHOD, "scope": built[0].table.scope,
            "version": sorted({f"{b.table.task}@{b.table.version}" for b in built}), **_spent(built, known)}  # fmt: skip


def _section(kind: str, group: Any, slots: Iterable[str], built: Sequence[Built], rows: list[Any]) -> dict[str, Any]:
    where = "-".join([group, *slots]) if kind == "tasks" else f"{built[0].table.task}-{group}"
    return {
        "id": where, "kind": kind, "group": group, "division": printers.TITLES[group], "slots": list(slots),
        "tasks": [[b.id, b.table.task, b.table.version, b.table.preset] for b in built], "rows": rows,
    }  # fmt: skip


def _cell(row: Row | None) -> list[Any] | None:
    """A small cell: skill of each seed, and its state as a letter."""
    return None if row is None else [_several(row.skills, 3), "".join(STATES[state] for state in row.states)]


def _line(entry: str, rank: Any, provisional: bool, words: list[str], reason: str, rows: Sequence[Row | None]) -> Any:
    """What both kinds of sections say of an entry, without its skill."""
    there = [row for row in rows if row is not None]
    trials = {row.trials for row in there}
    cpu = [row.costs.own for row in there if not math.isnan(row.costs.own)]
    return {
        "entry": entry, "rank": rank, "provisional": int(provisional), "badges": words, "reason": reason,
        "anchor": next((row.anchor for row in there if row.anchor), ""),
        "ok": sum(row.ok for row in there), "seeds": sum(row.seeds + row.missing for row in there),
        "cpu": short(sum(cpu)) if cpu else None,
        "trials": None if None in trials else sorted(trials),
        "cells": [_cell(row) for row in rows],
    }  # fmt: skip


def _badges(entry: str, built: Sequence[Built], known: Known) -> list[str]:
    """Of an entry over tasks: verified if it is on each, disputed if it is on any, and how many are."""
    found = []
    for one in built:
        joined = next((row for row in one.rows if row.entry == entry), None)
        row = next((row for row in one.table.rows if row.entry == entry), None)
        if row is not None and joined is not None:
            mark = known.verified.get((one.table.task, one.table.preset, entry))
            found.append(badges(row, joined.older, mark))
    verdicts = [words[0] for words in found]
    if "disputed" in verdicts:
        first = "disputed"
    else:
        first = "verified" if set(verdicts) == {"verified"} else "claimed"
    others = [word for word in ("untuned", "older code") if any(word in words for words in found)]
    return [first, *others]


def _aggregate(summary: Summary, place: Mapping[int, Built], known: Known) -> dict[str, Any]:
    built = [place[id(table)] for table in summary.tables]
    rows = []
    for one in summary.standings:
        words = _badges(one.entry, built, known)
        line = _line(one.entry, one.rank, one.provisional, words, one.reason, one.rows)
        line |= {"skill": short(one.mean, 3), "lo": short(one.lo, 3), "hi": short(one.hi, 3), "middle": short(one.middle, 3),
                 "without": _several((one.out_lo, one.out_hi), 3)}  # fmt: skip
        line["declared"] = known.declared.get(one.entry)
        rows.append(line)
    made = _section("tasks", summary.group, summary.slots, built, rows)
    told = [one for one in summary.standings if not one.reason]
    by_seed = {one.entry: one.by_seed for one in told}
    return made | {
        "sentence": comparing.sentence([(one.entry, one.rank) for one in summary.standings], by_seed, "linear"),
        **comparing.over_tasks(summary.tables, told),
        **_spent(built, known),
    }


def _single(built: Built, group: Any, rows: Sequence[Row], known: Known) -> dict[str, Any]:
    """A table that stands alone: its own ranks; where no skill is told, its own metric on its own axis."""
    metric = built.table.metric
    lines = []
    told = any(not math.isnan(row.skill) for row in rows)
    for row in rows:
        words = _badges(row.entry, [built], known)
        line = _line(row.entry, row.rank, row.provisional, words, row.reason, [row])
        if told:
            line |= {"skill": short(row.skill, 3), "lo": short(row.skill_lo, 3), "hi": short(row.skill_hi, 3)}
        else:
            value = row.median if math.isnan(row.value) else row.value
            line |= {"skill": short(value), "lo": short(row.lo), "hi": short(row.hi)}
            line["cells"] = [[_several(row.values), "".join(STATES[state] for state in row.states)]]
        line["declared"] = known.declared.get(row.entry)
        lines.append(line)
    values = {row.entry: row.values for row in rows if row.rank}
    slots = sorted({slot for row in rows for slot in row.slots})
    return _section("task", group, slots, [built], lines) | {
        "axis": None if told else [metric.name, metric.unit, metric.better, metric.scale],
        "sentence": comparing.sentence([(row.entry, row.rank) for row in rows], values, metric.scale),
        **_spent([built], known),
    }
