"""Files of others as a task's data: PDEBench's families, The Well and neuraloperator, in exactly their own layouts."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from bench.contract import BenchError, Unavailable
from bench.execute import Job, call
from bench.outcome import Outcome
from bench.planning import config
from tasks.pde.files import neuraloperator, reading
from tasks.pde.files.check import check
from tasks.pde.files.croissant import croissant
from tasks.pde.files.layout import Foreign
from tasks.pde.files.verbs import add_parser
from tasks.pde.generate import darcy

SPLITS = {"train": 4, "valid": 1, "test": 1}
ABOUT = {"license": "CC-BY-4.0", "citeAs": "nobody", "creator": "nobody", "url": "https://example.org"}


def cell(task: str, entry: str, folder: Path, **params: object) -> Outcome:
    spec = config.task_spec(task)
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, 0, str(folder)))


def waves(*shape: int, seed: int = 0) -> np.ndarray:
    """Smooth positive fields (samples, frames, x.., channels) that move."""
    rng = np.random.default_rng(seed)
    samples, frames, *grid, channels = shape
    where = np.meshgrid(np.arange(frames) / 20, *(np.arange(n) / n for n in grid), indexing="ij")
    phase = rng.uniform(0, 6, (samples, *[1] * (len(grid) + 1), channels))
    return (2 + np.sin(2 * np.pi * sum(where)[None, ..., None] + phase)).astype(np.float32)


def centres(n: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    return (low + (np.arange(n) + 0.5) / n * (high - low)).astype(np.float32)


# PDEBench, as its generators and Data_Merge.py write ----------------------------------------------


def scalar(path: Path, **attributes: float) -> Path:
    path = path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["tensor"] = waves(6, 5, 16, 1)[..., 0]
        file["x-coordinate"], file["t-coordinate"] = centres(16), np.arange(6, dtype=np.float32) * 0.1
        file.attrs.update(attributes)
    return path


def cfd(path: Path, dims: int) -> Path:
    path, low = path / "a.hdf5", -1.0 if dims == 1 else 0.0
    names = ("density", "pressure", "Vx", "Vy", "Vz")[: 2 + dims]
    values = waves(6, 5, *[8] * dims, 2 + dims)
    with h5py.File(path, "w") as file:
        for channel, name in enumerate(names):
            file[name] = values[..., channel]
        for name in "xyz"[:dims]:
            file[f"{name}-coordinate"] = centres(8, low)
        file["t-coordinate"] = np.arange(6, dtype=np.float32) * 0.1
        file.attrs.update({"eta": 0.01, "zeta": 0.01} | ({"M": 0.1} if dims > 1 else {}))
    return path


def groups(path: Path, grid: tuple[int, ...], channels: int, ends: tuple[float, float], sim: dict | None) -> Path:
    path, values = path / "a.h5", waves(6, 5, *grid, channels)
    with h5py.File(path, "w") as file:
        for seed, one in enumerate(values):
            file.create_dataset(f"{seed:04d}/data", data=one, dtype="f")
            for name, n in zip("xy", grid, strict=False):
                file.create_dataset(f"{seed:04d}/grid/{name}", data=centres(n, *ends), dtype="f")
            file.create_dataset(f"{seed:04d}/grid/t", data=0.1 * np.arange(5), dtype="f")
            if sim is not None:
                file[f"{seed:04d}"].attrs["config"] = yaml.safe_dump({"sim": {**sim, "seed": seed}, "name": "x"})
    return path


def dam(path: Path) -> Path:
    sim = {"T_end": 0.4, "n_time_steps": 4, "xdim": 16, "ydim": 16, "gravity": 1.0, "dam_radius": 0.5}
    return groups(path, (16, 16), 1, (-2.5, 2.5), sim)


def incompressible(path: Path, written: int = 5) -> Path:
    path, values = path / "ns_incom_inhom_2d_16-0.h5", waves(6, 5, 16, 16, 5)
    values[:, written:] = 0.0
    with h5py.File(path, "w") as file:
        for name, part in (
            ("velocity", values[..., :2]),
            ("particles", values[..., 2:3]),
            ("force", values[:, 0, ..., 3:]),
        ):
            file.create_dataset(name, data=part, compression="lzf", shuffle=True, chunks=(1, *part.shape[1:]))
        times = np.where(np.arange(5) < written, 0.1 * np.arange(5), 0.0)
        file.create_dataset("t", data=np.broadcast_to(times, (6, 5)), dtype="f")
        settings = {"NU": 0.02, "DT": 5e-5, "seed": 3, "domain_size": [1, 1], "grid_size": [16, 16], "backend": "jax"}
        file.attrs["config"], file.attrs["latestIndex"] = yaml.safe_dump(settings), written - 1
    return path


def permeabilities(path: Path, faithful: bool) -> Path:
    made = darcy.generate(6, 0, 16, faithful=faithful)
    with h5py.File(path / "a.hdf5", "w") as file:
        file["tensor"], file["nu"] = made.values[..., 0].astype(np.float32), made.constants["nu"].astype(np.float32)
        file["x-coordinate"] = file["y-coordinate"] = centres(16)
        file.attrs["beta"] = 1.0
    return path / "a.hdf5"


SIZES = {"points": 16, "frames": 5, "final_time": 0.4}
FAMILIES: dict[str, tuple[str, Callable[[Path], Path], dict]] = {
    "advection": ("pde/advection_1d", lambda at: scalar(at, beta=0.4), SIZES),
    "burgers": ("pde/burgers_1d", lambda at: scalar(at, Nu=0.01), SIZES | {"nu": 0.01}),
    "reaction": ("pde/reaction_diffusion_1d", lambda at: scalar(at, Nu=0.5, rho=1.0), SIZES),
    "sorption": ("pde/diffusion_sorption_1d", lambda at: groups(at, (16,), 1, (0, 1), {"D": 5e-4}), SIZES),
    "gas 1d": ("pde/compressible_1d", lambda at: cfd(at, 1), SIZES | {"points": 8}),
    "gas 2d": ("pde/compressible_2d", lambda at: cfd(at, 2), SIZES | {"points": 8}),
    "gas 3d": ("pde/compressible_3d", lambda at: cfd(at, 3), SIZES | {"points": 8}),
    "darcy": ("pde/darcy_2d", lambda at: permeabilities(at, True), {"points": 16, "faithful": True}),
    "reaction 2d": ("pde/diffusion_reaction_2d", lambda at: groups(at, (16, 16), 2, (-1, 1), {"Du": 1e-3}), SIZES),
    "dam": ("pde/shallow_water_2d", dam, SIZES),
    "unnamed dam": ("pde/shallow_water_2d", lambda at: groups(at, (16, 16), 1, (-2.5, 2.5), None), SIZES),
    "incompressible": (
        "pde/incompressible_2d", incompressible, SIZES | {"nu": 0.02, "boundary": "walls", "faithful": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_pdebench_is_a_tasks_file(tmp_path, family):
    task, make, params = FAMILIES[family]
    path = make(tmp_path)
    learned = cell(task, "conv", tmp_path, file=str(path), **SPLITS, **params)
    assert learned.status == "ok", learned.reason + learned.traceback
    assert learned.origin == path.name and not (tmp_path / "pde").exists()


def test_an_incompressible_file_is_read_value_by_value(tmp_path):
    path = incompressible(tmp_path)
    layout = reading.info(path)
    assert (layout.family, layout.names, layout.constants) == (
        "incompressible", ("Vx", "Vy", "particles"), ("force_x", "force_y"),
    )  # fmt: skip
    assert layout.attributes["NU"] == 0.02 and "seed" not in layout.attributes and layout.periodic is False
    whole, thin = waves(6, 5, 16, 16, 5), reading.read(path, slice(2, 4), 2, 3)
    np.testing.assert_array_equal(thin.values, whole[2:4, ::3, ::2, ::2, :3])
    np.testing.assert_array_equal(thin.constants["force_y"], whole[2:4, 0, ::2, ::2, 4])
    joined = thin.joined()
    assert joined.names == ("force_x", "force_y", "Vx", "Vy", "particles") and joined.constants == {}
    np.testing.assert_array_equal(joined.values[:, 1, ..., 0], whole[2:4, 0, ::2, ::2, 3])


def test_the_frames_that_a_cut_run_did_not_write_are_left_out(tmp_path):
    path = incompressible(tmp_path, written=3)
    assert reading.info(path).frames == 3 and reading.read(path).values.min() > 0
    assert [one for one in check(path) if one.level == "error"] == []


def test_flow_between_walls_says_which_settings_fit_and_has_no_solver(tmp_path):
    path = incompressible(tmp_path)
    spec = config.task_spec("pde/incompressible_2d")
    params = SPLITS | SIZES | {"file": str(path), "nu": 0.02}
    with pytest.raises(BenchError, match="set task.boundary=walls task.faithful=true$"):
        spec.cls(spec.cls.Params(**params)).prepare(tmp_path, 0)
    walls = params | {"boundary": "walls", "faithful": True}
    with pytest.raises(BenchError, match="task.nu=0.02$"):
        spec.cls(spec.cls.Params(**walls | {"nu": 0.01})).prepare(tmp_path, 0)
    with pytest.raises(BenchError, match="not generated; give PDEBench's file"):
        spec.cls(spec.cls.Params(boundary="walls")).prepare(tmp_path, 0)
    outcome = cell("pde/incompressible_2d", "classical", tmp_path, **walls)
    assert outcome.status == "failed" and "these data have walls" in outcome.reason
    assert cell("pde/incompressible_2d", "persistence", tmp_path, **walls).status == "ok"


# Darcy: snapshots and neuraloperator's sets -------------------------------------------------------


def test_a_darcy_snapshot_is_recognised_and_has_no_reference(tmp_path):
    spec = config.task_spec("pde/darcy_2d")
    sizes = SPLITS | {"points": 16}
    snapshot = str(permeabilities(tmp_path, faithful=True))
    with pytest.raises(BenchError, match="is a snapshot, .* set task.faithful=true$"):
        spec.cls(spec.cls.Params(file=snapshot, **sizes)).prepare(tmp_path, 0)
    faithful = spec.cls(spec.cls.Params(file=snapshot, faithful=True, **sizes))
    faithful.prepare(tmp_path, 0)
    assert faithful.reference == "" and "snapshot" in faithful.unanchored
    solved = cell("pde/darcy_2d", "classical", tmp_path, file=snapshot, faithful=True, **sizes)
    assert solved.metrics["nrmse"] > 0.05  # the solver is right, the target is another thing
    permeabilities(tmp_path, faithful=False)
    steady = spec.cls(spec.cls.Params(file=snapshot, **sizes))
    steady.prepare(tmp_path, 0)
    assert steady.reference == "classical" and steady.unanchored == ""


def darcy_set(path: Path, channel: bool = False, **change: torch.Tensor) -> Path:
    made = darcy.generate(6, 0, 16)
    x = torch.from_numpy(made.constants["nu"] == darcy.HIGH)
    a = np.where(x.numpy(), neuraloperator.HIGH, neuraloperator.LOW)
    y = torch.from_numpy(np.stack([darcy.steady(one, 1.0) for one in a])).float()
    held = {"x": x, "y": y} if not channel else {"x": x[:, None].float(), "y": y[:, None]}
    torch.save({**held, **change}, path / "darcy_train_16.pt")
    return path / "darcy_train_16.pt"


@pytest.mark.parametrize("channel", [False, True])
def test_a_darcy_set_of_neuraloperator_is_a_file_of_the_darcy_task(tmp_path, channel):
    path = darcy_set(tmp_path, channel)
    layout = reading.info(path)
    assert (layout.family, layout.samples, layout.shape, layout.attributes) == (
        "neuraloperator", 6, (16, 16), {"beta": 1.0},
    )  # fmt: skip
    assert set(np.unique(reading.read(path).constants["nu"])) == {3.0, 12.0}
    assert [one.level for one in check(path)] == ["note"]
    sizes = SPLITS | {"points": 16, "file": str(path)}
    assert cell("pde/darcy_2d", "classical", tmp_path, **sizes).metrics["nrmse"] < 1e-5
    assert cell("pde/darcy_2d", "conv", tmp_path, **sizes).status == "ok"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"y": torch.zeros(5, 16, 16)}, "x has shape .6, 16, 16., y .5, 16, 16."),
        ({"y": torch.zeros(6, 16)}, "y is .6, 16. of torch.float32"),
        ({"y": torch.zeros(6, 16, 16, dtype=torch.complex64)}, "torch.complex64"),
        ({"y": {"a": 1}}, "holds x, y; a Darcy set with the tensors x and y"),
    ],
)
def test_a_torch_file_that_is_no_darcy_set(tmp_path, change, reason):
    path = darcy_set(tmp_path, **change)
    with pytest.raises(Foreign, match=reason):
        reading.read(path)


def test_a_torch_file_that_is_damaged_or_missing_or_would_run_code(tmp_path):
    path = darcy_set(tmp_path)
    whole = path.read_bytes()
    for damaged in (whole[:1000], whole[:-200], b"", b"text", b"\x80\x02X"):
        path.write_bytes(damaged)
        (found,) = check(path)
        assert found.level == "error" and "cannot be read as a file of torch" in found.what
    torch.save({"x": Path("a"), "y": 1}, path)
    assert "cannot be read as a file of torch" in check(path)[0].what
    with pytest.raises(Unavailable, match="no such file"):
        reading.info(tmp_path / "none.pt")


# The Well -----------------------------------------------------------------------------------------


def well(path: Path, kind: str = "PERIODIC", own_times: bool = False) -> Path:
    """Six trajectories of a scalar and a vector, with a constant scalar, a row that is the same for all samples, and a tensor."""
    path, values, grid = path / "a.hdf5", waves(6, 5, 8, 10, 3), (8, 10)
    with h5py.File(path, "w") as file:
        file.attrs.update({"dataset_name": "x", "grid_type": "cartesian", "n_spatial_dims": 2, "n_trajectories": 6})
        file.attrs["simulation_parameters"], file.attrs["alpha"] = ["alpha"], 1.5
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y"]
        times = 2 + 0.1 * np.arange(5, dtype=np.float32)
        dimensions["time"] = times + np.arange(6, dtype=np.float32)[:, None] if own_times else times
        for name, n in zip("xy", grid, strict=True):
            dimensions[name] = centres(n)
        for name in "xy":
            file.create_group(f"boundary_conditions/{name}_{kind.lower()}").attrs["bc_type"] = kind
        file.create_group("scalars").attrs["field_names"] = ["alpha"]
        file["scalars/alpha"] = np.float32(1.5)
        fields = {
            "t0_fields/density": (values[..., 0], True, True, (True, True)),
            "t0_fields/depth": (values[:, 0, :, :, 1], True, False, (True, True)),
            "t0_fields/profile": (values[0, :, :, 0, 2], False, True, (True, False)),
            "t1_fields/velocity": (values[..., 1:], True, True, (True, True)),
            "t2_fields/stress": (np.stack([values[..., :2], values[..., 1:]], -1), True, True, (True, True)),
        }
        for name, (data, samples, moves, dims) in fields.items():
            file[name] = data
            file[name].attrs.update({"sample_varying": samples, "time_varying": moves, "dim_varying": dims})
    return path


def test_a_file_of_the_well_is_read_value_by_value(tmp_path, monkeypatch):
    path, values = well(tmp_path), waves(6, 5, 8, 10, 3)
    layout = reading.info(path)
    assert (layout.family, layout.samples, layout.frames, layout.shape) == ("the_well", 6, 5, (8, 10))
    assert layout.names == (
        "density", "profile", "velocity_x", "velocity_y", "stress_xx", "stress_xy", "stress_yx", "stress_yy",
    )  # fmt: skip
    assert (layout.constants, layout.attributes, layout.periodic) == (("depth",), {"alpha": 1.5}, True)
    for block in (1 << 20, 0):  # a sample at once, and frame by frame
        monkeypatch.setattr("tasks.pde.files.the_well.BLOCK", block)
        found = reading.read(path, slice(1, 3), 3, 2)
        wanted = values[1:3, ::2, ::3, ::3]
        np.testing.assert_array_equal(found.values[..., [0, 2, 3]], wanted)
        np.testing.assert_array_equal(found.values[..., 1], np.broadcast_to(values[0, ::2, ::3, :1, 2], (2, 3, 3, 4)))
        np.testing.assert_array_equal(found.values[..., 5], wanted[..., 1])
        np.testing.assert_array_equal(found.constants["depth"], values[1:3, 0, ::3, ::3, 1])
    assert found.t.tolist() == pytest.approx([2.0, 2.2, 2.4])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("dimensions/time", "dataset /dimensions/time is missing"),
        ("dimensions/y", "dataset /dimensions/y is missing"),
        ("t1_fields/velocity=(6, 5, 8, 10, 3)", "not 2 components"),
        ("t0_fields/density=(6, 4, 8, 10)", r"density has shape \(6, 4, 8, 10\), \(6, 5, 8, 10\)"),
        ("dimensions/time=(5, 5, 5)", "time has shape"),
    ],
)
def test_a_file_of_the_well_that_lacks_a_part(tmp_path, name, reason):
    path = well(tmp_path)
    name, _, shape = name.partition("=")
    with h5py.File(path, "a") as file:
        del file[name]
        if shape:
            file[name] = np.zeros(eval(shape), np.float32)
    with pytest.raises(Foreign, match=reason):
        reading.read(path)


def test_trajectories_that_start_at_different_times_are_one_file_if_their_steps_agree(tmp_path):
    assert reading.info(well(tmp_path, own_times=True)).t.tolist() == pytest.approx([2.0, 2.1, 2.2, 2.3, 2.4])
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        file["dimensions/time"][2] = np.arange(5)
    with pytest.raises(Foreign, match="frames at different times"):
        reading.info(tmp_path / "a.hdf5")


# Any equation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ["persistence", "conv", "fno", "unet"])
def test_any_file_of_trajectories_is_a_task(tmp_path, entry):
    outcome = cell("pde/file", entry, tmp_path, file=str(well(tmp_path)), periodic=True, **SPLITS)
    assert outcome.status == "ok", outcome.reason + outcome.traceback
    assert set(outcome.metrics) == {metric.name for metric in config.task_spec("pde/file").cls.metrics}
    other = cell("pde/file", entry, tmp_path, file=str(cfd(tmp_path, 1)), **SPLITS)
    assert other.status == "ok", other.reason


def test_a_constant_field_is_told_and_not_predicted(tmp_path):
    spec = config.task_spec("pde/file")
    task = spec.cls(spec.cls.Params(file=str(well(tmp_path)), periodic=True, **SPLITS))
    problem = task.problem(task.prepare(tmp_path, 0), None)
    assert problem.public["channels"][:2] == ["depth", "density"] and problem.public["constants"] == 1
    assert problem.public["equation"] == {"name": "unknown", "constants": 1} and problem.public["periodic"] is True
    values = waves(6, 5, 8, 10, 3)
    np.testing.assert_array_equal(problem.hidden["test"][..., 3, 0], values[:1, 0, ..., 1])


def test_a_file_task_without_a_fitting_file_says_what_fits(tmp_path):
    nothing = cell("pde/file", "persistence", tmp_path)
    assert nothing.status == "unavailable" and "task.file=PATH" in nothing.reason
    path = str(well(tmp_path, kind="WALL"))
    wrong = {
        "set task.periodic=false$": {"periodic": True},
        "holds 6 samples, 7 are wanted": {"train": 5},
        "initial_step=5 leaves none of its 5 frames": {"initial_step": 5},
    }
    for reason, change in wrong.items():
        with pytest.raises(BenchError, match=reason):
            prepared(tmp_path, path, **{**SPLITS, **change})
    with pytest.raises(BenchError, match="holds one frame, .*pde/darcy_2d"):
        prepared(tmp_path, str(darcy_set(tmp_path)), **SPLITS)
    solver = cell("pde/file", "classical", tmp_path, file=path, **SPLITS)
    assert solver.status == "failed" and "not 'unknown'" in solver.reason


def prepared(folder: Path, path: str, **params: object) -> object:
    spec = config.task_spec("pde/file")
    return spec.cls(spec.cls.Params(file=path, **params)).prepare(folder, 0)


# The verbs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [well, darcy_set, incompressible, dam])
def test_the_verbs_take_every_format(tmp_path, make, capsys):
    path = make(tmp_path)
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    for verb in ("info", "check"):
        for form in ("text", "json"):
            options = parser.parse_args(["data", verb, str(path), "--format", form])
            assert options.do(options) == 0
            printed = capsys.readouterr().out
            if form == "json":
                json.loads(printed)
    card = croissant(path, ABOUT)
    named = {field["name"] for group in card["recordSet"] for field in group["field"]}
    layout = reading.info(path)
    assert layout.family == "seeds" or {*layout.names, *layout.constants} == named


# Damage -------------------------------------------------------------------------------------------


def break_dataset_for_group(file: h5py.File) -> None:
    del file["0001"]
    file["0001"] = np.zeros(3, np.float32)


def break_huge_axis(file: h5py.File) -> None:
    del file["0002/grid/y"]
    file.create_dataset("0002/grid/y", (1 << 31,), np.float32, chunks=(1024,))


def break_scalar_axis(file: h5py.File) -> None:
    del file["0001/grid/x"]
    file["0001/grid/x"] = np.float32(1.0)


def break_name(file: h5py.File) -> None:
    for name in list(file):
        del file[name]
    file[b"\xe4-coordinate"] = file["tensor"] = np.zeros((2, 3, 4), np.float32)


def break_sizes(file: h5py.File) -> None:
    for name in list(file):
        del file[name]
    file["tensor"], file["x-coordinate"] = np.zeros((2, 0, 4), np.float32), np.zeros(4, np.float32)
    file["t-coordinate"] = np.zeros(1, np.float32)


def break_config(file: h5py.File) -> None:
    for group in file.values():
        group.attrs["config"] = "sim: [1, 2]\nchannels: 7"


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (break_dataset_for_group, "/0001 is no group"),
        (break_huge_axis, "another grid"),
        (break_scalar_axis, "another grid"),
        (break_name, "t-coordinate is missing"),
        (break_sizes, "holds no values: 0 frames"),
        (break_config, "cannot be read as HDF5"),
    ],
)
def test_damage_is_a_finding(tmp_path, damage, what):
    path = dam(tmp_path)
    with h5py.File(path, "a") as file:
        damage(file)
    found = [one.what for one in check(path) if one.level == "error"]
    assert any(what in one for one in found), found


@pytest.mark.parametrize("make", [well, dam, incompressible, lambda at: scalar(at, beta=0.4), darcy_set])
def test_flipped_bytes_never_end_in_another_error(tmp_path, make):
    path, rng = make(tmp_path), np.random.default_rng(0)
    whole = bytearray(path.read_bytes())
    for _ in range(60):
        damaged = bytearray(whole)
        for at in rng.integers(0, min(len(whole), 6000), 3):
            damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        check(path)
