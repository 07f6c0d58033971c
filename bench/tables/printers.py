"""One table, five outputs: terminal, Markdown, CSV, LaTeX, JSON.

The first, second and fourth are for reading and share their columns; CSV and JSON carry every number in full.
"""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.tables import trial_words
from bench.tables.table import GROUPS, Row, Table

ABSENT = "—"
MINUS = "\N{MINUS SIGN}"  # what a negative number is set with, where a hyphen would look like a range
TITLES = {"closed": "closed division", "solver": "solvers", "procedure": "open division: procedures"}
LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"—": "---", "–": "--", MINUS: "$-$", "·": r"$\cdot$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "×": r"$\times$"}
    | {"<": r"\textless{}", ">": r"\textgreater{}"}
)


@dataclass(frozen=True)
class Column:
    """A column for readers. core: shown even where the width is short. Only words, set left, are broken over lines."""

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


def value(row: Row, table: Table) -> str:
    """The ranking metric: mean and interval, or median and range where seeds failed, or reached k/n and capped mean."""
    if row.reached is not None:
        return f"{row.reached}/{row.seeds} · {number(row.value)}{interval_text(row.lo, row.hi)}"
    if math.isnan(row.value) and not math.isnan(row.median):
        return f"median {number(row.median)} ({number(row.low)} to {number(row.high)})"
    return number(row.value) + interval_text(row.lo, row.hi)


def median(row: Row, table: Table) -> str:
    """The median over seeds, which for a time may lie beyond the budget."""
    budget = number(table.budget) if table.budget else "budget"
    return f"> {budget}" if math.isinf(row.median) else number(row.median)


def rank(row: Row) -> str:
    """The range of ranks, starred where it is provisional."""
    if row.rank is None:
        return ABSENT
    lo, hi = row.rank
    return (f"{lo}" if lo == hi else f"{lo}–{hi}") + ("*" if row.provisional else "")


def remark(row: Row) -> str:
    """Verified or disputed, anchor, why unranked, failures by reason."""
    failures = [f"{count} {reason}" for reason, count in sorted(row.failures.items())]
    return ", ".join(filter(None, [row.badge, row.anchor, row.reason, *failures]))


def columns(table: Table) -> list[Column]:
    """What a reader sees, in order: what decides first, then what it cost and the other metrics."""
    metric = table.metric
    unit = f" ({metric.unit})" if metric.unit else ""
    arrow = "↓" if metric.better == "min" else "↑"
    extra = [
        ("setup CPU s", lambda row: number(row.costs.setup)),
        ("train CPU s", lambda row: number(row.costs.train)),
        ("predict CPU s", lambda row: number(row.costs.predict)),
        ("wall s", lambda row: number(row.costs.wall)),
        ("steps", lambda row: number(row.costs.steps)),
        ("samples", lambda row: number(row.costs.samples)),
    ]
    others = dict.fromkeys(name for row in table.rows for name in row.others)

    def other(name: str) -> Callable[[Row], str]:
        return lambda row: number(row.others.get(name))

    return [
        Column("rank", rank, left=True),
        Column("entry", lambda row: row.entry, left=True),
        Column(f"{metric.name} {arrow}{unit}", lambda row: value(row, table)),
        Column("median", lambda row: median(row, table), core=metric.target is not None),
        Column("skill", lambda row: number(row.skill, 2)),
        Column("skill 95 %", lambda row: interval_text(row.skill_lo, row.skill_hi, 2).strip() or ABSENT, core=False),
        Column("ok", lambda row: f"{row.ok}/{row.seeds}"),
        Column("CPU s", lambda row: number(row.costs.own)),
        Column("trials", lambda row: trial_words.trials_text(row.trials, trial_words.declared(row.entry))),
        Column("remark", remark, left=True),
        *[Column(title, cell, core=False) for title, cell in extra],
        Column("params", lambda row: number(row.costs.parameters), core=False),
        *[Column(name, other(name), core=False) for name in others],
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
    """Plain text for a terminal of `width` columns (default: this one); further columns appear where they fit."""
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    width = width or shutil.get_terminal_size((100, 24)).columns
    chosen = columns(table)
    need = {c.title: 2 + max(cell_len(text) for text in [c.title, *map(c.cell, table.rows)]) for c in chosen}
    left = width - sum(need[c.title] for c in chosen if c.core)
    shown = []
    for column in chosen:
        if column.core or need[column.title] <= left:
            left -= 0 if column.core else need[column.title]
            shown.append(column)
    out = io.StringIO()
    console = Console(file=out, width=width, markup=False, highlight=False, color_system=None)
    console.print(Text(heading(table)), Text(parameters(table)), sep="\n")
    for group in GROUPS:
        rows = table.group(group)
        if not rows:
            continue
        grid = Grid(
            box=box.SIMPLE_HEAD, title=Text(TITLES[group]), title_justify="left", padding=(0, 1, 0, 0), pad_edge=False
        )
        for column in shown:
            side: Literal["left", "right"] = "left" if column.left else "right"
            grid.add_column(Text(column.title), justify=side, overflow="fold", no_wrap=not column.left)
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            last_ranked = row.rank is not None and following is not None and following.rank is None
            grid.add_row(*[Text(column.cell(row)) for column in shown], end_section=last_ranked)
        console.print(grid)
    console.print(Text("\n".join(footer(table))))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def markdown(table: Table, core: bool = False) -> str:
    """GitHub's tables, one a group. core: only what decides, for a page of prose."""

    def cell(text: str) -> str:
        for char in "\\|*_`[]":
            text = text.replace(char, f"\\{char}")
        return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")

    chosen = [column for column in columns(table) if column.core or not core]
    lines = [f"### {cell(heading(table))}", "", cell(parameters(table)), ""]
    for group in GROUPS:
        if rows := table.group(group):
            lines += [f"**{TITLES[group]}**", "", "| " + " | ".join(cell(c.title) for c in chosen) + " |"]
            lines += ["|" + "|".join(":--" if c.left else "--:" for c in chosen) + "|"]
            lines += ["| " + " | ".join(cell(c.cell(row)) for c in chosen) + " |" for row in rows]
            lines += [""]
    return "\n".join(lines + [f"{cell(line)}  " for line in footer(table)]) + "\n"


def latex(table: Table) -> str:
    """A `tabular` for booktabs, with the core columns; groups and what is unranked are set apart by rules."""
    chosen = [column for column in columns(table) if column.core]
    lines = [r"\begin{tabular}{" + "".join("l" if c.left else "r" for c in chosen) + "}", r"\toprule"]
    lines += [" & ".join(c.title.translate(LATEX) for c in chosen) + r" \\"]
    for group in GROUPS:
        rows = table.group(group)
        if rows:
            lines += [r"\midrule", rf"\multicolumn{{{len(chosen)}}}{{l}}{{\emph{{{TITLES[group]}}}}} \\"]
        for before, row in zip([None, *rows[:-1]], rows, strict=True) if rows else ():
            if before is not None and before.rank is not None and row.rank is None:
                lines += [r"\addlinespace"]
            lines += [" & ".join(c.cell(row).translate(LATEX) for c in chosen) + r" \\"]
    lines += [r"\bottomrule", r"\end{tabular}", ""]
    said = [heading(table), parameters(table), *footer(table)]
    return "\n".join(lines) + "\n".join(rf"\par\footnotesize {line.translate(LATEX)}" for line in said) + "\n"


def flat(table: Table, row: Row) -> dict[str, Any]:
    """Every number of a row as plain values: None for what is absent, and for a median beyond the budget."""
    said: dict[str, Any] = {
        "suite": table.suite,
        "task": table.task,
        "version": table.version,
        "preset": table.preset,
        "params": dict(table.params),
        "scope": table.scope,
        "notes": list(table.notes),
        "metric": table.metric.name,
        "unit": table.metric.unit,
        "better": table.metric.better,
        "budget": table.budget,
    }
    return {name: _plain(item) for name, item in (said | asdict(row)).items()}


def _plain(item: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(item, float):
        return item if math.isfinite(item) else None
    if isinstance(item, Mapping):
        return {str(name): _plain(part) for name, part in item.items()}
    if isinstance(item, list | tuple):
        return [_plain(part) for part in item]
    return item


def json(table: Table) -> str:
    """A list of objects, one a row."""
    return json_module.dumps([flat(table, row) for row in table.rows], indent=1, ensure_ascii=False) + "\n"


def csv(*tables: Table) -> str:
    """One header, one line a row of every table; costs, failures and other metrics have columns of their own
    (`costs.train`), lists are JSON."""
    lines = []
    for owner, row in [(table, row) for table in tables for row in table.rows]:
        line: dict[str, Any] = {}
        for name, item in flat(owner, row).items():
            if name in ("costs", "others", "failures"):
                line |= {f"{name}.{part}": figure for part, figure in item.items()}
            elif isinstance(item, list | dict):
                line[name] = json_module.dumps(item, ensure_ascii=False)
            else:
                line[name] = item
        lines.append(line)
    out = io.StringIO()
    writer = csv_module.DictWriter(out, dict.fromkeys(name for line in lines for name in line), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _each(one: Callable[[Table], str], between: str = "\n\n") -> Callable[[Sequence[Table]], str]:
    return lambda tables: between.join(one(t).rstrip("\n") for t in tables)


def _all_json(tables: Sequence[Table]) -> str:
    rows = [row for one in tables for row in json_module.loads(json(one))]
    return json_module.dumps(rows, indent=1, ensure_ascii=False)


RENDERERS: dict[str, Callable[[Sequence[Table]], str]] = {
    "terminal": _each(terminal),
    "markdown": _each(markdown),
    "csv": lambda tables: csv(*tables),
    "latex": _each(latex),
    "json": _all_json,
}
