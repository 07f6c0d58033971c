"""Rows of text cells as an aligned text table or as a Markdown table; the first row is the head."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import Any

Rows = Sequence[Sequence[str]]

WIDTH = 10_000  # characters of a page so wide that no cell is broken over lines


def text(rows: Rows, right: Collection[int] = ()) -> str:
    """Columns two spaces apart, those at places `right` aligned right; a row is one line, which a program may split."""
    from rich.table import Table

    head, *body = rows
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    for place, title in enumerate(head):
        table.add_column(title, justify="right" if place in right else "left", no_wrap=True)
    for row in body:
        table.add_row(*map(_line, row))
    return rendered(table)


def rendered(*parts: Any, width: int = WIDTH) -> str:
    """Texts and tables of rich one below the other, on a page of `width` characters, without colours."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, markup=False, emoji=False, highlight=False, color_system=None)
    console.print(*parts, sep="\n")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def markdown(rows: Rows, right: Collection[int] = ()) -> str:
    """A table in GitHub's Markdown; a bar inside a cell is escaped."""

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(_line(cell).replace("|", "\\|") for cell in row) + " |"

    head, *body = rows
    rule = "|" + "|".join("--:" if place in right else ":--" for place in range(len(head))) + "|"
    return "\n".join([line(head), rule, *map(line, body)])


def _line(cell: str) -> str:
    """A cell without line breaks, which would end its row."""
    return cell.replace("\n", " ")
