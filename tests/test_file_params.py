"""A parameter that is a file: its content is what a cell depends on, and what keys, records and tables name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.records.identity import CONTENT, Digests, blake
from tests.conftest import ROOT

TASK = """
from dataclasses import dataclass
from pathlib import Path

from toy_package import task


@dataclass
class Params(task.Params):
    file: str = ""


class Read(task.Line):
    name = "toy/read"
    Params = Params
    file_params = ("file",)

    def data_files(self, cache):
        return {"file": Path(self.params.file)} if self.params.file else {}

    def prepare(self, cache, pool):
        assert Path(self.params.file).read_text() == "data"
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """What plans a cell of a task with a file, of which the test's folder holds `here.txt`."""
    (tmp_path / "configs" / "task" / "toy").mkdir(parents=True)
    like = (ROOT / "tests/toy/toy_package/configs/task/toy/line.yaml").read_text()
    own = like.replace("toy_package.task.Line", "read_task.Read")
    (tmp_path / "configs" / "task" / "toy" / "read.yaml").write_text(own)
    (tmp_path / "read_task.py").write_text(TASK)
    (tmp_path / "here.txt").write_text("data")
    return ["task=toy/read", "entry=line_sgd", "preset=smoke"]


def planned(bench, words: list[str], file: str) -> dict:
    told = bench("why", *words, f"task.file={file}", "--format", "json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)[0]


def test_a_file_is_its_content_wherever_it_lies(bench, words, tmp_path):
    assert bench("run", *words, "task.file=here.txt").returncode == 0
    record = json.loads(next((tmp_path / "results" / "local").rglob("*.json")).read_text())
    content = f"{CONTENT}{blake(b'data')[:12]}"
    assert record["params"]["file"] == content and record["components"]["data"] == {"file": blake(b"data")}
    assert str(tmp_path) not in json.dumps([record["params"], record["components"], record["config"]])

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here.txt").rename(tmp_path / "elsewhere" / "moved.txt")
    now = planned(bench, words, str(tmp_path / "elsewhere" / "moved.txt"))
    assert now["state"] == "fresh" and now["key"] == record["key"]
    table = bench("table", *words, "task.file=elsewhere/moved.txt", "--format", "json").stdout
    assert content in table and "moved.txt" not in table

    (tmp_path / "elsewhere" / "moved.txt").write_text("other")
    assert planned(bench, words, "elsewhere/moved.txt")["state"] == "missing"
    assert planned(bench, words, "nowhere.txt")["state"] == "missing"

    shown = bench("show", record["key"][:12]).stdout
    assert "task.file=PATH" in shown.splitlines()[-1]
    why = bench("why", record["key"][:12])
    assert why.returncode == 2 and "with the path for task.file=PATH" in why.stderr


def test_a_path_that_leads_to_no_file_is_kept(tmp_path):
    (tmp_path / "data").write_text("data")
    assert Digests().by_content(str(tmp_path / "data")) == f"{CONTENT}{blake(b'data')[:12]}"
    assert Digests().by_content(str(tmp_path / "none")) == str(tmp_path / "none")
    assert Digests().by_content(str(tmp_path)) == str(tmp_path)


def test_a_cell_knows_the_files_behind_its_key(bench, words, tmp_path, monkeypatch, toy):
    from bench.planning import config, plan
    from bench.records import modules
    from bench.records.store import Store

    monkeypatch.chdir(tmp_path)
    for folder in (toy, tmp_path):
        monkeypatch.syspath_prepend(str(folder))
    (tmp_path / "link.txt").symlink_to(tmp_path / "here.txt")
    modules.forget()
    config.forget()
    try:
        request = config.parse([*words, "task.file=link.txt"])
        (cell,) = plan.make(request, Store(tmp_path / "results")).cells()
    finally:
        config.forget()
        modules.forget()
    reads = set(cell.reads)
    assert {str(tmp_path / name) for name in ("here.txt", "read_task.py")} <= reads
    assert {str(Path(toy) / "toy_package" / name) for name in ("__init__.py", "task.py")} <= reads
    assert str(Path(plan.__file__).parents[1] / "execute.py") in reads and str(tmp_path / "link.txt") not in reads
    assert all(Path(path).is_absolute() for path in reads)
    assert cell.given["file"] == "link.txt" and cell.params["file"].startswith(CONTENT)
