"""CIFAR-10 files: layout, origin, damage, and the cells without data."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.contract import BenchError, Unavailable
from bench.data import cifar
from bench.data.cifar import MD5


def make(folder: Path, count: int = 60) -> Path:
    where = folder / cifar.FOLDER
    where.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in MD5:
        content = {
            b"data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
            b"labels": [int(i % 10) for i in range(count)],
        }
        (where / name).write_bytes(pickle.dumps(content, protocol=2))
    return where


def test_pictures_are_normalised_by_channel(tmp_path):
    where = make(tmp_path)
    raw = pickle.loads((where / "data_batch_1").read_bytes())[b"data"]
    x, y = cifar.load(where, train=True, count=100)
    assert x.shape == (100, 3072) and x.dtype == torch.float32 and y.tolist()[:12] == [*range(10), 0, 1]
    expected = (raw[7, 1024] / 255 - cifar.MEAN[1]) / cifar.DEVIATION[1]
    assert float(x[7, 1024]) == pytest.approx(expected, rel=1e-5)


def test_a_copy_that_differs_is_marked(tmp_path):
    assert cifar.origin(make(tmp_path)) == "unverified"


def test_without_data_the_next_step_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("SWEEPSTAKES_DOWNLOAD", raising=False)
    with pytest.raises(Unavailable, match="SWEEPSTAKES_DATA.*SWEEPSTAKES_DOWNLOAD=1"):
        cifar.ensure(tmp_path)


class Evil:
    def __reduce__(self):
        return (print, ("code from a data file",))


@pytest.mark.parametrize("content", [b"", b"\x80\x02}q", pickle.dumps({b"labels": [1]}), pickle.dumps(Evil())])
def test_a_file_that_is_no_batch_is_refused(tmp_path, content, capsys):
    where = make(tmp_path)
    (where / "data_batch_1").write_bytes(content)
    with pytest.raises(BenchError, match="data_batch_1 is no CIFAR-10 batch"):
        cifar.load(where, train=True, count=10)
    assert "code from" not in capsys.readouterr().out


def test_too_few_pictures_are_told(tmp_path):
    with pytest.raises(BenchError, match="60 test pictures, 100"):
        cifar.load(make(tmp_path), train=False, count=100)


def test_cells_are_unavailable_until_the_data_appear(bench, tmp_path):
    env = {"SWEEPSTAKES_DATA": str(tmp_path / "later"), "SWEEPSTAKES_DOWNLOAD": "0"}
    words = [
        "run",
        "task=large_batch/cifar10",
        "entry=large_batch",
        "preset=smoke",
        "task.train=64",
        "--format",
        "json",
    ]
    first = bench(*words, env=env)
    assert first.returncode == 0 and json.loads(first.stdout)["statuses"] == {"unavailable": 1}
    assert json.loads(bench(*words, env=env).stdout)["ran"] == 0
    make(tmp_path / "later", count=200)
    again = json.loads(bench(*words, env=env).stdout)
    assert again["statuses"] == {"ok": 1}
    (key,) = again["keys"]
    record = json.loads(bench("show", key, "--format", "json").stdout)
    assert record["provenance"]["origin"] == "unverified" and set(record["components"]["data"]) == set(MD5)
