"""The board without a browser: what its model says, and the folder it is written to."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from msgspec import structs

from bench.board import collect, comparing, model, record_page, site
from bench.board.model import Built
from bench.figures import gallery
from bench.planning import config, plan
from bench.records.identity import difference
from bench.records.ledger import POINTS
from bench.records.record import decode
from bench.records.standing import Fresh, Verdict, Verification
from bench.records.store import Store
from bench.tables import join, printers
from bench.tables.seed_values import Joined
from bench.tables.standings import Standing
from bench.tables.table import Row, build
from benchmarks.board import ERROR, SHEET, fake_record, fake_task, planned, synthetic
from tests import rows as made_rows
from tests.conftest import ROOT
from tests.rows import tuning

VENDOR = Path(site.__file__).parent / "vendor"
NASTY = "<img src=x onerror=alert(1)>"


def rows_of(task: str, values: dict[str, list[float | str | None]], **more: Any) -> list[Joined]:
    """entry -> a value a seed: a number, the word of a failure, or None for a missing cell."""
    rows = []
    for name, line in values.items():
        cells: dict[int, Any] = {}
        for seed, value in enumerate(line):
            if value is None:
                cells[seed] = [None]
            elif isinstance(value, str):
                cells[seed] = [fake_record(task, name, seed, 1.0, value)]
            else:
                cells[seed] = [fake_record(task, name, seed, value)]
        rows.append(planned(name, cells, **more.get(name, {})))
    return rows


def made(values: dict[str, list[float | str | None]], name: str = "fake/one", **more: Any) -> Built:
    rows, task = rows_of(name, values, **more), fake_task(name)
    return Built(name, build(task, rows, suite="fake"), task, rows, SHEET)


ANCHORS: dict[str, list[float | str | None]] = {"floor": [1.0, 1.01, 0.99], "reference": [0.01, 0.0101, 0.0099]}
MIXED = ANCHORS | {
    "mine": [0.1, 0.12, 0.09],
    "broken": [0.1, "diverged", 0.11],
    "part": [0.2, None, 0.2],
    "raw": [0.05] * 3,
}


@pytest.fixture
def mixed() -> Built:
    return made(MIXED, raw={"trials": None}, mine={"older": 2})


def chunk(out: Path, name: str) -> Any:
    """What a data file hands to `Board.put`."""
    text = (out / "data" / f"{name}.js").read_text(encoding="utf-8")
    head = f"Board.put({json.dumps(name)},"
    assert text.startswith(head) and text.endswith(")\n")
    return json.loads(text[len(head) : -2])


def lines(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {}
    for row in table["rows"]:
        own = dict(zip(model.COLUMNS, row, strict=True))
        found[row[0]] = own | dict(zip(model.ALIKE, table["alike"][own["alike"]], strict=True))
    return found


def test_a_tables_rows_say_what_the_table_says(mixed, monkeypatch):
    monkeypatch.setattr(model.printers, "declared", {"mine": 20}.get)
    found = lines(model.table_model(mixed, ["fake"]))
    by_name = {row.entry: row for row in mixed.table.rows}
    mine, row = found["mine"], by_name["mine"]
    assert mine["value"] == pytest.approx(row.value, rel=1e-3) and mine["skill"] == pytest.approx(row.skill, rel=1e-2)
    assert mine["rank"] == row.rank and mine["states"] == "ooo" and mine["declared"] == 20
    assert mine["values"] == pytest.approx([0.1, 0.12, 0.09]) and len(mine["keys"]) == 3 * 12
    assert found["broken"]["states"] == "oxo" and found["broken"]["failures"] == {"diverged": 1}
    assert found["broken"]["value"] is None and found["broken"]["median"] == pytest.approx(0.105)
    assert found["part"]["states"] == "o-o" and found["part"]["rank"] is None and "missing 1" in found["part"]["reason"]
    assert found["floor"]["anchor"] == "floor" and found["floor"]["skill"] == pytest.approx(0, abs=1e-3)


def test_costs_of_a_row_are_its_whole_processes_where_they_were_measured(mixed):
    for row in mixed.rows:
        for record in (r for cell in row.cells.values() for r in cell if r):
            record.costs.cpu_entry = 50.0 + record.seed
            if row.entry == "raw":
                record.costs.cpu_entry = None
    place = model.COSTS.index("cpu_entry")
    found = lines(model.table_model(mixed, ["fake"]))
    assert found["mine"]["costs"][place] == 51.0 and found["broken"]["costs"][place] == 51.0
    assert found["raw"]["costs"][place] == found["raw"]["cpu"]


def test_badges_say_who_checked_a_row_and_what_it_lacks(mixed):
    by_name = {row.entry: row for row in mixed.table.rows}
    keys = list(by_name["mine"].keys)
    fresh = Fresh(mean=0.2, seeds=[7, 8, 9, 10, 11], values=[0.2] * 5)
    told = {verdict: made_rows.verification(verdict, keys=keys, fresh=fresh) for verdict in get_args(Verdict)}

    def mine(line: Verification) -> Row:
        table = join._badged(mixed.table, {("fake/one", "small", "mine"): line})
        return next(row for row in table.rows if row.entry == "mine")

    assert model.badges([mine(told["verified"])], 0) == ["verified (5)"]
    assert model.badges([mine(told["disputed"])], 2) == ["disputed (5)", "older code"]
    more = mine(structs.replace(told["verified"], fresh=structs.replace(fresh, seeds=[*range(20)])))
    assert model.badges([more, mine(told["verified"])], 0) == ["verified (5)"], "the fewest on any table"
    assert model.badges([more, by_name["mine"]], 0) == ["claimed"]
    assert printers.remark(more) == "verified (20 fresh seeds)"
    assert model.badges([mine(told["not comparable"])], 0) == ["claimed"]
    assert model.badges([by_name["raw"]], 0) == ["claimed", "untuned"]


def test_a_suite_has_a_section_for_what_is_on_several_tasks(mixed):
    second = made(ANCHORS | {"mine": [0.3, 0.2, 0.25], "broken": [0.1, 0.1, 0.11]}, "fake/two")
    lone = made(
        {"floor": [1.0] * 3, "guess": [0.5, 0.6, 0.4]},
        "fake/three",
        floor={"slots": ("model",)},
        guess={"slots": ("model",)},
    )
    suite = model.suite_model("other", "a doc", [mixed, second, lone])
    first, *singles = suite["sections"]
    assert (
        first["kind"] == "tasks"
        and first["slots"] == ["optimizer"]
        and [t[0] for t in first["tasks"]] == ["fake/one", "fake/two"]
    )
    shown = {row["entry"]: row for row in first["rows"]}
    assert shown["reference"]["skill"] == pytest.approx(1, abs=0.01) and shown["reference"]["rank"][0] == 1
    assert (
        shown["part"]["skill"] is None
        and shown["part"]["reason"] == "on 1 of 2 tasks"
        and shown["part"]["rank"] is None
    )
    assert shown["broken"]["cells"][0][1] == "oxo" and shown["broken"]["ok"] == 5 and shown["broken"]["seeds"] == 6
    assert shown["mine"]["badges"] == ["claimed", "older code"]
    assert [one["tasks"][0][0] for one in singles] == ["fake/three"] and singles[0]["axis"][0] == "error"
    assert suite["records"] == 17 + 12 + 6 and suite["failed"] == 1 and "cpu" in suite


def test_a_shared_table_counts_once_in_each_suite(mixed):
    """Its own suite's name is that of the plan it was first built from."""
    second = made(ANCHORS | {"mine": [0.3, 0.2, 0.25]}, "fake/two")
    other = replace(second, table=replace(second.table, suite="elsewhere"))
    (first, *_) = model.suite_model("fake", "", [mixed, other])["sections"]
    assert len(first["tasks"]) == 2


def said(ranks: list[Any], values: dict[str, list[float]]) -> str:
    standings = [Standing(name, 1, (), rank=rank, by_seed=tuple(values.get(name, ()))) for name, rank in ranks]
    return comparing.sentence(standings, "linear")


def test_the_sentence_counts_leaders_and_the_seeds_that_would_part_them():
    rng = np.random.default_rng(1)
    a = {"a": list(rng.normal(0.50, 0.1, 5)), "b": list(rng.normal(0.45, 0.1, 5)), "c": [0.1, 0.11, 0.09, 0.1, 0.1]}
    ranks: list[Any] = [("a", (1, 2)), ("b", (1, 2)), ("c", (3, 3)), ("d", None)]
    told = said(ranks, a)
    assert re.fullmatch(r"2 of 3 ranked entries are inseparable at the top; separating a from b needs about \d+ seeds "
                        r"\(there are 5\)\. 1 more is unranked\.", told)  # fmt: skip
    same = said(ranks[:2], {"a": a["a"], "b": a["a"]})
    assert "no feasible number of seeds" in same
    assert said([("a", (1, 1)), ("b", (2, 2))], a) == "a leads alone, ahead of 1 other ranked entry."
    assert said([("a", None), ("b", None)], {}) == "None of 2 entries is ranked yet."


def test_duels_are_of_the_ranked_and_profiles_of_what_has_ratios(mixed):
    found = comparing.duels(mixed.table, "closed")
    assert "raw" not in found["entries"] and found["entries"][0] == "reference"
    place = found["entries"].index("broken")
    assert found["wins"][0][place] == 1.0 and found["wins"][place][0] == 0.0 and found["wins"][0][0] is None
    assert (
        found["profile"]["ratios"][0] == 1 and max(found["profile"]["shares"][place]) <= 2 / 3 + 1e-3
    )  # a failure counts
    up = replace(ERROR, better="max", scale="linear")
    assert "profile" not in comparing.duels(replace(mixed.table, metric=up), "closed")


def test_two_entries_are_compared_on_their_seeds(mixed):
    found = comparing.duels(mixed.table, "closed")
    names = found["entries"]
    i, j = sorted((names.index("mine"), names.index("floor")))
    mid, lo, hi, pairs, told = found["gaps"][i][j - i - 1]
    logs = np.log([0.1, 0.12, 0.09]) - np.log([1.0, 1.01, 0.99])
    half = 4.302653 * logs.std(ddof=1) / math.sqrt(3)
    centre = logs.mean()
    assert names[i] == "mine" and (pairs, told) == (3, 1)
    assert (mid, lo, hi) == pytest.approx(tuple(np.exp([centre, centre - half, centre + half])), rel=1e-3)
    broken = names.index("broken")
    assert all(row[1:3] == [None, None] for row in found["gaps"][broken]), "a failed seed leaves no interval"
    linear = replace(mixed.table, metric=replace(ERROR, scale="linear"))
    assert comparing.duels(linear, "closed")["gaps"][i][j - i - 1][0] == pytest.approx(0.31 / 3 - 1, rel=1e-3)


def test_a_tables_rows_say_what_tuning_found_at_an_equal_number_of_trials(mixed):
    found: Any = {
        "mine": tuning("mine", [0.4, 0.3, 0.2, 0.1], 0.25, cpu_seconds=7.0),
        "broken": tuning("broken", [0.5, 0.4], 0.5),
        "raw": tuning("raw", [0.5, 0.4], 0.5, preset="full"),
    }
    told = model.table_model(replace(mixed, tunings=found), ["fake"])
    k, objective, rows = told["tuned"]
    assert (k, objective) == (2, "val_error")
    by_name = dict(zip((row[0] for row in told["rows"]), rows, strict=True))
    assert by_name["mine"] == [0.3, 0.25] and by_name["broken"] == [0.4, 0.5] and by_name["raw"] is None
    tuned = sum(bool(row.trials) for row in mixed.table.rows)
    assert told["cpu_tuning"] == 7 and told["untimed"] == tuned - 1
    assert model.table_model(mixed, ["fake"])["tuned"] is None


def test_bands_are_over_seeds_and_end_where_a_run_failed():
    steps, mid, low, high = model.band(
        [([0, 10, 20], [3, 2, 1], True), ([0, 10], [5, 4], True), ([0, 10], [9, 9], False)]
    )
    assert steps == [0, 10, 20]
    assert list(mid) == [5, 4, 2.5] and list(low) == [3, 2, 1] and list(high) == [9, 9, 4]
    many = [list(range(1000)), list(range(1000)), True]
    assert len(model.band([tuple(many)])[0]) == POINTS  # type: ignore[list-item]


def test_curves_share_their_steps(mixed):
    order = {row.entry: i for i, row in enumerate(mixed.table.rows)}
    found = model.curves_model(mixed, lambda record: record.curves)
    assert found["names"] == ["loss", "val_error", "rate"] and len(found["xs"]) == 1
    line = next(one for one in found["lines"] if one[0] == order["mine"])
    assert line[7] == 3 and len(line[4]) == len(found["xs"][0]) and line[5] != 0


def test_the_nearest_baseline_differs_in_the_fewest_leaves():
    base = {"near": {"a": {"x": 1, "y": [1, 2]}}, "far": {"a": {"x": 5, "y": 0}}, "me": {"a": {"x": 2, "y": [1, 2]}}}
    assert record_page.nearest("me", base["me"], base) == ("near", [("a.x", 2, 1)])
    assert record_page.nearest("me", base["me"], {"me": base["me"]}) is None
    assert difference({"a": 1}, {"b": 1}) == [("a", 1, None), ("b", None, 1)]


def test_the_folder_is_whole_and_takes_its_old_place(tmp_path, mixed):
    content = site.Content([("fake", "doc", [mixed]), ("again", "doc", [mixed])], curves=lambda record: record.curves,
                           baselines=frozenset(MIXED), submit="<h1>How</h1>")  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "old.js").write_text("left over")
    page = site.write(content, tmp_path)
    index = chunk(tmp_path, "index")
    assert page == tmp_path / "index.html" and not (tmp_path / "data" / "old.js").exists()
    assert [one["name"] for one in index["suites"]] == ["fake", "again"] and len(index["tables"]) == 1
    assert chunk(tmp_path, "table-0")["suites"] == ["fake", "again"]
    stored = {r.key: r for r in mixed.records}
    seen = {}
    for path in (tmp_path / "data" / "records").glob("*.js"):
        held = chunk(tmp_path, f"records/{path.stem}")
        for one in held["records"]:
            assert one["key"].startswith(path.stem) and len(path.stem) == index["digits"]
            seen[one["key"]] = (one, held["shared"])
    assert seen.keys() == stored.keys()
    one, shared = seen[next(k for k, r in stored.items() if r.status == "diverged")]
    assert shared[one["config"]] == stored[one["key"]].config and one["again"].startswith(
        "bench run task=fake/one entry=broken seed=1"
    )
    assert "curves" not in one and "components" not in one and shared[one["near"]][1]
    scripts = re.findall(r'(?:src|href)="([^"#]+)"', page.read_text())
    assert scripts and all((tmp_path / name).is_file() for name in scripts)
    assert "connect-src 'none'" in page.read_text() and "unsafe-inline' " not in page.read_text().split("style-src")[0]


def test_numbers_that_are_not_finite_become_null_and_html_stays_text(tmp_path):
    content = site.Content(
        [], curves=lambda record: {}, claims=[{"id": NASTY, "verdict": "mixed", "x": math.nan, "y": [math.inf]}]
    )
    page = site.write(content, tmp_path)
    assert chunk(tmp_path, "claims") == [{"id": NASTY, "verdict": "mixed", "x": None, "y": [None]}]
    assert NASTY not in page.read_text()


def test_the_board_of_a_large_suite_is_small_before_its_curves(tmp_path):
    """A tenth of 200 × 30 in each direction: what a row and what a table weigh, put together."""
    from benchmarks.board import weight

    site.write(synthetic(20, 3), tmp_path)
    assert weight(tmp_path) < 0.9  # benchmarks/board.py measures the whole against 3 MB


def test_parts_by_others_are_as_their_list_says():
    told = dict(re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (VENDOR / "VENDORED.md").read_text(), re.M))
    files = {path.name for path in VENDOR.iterdir() if path.suffix in (".js", ".css")}
    assert told.keys() == files
    for name, digest in told.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
    assert {"LICENSE-tabulator.txt", "LICENSE-uplot.txt"} <= {path.name for path in VENDOR.iterdir()}


def test_figures_that_are_not_drawn_say_why(monkeypatch):
    drawings = [
        gallery.Drawing("toy/one", "One", "Caption.", "<svg></svg>", 3, notes=("median of 3 seeds",)),
        gallery.Drawing("toy/two", "Two", cells=3, missing=2),
        gallery.Drawing("toy/three", "Three", error="f.yaml: <no>"),
    ]
    monkeypatch.setattr(gallery, "Gallery", lambda *arguments: SimpleNamespace(draw=lambda: drawings))
    drawn, missing, wrong = collect._drawings({"toy"}, SimpleNamespace(root="results"))["toy"]
    assert drawn["svg"] and drawn["notes"] == "median of 3 seeds" and drawn["command"] == "bench figures toy/one"
    assert (
        missing["reason"] == "2 of 3 cells have no record"
        and missing["command"].endswith("--run")
        and wrong["reason"] == "f.yaml: <no>"
    )


def test_the_document_on_submitting_is_html_without_raw_html(tmp_path, monkeypatch):
    path = tmp_path / "submitting.md"
    path.write_text("# How\n\n<script>alert(1)</script>\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    monkeypatch.setattr(collect, "SUBMITTING", path)
    html = collect.document()
    assert "<h1>How</h1>" in html and "<table>" in html and "<script" not in html


def test_the_command_builds_a_board(bench, tmp_path):
    done = bench("browse", "task=toy/line", "entry=zero", "preset=smoke", "--no-open", "--out", "board")
    assert done.returncode == 0, done.stderr
    assert chunk(tmp_path / "board", "index")["tables"][0][0] == "toy/line"
    assert lines(chunk(tmp_path / "board", "table-0"))["zero"]["reason"].startswith("missing")


def test_the_command_of_every_published_row_resolves_to_its_configuration(tmp_path):
    store = Store(tmp_path)
    checked = 0
    for path in sorted((ROOT / "results" / "ledger").rglob("*.jsonl")):
        for line in path.read_bytes().splitlines()[::7]:
            record = decode(line)
            words = shlex.split(record_page.command(record))[2:]
            (row,) = plan.make(config.parse([*words, f"results={tmp_path}"]), store).rows
            ((cell,),) = row.planned.values()
            assert (cell.params, cell.parts, cell.seed) == (record.params, record.config, record.seed), words
            checked += 1
    assert checked > 100
