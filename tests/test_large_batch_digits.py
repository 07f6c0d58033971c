"""The digits: as scikit-learn loads them, split without overlap, and refused where sizes or files are wrong."""

from __future__ import annotations

import gzip

import pytest
import torch

from bench.contract import BenchError, Unavailable
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.large_batch import digits
from tasks.large_batch.digits import Digits, Params

pytestmark = pytest.mark.skipif(digits.location() is None, reason="scikit-learn, which ships the digits, is not here")


def problem(seed: int = 0, **params: int):
    task = Digits(Params(**params))
    return task.problem(task.prepare(None, 0), Seeds(seed, task.name))


def outcome(entry: str, preset: str = "smoke", **params: int) -> dict:
    spec = config.task_spec("large_batch/digits")
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, preset, params), parts, 0, "/nowhere"))


def test_the_file_is_what_the_package_loads():
    loaded = pytest.importorskip("sklearn.datasets").load_digits()
    x, y = digits.load(digits.location())
    assert torch.equal(y, torch.from_numpy(loaded.target).long())
    assert torch.allclose(x * digits.DEVIATION + digits.MEAN, torch.from_numpy(loaded.data).float(), atol=1e-5)
    assert abs(float(x.mean())) < 1e-3 and float(x.std()) == pytest.approx(1, abs=1e-3)


def test_every_digit_is_in_one_split():
    found = problem()
    sets = [found.hidden[name] for name in ("train", "val", "test")]
    assert [len(y) for _, y in sets] == [1024, 273, 500]
    x, y = digits.load(digits.location())
    everything = torch.cat([torch.cat([a, b[:, None].float()], 1) for a, b in sets])
    assert torch.equal(everything.sort(0).values, torch.cat([x, y[:, None].float()], 1).sort(0).values)
    assert torch.equal(found.public["x"], sets[0][0]) and found.origin == "official"


def test_another_seed_is_another_split():
    assert not torch.equal(problem(0).public["x"], problem(1).public["x"])
    assert torch.equal(problem(0).public["x"], problem(0).public["x"])


def test_the_file_is_part_of_a_cells_identity(tmp_path):
    files = Digits(Params()).data_files(tmp_path)
    assert files == {"digits.csv.gz": digits.location()}


def test_without_the_package_the_next_step_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    task = Digits(Params())
    assert not task.data_files(tmp_path)["digits.csv.gz"].exists()
    with pytest.raises(Unavailable, match="pip install scikit-learn"):
        task.prepare(tmp_path, 0)


@pytest.mark.parametrize(
    "content",
    [b"no table", b"", gzip.compress(b"1,2\n3,4\n"), gzip.compress((b",".join([b"17"] * 65) + b"\n") * 1797)],
    ids=["text", "nothing", "too few", "out of range"],  # a compressed file holds the time, and would name its test
)
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(content)
    with pytest.raises(BenchError, match="digits.csv.gz is no table"):
        digits.load(path)


def test_more_digits_than_there_are():
    with pytest.raises(BenchError, match="add up to 1798; there are 1797"):
        problem(train=1025)


@pytest.mark.parametrize("name", ["train", "val", "test", "batch", "epochs", "evaluations"])
def test_sizes_are_positive(name):
    with pytest.raises(BenchError, match=f"task.{name}=0: it has to be above 0"):
        Digits(Params(**{name: 0}))


def test_a_batch_larger_than_the_data():
    found = outcome("large_batch", train=500)
    assert found.status == "failed" and "a batch of 512 cannot be drawn from 500" in found.reason


def test_a_ghost_batch_of_one():
    found = outcome("ghost_batch_norm", batch=1)
    assert found.status == "failed" and "a ghost batch of 1 has no variance" in found.reason


def test_updates_are_equal_where_the_large_batch_divides_the_data():
    costs = {entry: outcome(entry).costs.counts for entry in ("small_batch", "regime_adaptation", "large_batch")}
    assert costs["small_batch"]["steps"] == costs["regime_adaptation"]["steps"] == 48
    assert costs["large_batch"]["steps"] == 3 and costs["large_batch"]["samples"] == costs["small_batch"]["samples"]


def test_few_updates_cost_accuracy():
    found = {entry: outcome(entry).metrics["test_accuracy"] for entry in ("chance", "large_batch", "small_batch")}
    assert found["chance"] < 0.2 < found["large_batch"] + 0.1 < found["small_batch"] and found["small_batch"] > 0.85
