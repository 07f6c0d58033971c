"""The content of the board's pages as plain values, from tables and records. Pure: nothing is read or written.

A table's rows are lists in the order of `COLUMNS`; numbers have four significant digits, None is an absent one, and the first
`SHOWN` characters of the records' keys follow one another without a separator. Fields in which many rows agree (`ALIKE`)
are written once for each table, and a row's `alike` is their index. The page's scripts (static/) read the same names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from bench.board import comparing
from bench.board.numbers import several, short
from bench.contract import Datasheet, Task
from bench.records import standing
from bench.records.record import Record
from bench.records.spelling import SHOWN
from bench.records.standing import Verification
from bench.tables import printers
from bench.tables.seed_values import Joined
from bench.tables.standings import Standing, Summary, summarise
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
    """Facts about rows that do not come from their records.

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
    """A table with its task, joined rows and datasheet; id: of its page's address."""

    id: str
    table: Table
    task: Task
    rows: Sequence[Joined]
    sheet: Datasheet

    @property
    def records(self) -> list[Record]:
        """Every record of the table, once."""
        records = (r for row in self.rows for cell in row.cells.values() for r in cell or () if r is not None)
        return list({record.key: record for record in records}.values())

    def joined(self, entry: str) -> Joined:
        """The joined row of an entry."""
        return next(row for row in self.rows if row.entry == entry)


def badges(row: Row, older: int, verification: Verification | None) -> list[str]:
    """verified, disputed or claimed, then untuned and older code where they apply."""
    verdict = standing.badge(verification, row.published)
    return [verdict, *["untuned"] * (row.trials is None), *["older code"] * (older > 0)]


def _badges(built: Built, row: Row, known: Known) -> list[str]:
    verification = known.verified.get((built.table.task, built.table.preset, row.entry))
    return badges(row, built.joined(row.entry).older, verification)


def table_model(built: Built, suites: Sequence[str], known: Known) -> dict[str, Any]:
    """A task's page, without its curves and figures."""
    table, task = built.table, built.task
    others = list(dict.fromkeys(name for row in table.rows for name in row.others))
    rows = []
    alike: dict[str, int] = {}
    for row in table.rows:
        costs = [_cpu_entry(built.joined(row.entry)), *(row.costs[name] for name in COSTS[1:])]
        shared = [
            row.group, "+".join(row.slots), row.anchor, int(row.provisional), row.reason,
            "".join(STATES[state] for state in row.states), row.ok, row.seeds, *several((row.ok_lo, row.ok_hi), 3),
            row.reached, dict(row.failures), row.trials, known.declared.get(row.entry),
            _badges(built, row, known),
        ]  # fmt: skip
        rows.append([
            row.entry, row.rank, *several((row.value, row.lo, row.hi)),
            short(row.median) if math.isnan(row.value) else None,
            *several((row.skill, row.skill_lo, row.skill_hi), 3), several(row.values),
            short(row.cpu), several(costs), several((row.others.get(name) for name in others), 3),
            alike.setdefault(json.dumps(shared), len(alike)), "".join(key[:SHOWN] for key in row.keys),
        ])  # fmt: skip
    metrics = [*task.metrics, *(derived.metric for derived in task.derived)]
    return {
        "id": built.id, "task": table.task, "version": table.version, "preset": table.preset, "suites": list(suites),
        "params": dict(table.params), "metric": table.metric.name,
        "metrics": [{"name": m.name, "unit": m.unit, "better": m.better, "doc": m.doc, "scale": m.scale, "source": m.source,
                     "target": [m.target.curve, m.target.value] if m.target else None} for m in metrics],
        "budget": [task.budget.unit, task.budget.limit], "presets": {n: dict(p) for n, p in task.presets.items()},
        "sheet": msgspec.structs.asdict(built.sheet),
        "floors": list(task.floors), "reference": task.reference, "others": others, "rows": rows,
        "alike": [json.loads(shared) for shared in alike], "shown": SHOWN,
        "notes": [table.scope, *table.notes], "method": METHOD, "command": _command(table),
        "duels": [comparing.duels(table, group) for group in GROUPS if len(table.group(group)) > 1],
        "tuned": _tuned(table, known), **_spent([built], known),
    }  # fmt: skip


def _tuned(table: Table, known: Known) -> list[Any] | None:
    """[k, objective, by row (expected best of k trials, share within 5 % of the best)]: every tuned row has k trials."""
    by_row = [known.tuned.get((table.task, table.preset, row.entry)) for row in table.rows]
    tunings = [tuning if tuning and len(tuning[1]) > 1 else None for tuning in by_row]
    k = min((len(tuning[1]) for tuning in tunings if tuning), default=0)
    objective = next((tuning[0] for tuning in tunings if tuning), "")
    numbers = [[short(tuning[1][k - 1]), short(tuning[2], 2)] if tuning else None for tuning in tunings]
    return [k, objective, numbers] if k else None


def _cpu_entry(joined: Joined) -> float | None:
    """CPU seconds of the entry, mean over the cells that ended well."""
    records = [r for cell in joined.cells.values() for r in cell or () if r is not None and r.status == "ok"]
    return sum(record.costs.own for record in records) / len(records) if records else None


def _command(table: Table) -> str:
    suite = f" suite={table.suite}" if table.suite else ""
    return f"bench table{suite} task={table.task} preset={table.preset}"


def _spent(built: Sequence[Built], known: Known) -> dict[str, Any]:
    """When the newest record was made, and core-seconds of all records, failures included, and of tuning where known.

    untimed: rows that were tuned, but of whose tuning no CPU time is known.
    """
    records = {record.key: record for joined in built for record in joined.records}.values()
    ended = max((record.provenance.ended for record in records), default="")
    cpu = sum(record.costs.cpu_total for record in records)
    pairs = {(joined.table.task, row.entry) for joined in built for row in joined.table.rows}
    tuned = {(joined.table.task, row.entry) for joined in built for row in joined.table.rows if row.trials}
    tuning = sum(known.tuning_cpu.get(pair, 0.0) for pair in pairs)
    failed = sum(record.status not in ("ok", "unavailable") for record in records)
    return {"ended": ended, "records": len(records), "cpu": short(cpu), "cpu_tuning": short(tuning), "failed": failed,
            "untimed": len(tuned - set(known.tuning_cpu))}  # fmt: skip


def suite_model(name: str, doc: str, built: Sequence[Built], known: Known) -> dict[str, Any]:
    """A suite's sections: one for each kind of entries that several tasks have, then single tables for all other rows."""
    own = [
        replace(joined, table=replace(joined.table, suite=name)) for joined in built
    ]  # another suite may share the table
    place = {id(joined.table): joined for joined in own}
    sections, covered = [], set()
    for summary in summarise([joined.table for joined in own]):
        if sum(not entry.reason for entry in summary.standings) >= 2:
            sections.append(_aggregate(summary, place, known))
            covered |= {(id(table), summary.group, summary.slots) for table in summary.tables}
    for joined in own:
        for group in GROUPS:
            rows = joined.table.group(group)
            if any((id(joined.table), row.group, row.slots) not in covered for row in rows):
                sections.append(_single(joined, group, rows, known))
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
    return None if row is None else [several(row.skills, 3), "".join(STATES[state] for state in row.states)]


def _line(entry: Standing | Row, rows: Sequence[Row | None], built: Sequence[Built], known: Known) -> dict[str, Any]:
    """What both kinds of sections show of an entry, without its skill. rows: the entry's row on each table, or None."""
    present = [row for row in rows if row is not None]
    trials = {row.trials for row in present}
    cpu = [row.cpu for row in present if not math.isnan(row.cpu)]
    by_table = [_badges(joined, row, known) for joined, row in zip(built, rows, strict=True) if row is not None]
    return {
        "entry": entry.entry, "rank": entry.rank, "provisional": int(entry.provisional), "reason": entry.reason,
        "badges": _combined(by_table), "declared": known.declared.get(entry.entry),
        "anchor": next((row.anchor for row in present if row.anchor), ""),
        "ok": sum(row.ok for row in present), "seeds": sum(row.seeds + row.missing for row in present),
        "cpu": short(sum(cpu)) if cpu else None,
        "trials": None if None in trials else sorted(trials),
        "cells": [_cell(row) for row in rows],
    }  # fmt: skip


def _combined(by_table: Sequence[Sequence[str]]) -> list[str]:
    """Badges of an entry over tables: verified if it is on all, disputed if it is on any; the other badges of any table."""
    verdicts = {words[0] for words in by_table}
    verdict = "disputed" if "disputed" in verdicts else "verified" if verdicts == {"verified"} else "claimed"
    return [verdict, *(word for word in ("untuned", "older code") if any(word in words for words in by_table))]


def _aggregate(summary: Summary, place: Mapping[int, Built], known: Known) -> dict[str, Any]:
    built = [place[id(table)] for table in summary.tables]
    rows = []
    for entry in summary.standings:
        line = _line(entry, entry.rows, built, known)
        line |= {"skill": short(entry.mean, 3), "lo": short(entry.lo, 3), "hi": short(entry.hi, 3),
                 "middle": short(entry.middle, 3), "without": several((entry.out_lo, entry.out_hi), 3)}  # fmt: skip
        rows.append(line)
    complete = [entry for entry in summary.standings if not entry.reason]
    by_seed = {entry.entry: entry.by_seed for entry in complete}
    return _section("tasks", summary.group, summary.slots, built, rows) | {
        "sentence": comparing.sentence([(entry.entry, entry.rank) for entry in summary.standings], by_seed, "linear"),
        **comparing.over_tasks(summary.tables, complete),
        **_spent(built, known),
    }


def _single(built: Built, group: Any, rows: Sequence[Row], known: Known) -> dict[str, Any]:
    """The section of one table, with its own ranks; where skill is undefined, its metric on an axis of its own."""
    metric = built.table.metric
    has_skill = any(not math.isnan(row.skill) for row in rows)
    lines = []
    for row in rows:
        line = _line(row, [row], [built], known)
        if has_skill:
            line |= {"skill": short(row.skill, 3), "lo": short(row.skill_lo, 3), "hi": short(row.skill_hi, 3)}
        else:
            value = row.median if math.isnan(row.value) else row.value
            line |= {"skill": short(value), "lo": short(row.lo), "hi": short(row.hi)}
            line["cells"] = [[several(row.values), "".join(STATES[state] for state in row.states)]]
        lines.append(line)
    values = {row.entry: row.values for row in rows if row.rank}
    slots = sorted({slot for row in rows for slot in row.slots})
    return _section("task", group, slots, [built], lines) | {
        "axis": None if has_skill else [metric.name, metric.unit, metric.better, metric.scale],
        "sentence": comparing.sentence([(row.entry, row.rank) for row in rows], values, metric.scale),
        **_spent([built], known),
    }
