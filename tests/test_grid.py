"""The one table of words: aligned, or in Markdown."""

from __future__ import annotations

from bench.tables import grid

ROWS = [("entry", "n", "remark"), ("ädam [b]", "10", "a|b\nc"), ("x", "2", "")]


def test_text_is_aligned_and_whatever_a_cell_holds_is_text():
    assert grid.text(ROWS, right=[1]).splitlines() == [
        "entry      n  remark",
        "ädam [b]  10  a|b c",
        "x          2",
    ]
    long = "x" * 500
    assert grid.text([("a", "b"), (long, "y")]).splitlines()[1] == f"{long}  y"


def test_markdown_keeps_its_columns():
    assert grid.markdown(ROWS, right=[1]).splitlines() == [
        "| entry | n | remark |",
        "|:--|--:|:--|",
        "| ädam [b] | 10 | a\\|b c |",
        "| x | 2 |  |",
    ]
