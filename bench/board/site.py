"""The static board: one HTML file that opens from a disk, without scripts and without requests."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import stats
from bench.board import render
from bench.board.reading import Group, Record
from bench.board.table import GROUPS, SCOPE, Row, Table

if TYPE_CHECKING:
    from bench.figures import Drawing

TEMPLATE = Path(__file__).with_name("template.html")
MANY_TASKS = 8  # from here on an interquartile mean says something


@dataclass(frozen=True)
class Standing:
    """An entry's skill over the tasks of a suite. mean is NaN, with a `reason`, unless it is told on every task.

    middle: interquartile mean of the tasks' means, from eight tasks on. out_lo, out_hi: what the mean becomes when one
    task is left out, at the least and the most.
    """

    entry: str
    tasks: int
    mean: float
    lo: float
    hi: float
    middle: float
    out_lo: float
    out_hi: float
    reason: str


@dataclass(frozen=True)
class Summary:
    """The standings of one suite, group and set of slots, best first, those without a mean last."""

    suite: str
    group: Group
    slots: tuple[str, ...]
    tasks: tuple[str, ...]
    standings: tuple[Standing, ...]


def _standing(entry: str, rows: Sequence[Row | None]) -> Standing:
    """rows: the entry's row on each task, None where it was not planned."""
    present = [row for row in rows if row is not None]
    blank = dict.fromkeys(("mean", "lo", "hi", "middle", "out_lo", "out_hi"), math.nan)
    if len(present) < len(rows):
        return Standing(entry, len(present), **blank, reason=f"on {len(present)} of {len(rows)} tasks")
    reason = next((row.reason for row in present if row.reason), "")
    if not reason and any(math.isnan(row.skill) for row in present):
        reason = "skill not told on every task"
    if reason:
        return Standing(entry, len(present), **blank, reason=reason)
    skills = np.full((len(present), max(len(row.skills) for row in present)), math.nan)
    for line, row in zip(skills, present, strict=True):
        line[: len(row.skills)] = row.skills
    mean, lo, hi = stats.aggregate(skills)
    means = np.nanmean(skills, axis=1)
    middle = stats.interquartile_mean(means) if len(means) >= MANY_TASKS else math.nan
    without = (means.sum() - means) / (len(means) - 1) if len(means) > 1 else np.array([math.nan])
    return Standing(entry, len(present), mean, lo, hi, middle, float(without.min()), float(without.max()), "")


def summarise(tables: Sequence[Table]) -> list[Summary]:
    """Mean skill over tasks, by suite, group and slots: an optimizer never competes with a surrogate.

    Entries that are ranked on every task of their kind have one. Of a suite with several tasks, a kind that is on one
    task only has nothing to be aggregated, and is left to that task's table.
    """
    summaries = []
    for suite in dict.fromkeys(table.suite for table in tables):
        own = [table for table in tables if table.suite == suite]
        kinds = dict.fromkeys((row.group, row.slots) for table in own for row in table.rows)
        for group, slots in sorted(kinds, key=lambda kind: GROUPS.index(kind[0])):
            rows = [(t, {r.entry: r for r in t.group(group) if r.slots == slots}) for t in own]
            held = [(table, found) for table, found in rows if found]
            if len(held) < min(2, len(own)):
                continue
            names = dict.fromkeys(name for _, found in held for name in found)
            standings = [_standing(name, [found.get(name) for _, found in held]) for name in names]
            standings.sort(key=lambda s: (math.isnan(s.mean), -s.tasks if math.isnan(s.mean) else -s.mean, s.entry))
            tasks = tuple(table.task for table, _ in held)
            summaries.append(Summary(suite, group, slots, tasks, tuple(standings)))
    return summaries


def write(
    tables: Sequence[Table],
    records: Sequence[Record],
    out: Path,
    figures: Mapping[str, str] | None = None,
    drawings: Sequence[Drawing] = (),
) -> Path:
    """Write `out/index.html` and return its path.

    records: those that the tables' rows name by key. figures: title -> SVG, taken as it is; a title that starts with
    "<task>:" stands beside that task's table, any other at the end. drawings: of the families' figures, drawn or with the
    reason why not. Everything else is escaped.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    drawn = {title: Markup(svg) for title, svg in (figures or {}).items()}
    own = {i: [t for t in drawn if t.startswith(f"{table.task}:")] for i, table in enumerate(tables)}
    placed = {title for titles in own.values() for title in titles}
    by_key: dict[str, list[Record]] = {}
    for record in records:
        by_key.setdefault(record["key"], []).append(record)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": render.number, "compact": _compact}
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        sections=[_section(table, by_key, {t: drawn[t] for t in own[i]}, i) for i, table in enumerate(tables)],
        summaries=summarise(tables),
        figures={title: svg for title, svg in drawn.items() if title not in placed},
        galleries=_galleries(drawings),
        scope=SCOPE,
        titles=render.TITLES,
        interval=render.interval_text,
        many=MANY_TASKS,
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _section(
    table: Table, by_key: Mapping[str, list[Record]], figures: Mapping[str, str], place: int
) -> dict[str, Any]:
    """What the template needs of one table."""
    columns = render.columns(table)
    groups = []
    for group in GROUPS:
        lines = [
            {
                "row": row,
                "cells": [column.cell(row) for column in columns],
                "records": [record for key in dict.fromkeys(row.keys) for record in by_key.get(key, [])],
            }
            for row in table.group(group)
        ]
        if lines:
            groups.append((render.TITLES[group], lines))
    return {
        "id": f"task-{place}",
        "table": table,
        "heading": render.heading(table),
        "parameters": render.parameters(table),
        "columns": columns,
        "groups": groups,
        "footer": render.footer(table),
        "figures": figures,
    }


def _galleries(drawings: Sequence[Drawing]) -> list[tuple[str, list[tuple[Drawing, Any]], list[tuple[str, str]]]]:
    """(family, drawings with their SVG, (id, reason) of those not drawn)."""
    from markupsafe import Markup

    found = []
    for family in dict.fromkeys(one.family for one in drawings):
        own = [one for one in drawings if one.family == family]
        absent = [(o.id, o.error or f"{o.missing} of {o.cells} cells have no record") for o in own if not o.svg]
        found.append((family, [(one, Markup(one.svg)) for one in own if one.svg], absent))
    return found


def _compact(metrics: Mapping[str, Any]) -> str:
    """Metrics of a record in a line, in full precision where the number is short."""
    return ", ".join(
        f"{name} = {value:.6g}" if isinstance(value, float) else f"{name} = {json.dumps(value)}"
        for name, value in metrics.items()
    )
