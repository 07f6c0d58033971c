"""Datasheets: the prose of the tasks' configuration files, and what is read from the tasks themselves."""

from __future__ import annotations

import json

import msgspec
import pytest
import yaml

from bench.board import datasheet
from bench.contract import BenchError, Datasheet
from bench.planning import config
from tasks.grokking.modular_addition import ModularAddition
from tests.conftest import toy_task


@pytest.mark.parametrize("task", sorted(config.names("task")))
def test_every_task_has_a_page_with_its_fields_and_no_empty_heading(task):
    spec, page = config.task_spec(task), datasheet.page(task)
    cls = spec.cls
    for text in (spec.doc, *msgspec.structs.astuple(spec.sheet)):
        assert text.rstrip(".") in page
    assert all(metric.doc.split("|")[0].replace("\n", " ").rstrip() in page for metric in cls.metrics)
    lines = [line for line in page.splitlines() if line]
    for line, after in zip(lines, [*lines[1:], "# end"], strict=True):
        assert not (line.startswith("#") and after.startswith("#") and not line.startswith("# ")), f"{line} is empty"
    assert "| None |" not in page and "`None`" not in page
    columns = [line.count("|") - line.count("\\|") for line in lines if line.startswith("|")]
    assert min(columns) >= 3


def test_fields_say_what_differs_between_presets_and_what_an_entry_sees():
    one = datasheet.fields("grokking/modular_addition")
    assert one["presets"]["small"]["p"] == 23 and one["presets"]["paper"]["p"] == 127
    assert one["budgets"]["small"] == "1500 steps"
    assert any(name.startswith("hidden/") for name in one["tensors"])
    page = datasheet.page("grokking/modular_addition")
    assert "| p | 13 | 23 | 127 |" in page and "In every preset: `op` add." in page


@pytest.mark.parametrize("field", [*Datasheet.__struct_fields__, "doc"])
@pytest.mark.parametrize("value", [None, " ", 5, ["a", "list"]])
def test_a_text_that_is_missing_or_no_text_is_an_error_that_names_file_and_field(task_file, field, value):
    content = yaml.safe_load(toy_task("toy_package.task.Line"))
    place = content if field == "doc" else content["datasheet"]
    place[field] = value
    if value is None:
        del place[field]
    task_file(content)
    with pytest.raises(BenchError, match=rf"mine\.yaml: .*{field}"):
        config.task_spec("mine")


def test_a_field_that_does_not_exist_is_an_error_that_names_it(task_file):
    content = yaml.safe_load(toy_task("toy_package.task.Line"))
    content["datasheet"]["known_limit"] = "A typo."
    task_file(content)
    with pytest.raises(BenchError, match=r"mine\.yaml: .*known_limit"):
        config.task_spec("mine")


def test_the_prose_is_no_parameter(task_file):
    task_file(yaml.safe_load(toy_task("tasks.grokking.modular_addition.ModularAddition")) | {"p": 29})
    assert config.task_spec("mine").params == {"p": 29}


@pytest.fixture
def task_file(tmp_path, monkeypatch):
    """Writes the configuration of a task named `mine`, of a class that the tests' own path holds."""
    path = tmp_path / "mine.yaml"
    monkeypatch.setattr(config, "names", lambda group: {"mine": path})
    monkeypatch.setattr(config, "locate", lambda target: ModularAddition)
    config.task_spec.cache_clear()
    yield lambda content: path.write_text(yaml.safe_dump(content))
    config.task_spec.cache_clear()


def test_a_typo_gets_the_nearest_name():
    with pytest.raises(BenchError, match="did you mean"):
        datasheet.fields("grokking/modular_additon")


def test_the_command_prints_one_writes_all_and_is_machine_readable(bench, tmp_path):
    assert bench("datasheet", "toy/line").stdout.startswith("# Datasheet: toy/line")
    assert json.loads(bench("datasheet", "toy/line", "--format", "json").stdout)["version"] == 1
    done = bench("datasheet", "--out", "sheets")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "sheets").iterdir()} == {
        f"{name.replace('/', '.')}.md" for name in [*config.names("task"), "toy/line"]
    }
