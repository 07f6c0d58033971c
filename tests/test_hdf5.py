"""PDEBench's file layout: written, read, and every way in which a file can be wrong."""

import multiprocessing
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from bench.contract import BenchError, Unavailable
from bench.data import hdf5


def series(samples: int = 5, frames: int = 7, points: int = 8) -> hdf5.Series:
    values = np.random.default_rng(0).normal(size=(samples, frames, points)).astype(np.float32)
    return hdf5.Series(values, (np.arange(points) + 0.5) / points, 0.1 * np.arange(frames), {"Nu": 0.01})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    hdf5.write_series(tmp_path / "a.hdf5", series())
    return tmp_path / "a.hdf5"


def test_the_layout_is_pdebenchs(path):
    with h5py.File(path) as file:
        assert sorted(file) == ["t-coordinate", "tensor", "x-coordinate"]
        assert file["tensor"].shape == (5, 7, 8) and file["tensor"].dtype == np.float32
        assert file["t-coordinate"].shape == (8,)  # one longer than the tensor
        assert file["t-coordinate"][-1] == pytest.approx(0.7)
        assert file.attrs["Nu"] == 0.01
    assert os.listdir(path.parent) == ["a.hdf5"]


def test_what_was_written_is_read_with_strides_and_in_chunks(path, monkeypatch):
    monkeypatch.setattr(hdf5, "CHUNK", 2)
    found = hdf5.read_series(path, "Nu", 5, stride=2, stride_t=3)
    np.testing.assert_array_equal(found.values, series().values[:, ::3, ::2])
    np.testing.assert_allclose(found.t, [0, 0.3, 0.6], rtol=1e-6)
    np.testing.assert_allclose(found.x, [1 / 16, 5 / 16, 9 / 16, 13 / 16])
    assert found.attributes == {"Nu": 0.01}
    assert hdf5.read_series(path, "Nu", 0).values.shape == (0, 7, 8)


def test_a_missing_file_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="no such file; download"):
        hdf5.read_series(tmp_path / "none.hdf5", "Nu", 1)


def damaged(path: Path, how: str) -> None:
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
        return
    if how == "text":
        path.write_text("not HDF5")
        return
    with h5py.File(path, "a") as file:
        if how == "no tensor":
            del file["tensor"]
        elif how == "nan":
            file["tensor"][3, 2, 1] = np.nan
        elif how == "foreign axis":
            del file["x-coordinate"]
            file["x-coordinate"] = np.arange(5.0)
        elif how == "shuffled times":
            file["t-coordinate"][2] = 9.0
        elif how == "integers":
            del file["tensor"]
            file["tensor"] = np.zeros((5, 7, 8), int)
        elif how == "another equation":
            del file.attrs["Nu"]
            file.attrs["beta"] = 0.4


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("truncated", "cannot be read as HDF5"),
        ("text", "cannot be read as HDF5"),
        ("no tensor", "lacks tensor"),
        ("nan", "sample 3 holds values that are not finite"),
        ("foreign axis", "coordinates of 5 points"),
        ("shuffled times", "t-coordinate is not an increasing uniform grid"),
        ("integers", "tensor is int64"),
        ("another equation", "no attribute 'Nu' .it has: beta"),
    ],
)
def test_a_wrong_file_is_named_with_the_reason(path, how, reason):
    damaged(path, how)
    with pytest.raises(BenchError, match=reason) as caught:
        hdf5.read_series(path, "Nu", 5)
    assert str(path) in str(caught.value) and ";" in str(caught.value)
    assert not isinstance(caught.value, Unavailable)


def test_too_few_samples(path):
    with pytest.raises(BenchError, match="holds 5 samples, 6 are wanted; lower task.train"):
        hdf5.read_series(path, "Nu", 6)


def _ask(path: str, log: str) -> None:
    def make() -> hdf5.Series:
        with open(log, "a") as file:
            file.write("made\n")
        return series(200, 20, 64)

    hdf5.made_once(Path(path), make)
    assert hdf5.read_series(Path(path), "Nu", 200).values.shape == (200, 20, 64)


def test_many_processes_make_one_file(tmp_path):
    context = multiprocessing.get_context("fork")
    arguments = (str(tmp_path / "new" / "a.hdf5"), str(tmp_path / "log"))
    workers = [context.Process(target=_ask, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert (tmp_path / "log").read_text() == "made\n"


def test_a_failure_leaves_no_file_behind(tmp_path):
    bad = series()
    with pytest.raises(TypeError):
        hdf5.write_series(tmp_path / "a.hdf5", hdf5.Series(bad.values, bad.x, bad.t, {"Nu": object()}))  # type: ignore
    assert os.listdir(tmp_path) == []
