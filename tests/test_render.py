"""Exports of tables, standings and the figures."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from bench.board import comparing
from bench.figures import drawing
from bench.planning.files import FigureFile
from bench.tables import overview, printers, standings, statistics
from bench.tables.table import SCOPE, Table, build
from tests.rows import (
    ERROR,
    LOSS,
    anchors,
    named,
    plan,
    task,
)

# --- numbers and exports


def test_numbers():
    cases = {0.0: "0", 0.12345: "0.123", 999.9: "1,000", 12345.6: "12,346", 1e-5: "1.00e−5", 2.5e7: "2.50e7"}
    cases |= {-3.0: "−3.00", math.nan: "—", math.inf: "∞", 0.0012: "0.00120"}
    assert {x: printers.number(x) for x in cases} == cases
    assert printers.number(None) == "—" and printers.number(0.456, 2) == "0.46"


NASTY = 'a|b & <script>alert("x")</script> 50%_$\\'


@pytest.fixture
def everything() -> Table:
    rows = [*anchors(), plan("mine", [0.1, 0.3, "diverged"], trials=20), plan("raw", [0.2, 0.25, 0.3], trials=None)]
    return build(task(ERROR, LOSS), [*rows, plan(NASTY, [0.5, None, 0.4])], suite="core")


def test_terminal_at_110_columns(everything):
    text = printers.terminal(everything, 110)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 110
    assert text.count(NASTY[:6]) == 1 and "missing 1 of 3" in re.sub(
        r"\s+", " ", text
    )  # broken over lines, not cut off
    assert "toy/task v2 · small · suite core" in lines[0] and "width=8" in lines[1]
    assert SCOPE in text and "untuned" in text and "provisional" in text and "closed division" in text
    assert len(printers.terminal(everything, 220).splitlines()[4]) > len(lines[4])  # further columns appear
    assert "wall s" in printers.terminal(everything, 220) and "wall s" not in text


def test_a_narrow_terminal_breaks_no_name(everything):
    for width in range(20, 140, 5):
        words = {word for line in printers.terminal(everything, width).splitlines() for word in line.split()}
        assert {*NASTY.split(), "mine", "raw", "missing", "diverged", "provisional:"} <= words, width


def test_markdown_keeps_its_columns(everything):
    text = printers.markdown(everything)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row.replace("\\\\", ""))) for row in rows}) == 1 and len(rows) == 2 + 5
    assert SCOPE in text and "small" in text and "width=8" in text and "<script>" not in text


def test_csv_parses_back(everything):
    lines = list(csv.DictReader(io.StringIO(printers.csv([everything]))))
    assert [line["entry"] for line in lines] == [row.entry for row in everything.rows]
    for line, row in zip(lines, everything.rows, strict=True):
        assert line["scope"] == SCOPE and json.loads(line["params"]) == {"width": 8} and line["preset"] == "small"
        assert (float(line["value"]) if line["value"] else math.nan) == pytest.approx(row.value, nan_ok=True)
        assert (json.loads(line["rank"]) if line["rank"] else None) == (list(row.rank) if row.rank else None)
        assert float(line["costs.train"]) == row.costs["train"]
    assert next(line for line in lines if line["entry"] == "mine")["failures.diverged"] == "1"


def test_json_parses_back(everything):
    objects = json.loads(printers.json([everything]), parse_constant=lambda name: pytest.fail(name))  # no NaN
    for item, row in zip(objects, everything.rows, strict=True):
        assert item["entry"] == row.entry and item["scope"] == SCOPE and item["params"] == {"width": 8}
        assert item["costs"]["train"] == row.costs["train"] and item["failures"] == row.failures
        assert item["value"] == (None if math.isnan(row.value) else row.value)


def test_latex_escapes_and_balances(everything):
    text = printers.latex(everything)
    assert r"\toprule" in text and r"\bottomrule" in text and SCOPE in text and "small" in text
    assert r"50\%\_\$\textbackslash{}" in text and "a|b \\& \\textless{}script" in text
    widths = {len(re.findall(r"(?<!\\)&", line)) for line in text.splitlines() if line.endswith(r"\\") and "&" in line}
    assert len(widths) == 1


# --- the page


def test_rows_that_tie_are_no_question_of_seeds():
    rows = [*anchors(top=8e-8), plan("z-exact", [7e-8] * 3)]
    table = build(task(replace(ERROR, resolution=4.8e-7)), rows)
    leaders = [standings.Standing(row.entry, (row,), rank=row.rank, by_seed=row.values) for row in table.rows]
    told = comparing.sentence(leaders, "log", 4.8e-7)
    assert "reference and z-exact tie: they differ by at most 4.8e-07" in told
    assert "tie" not in comparing.sentence(leaders, "log")
    assert (
        comparing.duels(table, "closed")["wins"][0][1] == 0.5 and not comparing.duels(table, "closed")["gaps"][0][0][4]
    )


def test_summary_is_the_aggregate_over_tasks():
    easy = [*anchors(), plan("mine", [0.1, 0.12, 0.09]), plan("part", [0.1] * 3), plan("raw", [0.1] * 3, trials=None)]
    hard = [*anchors(), plan("mine", [0.5, 0.6, "oom"]), plan("raw", [0.1] * 3)]
    first, second = build(task(ERROR), easy, suite="core"), build(task(ERROR), hard, suite="core")
    (summary,) = standings.summarise([first, second])
    assert (summary.tables[0].suite, summary.group, len(summary.tables)) == ("core", "closed", 2)
    assert [s.entry for s in summary.standings] == ["reference", "mine", "floor", "raw", "part"]
    mine = summary.standings[1]
    skills = [named(table)["mine"].skills for table in (first, second)]
    assert mine.mean == pytest.approx(statistics.aggregate(skills)[0])
    assert math.isnan(mine.lo) and math.isnan(mine.hi)  # a seed failed
    sound = summary.standings[0]
    assert sound.mean == 1 and math.isnan(sound.lo)  # its seeds are equal on both tasks
    means = sorted(float(np.mean(one)) for one in skills)
    assert [mine.out_lo, mine.out_hi] == pytest.approx(means) and math.isnan(mine.middle)
    assert [s.reason for s in summary.standings[3:]] == ["untuned", "on 1 of 2 tasks"]
    many = next(s for s in standings.summarise([first] * 8)[0].standings if s.entry == "mine")
    assert many.middle == pytest.approx(named(first)["mine"].skill)


def test_a_task_without_a_reference_is_no_part_of_a_mean():
    without = task(ERROR)
    without.reference, without.unanchored = "", "nothing solves it"
    rows = [*anchors(), plan("mine", [0.1, 0.12, 0.09])]
    tables = [build(made, rows, suite="core") for made in (task(ERROR), without, task(ERROR))]
    (summary,) = standings.summarise(tables)
    assert len(summary.tables) == 2 and all(not standing.reason for standing in summary.standings)


def test_the_means_over_tasks_are_readable_beside_the_tables():
    easy = [*anchors(), plan("mine", [0.1, 0.12, 0.09]), plan("part", [0.1] * 3)]
    tables = [build(task(ERROR), rows, suite="core") for rows in (easy, [*anchors(), plan("mine", [0.5, 0.6, 0.4])])]
    text, marked = overview.text(tables), overview.markdown(tables)
    assert text.split("\n")[1] == "suite core · mean skill over 2 tasks · closed division · optimizer"
    for page in (text, marked):
        order = [page.index(entry) for entry in ("reference", "mine", "floor")]
        assert order == sorted(order) and "part (on 1 of 2 tasks)" in page and "1 toy/task, 2 toy/task" in page
    (mine,) = (line for line in text.splitlines() if "mine" in line)
    easy_skill, hard_skill = (printers.number(named(table)["mine"].skill, 2) for table in tables)
    assert mine.startswith("2*") and mine.split()[-5:] == [hard_skill, "to", easy_skill, easy_skill, hard_skill]
    assert not overview.text(tables[:1]), "one task has no means over tasks"
    rows = [line for line in marked.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1 and len(rows) == 2 + 3


def test_suites_and_groups_are_summarised_apart():
    solver = plan("solve", [0.1] * 3, slots=("solver",))
    tables = [build(task(ERROR), [*anchors(), solver], suite=suite) for suite in ("a", "b")]
    kinds = [(s.tables[0].suite, s.group) for table in tables for s in standings.summarise([table])]
    assert kinds == [("a", "closed"), ("a", "solver"), ("b", "closed"), ("b", "solver")]


# --- figures

CURVES = {"_a<b>$x$": ([1, 10, 100], [0.5, 0.1, 0.02]), "other": ([1, 10, 100], [0.6, math.nan, 0.0])}


def test_figures_are_svg_with_their_labels():
    def draw() -> str:
        lines = {(label, "y"): (*points, None, None) for label, points in CURVES.items()}
        return drawing.chart(lines, [], file)

    file = FigureFile(title="T", caption="C", plan=("task=t",), x="x", y="y", x_scale="log", y_scale="log")

    svg = draw()
    text = "".join(ET.fromstring(svg).itertext())
    assert svg.startswith("<svg") and "_a<b>$x$" in text and "other" in text
    assert "currentColor" in svg and drawing.INK not in svg
    assert draw() == svg
