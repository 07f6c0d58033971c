"""CIFAR-10 files: layout, origin, damage, and the cells without data."""

from __future__ import annotations

import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.contract import BenchError, Unavailable
from bench.data import cifar
from bench.data.cifar import MD5
from bench.data.download import md5


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


def test_a_copy_that_differs_is_marked(tmp_path, monkeypatch):
    where = make(tmp_path)
    assert cifar.origin(where) == "unverified"
    cifar.origin.cache_clear()
    for name in MD5:
        monkeypatch.setitem(MD5, name, md5(where / name))
    assert cifar.origin(where) == "official"
    cifar.origin.cache_clear()
    monkeypatch.setitem(MD5, "test_batch", "0" * 32)
    assert cifar.origin(where) == "unverified", "one file that differs is enough"


def test_the_archive_is_fetched_checked_and_unpacked(tmp_path, monkeypatch):
    where = make(tmp_path / "there")
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(where, arcname=cifar.FOLDER)
    monkeypatch.setenv("SWEEPSTAKES_DOWNLOAD", "1")
    monkeypatch.setattr(cifar, "URL", archive.as_uri())
    with pytest.raises(BenchError, match=f"expected {cifar.ARCHIVE_MD5}"):
        cifar.ensure(tmp_path / "here")
    assert not (tmp_path / "here" / cifar.FOLDER).exists(), "an unexpected archive is not unpacked"
    monkeypatch.setattr(cifar, "ARCHIVE_MD5", md5(archive))
    found = cifar.ensure(tmp_path / "here")
    assert {path.name for path in found.iterdir()} == set(MD5)
    assert torch.equal(cifar.load(found, True, 90)[1], cifar.load(where, True, 90)[1])
    monkeypatch.setattr(cifar, "URL", "file:///nowhere")
    assert cifar.ensure(tmp_path / "here") == found, "what is there is not fetched again"


def test_without_data_the_error_names_the_next_step(tmp_path, monkeypatch):
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


@pytest.mark.parametrize(
    ("pixels", "labels", "reason"),
    [
        (np.zeros((3, 3072), np.uint8), [0, 1], "no 2 pictures"),
        (np.zeros((2, 3071), np.uint8), [0, 1], "no 2 pictures"),
        (np.zeros((2, 3072), np.float32), [0, 1], "no 2 pictures"),
        ([[0] * 3072] * 2, [0, 1], "no 2 pictures"),
        (np.zeros((2, 3072), np.uint8), [0, 10], "labels beyond"),
        (np.zeros((2, 3072), np.uint8), [-1, 0], "labels beyond"),
    ],
)
def test_a_batch_of_another_shape_or_kind_is_refused(tmp_path, pixels, labels, reason):
    where = make(tmp_path)
    (where / "test_batch").write_bytes(pickle.dumps({b"data": pixels, b"labels": labels}, protocol=2))
    with pytest.raises(BenchError, match=f"test_batch is no CIFAR-10 batch .*{reason}"):
        cifar.load(where, train=False, count=2)


def test_bytes_changed_at_random_end_in_pictures_or_in_a_refusal(tmp_path):
    where = make(tmp_path, count=2)
    path, rng = where / "test_batch", np.random.default_rng(0)
    whole, refused = path.read_bytes(), 0
    for _ in range(300):
        content = bytearray(whole)
        edge = rng.integers(0, 150, 2) * rng.choice([1, -1], 2)  # the pickle's own words are at both ends
        for place in edge:
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            x, y = cifar.load(where, train=False, count=1)
        except BenchError:
            refused += 1
        else:
            assert x.shape == (1, 3072) and 0 <= int(y) < 10
    assert refused > 100


def test_too_few_pictures_are_an_error(tmp_path):
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
