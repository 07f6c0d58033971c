"""Tables from hand-made records, their exports, the page and the figures."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import stats
from bench.board import figures, render, site
from bench.board.table import SCOPE, Table, build
from bench.contract import Budget, Derived, Metric, Target

ERROR = Metric("nrmse", "", "min", "Relative error.", scale="log", diverged=1.0)
LOSS = Metric("loss", "nats", "min", "Final loss.", scale="log", diverged="first")
STEPS = Metric("steps", "", "min", "Steps to 99 %.", scale="log", target=Target("accuracy", 0.99))
ACCURACY = Metric("accuracy", "", "max", "Held back.", scale="logit", diverged=0.0)


def task(*metrics: Metric, rank: str | None = None, derived: tuple[Derived, ...] = (), limit: int = 100) -> Any:
    return SimpleNamespace(
        name="toy/task",
        version=2,
        metrics=metrics,
        derived=derived,
        rank=rank or metrics[0].name,
        floors=("floor",),
        reference="reference",
        slots=(),
        budget=Budget("steps", limit),
        params=SimpleNamespace(width=8),
    )


@dataclass
class Plan:
    entry: str
    cells: Mapping[int, Sequence[Any] | None]
    trials: int | None = 0
    slots: tuple[str, ...] = ("optimizer",)
    division: str = "closed"


def record(entry: str, seed: int, status: str = "ok", **more: Any) -> dict[str, Any]:
    base = {
        "key": f"{entry}{seed}",
        "task": "toy/task",
        "version": 2,
        "params": {"width": 8},
        "preset": "small",
        "entry": entry,
        "config": {},
        "seed": seed,
        "status": status,
        "metrics": {},
        "censored": [],
        "costs": {"cpu": {"setup": 0.5, "train": 4.0 + seed, "predict": 0.1}, "cpu_total": 5.0, "wall": 6.0}
        | {"rss_mb": 200.0, "steps": 100, "samples": 3200, "evals": 0, "parameters": 1234},
        "provenance": {},
    }
    return base | more


def plan(entry: str, values: Sequence[float | str | None], metric: str = "nrmse", **more: Any) -> Plan:
    """Values by seed: a number is an ok cell, a word its status, None a missing cell."""
    cells: dict[int, Any] = {}
    for seed, value in enumerate(values):
        if value is None:
            cells[seed] = None
        elif isinstance(value, str):
            cells[seed] = [record(entry, seed, value)]
        else:
            cells[seed] = [record(entry, seed, metrics={metric: float(value)})]
    return Plan(entry, cells, **more)


def anchors(n: int = 3, metric: str = "nrmse", floor: float = 1.0, top: float = 0.01) -> list[Plan]:
    return [plan("floor", [floor] * n, metric), plan("reference", [top] * n, metric)]


def named(table: Table) -> dict[str, Any]:
    return {row.entry: row for row in table.rows}


# --- the plain case


def test_a_plain_table():
    rows = [*anchors(), plan("mine", [0.1, 0.12, 0.09], trials=20), plan("worse", [0.4, 0.5, 0.45], trials=20)]
    table = build(task(ERROR), rows, suite="core")
    assert [row.entry for row in table.rows] == ["reference", "mine", "worse", "floor"]
    assert (table.task, table.version, table.preset, table.params) == ("toy/task", 2, "small", {"width": 8})
    mine = named(table)["mine"]
    assert (mine.value, mine.lo, mine.hi) == pytest.approx(stats.t_interval([0.1, 0.12, 0.09], scale="log"))
    assert (mine.seeds, mine.ok, mine.missing, mine.failures, mine.trials) == (3, 3, 0, {}, 20)
    assert (mine.ok_lo, mine.ok_hi) == stats.clopper_pearson(3, 3)
    assert mine.skill == pytest.approx(np.mean(np.log([0.1, 0.12, 0.09])) / math.log(0.01))
    assert mine.skill_lo < mine.skill < mine.skill_hi
    assert mine.provisional and mine.rank is not None and mine.rank[0] <= 2 <= mine.rank[1]
    assert (mine.costs.train, mine.costs.setup, mine.costs.parameters) == (5.0, 0.5, 1234)
    assert mine.keys == ("mine0", "mine1", "mine2")
    assert [named(table)[name].anchor for name in ("floor", "reference", "mine")] == ["floor", "reference", ""]
    assert named(table)["floor"].skill == 0 and named(table)["reference"].skill == 1


def test_five_seeds_are_not_provisional_and_two_are_not_ranked():
    assert not build(task(ERROR), anchors(5)).rows[0].provisional
    for row in build(task(ERROR), [*anchors(2), plan("mine", [0.1, 0.2])]).rows:
        assert row.rank is None and row.reason == "fewer than 3 seeds" and math.isnan(row.lo)


def test_groups_are_ranked_apart():
    rows = [*anchors(), plan("solve", [0.001, 0.0011, 0.0009], slots=("solver",))]
    rows += [plan("whole", [0.5, 0.6, 0.4], slots=("procedure",), division="open")]
    table = build(task(ERROR), rows)
    assert [row.group for row in table.rows] == ["closed", "closed", "solver", "procedure"]
    assert named(table)["solve"].rank == named(table)["whole"].rank == (1, 1)
    assert named(table)["reference"].rank == (1, 1) and named(table)["floor"].rank == (2, 2)
    assert named(table)["solve"].skill > 1


def test_better_max_and_other_metrics():
    rows = [plan("floor", [0.1] * 3, "accuracy"), plan("reference", [0.9] * 3, "accuracy")]
    for cells in rows[1].cells.values():
        cells[0]["metrics"] |= {"nrmse": 0.2, "initial_nrmse": 9.0}
    table = build(task(ACCURACY, ERROR), rows)
    assert [row.entry for row in table.rows] == ["reference", "floor"]
    assert table.rows[0].others == pytest.approx({"nrmse": 0.2}) and table.rows[1].others == {}


# --- failures


@pytest.mark.parametrize("status", ["diverged", "failed", "timeout", "oom", "crashed"])
def test_failures_leave_median_and_range(status):
    table = build(task(ERROR), [*anchors(4), plan("mine", [0.1, 0.3, status, 0.2])])
    mine = named(table)["mine"]
    assert math.isnan(mine.value) and math.isnan(mine.lo) and math.isnan(mine.hi) and math.isnan(mine.skill_lo)
    assert (mine.median, mine.low, mine.high) == pytest.approx((0.2, 0.1, 0.3))
    assert (mine.ok, mine.seeds, mine.failures) == (3, 4, {status: 1})
    assert mine.skills[2] == 0 and mine.skill == pytest.approx(np.mean(mine.skills))
    assert mine.rank is not None
    assert f"1 {status}" in render.terminal(table, 200)


@pytest.mark.parametrize("metric", [ERROR, LOSS, replace(ERROR, diverged=None)], ids=["number", "first", "worst"])
def test_an_entry_that_diverges_once_ranks_below_its_twin(metric):
    steady = plan("z-steady", [0.1, 0.12, 0.09], metric.name)
    twin = plan("a-twin", [0.1, 0.12, "diverged"], metric.name)
    twin.cells[2][0]["metrics"] = {"initial_loss": 2.3}
    table = build(task(metric), [*anchors(metric=metric.name), twin, steady])
    order = [row.entry for row in table.rows]
    assert order.index("z-steady") < order.index("a-twin")
    rows = named(table)
    assert rows["a-twin"].rank[0] > rows["z-steady"].rank[0]
    assert rows["a-twin"].skill < rows["z-steady"].skill


def test_failing_never_beats_the_value_before_training():
    lucky = plan("lucky", [0.02, 0.02, "diverged"], "loss")
    lucky.cells[2][0]["metrics"] = {"initial_loss": 50.0}
    table = build(task(LOSS), [*anchors(metric="loss"), lucky, plan("slow", [0.1, 0.1, 0.1], "loss")])
    # geometric mean with the first value: (.02 .02 50)^(1/3) = .271, worse than .1
    assert [row.entry for row in table.rows].index("slow") < [row.entry for row in table.rows].index("lucky")


def test_a_failed_seed_has_no_skill_even_where_its_penalty_beats_the_floor():
    table = build(task(ERROR), [*anchors(floor=4.0), plan("mine", [0.1, 0.1, "timeout"])])
    assert named(table)["mine"].skills[2] == 0 < named(table)["mine"].skills[0]


def test_every_cell_failed():
    table = build(task(replace(ERROR, diverged=None)), [*anchors(), plan("mine", ["failed", "oom", "oom"])])
    mine = named(table)["mine"]
    assert (mine.ok, mine.skill, mine.failures) == (0, 0.0, {"failed": 1, "oom": 2})
    assert math.isnan(mine.median) and math.isnan(mine.costs.train)
    alone = build(task(replace(ERROR, diverged=None)), [plan("mine", ["failed"] * 3)])
    assert alone.rows[0].rank is None and alone.rows[0].reason == "metric undefined"


# --- coverage and tuning


def test_missing_cells_stand_below_unranked():
    best = plan("best", [0.001, None, 0.001])
    table = build(task(ERROR), [best, *anchors(), plan("short", [0.002, 0.002]), plan("raw", [0.9] * 3, trials=None)])
    assert [row.entry for row in table.rows] == ["reference", "floor", "raw", "best", "short"]
    rows = named(table)
    assert rows["best"].rank is None and rows["best"].reason == "missing 1 of 3 seeds" and rows["best"].missing == 1
    assert rows["short"].missing == 1 and (rows["short"].seeds, rows["short"].ok) == (2, 2)
    assert rows["reference"].rank == (1, 1) and rows["floor"].rank == (2, 2)  # as if the others were not there


def test_unavailable_is_missing_not_failed():
    mine = named(build(task(ERROR), [*anchors(), plan("mine", [0.1, 0.1, "unavailable"])]))["mine"]
    assert mine.failures == {} and mine.missing == 1 and mine.value == pytest.approx(0.1)
    assert mine.reason == "missing 1 of 3 seeds, 1 cells unavailable"


def test_untuned_is_marked_and_unranked_but_nothing_to_tune_counts_as_tuned():
    rows = [*anchors(), plan("raw", [0.001, 0.0011, 0.001], trials=None), plan("tuned", [0.1, 0.12, 0.1], trials=5)]
    table = build(task(ERROR), [*rows, plan("more", [0.1, 0.12, 0.11], trials=9)])
    assert named(table)["raw"].rank is None and named(table)["raw"].reason == "untuned"
    assert table.rows[-1].entry == "raw" and named(table)["floor"].rank is not None
    assert table.notes == ("tuning trials differ: 5, 9",)


def test_an_undefined_metric_is_no_failure():
    mine = plan("mine", [0.1, 0.1, 0.1])
    mine.cells[1][0]["metrics"] = {}
    row = named(build(task(ERROR), [*anchors(), mine]))["mine"]
    assert row.rank is None and row.reason == "metric undefined" and row.ok == 3 and row.failures == {}


def test_skill_needs_both_anchors_in_the_right_order():
    table = build(task(ERROR), [plan("mine", [0.1] * 3), plan("floor", [1.0] * 3)])
    assert math.isnan(table.rows[0].skill) and table.notes == ("no skill: an anchor has no records",)
    table = build(task(ERROR), [*anchors(floor=0.01, top=1.0), plan("mine", [0.1, 0.1, "failed"])])
    assert all(math.isnan(row.skill) for row in table.rows)
    assert table.notes == ("no skill: the reference does not beat the floor",)


def test_conflicting_records_are_reported():
    rows = anchors()
    stored = [cells[0] for row in rows for cells in row.cells.values()]
    assert build(task(ERROR), rows, [*stored, *stored]).notes == ()
    other = stored[0] | {"metrics": {"nrmse": 0.7}}
    assert build(task(ERROR), rows, [*stored, other]).notes == ("conflict: records disagree for floor0",)


def test_an_empty_plan_and_an_empty_store():
    assert build(task(ERROR), []).rows == ()
    table = build(task(ERROR), [plan("mine", [None, None, None])])
    assert table.params == {"width": 8} and table.rows[0].reason == "missing 3 of 3 seeds"
    assert "—" in render.terminal(table, 100)


# --- time to target


def times(entry: str, values: Sequence[float | str]) -> Plan:
    """A number below the budget was reached; one at the budget is censored."""
    row = plan(entry, values, "steps")
    for cell in row.cells.values():
        if cell[0]["metrics"].get("steps") == 100:
            cell[0]["censored"] = ["steps"]
    return row


def test_time_to_target():
    rows = [times("floor", [100, 100, 100]), times("reference", [10, 12, 11])]
    table = build(task(STEPS), [*rows, times("some", [20, 100, "diverged"]), times("most", [20, 30, 100])])
    got = named(table)
    assert (got["some"].reached, got["some"].seeds, got["some"].ok) == (1, 3, 2)
    assert got["some"].value == pytest.approx(220 / 3) and got["some"].median == math.inf
    assert math.isnan(got["some"].lo)  # beyond the budget nobody knows
    assert (got["most"].reached, got["most"].value, got["most"].median) == (2, 50, 30)
    assert got["reference"].reached == 3 and got["reference"].lo < 11 < got["reference"].hi
    assert [row.entry for row in table.rows] == ["reference", "most", "some", "floor"]
    assert got["floor"].skill == 0 and got["some"].skills[2] == 0
    text = render.terminal(table, 200)
    assert re.search(r"1/3 · 73.3 +> 100 ", text) and re.search(r"2/3 · 50.0 +30.0 ", text)
    assert math.isnan(got["most"].skill_lo) and not math.isnan(got["reference"].skill_lo)
    flat = {row["entry"]: row for row in json.loads(render.json(table))}
    assert flat["some"]["median"] is None and flat["some"]["budget"] == 100


# --- derived metrics

GRID = (0.1, 1.0, 10.0)
SPREAD = Derived(
    Metric("spread", "", "min", "Worst over best.", scale="log", diverged=1000.0),
    axis="lr",
    grid={"small": GRID},
    reduce=lambda grid, rows: max(row["loss"] for row in rows) / min(row["loss"] for row in rows) + 0 * len(grid),
)


def sweep(entry: str, table: Sequence[Sequence[float | str | None] | None]) -> Plan:
    cells: dict[int, Any] = {}
    for seed, values in enumerate(table):
        cells[seed] = None if values is None else []
        for lr, value in zip(GRID, values or (), strict=False):
            status, loss = (value, {}) if isinstance(value, str) else ("ok", {"loss": value})
            one = record(entry, seed, status, key=f"{entry}{seed}{lr}", params={"width": 8, "lr": lr}, metrics=loss)
            one["metrics"] = loss | {"initial_loss": 8.0}
            cells[seed].append(None if value is None else one)
    return Plan(entry, cells)


def test_derived_metrics_reduce_each_seed_over_the_grid():
    flat, steep = [[1.0, 1.0, 1.1]] * 3, [[1.0, 2.0, 4.0], [1.0, 2.0, 3.0], [1.0, 2.0, "diverged"]]
    toy = task(LOSS, rank="spread", derived=(SPREAD,))
    rows = [sweep("reference", flat), sweep("floor", [[1.0, 2.0, 9.0]] * 3), sweep("steep", steep)]
    rows += [sweep("hole", [[1.0, 1.0, 1.0], None, [1.0, None, 1.0]])]
    rows += [sweep("dead", [["diverged"] * 3, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])]
    table = build(toy, rows)
    got = named(table)
    assert table.metric.name == "spread" and table.params == {"width": 8, "lr": list(GRID)}
    assert got["steep"].value == pytest.approx((4 * 3 * 8) ** (1 / 3))  # the diverged cell counts as its first loss
    assert (got["steep"].ok, got["steep"].failures, len(got["steep"].keys)) == (3, {"diverged": 1}, 9)
    assert got["steep"].others["loss"] == pytest.approx(stats.t_interval([1, 2, 4, 1, 2, 3, 1, 2], scale="log")[0])
    assert got["hole"].rank is None and got["hole"].missing == 2
    assert (got["dead"].ok, got["dead"].skills[0]) == (2, 0.0) and got["dead"].median == 1.0
    # a group of which nothing is left does not pass for an insensitive one
    assert [row.entry for row in table.rows] == ["reference", "steep", "floor", "dead", "hole"]


def test_a_group_shorter_than_its_grid_is_missing():
    toy = task(LOSS, rank="spread", derived=(SPREAD,))
    assert build(toy, [sweep("mine", [[1.0, 2.0]] * 3)]).rows[0].missing == 3


# --- numbers and exports


def test_numbers():
    cases = {0.0: "0", 0.12345: "0.123", 999.9: "1,000", 12345.6: "12,346", 1e-5: "1.00e−5", 2.5e7: "2.50e7"}
    cases |= {-3.0: "−3.00", math.nan: "—", math.inf: "∞", 0.0012: "0.00120"}
    assert {x: render.number(x) for x in cases} == cases
    assert render.number(None) == "—" and render.number(0.456, 2) == "0.46"


NASTY = 'a|b & <script>alert("x")</script> 50%_$\\'


@pytest.fixture
def everything() -> Table:
    rows = [*anchors(), plan("mine", [0.1, 0.3, "diverged"], trials=20), plan("raw", [0.2, 0.25, 0.3], trials=None)]
    return build(task(ERROR, LOSS), [*rows, plan(NASTY, [0.5, None, 0.4])], suite="core")


def test_terminal_at_100_columns(everything):
    text = render.terminal(everything, 100)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert text.count(NASTY[:6]) == 1 and "missing 1 of 3" in re.sub(
        r"\s+", " ", text
    )  # broken over lines, not cut off
    assert "toy/task v2 · small · suite core" in lines[0] and "width=8" in lines[1]
    assert SCOPE in text and "untuned" in text and "provisional" in text and "closed division" in text
    assert len(render.terminal(everything, 220).splitlines()[4]) > len(lines[4])  # further columns appear
    assert "wall s" in render.terminal(everything, 220) and "wall s" not in text


def test_markdown_keeps_its_columns(everything):
    text = render.markdown(everything)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row.replace("\\\\", ""))) for row in rows}) == 1 and len(rows) == 2 + 5
    assert SCOPE in text and "small" in text and "width=8" in text and "<script>" not in text


def test_csv_parses_back(everything):
    lines = list(csv.DictReader(io.StringIO(render.csv(everything))))
    assert [line["entry"] for line in lines] == [row.entry for row in everything.rows]
    for line, row in zip(lines, everything.rows, strict=True):
        assert line["scope"] == SCOPE and json.loads(line["params"]) == {"width": 8} and line["preset"] == "small"
        assert (float(line["value"]) if line["value"] else math.nan) == pytest.approx(row.value, nan_ok=True)
        assert (json.loads(line["rank"]) if line["rank"] else None) == (list(row.rank) if row.rank else None)
        assert float(line["costs.train"]) == row.costs.train
    assert next(line for line in lines if line["entry"] == "mine")["failures.diverged"] == "1"


def test_json_parses_back(everything):
    objects = json.loads(render.json(everything), parse_constant=lambda name: pytest.fail(name))  # no NaN
    for item, row in zip(objects, everything.rows, strict=True):
        assert item["entry"] == row.entry and item["scope"] == SCOPE and item["params"] == {"width": 8}
        assert item["costs"]["train"] == row.costs.train and item["failures"] == row.failures
        assert item["value"] == (None if math.isnan(row.value) else row.value)


def test_latex_escapes_and_balances(everything):
    text = render.latex(everything)
    assert r"\toprule" in text and r"\bottomrule" in text and SCOPE in text and "small" in text
    assert r"50\%\_\$\textbackslash{}" in text and "a|b \\& \\textless{}script" in text
    widths = {len(re.findall(r"(?<!\\)&", line)) for line in text.splitlines() if line.endswith(r"\\") and "&" in line}
    assert len(widths) == 1


# --- the page


class Page(HTMLParser):
    """Collects tags and checks that they close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def stored(table_rows: Sequence[Plan]) -> list[dict[str, Any]]:
    return [one for row in table_rows for cell in row.cells.values() for one in cell or () if one]


def test_the_page_stands_alone_and_escapes(tmp_path):
    rows = [*anchors(), plan("mine", [0.1, 0.3, "diverged"]), plan(NASTY, [0.5, None, 0.4])]
    records = stored(rows)
    records[0]["metrics"]["<b>"] = 1.0
    drawn = figures.horizon({"mine": ([1, 2, 3], [0.1, 0.2, 0.4])})
    tables = [build(task(ERROR), rows, records, suite="<core>")]
    path = site.write(tables, records, tmp_path / "board", {"toy/task: horizon": drawn, "<i>all": drawn})
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert path == tmp_path / "board" / "index.html" and page.open == []
    assert "script" not in page.tags and "b" not in page.tags and "i" not in page.tags
    assert all(link.startswith("#") for link in page.links) and "@import" not in text and "url(http" not in text
    assert page.tags.count("details") == 4 and page.tags.count("svg") == 2
    assert "python -m bench show mine2" in text and "&lt;core&gt;" in text and "&lt;script&gt;" in text
    assert SCOPE in text and "width=8" in text and "prefers-color-scheme: dark" in text
    assert text.index("toy/task: horizon") < text.index("&lt;i&gt;all")


def test_the_page_without_figures_or_records(tmp_path):
    path = site.write([build(task(ERROR), [])], [], tmp_path)
    assert Page(path.read_text(encoding="utf-8")).open == []


def test_summary_is_the_aggregate_over_tasks():
    easy = [*anchors(), plan("mine", [0.1, 0.12, 0.09]), plan("part", [0.1] * 3), plan("raw", [0.1] * 3, trials=None)]
    hard = [*anchors(), plan("mine", [0.5, 0.6, "oom"]), plan("raw", [0.1] * 3)]
    first, second = build(task(ERROR), easy, suite="core"), build(task(ERROR), hard, suite="core")
    (summary,) = site.summarise([first, second])
    assert (summary.suite, summary.group, len(summary.tasks)) == ("core", "closed", 2)
    assert [s.entry for s in summary.standings] == ["reference", "mine", "floor", "raw", "part"]
    mine = summary.standings[1]
    skills = [named(table)["mine"].skills for table in (first, second)]
    assert (mine.mean, mine.lo, mine.hi) == pytest.approx(stats.aggregate(skills))
    means = sorted(float(np.mean(one)) for one in skills)
    assert [mine.out_lo, mine.out_hi] == pytest.approx(means) and math.isnan(mine.middle)
    assert [s.reason for s in summary.standings[3:]] == ["untuned", "on 1 of 2 tasks"]
    many = next(s for s in site.summarise([first] * 8)[0].standings if s.entry == "mine")
    assert many.middle == pytest.approx(named(first)["mine"].skill)


def test_suites_and_groups_are_summarised_apart():
    solver = plan("solve", [0.1] * 3, slots=("solver",))
    tables = [build(task(ERROR), [*anchors(), solver], suite=suite) for suite in ("a", "b")]
    kinds = [(s.suite, s.group) for s in site.summarise(tables)]
    assert kinds == [("a", "closed"), ("a", "solver"), ("b", "closed"), ("b", "solver")]


# --- figures

CURVES = {"_a<b>$x$": ([1, 10, 100], [0.5, 0.1, 0.02]), "other": ([1, 10, 100], [0.6, math.nan, 0.0])}


@pytest.mark.parametrize("draw", [figures.ladder, figures.sensitivity, figures.horizon])
def test_figures_are_svg_with_their_labels(draw):
    svg = draw(CURVES)
    text = "".join(ET.fromstring(svg).itertext())
    assert svg.startswith("<svg") and "_a<b>$x$" in text and "other" in text
    assert "currentColor" in svg and figures.INK not in svg
    assert draw(CURVES) == svg
    assert draw({}).startswith("<svg")


def test_delay_shows_the_delay():
    steps = [10, 100, 1000, 10000]
    svg = figures.delay({"adamw": (steps, [0.5, 1, 1, 1])}, {"adamw": (steps, [0, 0, 0.5, 1]), "sgd": (steps, [0] * 4)})
    assert "×100" in "".join(ET.fromstring(svg).itertext())
    assert figures.crossing((steps, [0, 0, 0.5, 1]), 0.95) == 10000
    assert math.isnan(figures.crossing((steps, [0] * 4), 0.5))
