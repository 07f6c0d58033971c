"""`bench publish --recertify`: rows of older code, after a refactor that keeps every bit and after one that does not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bench.outcome import Costs
from bench.records.ledger import Certificate, Published, certificates, certify, code_digest, publish
from bench.records.record import Components, Provenance, Record
from bench.records.spelling import row_digest
from bench.records.store import Store
from bench.upkeep import recertify
from tests.conftest import ROOT
from tests.test_store import record

WORDS = ["task=toy/line", "entry=line_sgd,zero", "seed=range(5)", "preset=smoke"]
REFACTOR = ("model = torch.nn.Linear(1, 1)", "model = torch.nn.Linear(in_features=1, out_features=1)")
CHANGE = ("model = torch.nn.Linear(1, 1)", "model = torch.nn.Linear(1, 1)\n        model.bias.data += 1e-3")


@pytest.fixture
def edited(bench, toy, tmp_path) -> Callable[..., Callable]:
    """edited(old, new): the command, with that edit made in the toy task's code."""

    def edit(old: str, new: str) -> Callable:
        package = tmp_path / f"edited-{len(list(tmp_path.glob('edited-*')))}"
        shutil.copytree(toy, package)
        path = package / "toy_package" / "task.py"
        code = path.read_text()
        assert old in code
        path.write_text(code.replace(old, new))
        env = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(package)])}
        return lambda *words: bench(*words, env=env)

    return edit


def lines(folder: Path) -> list[dict]:
    paths = sorted((folder / "results" / "ledger").rglob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def published_once(shared_bench, shared_folder) -> Path:
    """A folder whose local records were lost after they were published, as on another clone."""
    assert shared_bench("run", *WORDS).returncode == 0
    assert shared_bench("publish", *WORDS).returncode == 0
    shutil.rmtree(shared_folder / "results" / "local")
    return shared_folder


@pytest.fixture
def published(published_once, tmp_path) -> list[dict]:
    """The ledger's lines, of a copy of that folder in the test's own."""
    shutil.copytree(published_once, tmp_path, dirs_exist_ok=True)
    return lines(tmp_path)


def test_records_without_isolation_are_not_published(bench, tmp_path):
    words = ["task=toy/line", "entry=zero", "seed=range(2)", "preset=smoke"]
    assert bench("run", *words, "transport=call").returncode == 0
    told = bench("publish", *words)
    assert "2 records of transport=call" in told.stderr and not lines(tmp_path)


def notes(bench, *words: str) -> str:
    done = bench("table", *words, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.dumps(json.loads(done.stdout))


def test_a_refactor_that_keeps_every_bit_is_certified_by_a_sample(published, edited, tmp_path):
    before = published
    refactored = edited(*REFACTOR)
    assert "10 published records are of older code" in notes(refactored, *WORDS)
    assert "10 to run" in refactored("plan", *WORDS, "reuse=ledger").stdout
    done = refactored("publish", "--recertify", *WORDS, "--format", "json")
    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (told["older"], told["marked"], len(told["sample"])) == (10, 10, 3)
    after = lines(tmp_path)
    assert after == before, "no row was edited"
    (certificate,) = certificates(Store(tmp_path / "results"))
    assert (certificate.kind, certificate.sample, certificate.drawn) == ("recertified", told["sample"], told["drawn"])
    assert sorted(key for keys in certificate.rows.values() for key in keys) == sorted(line["key"] for line in before)
    ran = {json.loads(path.read_text())["key"] for path in (tmp_path / "results" / "local").glob("*/*.json")}
    assert ran == set(told["sample"])
    assert "older code" not in notes(refactored, *WORDS)
    assert " 0 to run" in refactored("plan", *WORDS, "reuse=ledger").stdout, "what is certified is not run again"
    assert "nothing to recertify" in refactored("publish", "--recertify", *WORDS).stdout
    assert refactored("run", *WORDS).returncode == 0
    rows = json.loads(refactored("table", *WORDS, "--format", "json").stdout)
    assert {key for row in rows for key in row["published"]} == {line["key"] for line in before}
    assert not {key for row in rows for key in row["keys"]} & {line["key"] for line in before}, (
        "its own records are shown"
    )
    again = edited("(x, 2 * x +", "(x, x * 2 +")
    assert "older code" in notes(again, *WORDS), "a certificate is for one code, not for any later one"


def test_a_change_of_bits_marks_nothing_and_says_which_metric_and_by_how_much(published, edited, tmp_path):
    done = edited(*CHANGE)("publish", "--recertify", *WORDS)
    assert done.returncode == 1
    assert "toy/line line_sgd" in done.stdout and "error was" in done.stdout and "(difference" in done.stdout
    assert "nothing was marked" in done.stdout
    assert "toy/line zero" not in done.stdout.split("run again")[1], "what did not change is not accused"
    assert lines(tmp_path) == published


def test_every_pair_is_sampled_and_a_twentieth_of_many_rows():
    class Cell:
        def __init__(self, entry, seed):
            self.task, self.entry, self.key = "t", entry, f"{entry}{seed}"

    rows = [(Cell(entry, seed), {}) for entry in "abcd" for seed in range(50)]
    for drawn in range(20):
        sample = recertify.draw(rows, drawn)
        keys = [cell.key for cell, _ in sample]
        assert len(keys) == len(set(keys)) == 10 and {key[0] for key in keys} == set("abcd")
    assert len(recertify.draw(rows[:2], 0)) == 2 and len(recertify.draw(rows[:40], 0)) == 3
    assert len({tuple(c.key for c, _ in recertify.draw(rows, drawn)) for drawn in range(20)}) > 15


def test_another_arithmetic_is_told_from_another_result():
    class Cell:
        name = "cell"

    def other(**changes: Any) -> Record:
        return msgspec.structs.replace(old, **changes)

    old = record(provenance={"fingerprint": "a", "packages": {"torch": "1"}})
    near = other(metrics={"error": 0.5 + 1e-6}, provenance=Provenance(fingerprint="b", packages={"torch": "1"}))
    assert recertify.reason(Cell, old, old) == ""
    assert "fingerprint differ" in (text := recertify.reason(Cell, old, near)) and "difference 1e-06" in text
    far = other(metrics={"error": 0.6}, provenance=near.provenance)
    assert "fingerprint" not in recertify.reason(Cell, old, far), "too far for a machine"
    assert "fingerprint" not in recertify.reason(Cell, old, other(metrics=near.metrics))
    assert recertify.reason(Cell, old, other(provenance=near.provenance)) == "", "bits that agree need no excuse"
    assert "status was ok, is diverged" in recertify.reason(Cell, old, other(status="diverged"))
    counted = [other(costs=Costs(counts={"steps": n}, cpu_total=99.0 * n)) for n in (7, 8)]
    assert "steps was 7, is 8" in recertify.reason(Cell, *counted)
    assert "no record" in recertify.reason(Cell, old, None)


def test_a_certificate_counts_for_its_code_only_and_survives_publishing_the_same_record(tmp_path):
    store = Store(tmp_path)
    one = record(components={"code": {"module": "a"}})
    row = row_digest(one.task, one.version, one.params, one.config, one.seed)

    def older(digest: str) -> bool:
        """Whether the published row is of older code for a cell of the code `digest`."""
        components = Components(code={"module": digest})
        cell = SimpleNamespace(key="another", row_digest=row, components=components)
        return Published(store, [cell]).get(cell)[1]  # type: ignore[list-item, arg-type]

    publish(store, [one])
    assert (older("a"), older("b")) == (False, True)
    rows = {code_digest(Components(code={"module": "b"})): [one.key]}
    about = {"when": "2030-01-01", "commit": "c", "dirty": False, "sample": [one.key], "drawn": 1}
    certify(store, Certificate(kind="recertified", rows=rows, **about))
    publish(store, [one])
    assert (older("a"), older("b"), older("c")) == (False, False, True)
    publish(store, [record("c" * 32, components={"code": {"module": "c"}})])
    assert (older("c"), older("b")) == (False, True), "a certificate is of a row, not of its place"
    (tmp_path / "certificates.jsonl").write_text("{broken\n")
    assert older("b") and "certificates.jsonl:1 cannot be read" in store.reports[-1]
