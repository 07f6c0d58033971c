"""Each finding is provoked by a file that has the fault, and absent from one that has not."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from bench.contract import BenchError, Unavailable
from tasks.pde.fields import Waves
from tasks.pde.files import check as checking
from tasks.pde.files import pdebench, writing
from tasks.pde.files.check import Finding, check
from tasks.pde.files.croissant import croissant
from tasks.pde.files.fields import Fields
from tasks.pde.files.residuals import DARCY_TOLERANCE, Equation, darcy_residual
from tasks.pde.generate.burgers import solve
from tasks.pde.generate.reaction_diffusion import generate

POINTS = 64
X = (np.arange(POINTS) + 0.5) / POINTS
T = 0.01 * np.arange(21)


def advection(samples: int = 6, beta: float = 0.4, speed: float | None = None) -> Fields:
    rng = np.random.default_rng(0)
    moved = X - (beta if speed is None else speed) * T[:, None]
    values = np.zeros((samples, len(T), POINTS))
    for mode in (1, 2, 4):
        draw = rng.uniform(0.2, 1, (2, samples, 1, 1))
        values += draw[0] * np.sin(2 * np.pi * (mode * moved + draw[1]))
    return Fields(values[..., None].astype(np.float32), (X,), T, ("u",), {"beta": beta})


def stepped(equation: Equation, attributes: dict[str, float], start: np.ndarray, substeps: int = 100) -> Fields:
    """Solved by explicit finite volumes in float64: another scheme than the residual's."""
    u, dx, dt = start.astype(float), X[1] - X[0], (T[1] - T[0]) / substeps
    frames = [u]
    for _ in T[1:]:
        for _ in range(substeps):
            right = np.roll(u, -1, -1)
            flux = (equation.steepening * (u**2 + right**2) / 4) - equation.viscosity * (right - u) / dx
            u = u - dt * (flux - np.roll(flux, 1, -1)) / dx + dt * equation.growth * u * (1 - u)
        frames.append(u)
    return Fields(np.stack(frames, 1)[..., None].astype(np.float32), (X,), T, ("u",), attributes)


def waves(samples: int = 4) -> np.ndarray:
    phase = np.random.default_rng(1).uniform(0, 1, (samples, 1))
    return 0.5 + 0.4 * np.sin(2 * np.pi * (X + phase)) * np.cos(2 * np.pi * (2 * X - phase))


@cache
def burgers() -> Fields:
    return stepped(Equation("", steepening=1, viscosity=0.1 / np.pi), {"Nu": 0.1}, waves())


@cache
def reaction() -> Fields:
    return stepped(Equation("", viscosity=0.5, growth=1.0), {"Nu": 0.5, "rho": 1.0}, waves(), 200)


def operator(a: np.ndarray) -> coo_matrix:
    """-div(a grad u) on the unit square, zero on the wall, five points, harmonic means."""
    n = len(a)
    number, rows, columns, values = np.arange(n * n).reshape(n, n), [], [], []
    for axis in (0, 1):
        low, high = (np.delete(number, end, axis).ravel() for end in (-1, 0))
        weight = 2 / (1 / a.ravel()[low] + 1 / a.ravel()[high]) * n**2
        for row, column, sign in ((low, low, 1), (low, high, -1), (high, high, 1), (high, low, -1)):
            rows, columns, values = [*rows, row], [*columns, column], [*values, sign * weight]
        for wall in (number.take(0, axis), number.take(-1, axis)):
            rows, columns, values = [*rows, wall], [*columns, wall], [*values, 2 * a.ravel()[wall] * n**2]
    return coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))).tocsr()


def darcy(n: int = 32, samples: int = 3, beta: float = 1.0, transient: float = 0.0) -> Fields:
    x, rng = (np.arange(n) + 0.5) / n, np.random.default_rng(2)
    a, u = np.empty((samples, n, n)), np.empty((samples, n, n))
    for i in range(samples):
        p, q, r = rng.uniform(0, 2 * np.pi, 3)
        a[i] = np.where(np.sin(7 * x[:, None] + p) + np.cos(5 * x + q) + np.sin(9 * x + r) > 0, 1.0, 0.1)
        u[i] = spsolve(operator(a[i]), np.full(n * n, beta)).reshape(n, n)
    u += transient * np.abs(u).max() * np.sin(np.pi * x[:, None]) * np.sin(np.pi * x)
    return Fields(u[:, None, ..., None], (x, x), np.zeros(1), ("u",), {"beta": beta}, {"nu": a})


def flow() -> Fields:
    """Four smooth channels in two dimensions, of no equation that is known here."""
    x, t = (np.arange(16) + 0.5) / 16, 0.1 * np.arange(12)
    phase = np.random.default_rng(3).uniform(0, 6, (5, 1, 1, 1, 4))
    wave = np.sin(6.28 * (x[:, None] + 2 * x - t[:, None, None]))[None, ..., None]
    return Fields(2 + wave * np.cos(phase) + 0.1 * np.sin(phase), (x, x), t, pdebench.PRIMITIVES[:4], {"M": 0.1})


def written(folder: Path, whole: Fields, family: str | None = None, name: str | None = None) -> Path:
    family = family or ("darcy" if whole.constants else "cfd" if len(whole.names) > 2 else "scalar")
    path = folder / (name or ("a.h5" if family == "seeds" else "a.hdf5"))
    writing.write(path, whole, [whole], family)
    return path


def faults(path: Path) -> list[Finding]:
    return [one for one in check(path) if one.level != "note"]


@pytest.mark.parametrize("make", [advection, burgers, reaction, darcy, flow])
def test_sound_files_have_no_faults(tmp_path, make: Callable[[], Fields]):
    path = written(tmp_path, make())
    assert faults(path) == []
    (note,) = check(path)
    assert ("no attribute names" if make is flow else "solve") in note.what


# Faults -------------------------------------------------------------------------------------------


def edit(change: Callable[[np.ndarray], None], base: Fields) -> Fields:
    values = base.values.copy()
    change(values)
    return replace(base, values=values)


def _nan(v: np.ndarray) -> None:
    v[3, 2, 1, 1, 2] = np.nan


def _inf(v: np.ndarray) -> None:
    v[[1, 4], 2, 1, 1, 0] = -np.inf


def _constant(v: np.ndarray) -> None:
    v[2, ..., 1] = 7.0


def _zero(v: np.ndarray) -> None:
    v[..., 3] = 0.0


def _frozen(v: np.ndarray) -> None:
    v[1, 8:] = v[1, 8]


def _jump(v: np.ndarray) -> None:
    v[4, 6:, ..., 1] += 1.0


def _twice(v: np.ndarray) -> None:
    v[3] = v[0]


@pytest.mark.parametrize(
    ("change", "level", "where", "what"),
    [
        (_nan, "error", "Vx samples 3 (1)", "not finite"),
        (_inf, "error", "density samples 1, 4 (2)", "not finite"),
        (_constant, "warning", "pressure samples 2 (1)", "same value everywhere"),
        (_zero, "error", "Vy", "zero throughout"),
        (_frozen, "warning", "samples 1 (1)", "last frames are all the same"),
        (_jump, "warning", "pressure samples 4 (1)", "mean leaps"),
        (_twice, "warning", "samples 3 (1)", "same numbers as an earlier sample"),
    ],
)
def test_a_fault_in_the_numbers_is_found_where_it_is(tmp_path, monkeypatch, change, level, where, what):
    monkeypatch.setattr(checking, "BATCH", 2 * flow().values[0].nbytes // 2)  # two samples, in float32
    (found,) = faults(written(tmp_path, edit(change, flow())))
    assert (found.level, found.where) == (level, where)
    assert what in found.what and found.next_step


def test_a_permeability_that_is_not_finite(tmp_path):
    whole = darcy()
    whole.constants["nu"][1, 3, 3] = np.nan
    (found,) = faults(written(tmp_path, whole))
    assert (found.level, found.where) == ("error", "nu samples 1 (1)")


def test_a_file_without_samples(tmp_path):
    whole = advection()
    writing.write(tmp_path / "a.hdf5", whole, [], "scalar")
    assert [one.what for one in faults(tmp_path / "a.hdf5")] == ["no samples"]


def _axis(file: h5py.File, name: str, values: np.ndarray) -> None:
    del file[name]
    file[name] = values.astype(np.float32)


@pytest.mark.parametrize(
    ("name", "values", "level", "what"),
    [
        ("x-coordinate", X[::-1].copy(), "error", "x axis does not increase"),
        ("x-coordinate", X**2, "warning", "x axis is not uniform"),
        ("t-coordinate", np.append(T, np.nan), "warning", ""),
        ("t-coordinate", np.zeros(22), "error", "t axis does not increase"),
        ("t-coordinate", T, "warning", "t-coordinate has 21 entries"),
        ("x-coordinate", np.arange(5.0), "error", "x-coordinate has shape"),
    ],
)
def test_a_fault_in_the_axes(tmp_path, name, values, level, what):
    path = written(tmp_path, advection())
    with h5py.File(path, "a") as file:
        _axis(file, name, values)
    found = faults(path)
    if not what:  # the entry past the last frame is nobody's
        assert found == []
        return
    assert found[0].level == level and what in found[0].what and found[0].where.startswith(name[0])


def seeds(folder: Path, **config: float) -> Path:
    base = flow()
    return written(folder, replace(base, attributes={"k": 0.1, "xdim": 16, "tdim": 12, "t": 1.1, **config}), "seeds")


def test_the_config_of_a_group_is_compared_with_its_axes(tmp_path):
    assert faults(seeds(tmp_path)) == []
    assert "0023" in check(seeds(tmp_path))[0].what
    (found,) = faults(seeds(tmp_path, tdim=501))
    assert found.what == "the config says tdim = 501, the t axis says 12"
    (found,) = faults(seeds(tmp_path, t=500.0))
    assert found.what == "the config says t = 500, the t axis says 1.1"


def test_a_group_on_another_grid(tmp_path):
    path = seeds(tmp_path)
    with h5py.File(path, "a") as file:
        file["0003/grid/y"][...] = np.arange(16)
    (found,) = faults(path)
    assert (found.level, found.where) == ("error", "samples 3 (1)") and "another grid" in found.what


def test_an_extension_that_misleads_pdebenchs_loaders(tmp_path):
    (found,) = faults(written(tmp_path, advection(), name="a.h5"))
    assert found.next_step == "rename it to a.hdf5" and found.level == "warning"


@pytest.mark.parametrize("how", ["truncated", "text"])
def test_a_damaged_file_is_a_finding_and_a_missing_one_unavailable(tmp_path, how):
    path = written(tmp_path, advection())
    path.write_bytes(path.read_bytes()[:2000] if how == "truncated" else b"text")
    (found,) = faults(path)
    assert found.level == "error" and "cannot be read as HDF5" in found.what
    with pytest.raises(Unavailable):
        check(tmp_path / "none.hdf5")


def test_a_file_is_checked_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "BATCH", 1 << 18)
    whole = advection(1200)
    path = written(tmp_path, whole)
    tracemalloc.start()
    assert faults(path) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 << 20 < whole.values.nbytes


# Equations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("whole", "names"),
    [
        (advection(speed=0.8), "advection"),
        (advection(speed=-0.4), "advection"),
        (replace(burgers(), attributes={"Nu": 1.0}), "Burgers"),
        (replace(burgers(), t=2 * T), "Burgers"),
        (replace(reaction(), attributes={"Nu": 0.5, "rho": 2.0}), "reaction-diffusion"),
        (replace(reaction(), attributes={"Nu": 0.5}), "Burgers"),
    ],
)
def test_data_of_another_equation_are_found_out(tmp_path, whole, names):
    found = [one for one in faults(written(tmp_path, whole)) if "does not solve" in one.what]
    assert len(found) == 1 and found[0].level == "error" and names in found[0].what


def test_the_old_advection_files_are_named(tmp_path):
    assert "issue 46" in faults(written(tmp_path, advection(speed=0.8)))[0].what


def test_a_reaction_that_freezes_half_way_is_found_out(tmp_path):
    def freeze(values: np.ndarray) -> None:
        values[2, 10:] = values[2, 10:11].mean(axis=2, keepdims=True)  # even in space: no rule but the equation's

    (found,) = [one for one in faults(written(tmp_path, edit(freeze, reaction()))) if "solve" in one.what]
    assert found.where == "samples 2 (1)"


def test_frames_too_far_apart_tell_nothing(tmp_path):
    whole = advection(beta=7.0)
    path = written(tmp_path, replace(whole, values=whole.values[:, ::10], t=whole.t[::10]))
    assert faults(path) == [] and "too far apart" in check(path)[0].what


def test_a_shock_between_the_points_tells_nothing_and_on_a_finer_grid_all():
    waves, t, nu = Waves.draw(12, 0), np.linspace(0, 1, 41), 0.01
    held = Equation("Burgers", steepening=1.0, viscosity=nu / np.pi)
    coarse, fine = (checking.residual(solve(waves, n, t, nu), 1 / n, t[1], held) for n in (32, 512))
    assert np.nanmax(fine) < 0.05 and np.isfinite(fine).sum() > 8
    assert np.isnan(coarse).sum() > 6 and np.nanmax(coarse) < checking.TOLERANCE
    wrong = Equation("Burgers", steepening=0.5, viscosity=nu / np.pi)
    assert np.nanmin(checking.residual(solve(waves, 512, t, nu), 1 / 512, t[1], wrong)) > checking.TOLERANCE


def test_waves_that_decay_between_two_frames_do_not_blame_the_reaction():
    made = generate(16, 0, points=32, frames=9, final_time=0.4, nu=0.5, rho=1.0)
    held = Equation("reaction-diffusion", viscosity=0.5, growth=1.0)
    found = checking.residual(made.values[..., 0], 1 / 32, 0.05, held)
    assert np.isfinite(found).any() and np.nanmax(found) < 1e-3
    wrong = Equation("reaction-diffusion", viscosity=0.5, growth=2.0)
    assert np.nanmin(checking.residual(made.values[..., 0], 1 / 32, 0.05, wrong)) > checking.TOLERANCE


def test_a_field_at_rest_tells_nothing():
    flat = np.full((1, 9, 8), 0.3)
    assert np.isnan(checking.residual(flat, 0.1, 0.01, Equation("advection", speed=1.0))).all()
    assert checking.residual(flat, 0.1, 0.01, Equation("reaction", growth=1.0)) == pytest.approx([1.0])
    assert np.isnan(checking.residual(flat[:, :2], 0.1, 0.01, Equation("advection", speed=1.0))).all()


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 2), st.floats(0.0, 0.5), st.integers(1, 3), st.integers(3, 30))
def test_the_residual_of_an_exact_solution_is_small_and_does_not_depend_on_units(speed, viscosity, mode, frames):
    t = 0.005 * np.arange(frames)[:, None]
    wave = 2 * np.pi * mode
    u = 3 + np.exp(-viscosity * wave**2 * t) * np.sin(wave * (X - speed * t))
    equation = Equation("", speed=speed, viscosity=viscosity)
    (found,) = checking.residual(u[None], 1 / POINTS, 0.005, equation)
    (longer,) = checking.residual(u[None], 10 / POINTS, 0.05, Equation("", speed=speed, viscosity=10 * viscosity))
    assert np.isnan(found) or found < 1e-2
    assert longer == pytest.approx(found, rel=1e-6, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("beta", [0.01, 100.0])
def test_a_transient_darcy_field_is_found_out(tmp_path, beta):
    assert faults(written(tmp_path, darcy(beta=beta))) == []
    (found,) = faults(written(tmp_path, darcy(beta=beta, transient=0.2)))
    assert found.level == "warning" and found.where == "samples 0, 1, 2 (3)" and "steady Darcy" in found.what
    assert "no solver is a reference" in found.what and "task.faithful=true" in found.next_step


def test_rounding_to_float32_stays_below_the_darcy_tolerance():
    whole = darcy(128, 1)
    u = whole.values[:, 0, ..., 0].astype(np.float32)
    (found,) = darcy_residual(whole.constants["nu"], u, (1 / 128, 1 / 128), 1.0)
    assert found < DARCY_TOLERANCE / 5


# Descriptions and verbs ---------------------------------------------------------------------------

ABOUT = {"license": "CC-BY-4.0", "citeAs": "Takamoto et al. 2022", "creator": "PDEBench", "url": "https://example.org"}


@pytest.mark.parametrize("family", ["scalar", "darcy", "cfd", "seeds"])
def test_a_description_has_what_croissant_requires(tmp_path, family):
    path = written(tmp_path, {"scalar": advection, "darcy": darcy}.get(family, flow)(), family)
    found = json.loads(json.dumps(croissant(path, ABOUT)))
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.0" and found["@type"] == "sc:Dataset"
    assert found["@context"]["cr"] == "http://mlcommons.org/croissant/"
    assert found["creator"] == {"@type": "sc:Organization", "name": "PDEBench"}
    assert {"name", "description", "license", "citeAs", "creator", "url", "datePublished", "version"} <= set(found)
    (file,) = found["distribution"]
    assert file["@type"] == "cr:FileObject" and file["contentSize"] == f"{path.stat().st_size} B"
    assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    fields = {field["name"]: field for group in found["recordSet"] for field in group["field"]}
    for field in fields.values():
        assert field["dataType"] == "sc:Float" and field["source"]["fileObject"] == {"@id": file["@id"]}
    with h5py.File(path) as held:
        first = held["0000"] if family == "seeds" else held
        for name, field in fields.items():
            shape = first[name].shape
            single = family == "seeds" or name.endswith("coordinate")
            assert field["description"].endswith("shape " + " x ".join(map(str, shape if single else shape[1:])))
    terms = {key for group in found["recordSet"] for field in group["field"] for key in field if key[0] != "@"}
    assert terms - {"name", "description"} <= set(found["@context"])


def test_a_description_that_lacks_its_licence(tmp_path):
    path = written(tmp_path, advection())
    with pytest.raises(BenchError, match="lacks license and has unknown licence"):
        croissant(path, {**{k: v for k, v in ABOUT.items() if k != "license"}, "licence": "x"})


VERBS = """
import argparse, sys
from bench.contract import BenchError
from tasks.pde.files import verbs
parser = argparse.ArgumentParser()
verbs.add_parser(parser.add_subparsers(required=True))
options = parser.parse_args(sys.argv[1:])
code = options.do(options)
assert "torch" not in sys.modules
sys.exit(code)
"""


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parent.parent
    return subprocess.run(
        [sys.executable, "-c", VERBS, *arguments], capture_output=True, text=True, cwd=root, timeout=60
    )


def test_the_verbs_print_text_and_json(tmp_path):
    path = str(written(tmp_path, advection()))
    text, data = bench("data", "info", path), bench("data", "info", path, "--format", "json")
    assert "family      scalar" in text.stdout and "beta = 0.4" in text.stdout
    assert json.loads(data.stdout)["shape"] == [POINTS]
    good = bench("data", "check", path)
    assert good.returncode == 0 and "0 errors, 0 warnings" in good.stdout
    bad = bench("data", "check", str(written(tmp_path, advection(speed=0.8))), "--format", "json")
    assert bad.returncode == 1 and json.loads(bad.stdout)[0]["level"] == "error", bad.stderr
    about = ("--licence", "CC-BY-4.0", "--citation", "a paper", "--creator", "somebody", "--url", "https://example.org")
    card = bench("data", "croissant", path, "--format", "json", *about)
    assert json.loads(card.stdout)["creator"] == {"@type": "sc:Organization", "name": "somebody"}
    assert "sha256" in bench("data", "croissant", path, *about).stdout
