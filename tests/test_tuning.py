"""The tuning ledger: what was tried, published whole and read back."""

from __future__ import annotations

import json
import math
import shutil

import msgspec
import pytest
from msgspec.structs import replace
from omegaconf import OmegaConf

from bench.planning import config
from bench.planning.files import EntryFile, TunedFile
from bench.records.ledger import comparable
from bench.records.record import Provenance, Record, decode, encode
from bench.tables import printers
from bench.tuning import trials as tuning
from tests.test_tune import BOUNDS, RATES


def lines(folder, entry: str = "mine") -> list[Record]:
    path = folder / "results" / "trials" / "toy" / "line" / f"{entry}.jsonl"
    return [decode(line) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def tuned_once(shared_bench, shared_folder):
    """Two entries tuned with three trials on two seeds, and one reported seed each."""
    folder = shared_folder / "configs" / "entry"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(RATES + "declared_trials: 20\n")
    (folder / "other.yaml").write_text(BOUNDS)
    assert shared_bench("tune", "task=toy/line", "entry=mine,other", "--trials", "3").returncode == 0
    assert shared_bench("run", "task=toy/line", "entry=mine,other", "seed=0").returncode == 0
    return shared_folder


@pytest.fixture
def trials(tuned_once, tmp_path):
    """A copy of them in the test's own folder."""
    shutil.copytree(tuned_once, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_every_trial_is_published_once_thin_and_sorted(bench, trials):
    words = ["publish", "task=toy/line", "entry=mine", "seed=0"]
    plain = bench(*words)
    assert plain.returncode == 0 and not (trials / "results" / "trials").exists()
    told = bench(*words, "--trials")
    assert "6 trials, 6 lines new or changed" in told.stdout, told.stderr
    found = lines(trials)
    assert {record.seed for record in found} == {1000, 1001} and not (
        trials / "results/trials/toy/line/other.jsonl"
    ).exists()
    assert not any(record.components.code or record.curves or record.traceback for record in found)
    assert sorted(record.status for record in found) == ["diverged"] * 2 + ["ok"] * 4  # a failure is a row
    text = (trials / "results/trials/toy/line/mine.jsonl").read_text()
    assert "6 trials, 0 lines new or changed" in bench(*words, "--trials").stdout
    assert (trials / "results/trials/toy/line/mine.jsonl").read_text() == text
    assert not list((trials / "results" / "trials").rglob(".*"))  # no temporary file is left
    order = [comparable(r) for r in found]
    assert order == sorted(order)


def test_other_machines_trials_stay_and_older_ones_give_way(bench, trials):
    words = ["publish", "task=toy/line", "entry=mine", "seed=0", "--trials"]
    bench(*words)
    path = trials / "results/trials/toy/line/mine.jsonl"
    mine = lines(trials)
    elsewhere = replace(mine[0], config={"optimizer": {"lr": 7.0}}, key="elsewhere")
    stale = replace(mine[1], key="stale", provenance=Provenance(ended="2001-01-01T00:00:00+00:00"))
    newer = replace(mine[2], key="newer", provenance=Provenance(ended="2999-01-01T00:00:00+00:00"))
    gone = replace(mine[3], version=0, config={"optimizer": {"lr": 8.0}}, key="gone")
    path.write_bytes(b"".join(encode(one) + b"\n" for one in (elsewhere, stale, newer, gone)))
    assert bench(*words).returncode == 0
    keys = {record.key for record in lines(trials)}
    assert keys == {"elsewhere", "newer", *(record.key for record in mine if record is not mine[2])}
    path.write_text("{}\n")
    damaged = bench(*words)
    assert damaged.returncode == 2 and "mine.jsonl:1 cannot be read" in damaged.stderr and path.read_text() == "{}\n"


def test_show_compares_at_equal_trials(bench, trials):
    alone = json.loads(bench("tune", "--show", "--format", "json").stdout)
    found = {one["entry"]: one for one in alone if one["task"] == "toy/line"}
    mine, other = found["mine"], found["other"]
    assert (mine["trials"], mine["tried"], mine["declared"], other["declared"]) == (3, 3, 20, None)
    table = OmegaConf.load(trials / "configs/tuned/toy/line/mine.yaml")["table"]
    values = sorted(row["objective"] for row in table)
    assert mine["best_of"][-1] == pytest.approx(mine["value"], rel=1e-4) and mine["value"] == values[0]
    assert mine["best_of"][0] == pytest.approx(math.exp(sum(map(math.log, values)) / 3), rel=1e-4)
    assert mine["sensitivity"] == pytest.approx(1 / 3)
    assert mine["cpu_seconds"] == pytest.approx(sum(row["cpu_seconds"] for row in table))
    shown = bench("tune", "--show", "task=toy/line", "entry=mine,other").stdout
    assert "here 3 / declared 20" in shown and "best of 3" in shown and max(map(len, shown.splitlines())) <= 120
    assert bench("tune", "--show", "task=toy/line", "entry=zero").stdout.startswith("nothing is tuned")


def test_settings_tried_in_earlier_tunings_are_counted_once_published(bench, trials):
    assert bench("tune", "task=toy/line", "entry=other", "--trials", "4", "--seeds", "1").returncode == 0
    assert bench("publish", "task=toy/line", "entry=other", "seed=0", "--trials").returncode == 0
    (found,) = json.loads(bench("tune", "--show", "task=toy/line", "entry=other", "--format", "json").stdout)
    assert found["trials"] == 4 and found["tried"] == 5  # 3 and 4, both with the two bounds
    assert found["cpu_seconds"] == pytest.approx(sum(r.costs.cpu_total for r in lines(trials, "other")))


def test_files_without_seeds_and_costs_stay_readable(monkeypatch, tmp_path):
    old = {
        "preset": "small", "trials": 3, "seeds": [1000, 1001], "objective": "val_loss", "value": 0.5,
        "values": {"optimizer.lr": 0.1}, "at_the_edge": [],
        "table": [{"optimizer.lr": lr, "objective": v} for lr, v in ((0.1, 0.5), (1.0, 0.51), (10.0, "diverged"))],
    }  # fmt: skip
    monkeypatch.setattr(config, "tuned", lambda task, entry: msgspec.convert(old, TunedFile))
    found = tuning.summary("instability/lm_proxy", "plain_attention", tmp_path)
    assert found is not None and math.isnan(found.cpu_seconds) and (found.space, found.tried) == ("lattice", 3)
    assert found.best_of[:2] == [math.inf] * 2 or found.best_of[0] == math.inf
    assert found.best_of[-1] == pytest.approx(0.5) and found.sensitivity == pytest.approx(2 / 3)
    assert json.loads(tuning.as_json([found]))[0]["best_of"][0] is None
    monkeypatch.setattr(config, "tuned", lambda task, entry: None)
    assert tuning.summary("instability/lm_proxy", "plain_attention", tmp_path) is None


def test_every_shipped_tuning_reads(tmp_path):
    pairs = tuning.everywhere()
    found = [tuning.summary(task, entry, tmp_path) for task, entry in pairs]
    assert len(found) > 40
    for one in found:
        assert one is not None and len(one.best_of) == one.trials >= 2
        assert one.best_of[-1] == pytest.approx(one.value, rel=1e-3)
        sign = 1 if one.better == "max" else -1
        assert all(sign * b >= sign * a - 1e-9 * abs(a) for a, b in zip(one.best_of, one.best_of[1:], strict=False))
        assert 1 / one.trials <= one.sensitivity <= 1


def test_declared_trials(monkeypatch):
    files = {"a": EntryFile(declared_trials=20), "b": EntryFile(), "c": EntryFile(declared_trials=0)}
    monkeypatch.setattr(config, "names", lambda group: dict.fromkeys(files, "file"))
    monkeypatch.setattr(config, "load", lambda group, name, model: files[name])
    found = [printers.declared(name) for name in ("a", "b", "c", "a+b", "a+c", "elsewhere")]
    assert found == [20, None, 0, 20, 20, None]
    texts = [printers.trials_text(*pair) for pair in ((7, None), (None, None), (1000, 20), (None, 5))]
    assert texts == ["7", "—", "here 1,000 / declared 20", "here — / declared 5"]
