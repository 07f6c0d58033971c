"""Figures from records: their files, their points, and the command on a stranger's task."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.claims.claim import matching
from bench.contract import BenchError
from bench.figures import drawing as board
from bench.figures import gallery as figures
from bench.figures import points
from bench.planning import config
from bench.planning.files import FigureFile
from bench.records.record import Record
from tests import rows as made

GOOD: dict[str, Any] = {
    "title": "Loss by rate", "caption": "Of adam.", "x": "config.optimizer.lr", "y": "train_acc",
    "plan": ["task=grokking/modular_addition", "entry=adam", "seed=range(3)", "preset=smoke"],
}  # fmt: skip
CURVES: dict[str, Any] = {}  # key of a record -> its curves
STORE: Any = SimpleNamespace(curves=lambda record: CURVES.get(record.key, {}))


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, **change: Any) -> str:
    path = folder / "figure.yaml"
    path.write_text(json.dumps({key: value for key, value in {**GOOD, **change}.items() if value is not ...}))
    monkeypatch.setattr(config, "names", lambda group: {"toy/mine": path})
    return "toy/mine"


def spec(id: str = "toy/mine", measure: Any = None, theory: Any = (), **change: Any) -> figures.Figure:
    base: dict[str, Any] = {"title": "T", "caption": "C", "plan": ("task=toy/task",), "x": "lr", "y": "loss"}
    return figures.Figure(id, Path("f.yaml"), FigureFile(**{**base, **change}), measure, theory)


def entry(name: str, *cells: Record | int, older: int = 0) -> Any:
    """A joined row: records of a list share a seed's cell; a seed by itself is a cell without a record."""
    seeds: dict[int, list[Any]] = {}
    for cell in cells:
        seed, record = (cell, None) if isinstance(cell, int) else (cell.seed, cell)
        seeds.setdefault(seed, []).append(record)
    row = made.joined(name, seeds)
    row.older = older
    return row


def cell(name: str, seed: int, lr: float, loss: float | None = None, status: str = "ok", **more: Any) -> Record:
    metrics = {"initial_loss": 8.0} | ({} if loss is None else {"loss": loss})
    base = {"key": f"{name}{seed}{lr}", "params": {"width": 8, "lr": lr}, "metrics": metrics}
    return made.record(name, seed, status, **{**base, **more})


def of(task: Any, *rows: Any) -> list[Any]:
    """The rows as rows of the task."""
    return [
        SimpleNamespace(row=SimpleNamespace(cls=task), records=row.records, cells=row.cells, older=row.older)
        for row in rows
    ]


def lines(figure: figures.Figure, *found: Any, task: Any = None, label: str = "") -> dict[tuple[str, str], Any]:
    """(series, name) -> (x, centre, low, high)."""
    gathered: dict[tuple[str, str], dict[int, tuple[list[float], list[float]]]] = {}
    rows = of(task or made.task(made.LOSS), *found)
    for series, name, seed, x, y in points.pieces(figure.file, figure.measure, label, rows, STORE):
        known = gathered.setdefault((series, name), {}).setdefault(seed, ([], []))
        known[0].extend(x)
        known[1].extend(y)
    return {key: points.line(figure.file, seeds) for key, seeds in gathered.items()}


def listed(line: Any) -> list[Any]:
    return [None if axis is None else axis.tolist() for axis in line]


# --- files


def test_a_whole_figure_loads(tmp_path, monkeypatch):
    found = figures.load(written(tmp_path, monkeypatch))
    file = found.file
    assert (file.lines, file.centre, file.band, file.quantities) == (("entry",), "median", "range", ("train_acc",))
    theory = [{"_target_": "math.sqrt"}, {"_target_": "math.pow", "label": "x"}]
    with pytest.raises(BenchError, match="math.pow"):
        figures.load(written(tmp_path, monkeypatch, theory=theory))
    found = figures.load(
        written(tmp_path, monkeypatch, theory="math.sqrt", plan={"a": GOOD["plan"]}, series=["plan", "lr"])
    )
    ((label, law),) = found.theory
    assert law(4.0) == 2.0 and label == "theory" and list(found.file.plans) == ["a"]
    measure = {"_target_": "tasks.grokking.claims.delay", "of": "adam"}
    found = figures.load(written(tmp_path, monkeypatch, y=measure, y_label="delay"))
    assert found.measure is not None and found.file.quantities == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"title": ...}, "lacks `title`"),
        ({"xscale": "log"}, "did you mean x_scale"),
        ({"caption": 3}, "`caption: 3`: expected text"),
        ({"x_scale": "logit"}, "one of linear, log"),
        ({"band": "sd"}, "one of range, interval, none"),
        ({"plan": []}, "expected a list of words"),
        ({"plan": {}}, "expected a list of words"),
        ({"plan": ["workers=2"]}, "chooses no cells"),
        ({"y": []}, "a name, a list of names, or a measure"),
        ({"y": {"_target_": "tasks.grokking.claims.delay", "of": "adam"}}, "a measure has no name"),
        ({"y": {"_target_": "tasks.grokking.claims.delay"}, "y_label": "d"}, "missing a required argument: 'of'"),
        ({"y": {"_target_": "tasks.grokking.claims.dela"}, "y_label": "d"}, "did you mean delay"),
        (
            {"y": {"_target_": "tasks.grokking.claims.decay_gain"}, "y_label": "d", "x": "step"},
            "name a field of the record",
        ),
        ({"y": {"_target_": "delay"}, "y_label": "d"}, "a dotted path"),
        ({"series": 3}, "`entry`, `plan`, a path"),
        ({"series": "plan"}, "mapping of labels"),
        ({"draw": "points", "x": "step"}, "curves are lines"),
        ({"theory": "nowhere.f"}, "no package .nowhere."),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, monkeypatch, change, says):
    with pytest.raises(BenchError, match=says) as told:
        figures.load(written(tmp_path, monkeypatch, **change))
    assert "figure.yaml" in str(told.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": "train_ac"}, "did you mean train_acc"),
        ({"x": "widht"}, "did you mean width"),
        ({"x": "params.widht"}, "did you mean width"),
        ({"x": "config.optimiser.lr"}, "did you mean optimizer"),
        ({"series": "entri"}, "or `entry`, or `plan`"),
        ({"plan": ["task=grokking/modular_additon", "entry=adam"]}, "did you mean grokking/modular_addition"),
        ({"plan": ["entry=adam", "seed=1"]}, "name what to run"),
        ({"plan": ["task=grokking/modular_addition", "entry=fno"]}, "does not fit"),
    ],
)
def test_what_a_plan_has_not_is_told_and_leaves_the_others_alone(tmp_path, monkeypatch, change, says):
    content = {**GOOD, **change}
    arguments = {"plan": tuple(content["plan"]), "x": content["x"], "y": content["y"]}
    arguments["series"] = content.get("series", "entry")
    good = spec(plan=tuple(GOOD["plan"]), x="width", y="train_acc", id="toy/good")
    gallery = figures.Gallery([spec(**arguments), good], [f"results={tmp_path}", "reuse=local"])
    bad, missing = gallery.draw()
    assert says in bad.error and bad.error.startswith("f.yaml") and not bad.svg
    assert (missing.error, missing.missing, missing.cells, missing.svg) == ("", 3, 3, "")


def test_settings_of_the_run_only():
    with pytest.raises(BenchError, match="a figure's cells are its own"):
        figures.Gallery([], ["preset=paper"])


def test_patterns(monkeypatch):
    monkeypatch.setattr(config, "names", lambda group: dict.fromkeys(["pde/a", "pde/b", "toy/a"], Path()))
    assert matching("figure", []) == ["pde/a", "pde/b", "toy/a"]
    assert matching("figure", ["pde", "pde/a"]) == ["pde/a", "pde/b"] and matching("figure", ["*/a"]) == [
        "pde/a",
        "toy/a",
    ]
    with pytest.raises(BenchError, match="did you mean pde/a"):
        matching("figure", ["pde/aa"])


def test_shipped_figures_resolve(tmp_path):
    shipped = [figures.load(name) for name in config.names("figure")]
    gallery = figures.Gallery(shipped, [f"results={tmp_path}", "reuse=local"])
    assert gallery.figures and not gallery.errors
    for one in gallery.draw():
        assert not one.error and one.missing == one.cells >= 5, one


# --- points


def test_a_line_is_the_median_over_seeds_with_their_range():
    adam = entry("adam", *(cell("adam", s, lr, lr * (s + 1)) for s in range(3) for lr in (0.1, 1.0)))
    sgd = entry("sgd", cell("sgd", 0, 0.1, 5.0))
    found = lines(spec(), adam, sgd)
    assert np.allclose(listed(found["adam", "loss"]), [[0.1, 1.0], [0.2, 2.0], [0.1, 1.0], [0.3, 3.0]])
    assert listed(found["sgd", "loss"]) == [[0.1], [5.0], None, None], "one seed has no range"
    mean = lines(spec(centre="mean", band="interval"), adam)["adam", "loss"]
    half = 4.302653 / math.sqrt(3)  # the 97.5 % quantile of Student's t with two degrees of freedom
    assert [float(axis[1]) for axis in mean] == pytest.approx([1.0, 2.0, 2 - half, 2 + half])
    geometric = lines(spec(centre="mean", band="none", y_scale="log"), adam)["adam", "loss"]
    assert float(geometric[1][1]) == pytest.approx(6 ** (1 / 3)) and geometric[2] is None


def test_points_are_not_aggregated_and_costs_are_added():
    adam = entry("adam", *(cell("adam", s, 0.1, float(s)) for s in range(3)))
    found = lines(spec(x="costs.cpu", draw="points"), adam)["adam", "loss"]
    assert listed(found) == [pytest.approx([4.6, 5.6, 6.6]), [0.0, 1.0, 2.0], None, None]


def test_series_are_made_of_entries_plans_and_paths():
    adam = entry("adam", cell("adam", 0, 0.1, 1.0), cell("adam", 0, 1.0, 2.0))
    found = lines(spec(x="costs.steps", series=("entry", "plan", "params.lr"), plan={"small": ()}), adam, label="small")
    assert list(found) == [("adam, small, lr=0.1", "loss"), ("adam, small, lr=1", "loss")]
    with pytest.raises(BenchError, match="several cells of seed 0 share a series and x=100"):
        lines(spec(x="costs.steps"), adam)


def test_failures_count_as_their_metric_says():
    diverged = [cell("adam", s, 0.1, status="diverged") for s in range(2)]
    assert listed(lines(spec(band="none"), entry("adam", *diverged))["adam", "loss"])[1] == [8.0], "as untrained"
    task = made.task(made.ERROR)
    assert listed(lines(spec(y=("nrmse",), band="none"), entry("adam", *diverged), task=task)["adam", "nrmse"])[1] == [
        1.0
    ]
    timed = made.task(made.STEPS)
    timed = type("Timed", (), {**vars(timed), "Params": SimpleNamespace, "__init__": lambda self, params: None})
    assert listed(lines(spec(y=("steps",), band="none"), entry("adam", *diverged), task=timed)["adam", "steps"])[1] == [
        100.0
    ]
    left_out = lines(spec(y=("costs.rss_mb",), band="none"), entry("adam", *diverged, cell("adam", 2, 0.1)))
    assert listed(left_out["adam", "costs.rss_mb"])[1] == [200.0]


def test_a_measure_gets_the_records_that_share_series_x_and_seed():
    def gap(records: Any) -> float:
        return records["sgd"][0].metrics["loss"] - records["adam"][0].metrics["loss"]

    pair = [entry(name, *(cell(name, s, lr, loss * lr) for s in range(2) for lr in (0.1, 1.0))) for name, loss in
            (("adam", 1.0), ("sgd", 3.0))]  # fmt: skip
    found = lines(spec(measure=gap, y=(), y_label="gap", series="plan", plan={"a": ()}), *pair)
    assert listed(found["", "gap"])[:2] == [[0.1, 1.0], pytest.approx([0.2, 2.0])]
    with pytest.raises(BenchError, match="at seed 0: KeyError: 'sgd'"):
        lines(spec(measure=gap, y=(), y_label="gap"), *pair)


def test_a_derived_metric_takes_the_group_of_its_axis():
    task = made.task(made.LOSS, derived=(made.SPREAD,), rank="spread")
    row = made.sweep("adam", [[1.0, 2.0, 4.0], [1.0, 3.0, 8.0]])
    found = lines(spec(x="width", y=("spread",)), row, task=task)
    assert listed(found["adam", "spread"]) == [[8.0], [6.0], [4.0], [8.0]]


def curved(name: str, seed: int, steps: list[int], values: list[float], status: str = "ok") -> Record:
    record = cell(name, seed, 0.1, status=status, key=f"{name}{seed}{status}{steps}")
    CURVES[record.key] = {"loss": np.array([steps, values])}
    return record


def test_curves_are_joined_on_all_steps():
    early, late = curved("adam", 0, [0, 10], [1.0, 0.0]), curved("adam", 1, [0, 5, 20], [1.0, 1.0, 1.0])
    found = lines(spec(x="step"), entry("adam", early, late))["adam", "loss"]
    assert listed(found)[:2] == [[0, 5, 10, 20], [1.0, 0.75, 0.5, 0.5]], "a run that stopped keeps its last value"
    broken = curved("adam", 0, [0, 10], [1.0, 9.0], status="diverged")
    found = lines(spec(x="step"), entry("adam", broken, late))["adam", "loss"]
    assert listed(found)[1] == [1.0, 3.0, 5.0, 1.0, 1.0], "a run that diverged ends, a step after its last"
    with pytest.raises(BenchError, match="did you mean loss"):
        lines(spec(x="step", y=("los",)), entry("adam", early))
    with pytest.raises(BenchError, match="let `series` tell them apart"):
        lines(spec(x="step"), entry("adam", early, curved("adam", 0, [0, 10], [1.0, 0.0])))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": "params.name"}, "an axis needs numbers"),
        ({"x": "params.zero", "x_scale": "log"}, "no place on a log axis"),
        ({"x": "config.optimizer.lr"}, "has no 'optimizer' in config; there is nothing"),
        ({"x": "costs.joules"}, "has no 'joules' in costs; there is cpu"),
    ],
)
def test_an_x_that_a_record_has_not(change, says):
    one = cell("adam", 0, 0.1, 1.0, params={"name": "add", "zero": 0})
    with pytest.raises(BenchError, match=says):
        lines(spec(**change), entry("adam", one))


def test_a_figure_with_a_gap_is_not_drawn_and_one_with_failures_says_so():
    whole = entry("adam", cell("adam", 0, 0.1, 1.0), cell("adam", 1, 0.1, status="diverged"), older=1)
    task = made.task(made.LOSS)
    drawn = figures.drawn(spec(x="params.lr"), {"": of(task, whole)}, STORE)
    assert ">lr</text>" in drawn.svg and ">loss</text>" in drawn.svg, "the last names of the paths"
    assert "<svg" in drawn.svg and drawn.id == "toy/mine" and drawn.missing == 0
    assert drawn.notes[0] == "median of 2 seeds with their range"
    assert "1 runs diverged" in drawn.notes[1] and drawn.notes[2] == "1 records are of older code"
    for absent in (1, cell("adam", 1, 0.1, status="unavailable")):
        gap = entry("adam", cell("adam", 0, 0.1, 1.0), absent)
        drawn = figures.drawn(spec(), {"": of(task, gap)}, STORE)
        assert (drawn.svg, drawn.missing, drawn.cells) == ("", 1, 2)
    with pytest.raises(BenchError, match="theory 'bad' at 0.1: ZeroDivisionError"):
        figures.drawn(spec(theory=(("bad", lambda x: x / 0),)), {"": of(task, whole)}, STORE)


# --- drawing


def parsed(svg: str) -> str:
    ET.fromstring(svg)
    return svg


BAND = (np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 3.0]), np.array([0.5, 0.0, 2.0]), np.array([2.0, 1.0, 4.0]))


@pytest.mark.parametrize("form", ["curve", "line", "points"])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_charts_are_sound_and_the_same_every_time(form, scale):
    def chart() -> str:
        named = {("a_$b", "loss"): BAND, ("a_$b", "other"): (BAND[0], BAND[1] + 1, None, None)}
        return board.chart(named, [("law", lambda x: x**2), ("a_$b", math.sqrt)], file)

    x, draw = ("step", "line") if form == "curve" else ("x", form)
    file = spec(x=x, y_label="y", x_scale=scale, y_scale=scale, draw=draw).file

    svg = parsed(chart())
    assert svg == chart() and "currentColor" in svg and "law" in svg and "loss" in svg and "other" in svg
    alone = parsed(board.alone(svg))
    assert "prefers-color-scheme: dark" in alone and alone.startswith("<svg")


def test_a_chart_of_nothing_is_empty():
    """No x to draw a theory over, so no line and no legend; the axes keep their names."""
    svg = parsed(board.chart({}, [("law", math.sqrt)], spec(x="x", y="a_y", x_scale="log", y_scale="log").file))
    assert "law" not in svg and "a_y" in svg


# --- the command, on a stranger's task

TOY = """title: Training lowers the error
caption: On a line.
plan: [task=toy/line, "entry=line_sgd,zero", "task.noise=0,0.5", "seed=range(2)", preset=smoke]
x: noise
y: error
"""


def test_the_command(bench, tmp_path):
    folder = tmp_path / "configs" / "figure" / "toy"
    folder.mkdir(parents=True)
    (folder / "noise.yaml").write_text(TOY)
    (folder / "bad.yaml").write_text(TOY.replace("y: error", "y: eror"))
    done = bench("figures", "toy", "--run", "workers=1", "--out", "drawn", "--format", "json")
    assert done.returncode == 1, done.stderr
    bad, good = json.loads(done.stdout)
    assert bad["state"] == "error" and "did you mean error" in bad["error"]
    assert (good["state"], good["cells"], good["path"]) == ("drawn", 8, "drawn/toy-noise.svg")
    parsed((tmp_path / "drawn" / "toy-noise.svg").read_text())
    page = bench("browse", "task=toy/line", "entry=zero", "preset=smoke", "--no-open", "--out", "board")
    assert page.returncode == 0, page.stderr
    text = (tmp_path / "board" / "data" / "figures-toy.js").read_text()
    assert "Training lowers the error" in text and "did you mean error" in text
