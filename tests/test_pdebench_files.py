"""PDEBench's file layouts: round trips, bounded memory, and every way in which a file can be wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import BenchError, Unavailable
from tasks.pde.files import check, pdebench, reading, writing
from tasks.pde.files.fields import Fields
from tasks.pde.files.layout import BLOCK, Foreign

FAMILIES = ("scalar", "darcy", "cfd", "seeds")


def fields(family: str, samples: int = 3, frames: int = 4, grid: tuple[int, ...] = (6,), seed: int = 0) -> Fields:
    rng = np.random.default_rng(seed)
    names = {"scalar": ("u",), "darcy": ("u",), "cfd": pdebench.PRIMITIVES[: 2 + len(grid)], "seeds": ("a", "b")}[
        family
    ]
    frames = 1 if family == "darcy" else frames
    attributes = {
        "scalar": {"Nu": 0.01},
        "darcy": {"beta": 1.0},
        "cfd": {"eta": 0.1, "zeta": 0.2, "M": 1.0},
        "seeds": {"Du": 1e-3},
    }
    return Fields(
        rng.normal(size=(samples, frames, *grid, len(names))).astype(np.float32),
        tuple((np.arange(points) + 0.5) / points for points in grid),
        0.1 * np.arange(frames),
        names,
        attributes[family],
        {"nu": rng.uniform(0.1, 1, (samples, *grid)).astype(np.float32)} if family == "darcy" else {},
    )


def part(whole: Fields, samples: slice, stride: int = 1, stride_t: int = 1) -> Fields:
    cut = (slice(None, None, stride),) * len(whole.axes)
    return replace(
        whole,
        values=whole.values[(samples, slice(None, None, stride_t), *cut)],
        axes=tuple(axis[::stride] for axis in whole.axes),
        t=whole.t[::stride_t],
        constants={name: one[(samples, *cut)] for name, one in whole.constants.items()},
    )


def same(found: Fields, wanted: Fields) -> None:
    np.testing.assert_array_equal(found.values, wanted.values)
    for one, other in zip((*found.axes, found.t), (*wanted.axes, wanted.t), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert found.names == wanted.names and found.attributes == pytest.approx(dict(wanted.attributes))
    assert found.constants.keys() == wanted.constants.keys()
    for name, one in found.constants.items():
        np.testing.assert_array_equal(one, wanted.constants[name])


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Fields]:
    family = draw(st.sampled_from(FAMILIES))
    dims = {"scalar": 1, "darcy": 2}.get(family) or draw(st.integers(1, 3))
    sizes = st.integers(1, 6)
    grid = tuple(draw(st.lists(sizes, min_size=dims, max_size=dims)))
    return family, fields(family, draw(st.integers(1, 5)), draw(st.integers(1, 6)), grid, draw(st.integers(0, 9)))


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4))
def test_what_is_written_shard_by_shard_is_read_in_any_cut(tmp_path_factory, case, size, stride, stride_t, start):
    family, whole = case
    path = tmp_path_factory.mktemp("files") / "file.any"
    shards = [part(whole, slice(at, at + size)) for at in range(0, len(whole.values), size)]
    writing.write(path, whole, shards, family)
    assert os.listdir(path.parent) == [path.name]
    layout = reading.info(path)
    assert (layout.family, layout.samples, layout.names) == (family, len(whole.values), whole.names)
    assert layout.shape == whole.values.shape[2:-1] and layout.sample_bytes * layout.samples == whole.values.nbytes
    same(
        reading.read(path, slice(start, start + 2), stride, stride_t),
        part(whole, slice(start, start + 2), stride, stride_t),
    )
    streamed = list(reading.batches(path, size, stride, stride_t))
    np.testing.assert_array_equal(
        np.concatenate([one.values for one in streamed]), part(whole, slice(None), stride, stride_t).values
    )


def written(folder: Path, family: str, **sizes) -> Path:
    grid = sizes.pop("grid", (6,) if family in ("scalar", "seeds") else (6, 5))
    whole = fields(family, grid=grid, **sizes)
    path = folder / ("a.h5" if family == "seeds" else "a.hdf5")
    writing.write(path, whole, [whole], family)
    return path


def test_the_layouts_are_those_that_pdebenchs_loaders_read(tmp_path):
    with h5py.File(written(tmp_path, "scalar")) as file:
        assert sorted(file) == ["t-coordinate", "tensor", "x-coordinate"]
        assert file["tensor"].shape == (3, 4, 6) and file["tensor"].compression is None
        assert file["t-coordinate"].shape == (5,) and file["t-coordinate"][-1] == pytest.approx(0.4)
        assert file.attrs["Nu"] == 0.01
    with h5py.File(written(tmp_path, "darcy")) as file:
        assert sorted(file) == ["nu", "tensor", "x-coordinate", "y-coordinate"]
        assert file["tensor"].shape == (3, 1, 6, 5) and file["nu"].shape == (3, 6, 5)
    with h5py.File(written(tmp_path, "cfd", grid=(6, 5, 4))) as file:
        assert {*pdebench.PRIMITIVES, "t-coordinate", "x-coordinate", "y-coordinate", "z-coordinate"} == set(file)
        assert file["Vz"].shape == (3, 4, 6, 5, 4)
        assert all(one.dtype == np.float32 for one in file.values())
    with h5py.File(written(tmp_path, "seeds", grid=(6, 5))) as file:
        assert sorted(file) == ["0000", "0001", "0002"]
        data, grid = file["0002/data"], file["0002/grid"]
        assert (data.shape, data.dtype, data.compression) == ((4, 6, 5, 2), np.float32, "lzf")
        assert {name: one.shape for name, one in grid.items()} == {"x": (6,), "y": (5,), "t": (4,)}
        assert yaml.safe_load(file["0002"].attrs["config"])["sim"] == {"Du": 1e-3, "seed": 2}


def test_a_file_of_pdebenchs_own_kind_of_group_needs_no_channel_names(tmp_path):
    with h5py.File(tmp_path / "a", "w") as file:
        for name in ("0010", "0002"):
            file[f"{name}/data"] = np.full((2, 3, 1), int(name), np.float32)
            file[f"{name}/grid/x"], file[f"{name}/grid/t"] = np.arange(3.0), np.arange(2.0)
    found = reading.read(tmp_path / "a")
    assert found.names == ("u",) and found.attributes == {}
    assert found.values[:, 0, 0, 0].tolist() == [2, 10]


def test_pdebenchs_own_files_are_read():
    """Files that its generators wrote: one of each family."""
    folder = Path(os.environ.get("SWEEPSTAKES_DATA", "")) / "pdebench"
    paths = [folder / "1D_Burgers_Sols_Nu0.01.hdf5", folder / "2D_diff-react_NA_NA.h5"]
    if not all(path.is_file() for path in paths):
        pytest.skip("SWEEPSTAKES_DATA names no folder that holds pdebench/")
    burgers, reaction = map(reading.info, paths)
    assert (burgers.family, burgers.frames, burgers.times) == ("scalar", 201, 202)
    assert (reaction.family, reaction.names, reaction.attributes["Dv"]) == ("seeds", ("u", "v"), 0.005)
    assert [check.quirks(path) for path in paths] == [[], []]


# Memory and disk ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["cfd", "scalar"])
def test_a_file_far_larger_than_memory_streams(tmp_path, family):
    grid, samples, frames = ((64, 64), 40, 200) if family == "cfd" else ((1024,), 2000, 201)
    path = tmp_path / "big.hdf5"
    with h5py.File(path, "w") as file:  # without a written block: sparse
        for name in pdebench.PRIMITIVES[:4] if family == "cfd" else ("tensor",):
            file.create_dataset(name, (samples, frames, *grid), np.float32)
        for name, length in zip("xyt", (*grid, *[0] * (2 - len(grid)), frames + 1), strict=True):
            file[f"{name}-coordinate"] = np.arange(length, dtype=np.float32)
    whole = reading.info(path).sample_bytes * samples
    assert whole >= 500 << 20 and path.stat().st_size < whole + (1 << 20)
    tracemalloc.start()
    count = 0
    for batch in reading.batches(path, 2, stride=4, stride_t=4):
        count += len(batch.values)
        if count >= 20:
            break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20 and peak < 2 * BLOCK + (16 << 20)


def test_writing_holds_one_shard(tmp_path):
    like = fields("scalar", 1, 50, (1000,))
    values = np.zeros((20, 50, 1000, 1), np.float32)
    tracemalloc.start()
    writing.write(tmp_path / "a", like, (replace(like, values=values.copy()) for _ in range(12)), "scalar")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reading.info(tmp_path / "a").samples == 240
    assert peak < 4 * values.nbytes


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from bench.contract import BenchError
from tasks.pde.files import pdebench, reading, writing
from tests.test_pdebench_files import fields
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
one = fields(sys.argv[2], 8, 20, (40, 40) if sys.argv[2] == "cfd" else (1600,))
try:
    writing.write(Path(sys.argv[1]), one, [one] * 8, sys.argv[2])
except BenchError as error:
    print(error)
"""


@pytest.mark.parametrize("family", ["scalar", "cfd", "seeds"])
def test_a_full_disk_leaves_no_file_and_says_why(tmp_path, family):
    path = tmp_path / "a.hdf5"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), family], capture_output=True, text=True, timeout=60,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(path) in done.stdout and "cannot be written" in done.stdout and "File too large" in done.stdout
    assert os.listdir(tmp_path) == []


def test_a_generator_that_fails_is_not_blamed_on_the_disk_and_leaves_an_older_file(tmp_path):
    path = written(tmp_path, "scalar")
    before = path.read_bytes()

    def shards():
        yield fields("scalar")
        raise RuntimeError("of its own")

    with pytest.raises(RuntimeError, match="of its own"):
        writing.write(path, fields("scalar"), shards(), "scalar")
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def test_no_folder_and_no_permission(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot be written"):
        writing.write(tmp_path / "file" / "a.hdf5", fields("scalar"), [], "scalar")


def test_checksums_find_a_flipped_bit(tmp_path):
    one = fields("scalar", 3, 20, (100,))
    writing.write(tmp_path / "a", one, [one], "scalar", checksums=True)
    data = bytearray((tmp_path / "a").read_bytes())
    at = bytes(data).index(one.values[0, 0, :4, 0].tobytes())
    data[at] ^= 1
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(BenchError, match="cannot be read as HDF5"):
        reading.read(tmp_path / "a")


# What does not fit --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "change", "reason"),
    [
        ("scalar", {"names": ("u", "v"), "values": np.zeros((1, 4, 6, 2))}, "1 dimensions, 4 frames and 2 channels"),
        ("cfd", {"names": ("density", "pressure", "Vy")}, "channels .*Vy"),
        ("scalar", {"constants": {"nu": np.ones((1, 6))}}, "constants .*nu"),
        ("darcy", {"constants": {}}, "constants .. in a darcy file"),
    ],
)
def test_fields_that_the_family_cannot_hold(tmp_path, family, change, reason):
    one = replace(fields(family, 1, grid=(6, 6) if family == "darcy" else (6,)), **change)
    with pytest.raises(BenchError, match=reason):
        writing.write(tmp_path / "a", one, [one], family)
    assert os.listdir(tmp_path) == []


def test_an_unknown_family(tmp_path):
    with pytest.raises(BenchError, match="no family 'zarr' but scalar, darcy, cfd, seeds"):
        writing.write(tmp_path / "a", fields("scalar"), [], "zarr")


@pytest.mark.parametrize("change", [{"t": np.arange(4.0)}, {"attributes": {"Nu": 0.02}}, {"names": ("w",)}])
def test_a_shard_unlike_the_first(tmp_path, change):
    one = fields("scalar")
    with pytest.raises(BenchError, match="shard 1 differs"):
        writing.write(tmp_path / "a", one, [one, replace(one, **change)], "scalar")
    assert os.listdir(tmp_path) == []


def damage(path: Path, how: str) -> None:
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif how == "text":
        path.write_text("not HDF5")
    elif how == "nothing":
        path.write_bytes(b"")
    else:
        with h5py.File(path, "a") as file:
            key, _, value = how.partition("=")
            del file[key]
            if value == "group":
                file.create_group(key)
            elif value:
                file[key] = np.zeros(eval(value), int if "int" in value else np.float32)


@pytest.mark.parametrize(
    ("family", "how", "reason"),
    [
        ("scalar", "truncated", "cannot be read as HDF5"),
        ("scalar", "text", "cannot be read as HDF5"),
        ("scalar", "nothing", "cannot be read as HDF5"),
        ("scalar", "tensor", "dataset /tensor is missing .there is: t-coordinate, x-coordinate"),
        ("scalar", "tensor=(3, 4)", "tensor has shape .3, 4. in a scalar file"),
        ("scalar", "tensor=[int(3)]", "is int64, not of floats"),
        ("scalar", "x-coordinate=5", "x-coordinate has shape .5,., 6 entries fit"),
        ("scalar", "t-coordinate=9", "t-coordinate has shape .9,., 5 or 4 entries fit"),
        ("darcy", "nu", "dataset /nu is missing"),
        ("darcy", "nu=(3, 6, 6)", "nu .3, 6, 6. does not fit tensor"),
        ("darcy", "y-coordinate", "dataset /y-coordinate is missing"),
        ("cfd", "Vy", "dataset /Vy is missing"),
        ("cfd", "pressure=(3, 4, 6, 6)", "pressure has shape .3, 4, 6, 6. in a cfd file"),
        ("seeds", "0000/data", "dataset /0000/data is missing"),
        ("seeds", "0000/grid", "/0000 has no group grid"),
        ("seeds", "0000/grid/x=5", "x has shape .5,., 6 entries fit"),
        ("seeds", "0001/data=(4, 6, 1)", "/0001/data has shape .4, 6, 1., unlike the first"),
        ("seeds", "0002/data", "dataset /0002/data is missing"),
    ],
)
def test_a_wrong_file_is_named_with_reason_and_next_step(tmp_path, family, how, reason):
    path = written(tmp_path, family)
    damage(path, how)
    with pytest.raises(BenchError, match=reason) as caught:
        reading.read(path)
    assert str(caught.value).startswith(f"{path}: ") and "; " in str(caught.value)
    assert not isinstance(caught.value, Unavailable)


def test_a_missing_file_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="no such file; download"):
        reading.info(tmp_path / "none.hdf5")


# Old downloads ------------------------------------------------------------------------------------


def moving(folder: Path, speed: float, beta: float) -> Path:
    x, t = (np.arange(64) + 0.5) / 64, 0.01 * np.arange(5)
    phase = np.random.default_rng(1).uniform(0, 6, (10, 1, 1))
    values = np.sin(2 * np.pi * 3 * (x - speed * t[:, None]) + phase)[..., None]
    one = Fields(values, (x,), t, ("u",), {"beta": beta})
    writing.write(folder / "a.hdf5", one, [one], "scalar")
    return folder / "a.hdf5"


def test_advection_at_twice_its_beta_is_recognised(tmp_path):
    assert check.quirks(moving(tmp_path, 4.0, 4.0)) == []
    assert "issue 46" in check.quirks(moving(tmp_path, 8.0, 4.0))[0]


def test_burgers_on_the_wrong_interval_is_recognised(tmp_path):
    one = fields("scalar")
    old = replace(one, axes=(2 * one.axes[0] - 1,))
    writing.write(tmp_path / "a", old, [old], "scalar")
    assert "issue 51" in check.quirks(tmp_path / "a")[0]
    reaction = replace(old, attributes={"Nu": 1.0, "rho": 1.0})
    writing.write(tmp_path / "a", reaction, [reaction], "scalar")
    assert check.quirks(tmp_path / "a") == []


def elsewhere(path: Path, family: str, how: str) -> None:
    """Move a part of `path` into another file, and let HDF5 find it there."""
    name = {"scalar": "tensor", "darcy": "nu", "cfd": "Vx", "seeds": "0001/data"}[family]
    other = path.with_name("other.hdf5")
    with h5py.File(path, "a") as file:
        data = file[name][:]
        with h5py.File(other, "w") as source:
            source["moved"] = data
        group, last = name.rpartition("/")[::2]
        if how == "a group's link":
            group, last, name = "", group or last, group or name
        parent = file[group or "/"]
        del parent[last]
        if how == "virtual":
            layout = h5py.VirtualLayout(data.shape, data.dtype)
            layout[...] = h5py.VirtualSource(other, "moved", shape=data.shape)
            parent.create_virtual_dataset(last, layout)
        elif how == "stored outside":
            raw = path.with_name("raw.bin")
            data.tofile(raw)
            parent.create_dataset(last, data.shape, data.dtype, external=[(str(raw), 0, h5py.h5f.UNLIMITED)])
        elif how == "a soft link":
            file["out"] = h5py.ExternalLink(other, "/")
            parent[last] = h5py.SoftLink("/out/moved")
        else:
            parent[last] = h5py.ExternalLink(other, "/moved")


@pytest.mark.parametrize("how", ["virtual", "stored outside", "a link", "a soft link", "a group's link"])
@pytest.mark.parametrize("family", FAMILIES)
def test_data_that_lie_in_another_file_are_refused(tmp_path, family, how):
    """The digest covers one file; and a virtual data set whose source is gone would be read as zeros."""
    path = written(tmp_path, family)
    elsewhere(path, family, how)
    for _ in ("there", "gone"):
        with pytest.raises(Foreign, match="another file; copy the data into one file") as error:
            reading.read(path)
        assert str(path) in str(error.value) and how.removeprefix("a soft ").removeprefix("a group's ") in str(
            error.value
        )
        path.with_name("other.hdf5").unlink(missing_ok=True)
