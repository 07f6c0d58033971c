"""A table as text for a terminal, Markdown, LaTeX, CSV or JSON.

Terminal, Markdown and LaTeX are for reading and share their columns; CSV and JSON carry every number in full.
"""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import msgspec

from bench.planning import config
from bench.planning.files import EntryFile
from bench.tables import grid
from bench.tables.table import Row, Table

ABSENT = "—"
MINUS = "\N{MINUS SIGN}"  # of negative numbers, since a hyphen would look like a range
TITLES = {"closed": "closed division", "solver": "solvers", "procedure": "open division: procedures"}
COSTS = {
    "setup CPU s": "setup", "train CPU s": "train", "predict CPU s": "predict", "wall s": "wall", "steps": "steps",
    "samples": "samples", "params": "parameters",
}  # fmt: skip
MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\*_`[]"} | {"&": "&amp;", "<": "&lt;"})
LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"—": "---", "–": "--", MINUS: "$-$", "·": r"$\cdot$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "×": r"$\times$"}
    | {"<": r"\textless{}", ">": r"\textgreater{}"}
)


@dataclass(frozen=True)
class Column:
    """A column for readers. core: shown at any width. left: aligned left, as columns of words are."""

    title: str
    cell: Callable[[Row], str]
    core: bool = True
    left: bool = False


def number(x: float | None, digits: int = 3) -> str:
    """`x` with `digits` significant digits, exponents only outside 1e-4…1e6; a dash for what is absent."""
    if x is None or math.isnan(x):
        return ABSENT
    if math.isinf(x):
        return "∞" if x > 0 else f"{MINUS}∞"
    if x == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{x:.{digits - 1}e}"))))  # of the rounded value: 999.9 is 1000
    if exponent < -4 or exponent >= 6:
        mantissa, power = f"{x:.{digits - 1}e}".split("e")
        text = f"{mantissa}e{int(power)}"
    else:
        text = f"{x:,.{max(digits - 1 - exponent, 0)}f}"
    return text.replace("-", MINUS)


def interval_text(lo: float, hi: float, digits: int = 3) -> str:
    """` [lo, hi]`, or nothing without an interval."""
    return "" if math.isnan(lo) or math.isnan(hi) else f" [{number(lo, digits)}, {number(hi, digits)}]"


def _spread(row: Row) -> str:
    return " (all equal)" if row.all_equal else interval_text(row.lo, row.hi)


def value(row: Row) -> str:
    """The ranking metric: mean and interval, or "all equal"; median and range where seeds failed; or k/n and capped mean."""
    if row.reached is not None:
        return f"{row.reached}/{row.seeds} · {number(row.value)}{_spread(row)}"
    if math.isnan(row.value) and not math.isnan(row.median):
        return f"median {number(row.median)} ({number(row.low)} to {number(row.high)})"
    return number(row.value) + _spread(row)


def rank_text(rank: tuple[int, int] | None, provisional: bool) -> str:
    """The range of ranks, starred where it is provisional."""
    if rank is None:
        return ABSENT
    lo, hi = rank
    return (f"{lo}" if lo == hi else f"{lo}–{hi}") + ("*" if provisional else "")


def remark(row: Row) -> str:
    """Verified or disputed, floor or reference, the reason why it is unranked, failures by status, values tuned to an edge."""
    failures = [f"{count} {reason}" for reason, count in sorted(row.failures.items())]
    edge = f"best at the edge of {', '.join(row.edges)}" if row.edges else ""
    return ", ".join(filter(None, [row.standing, row.anchor, row.reason, *failures, edge]))


@cache
def declared(entry: str) -> int | None:
    """Trials that the entry's authors declare to have made elsewhere (`declared_trials`), summed over a composition's parts.

    None if no part declares any, or the entry's file is not here.
    """
    files = [config.load("entry", name, EntryFile) for name in entry.split("+") if name in config.names("entry")]
    trials = [file.declared_trials for file in files if file.declared_trials is not None]
    return sum(trials) if trials else None


def trials_text(trials: int | None, declared: int | None) -> str:
    """The tuning trials behind a row: "7", or "here 7 / declared 20"; "—" for an untuned entry that declares nothing."""
    here = ABSENT if trials is None else f"{trials:,}"
    return here if declared is None else f"here {here} / declared {declared:,}"


def columns(table: Table) -> list[Column]:
    """The columns of the readable outputs, in order: what decides first, then costs and the other metrics."""
    metric = table.metric
    unit = f" ({metric.unit})" if metric.unit else ""
    arrow = "↓" if metric.better == "min" else "↑"
    others = dict.fromkeys(name for row in table.rows for name in row.others)
    beyond = f"> {number(table.budget) if table.budget else 'budget'}"  # the median of times may lie beyond the budget

    def median(row: Row) -> str:
        return beyond if math.isinf(row.median) else number(row.median)

    def amount(field: str, name: str) -> Callable[[Row], str]:
        return lambda row: number(getattr(row, field).get(name))

    return [
        Column("rank", lambda row: rank_text(row.rank, row.provisional), left=True),
        Column("entry", lambda row: row.entry, left=True),
        Column(f"{metric.name} {arrow}{unit}", value),
        Column("median", median, core=metric.target is not None),
        Column("skill", lambda row: number(row.skill, 2)),
        Column("skill 95 %", lambda row: interval_text(row.skill_lo, row.skill_hi, 2).strip() or ABSENT, core=False),
        Column("ok", lambda row: f"{row.ok}/{row.seeds}"),
        Column("CPU s", lambda row: number(row.cpu)),
        Column("trials", lambda row: trials_text(row.trials, declared(row.entry))),
        Column("remark", remark, left=True),
        *[Column(title, amount("costs", name), core=False) for title, name in COSTS.items()],
        *[Column(name, amount("others", name), core=False) for name in others],
        Column("ok 95 %", lambda row: f"{row.ok_lo:.2f} to {row.ok_hi:.2f}", core=False),
    ]


def heading(table: Table) -> str:
    """Task, version and preset in a line."""
    suite = f" · suite {table.suite}" if table.suite else ""
    return f"{table.task} v{table.version} · {table.preset or ABSENT}{suite}"


def parameters(table: Table) -> str:
    """The task's parameters in a line."""
    return ", ".join(f"{name}={setting}" for name, setting in table.params.items()) or ABSENT


def footer(table: Table) -> list[str]:
    """The lines every table ends with."""
    starred = any(row.rank and row.provisional for row in table.rows)
    return [table.scope, *(["* provisional: 3 or 4 seeds"] if starred else []), *table.notes]


def terminal(table: Table, width: int | None = None) -> str:
    """Plain text for a terminal of `width` columns (default: the current one's); columns beyond the core appear as they fit.

    Names and remarks are broken over lines, between words only: where the core columns need more than `width`, lines are longer.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table as RichTable

    width = width or shutil.get_terminal_size((100, 24)).columns
    chosen = columns(table)
    texts = {c.title: [c.title, *map(c.cell, table.rows)] for c in chosen}
    need = {title: 2 + max(map(cell_len, cells)) for title, cells in texts.items()}
    word = {title: max(cell_len(word) for cell in cells for word in cell.split()) for title, cells in texts.items()}
    left = width - sum(need[c.title] for c in chosen if c.core)
    shown = []
    for column in chosen:
        if column.core or need[column.title] <= left:
            left -= 0 if column.core else need[column.title]
            shown.append(column)
    width = max(width, sum(2 + word[c.title] if c.left else need[c.title] for c in shown))
    page: list[str | RichTable] = [heading(table), parameters(table)]
    for group, rows in table.groups():
        lines = RichTable(
            box=box.SIMPLE_HEAD, title=TITLES[group], title_justify="left", padding=(0, 1, 0, 0), pad_edge=False
        )
        for column in shown:
            side: Literal["left", "right"] = "left" if column.left else "right"
            lines.add_column(column.title, justify=side, min_width=word[column.title], no_wrap=not column.left)
        ranked = sum(row.rank is not None for row in rows)
        for place, row in enumerate(rows, 1):
            lines.add_row(*[column.cell(row) for column in shown], end_section=place == ranked < len(rows))
        page.append(lines)
    return grid.rendered(*page, *footer(table), width=width) + "\n"


def markdown(table: Table, core: bool = False) -> str:
    """Tables in GitHub's Markdown, one for each group. core: the core columns only, for a page of prose."""
    chosen = [column for column in columns(table) if column.core or not core]
    right = [place for place, column in enumerate(chosen) if not column.left]
    lines = [f"### {heading(table).translate(MARKDOWN)}", "", parameters(table).translate(MARKDOWN), ""]
    for group, rows in table.groups():
        cells = [[c.title for c in chosen], *([c.cell(row) for c in chosen] for row in rows)]
        text = grid.markdown([[cell.translate(MARKDOWN) for cell in line] for line in cells], right)
        lines += [f"**{TITLES[group]}**", "", text, ""]
    return "\n".join(lines + [f"{line.translate(MARKDOWN)}  " for line in footer(table)]) + "\n"


def latex(table: Table) -> str:
    """A `tabular` for booktabs, with the core columns; a rule sets groups apart, a space the unranked rows."""
    chosen = [column for column in columns(table) if column.core]
    lines = [r"\begin{tabular}{" + "".join("l" if c.left else "r" for c in chosen) + "}", r"\toprule"]
    lines += [" & ".join(c.title.translate(LATEX) for c in chosen) + r" \\"]
    for group, rows in table.groups():
        lines += [r"\midrule", rf"\multicolumn{{{len(chosen)}}}{{l}}{{\emph{{{TITLES[group]}}}}} \\"]
        ranked = sum(row.rank is not None for row in rows)
        for place, row in enumerate(rows):
            lines += [r"\addlinespace"] * (0 < place == ranked)
            lines += [" & ".join(c.cell(row).translate(LATEX) for c in chosen) + r" \\"]
    lines += [r"\bottomrule", r"\end{tabular}", ""]
    caption = [heading(table), parameters(table), *footer(table)]
    return "\n".join(lines) + "\n".join(rf"\par\footnotesize {line.translate(LATEX)}" for line in caption) + "\n"


def flat(table: Table, row: Row) -> dict[str, Any]:
    """Every number of a row as plain values: None for an absent number, and for a median beyond the budget."""
    about = {name: getattr(table, name) for name in ("suite", "task", "version", "preset", "params", "scope", "notes")}
    metric = {"metric": table.metric.name, "unit": table.metric.unit, "better": table.metric.better}
    encoded = msgspec.json.encode(about | metric | {"budget": table.budget} | vars(row))  # NaN and infinity become null
    values: dict[str, Any] = msgspec.json.decode(encoded)
    return values


def json(tables: Sequence[Table]) -> str:
    """A list of objects, one for each row of every table."""
    return json_module.dumps([flat(table, row) for table in tables for row in table.rows], indent=1, ensure_ascii=False)


def csv(tables: Sequence[Table]) -> str:
    """One header, one line for each row of every table. `costs.train` and the like are columns, lists are JSON."""
    lines = []
    for values in [flat(table, row) for table in tables for row in table.rows]:
        line: dict[str, Any] = {}
        for name, item in values.items():
            if name in ("costs", "others", "failures"):
                line |= {f"{name}.{part}": amount for part, amount in item.items()}
            else:
                line[name] = json_module.dumps(item, ensure_ascii=False) if isinstance(item, list | dict) else item
        lines.append(line)
    out = io.StringIO()
    writer = csv_module.DictWriter(out, dict.fromkeys(name for line in lines for name in line), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _each(printer: Callable[[Table], str]) -> Callable[[Sequence[Table]], str]:
    return lambda tables: "\n\n".join(printer(table).rstrip("\n") for table in tables)


RENDERERS: dict[str, Callable[[Sequence[Table]], str]] = {
    "terminal": _each(terminal), "markdown": _each(markdown), "csv": csv, "latex": _each(latex), "json": json,
}  # fmt: skip
