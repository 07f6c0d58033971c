"""Mean skill over a suite's tasks for readers: one table for each kind of entries that several of the tasks have."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from bench.tables import grid
from bench.tables.printers import MARKDOWN, TITLES, interval_text, number, rank_text
from bench.tables.standings import Standing, summarise
from bench.tables.table import Table

RIGHT = range(2, 99)  # all columns but ranks and names are numbers
WIDTH = 100  # characters of a line of the legend


def text(tables: Sequence[Table]) -> str:
    """For a terminal; nothing where no two entries share two tasks."""
    pages = []
    for title, rows, legend in _pages(tables):
        lines = [textwrap.fill(line, WIDTH) for line in legend.splitlines()]
        pages.append("\n".join(["", title, "", grid.text(rows, RIGHT), "", *lines, ""]))
    return "\n".join(pages)


def markdown(tables: Sequence[Table]) -> str:
    """In GitHub's Markdown."""
    pages = []
    for title, rows, legend in _pages(tables):
        cells = [[cell.translate(MARKDOWN) for cell in row] for row in rows]
        pages.append(
            f"### {title.translate(MARKDOWN)}\n\n{grid.markdown(cells, RIGHT)}\n\n{legend.translate(MARKDOWN)}\n"
        )
    return "\n".join(pages)


def _pages(tables: Sequence[Table]) -> Iterator[tuple[str, grid.Rows, str]]:
    """(title, rows under a head, what the columns' numbers stand for) of each kind with two entries that have a mean."""
    for summary in summarise(tables):
        if len(summary.tables) < 2 or sum(not standing.reason for standing in summary.standings) < 2:
            continue
        count, names = len(summary.tables), [table.task for table in summary.tables]
        head = ["rank", "entry", "mean skill", "without one task", *map(str, range(1, count + 1))]
        kind = " · ".join(filter(None, [TITLES[summary.group], ", ".join(summary.slots)]))
        suite = f"suite {tables[0].suite} · " if tables[0].suite else ""
        columns = ", ".join(f"{place} {name}" for place, name in enumerate(names, 1))
        legend = [f"Skill: 0 is a task's floor, 1 its reference. Columns: {columns}."]
        missing = [f"{s.entry} ({s.reason})" for s in summary.standings if s.reason]
        legend += [f"Without a mean: {', '.join(missing)}."] if missing else []
        rows = [_row(standing) for standing in summary.standings if not standing.reason]
        yield f"{suite}mean skill over {count} tasks · {kind}", [head, *rows], "\n".join(legend)


def _row(standing: Standing) -> list[str]:
    mean = number(standing.mean, 2) + interval_text(standing.lo, standing.hi, 2)
    bounds = (standing.out_lo, standing.out_hi)
    lo, hi = (number(round(x, 12) + 0.0, 2) for x in bounds)  # a floor's own is 0, not -1e-18
    skills = [number(row.skill if row else None, 2) for row in standing.rows]
    return [rank_text(standing.rank, standing.provisional), standing.entry, mean, f"{lo} to {hi}", *skills]


RENDERERS = {"terminal": text, "markdown": markdown}
