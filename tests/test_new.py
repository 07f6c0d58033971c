"""`bench new entry`, and the README's walk from a clone to one's own row."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records.store import Store
from tests.conftest import copy_of_project

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("kind", ["optimizer", "model", "surrogate", "procedure"])
def test_a_new_entry_runs_at_once(bench, tmp_path, kind):
    done = bench("new", "entry", "my_idea", "--kind", kind)
    assert done.returncode == 0, done.stderr
    command = next(line.split() for line in done.stdout.splitlines() if "bench run" in line)
    ran = bench(*command[1:], "--format", "json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["statuses"] == {"ok": 1}


@pytest.mark.parametrize(
    ("name", "said"), [("My-Idea", "lower-case"), ("adam", "exists already"), ("class", "lower-case")]
)
def test_a_name_that_cannot_be_is_refused(bench, tmp_path, name, said):
    done = bench("new", "entry", name)
    assert done.returncode == 2 and said in done.stderr
    assert not (tmp_path / "entries").exists()


def test_nothing_is_overwritten(bench, tmp_path):
    assert bench("new", "entry", "my_idea").returncode == 0
    before = (tmp_path / "entries" / "my_idea.py").read_text()
    assert bench("new", "entry", "my_idea", "--kind", "model").returncode == 2
    assert (tmp_path / "entries" / "my_idea.py").read_text() == before


def test_the_new_optimizer_learns_at_its_default_rate(bench, tmp_path):
    assert bench("new", "entry", "my_idea").returncode == 0
    done = bench("run", "task=grokking/modular_addition", "entry=my_idea", "seed=range(3)", "--format", "json")
    assert json.loads(done.stdout)["statuses"] == {"ok": 3}, done.stderr
    for record in Store(tmp_path / "results").records():
        assert "steps_to_monitor" not in record.censored and record.metrics["steps_to_monitor"] < 1500


def test_a_new_task_runs_and_is_whole_at_once(bench, tmp_path, environment):
    done = bench("new", "task", "trial/my_product", "--doc", "Whether a network learns a product.")
    assert done.returncode == 0, done.stderr
    wrote = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("wrote")]
    assert len(wrote) == 5 and all((tmp_path / path).is_file() for path in wrote)
    command = next(line.split() for line in done.stdout.splitlines() if "bench run" in line)
    assert bench(*command[1:]).returncode == 0
    test = next(path for path in wrote if path.startswith("tests/"))
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    ran = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert "Whether a network learns a product." in bench("list").stdout
    again = bench("new", "task", "trial/my_product")
    assert again.returncode == 2 and "exists already" in again.stderr
    second = bench("new", "task", "trial/my_sum")
    assert second.returncode == 0 and "README" not in second.stdout, "the family is there"


@pytest.mark.parametrize("name", ["my_product", "Trial/product", "trial/my-product", "trial/", "a/b/c"])
def test_a_task_is_named_by_family_and_name(bench, tmp_path, name):
    done = bench("new", "task", name)
    assert done.returncode == 2 and "FAMILY/NAME" in done.stderr and not list(tmp_path.iterdir())


def test_an_optimizer_by_dotted_path_from_the_current_folder(bench, tmp_path):
    source = (ROOT / "bench" / "submissions" / "templates" / "optimizer.py.txt").read_text().replace("$Class", "MyOpt")
    (tmp_path / "my_parts.py").write_text(source)
    words = ["task=grokking/modular_addition", "entry=optimizer/any", "preset=smoke"]
    assert bench("run", *words, "entry.optimizer.name=my_parts.MyOpt").returncode == 0
    assert bench("run", *words, "entry.optimizer.name=lion").returncode == 0


def readme_lines() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- walk -->\n```sh\n(.*?)```", text, re.S)
    assert block is not None
    return block.group(1).strip().splitlines()


def test_the_readmes_walk_ends_with_ones_own_row(tmp_path):
    """The very lines of the README, in a copy of the project that shares this environment (as if `make setup` had run)."""
    lines = readme_lines()
    assert len(lines) < 15
    clone = copy_of_project(tmp_path / "clone")
    # an honest row is disputed once in a hundred draws, twice in a row once in ten thousand
    lines = [f"{line} || {line}" if line.startswith("bench verify") else line for line in lines]
    script = "set -e\n" + "\n".join(lines)
    done = subprocess.run(["sh", "-c", script], cwd=clone, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    row = next(
        (line for line in done.stdout.splitlines() if line.split()[1:2] == ["my_idea"] and "5/5" in line),
        done.stdout[-3000:],
    )
    assert "5/5" in row and "untuned" not in row and "missing" not in row, row
    assert "verified" in row, row
    assert (clone / "submissions" / "my_idea" / "manifest.json").is_file()
    assert (clone / "configs" / "tuned" / "grokking" / "modular_addition" / "my_idea.yaml").is_file()
