"""Configuration files: what may stand in one, what a wrong one says, and that it costs only itself."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import yaml

from bench.contract import BenchError
from bench.planning import config, typed, yaml_files
from bench.planning.files import MODELS, EntryFile, FigureFile, SuiteFile, TaskFile, TunedFile, Values

CONFIGS = config.PROJECT / "configs"
SUITE = "seeds: 3\npairs:\n  - {task: toy/line, entries: [zero]}\n"
TUNED = "preset: small\ntrials: 1\nseeds: [1000]\nobjective: e\nvalue: 0.5\nvalues: {}\nat_the_edge: []\ntable: "


def loaded(model: type[msgspec.Struct], text: str) -> msgspec.Struct:
    return typed.load(Path("some.yaml"), model, text.encode())


@pytest.mark.parametrize("group", [name for name in MODELS if name != "manifest"])
def test_every_shipped_file_is_of_its_model(group):
    paths = sorted((CONFIGS / group).rglob("*.yaml"))
    assert paths
    for path in paths:
        typed.load(path, MODELS[group])


@pytest.mark.parametrize(
    ("model", "text", "said"),
    [
        (EntryFile, "needs: 3", "`needs: 3`: expected a list of packages, or cuda, as in `needs: [einops, cuda]`"),
        (EntryFile, "needs: scipy", "`needs: scipy`: expected a list of packages"),
        (EntryFile, "search: [1e-4]", "`search: [0.0001]`: expected a mapping of arguments to two bounds"),
        (EntryFile, "search: {a.b: [1e-4]}", "Expected `array` of length 2, got 1 at search"),
        (EntryFile, "doc: 5", "`doc: 5`: expected a text, as in `doc: "),
        (EntryFile, "doc: no", "`doc: false`: YAML reads no, off, yes and on as false and true; expected a text"),
        (EntryFile, "no: {lr: 1}", "the key false is no text; YAML reads no, off"),
        (EntryFile, "3: {lr: 1}", "the key 3 is no text; put it in quotes"),
        (EntryFile, "declared_trials: true", "a whole number from 0 up"),
        (EntryFile, "serach: {optimizer.lr: [0.1, 1]}\nneds: [einops]", "`neds: [einops]`: expected a mapping"),
        (EntryFile, "neds: [einops]", "did you mean needs?"),
        (EntryFile, "optimizer: adam", "`optimizer: adam`: expected a mapping"),
        (EntryFile, "", "some.yaml is empty"),
        (EntryFile, "# nothing", "some.yaml is empty"),
        (EntryFile, "- adam", "some.yaml holds [adam]; it must be a mapping"),
        (EntryFile, "a: {lr: 1}\na: {lr: 2}", "some.yaml, line 2: 'a' stands twice; keep one"),
        (EntryFile, "optimizer:\n\tlr: 1", "some.yaml, line 2: a tab; YAML is indented with spaces"),
        (EntryFile, "optimizer: {lr: 1", "some.yaml, line"),
        (EntryFile, "optimizer: {path: '${oc.env:HOME}'}", "`optimizer.path: ${oc.env:HOME}` reads other settings"),
        (TaskFile, "nu: 1", "some.yaml: lacks `_target_`: expected the dotted path of the Task class, as in `_target_: tasks."),
        (SuiteFile, SUITE.replace("3", "0", 1), "`seeds: 0`: expected the number of seeds, as in `seeds: 5`"),
        (SuiteFile, SUITE.replace("[zero]", "zero"), "Expected `array`, got `str` at pairs[0].entries"),
        (SuiteFile, SUITE.replace("seeds", "seds"), "no field 'seds'; did you mean seeds?"),
        (FigureFile, "title: no", "`title: false`: YAML reads no"),
        (TunedFile, TUNED + "[]", "1 trials and a table of 0"),
        (TunedFile, TUNED + "[{optimizer.lr: 1}]", "a row of the table lacks its `objective`"),
    ],
)  # fmt: skip
def test_a_wrong_file_names_the_field_and_what_was_expected(model, text, said):
    with pytest.raises(BenchError) as told:
        loaded(model, text)
    assert said in str(told.value) and str(told.value).startswith("some.yaml"), told.value


def test_numbers_and_words_are_read_as_they_look():
    text = "1e-4, 1E5, -2.5e+3, .5, 1_000, 12, '1e-4', e5, 1e, 2020-01-01, on"
    found = yaml_files.read(Path("some.yaml"), f"x: [{text}]".encode())["x"]
    assert found == [1e-4, 1e5, -2500.0, 0.5, 1000, 12, "1e-4", "e5", "1e", "2020-01-01", True]
    assert [type(one) for one in found[:6]] == [float, float, float, float, int, int]
    assert yaml.safe_load("x: 1e-4") == {"x": "1e-4"}, "else the change to YAML's numbers has become needless"


def test_text_that_is_no_utf8_is_an_error_and_a_byte_order_mark_is_dropped():
    with pytest.raises(BenchError, match="some.yaml is not UTF-8"):
        yaml_files.read(Path("some.yaml"), "doc: Hägele".encode("latin-1"))
    assert yaml_files.read(Path("some.yaml"), "doc: a".encode("utf-8-sig")) == {"doc": "a"}
    with pytest.raises(BenchError, match="none.yaml cannot be read: No such file"):
        yaml_files.read(Path("none.yaml"))


def test_an_entry_holds_its_slots_beside_its_own_fields():
    found = loaded(EntryFile, "paper:\nsearch: {a.b: [1, 2], a.c: {values: [x]}}\noptimizer: {lr: 1}\nmodel: {}")
    assert isinstance(found, EntryFile)
    assert found.slots == {"optimizer": {"lr": 1}, "model": {}} and found.paper == ""
    assert found.search == {"a.b": (1.0, 2.0), "a.c": Values(("x",))}


def test_every_model_has_a_schema_that_shows_the_free_fields():
    for model in MODELS.values():
        assert json.dumps(typed.schema(model))
    entry = typed.schema(EntryFile)["$defs"]["EntryFile"]
    assert "slots" not in entry["properties"] and entry["additionalProperties"] == {"type": "object"}
    assert entry["properties"]["needs"]["examples"] == [["einops", "cuda"]]


def test_the_command_prints_the_schema_of_a_kind_of_file(bench):
    assert "ClaimFile" in json.loads(bench("schema", "claim").stdout)["$defs"]
    assert "Record" in json.loads(bench("schema").stdout)["$defs"]
    wrong = bench("schema", "clam")
    assert wrong.returncode == 2 and "did you mean claim?" in wrong.stderr


# --- one bad file costs only itself


def put(folder: Path, path: str, text: str) -> None:
    (folder / "configs" / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / "configs" / path).write_text(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("entry/bad.yaml", "needs: scipy\n"),
        ("task/toy/bad.yaml", "_target_: toy.nowhere.Task\n"),
        ("suite/bad.yaml", "pairs: 3\n"),
        ("claim/toy/bad.yaml", "paper: 3\n"),
        ("figure/toy/bad.yaml", "\t\n"),
        ("entry/adamw.yaml", "optimizer: {lr: 1}\n"),
    ],
)
def test_a_broken_file_is_reported_and_the_rest_is_listed(bench, tmp_path, path, text):
    put(tmp_path, path, text)
    put(tmp_path, "entry/good.yaml", "optimizer: {lr: 1}\n")
    done = bench("list")
    name = path.split("/", 1)[1].removesuffix(".yaml")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"bench: {path.split('/')[0]} {name} is left out: ") and path[-8:] in done.stderr
    assert "entry  good" in done.stdout and "task   toy/line" in done.stdout and "suite  core " in done.stdout
    told = json.loads(bench("list", "--format", "json").stdout)
    assert [one["file"] for one in told["wrong"]] == [f"{path.split('/')[0]} {name}"]


def test_a_plan_ignores_broken_files_that_it_does_not_need(bench, tmp_path):
    put(tmp_path, "entry/bad.yaml", "needs: scipy\n")
    put(tmp_path, "entry/adamw.yaml", "optimizer: {lr: 1}\n")
    put(tmp_path, "task/toy/bad.yaml", "_target_: 5\n")
    put(tmp_path, "suite/bad.yaml", "a: [\n")
    put(tmp_path, "suite/mine.yaml", SUITE)
    assert bench("plan", "suite=mine").returncode == 0
    assert bench("plan", "task=toy/line", "entry=zero").returncode == 0
    needs = bench("plan", "task=toy/line", "entry=bad")
    assert needs.returncode == 2 and "bad.yaml: `needs: scipy`" in needs.stderr
    twice = bench("plan", "task=toy/line", "entry=adamw")
    assert twice.returncode == 2 and "entry 'adamw' is defined twice" in twice.stderr and "rename one" in twice.stderr


def test_claims_figures_and_tuning_show_the_rest_too(bench, tmp_path):
    put(tmp_path, "claim/toy/bad.yaml", "paper: 3\n")
    claims = bench("claims", "toy", "deep_linear/saxe_orthogonal_isometry")
    assert claims.returncode == 1 and "bad.yaml" not in claims.stdout
    assert "claim/toy/bad.yaml: `paper: 3`" in claims.stderr and "1 claims, " in claims.stdout
    put(tmp_path, "figure/toy/bad.yaml", "title: 3\n")
    figures = json.loads(bench("figures", "toy", "pde/ladder_burgers", "--format", "json").stdout)
    assert [(one["id"], one["state"]) for one in figures] == [("pde/ladder_burgers", "missing"), ("toy/bad", "error")]
    put(tmp_path, "tuned/toy/line/bad.yaml", "trials: 3\n")
    tuned = bench("tune", "--show")
    assert tuned.returncode == 1 and "best of" in tuned.stdout and "bad.yaml: lacks `preset`" in tuned.stderr


def test_hidden_files_and_backups_are_no_entries(tmp_path, monkeypatch):
    for name in ("._x", ".hidden", ".ipynb_checkpoints/x-checkpoint"):
        put(tmp_path, f"entry/{name}.yaml", "\x00\x05\x16\x07")
    put(tmp_path, "entry/x.yaml~", "optimizer: {}\n")
    put(tmp_path, "entry/x.yaml", "optimizer: {lr: 1}\n")
    monkeypatch.chdir(tmp_path)
    config.forget()
    try:
        own = [name for name, path in yaml_files.names("entry").items() if path.is_relative_to(tmp_path)]
        assert own == ["x"]
    finally:
        monkeypatch.undo()
        config.forget()
