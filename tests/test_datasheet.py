"""Datasheets from the tasks' typed fields."""

from __future__ import annotations

import json

import pytest

from bench.board import datasheet
from bench.contract import BenchError
from bench.planning import config


@pytest.mark.parametrize("task", sorted(config.names("task")))
def test_every_task_has_a_page_with_its_fields_and_no_empty_heading(task):
    cls, page = config.task_spec(task).cls, datasheet.page(task)
    for name in datasheet.TYPED:
        assert getattr(cls, name).rstrip(".") in page
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


def test_a_task_that_lacks_a_field_is_an_error_that_names_it(monkeypatch):
    cls = config.task_spec("grokking/modular_addition").cls
    monkeypatch.setattr(cls, "known_limits", " ", raising=False)
    with pytest.raises(BenchError, match="modular_addition lacks known_limits"):
        datasheet.fields("grokking/modular_addition")


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
