"""Generators in one dimension against exact solutions, invariants and refined runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, optimize

from bench.contract import BenchError
from tasks.pde.fields import grid
from tasks.pde.generate import diffusion_sorption as ds
from tasks.pde.generate import reaction_diffusion as rd
from tasks.pde.generate.initial import waves

CLEAR = ds.Medium(freundlich=0)  # no sorption: R = 1
TIMES = np.linspace(0, 500, 21)
SEEDS = st.integers(0, 2**32 - 1)


def logistic(u: Any, time: Any) -> Any:
    return 1 / (1 + (1 / u - 1) * np.exp(-time))


# Initial states


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(1, 5), st.integers(1, 3))
def test_waves_are_whole_periods_and_reproducible(seed: int, k_tot: int, modes: int):
    x = np.arange(64) / 32 - 1  # a domain of length 2
    u = waves(6, seed, x, k_tot, modes, rectified=0, windowed=0)
    np.testing.assert_array_equal(u, waves(6, seed, x, k_tot, modes, rectified=0, windowed=0))
    spectrum = np.abs(fft.rfft(u)) / 32  # the amplitude of each wave number
    assert spectrum[:, 0].max() < 1e-13  # mean zero
    assert spectrum[:, modes * k_tot + 1 :].max(initial=0) < 1e-13
    present = (spectrum[:, 1:] > 1e-9).sum(axis=1)
    assert present.max() <= modes and present.min() >= 1


def test_one_seed_is_the_same_functions_on_every_grid():
    coarse, fine = waves(40, 3, np.arange(32) / 32), waves(40, 3, np.arange(128) / 128)
    np.testing.assert_allclose(fine[:, ::4], coarse, atol=1e-13)
    assert np.abs(coarse - waves(40, 4, np.arange(32) / 32)).max() > 0.1


def test_a_repeated_wave_number_doubles():
    u = waves(200, 0, grid(64), k_tot=1, rectified=0, windowed=0)
    assert (np.abs(fft.rfft(u)).argmax(axis=1) == 2).all()


def test_the_originals_waves_jump_at_the_boundary_and_have_an_offset():
    x = grid(64)
    u = waves(50, 0, x, rectified=0, windowed=0, periodic=False)
    np.testing.assert_allclose(u[:, -1], u[:, 0], atol=1e-12)  # period L - dx
    assert np.abs(u[:, :-1].mean(axis=1)).max() > 0.5
    assert np.abs(waves(50, 0, x, rectified=0, windowed=0).mean(axis=1)).max() < 1e-14


def test_rectified_windowed_and_normalised_samples():
    x = grid(256)
    plain, rectified = (waves(60, 1, x, rectified=part, windowed=0) for part in (0, 1))
    np.testing.assert_array_equal(np.abs(plain), np.abs(rectified))
    assert (np.abs(np.sign(rectified).sum(axis=1)) == 256).all()
    assert {-1, 1} == set(np.sign(rectified[:, 0]))
    windowed = waves(60, 1, x, rectified=0, windowed=1)
    assert np.abs(windowed[:, (x < 0.06) | (x > 0.94)]).max() < 1e-3
    inside = (x > 0.49) & (x < 0.51)
    np.testing.assert_allclose(windowed[:, inside], plain[:, inside], atol=2e-3)
    norm = waves(60, 1, x, normalised=True)
    assert (norm.min(axis=1) == 0).all() and (norm.max(axis=1) == 1).all()
    changed = (waves(4000, 0, grid(8)) != waves(4000, 0, grid(8), rectified=0, windowed=0)).any(axis=1)
    assert 0.15 < changed.mean() < 0.22  # 1 - 0.9^2, but for positive samples


@pytest.mark.parametrize(
    "options", [{"samples": 0}, {"k_tot": 0}, {"modes": 0}, {"rectified": 1.5}, {"x": np.array([0.0, 0.1, 0.3])}]
)
def test_waves_refuse_bad_parameters(options: dict[str, Any]):
    with pytest.raises(BenchError, match="wanted|must"):
        waves(**{"samples": 2, "seed": 0, "x": grid(16)} | options)


# Reaction-diffusion


@settings(max_examples=15, deadline=None)
@given(st.floats(0.001, 1), st.floats(0, 5), st.floats(0, 10))
def test_a_constant_state_grows_as_the_logistic_function(u: float, nu: float, rho: float):
    t = np.linspace(0, 1, 5)
    out = rd.solve(np.full((1, 16), u), t, nu, rho)
    np.testing.assert_allclose(out[0], np.repeat(logistic(u, rho * t)[:, None], 16, axis=1), rtol=1e-12)


def test_without_reaction_a_sine_decays_as_heat():
    x, t, nu = grid(32), np.linspace(0, 0.1, 6), 0.3
    out = rd.solve(0.5 + 0.4 * np.sin(4 * math.pi * x)[None], t, nu, 0.0)
    decay = np.exp(-nu * (4 * math.pi) ** 2 * t)
    np.testing.assert_allclose(out[0], 0.5 + 0.4 * decay[:, None] * np.sin(4 * math.pi * x), atol=1e-13)


def test_a_travelling_wave_is_exact():
    """Ablowitz and Zeppetella (1979): 1 / (1 + exp((s - c t) / w))^2, here two of them leaving an island."""
    nu, rho, x = 1e-5, 1.0, grid(2048)
    width, speed = math.sqrt(6 * nu / rho), 5 / math.sqrt(6) * math.sqrt(nu * rho)
    t = np.linspace(0, 10, 3)
    exact = (1 + np.exp((np.abs(x - 0.5) - 0.25 - speed * t[:, None]) / width)) ** -2.0
    assert speed * t[-1] > 100 / 2048
    np.testing.assert_allclose(rd.solve(exact[:1], t, nu, rho)[0], exact, atol=1e-8)


@pytest.mark.parametrize(("nu", "rho"), [(0.5, 1.0), (5.0, 10.0), (0.01, 10.0)])
def test_reaction_diffusion_reference_error_is_below_1e_10(nu: float, rho: float):
    """Against a run with space and time twice as fine, from the same function."""
    t, points = np.linspace(0, 1, 21)[:6], 2048
    start = waves(4, 0, np.arange(points) / points, rectified=0.5, windowed=0.5, normalised=True)
    spectrum = fft.rfft(start)
    spectrum[:, -1] /= 2  # the highest wave number stands for two, which the finer grid tells apart
    finer = fft.irfft(spectrum, 2 * points) * 2
    coarse, fine = rd.solve(start, t, nu, rho), rd.solve(finer, t, nu, rho, 2 * rd.STEPS)[..., ::2]
    assert np.abs(coarse - fine).max() < 1e-10


@pytest.mark.parametrize("order", [2, 6])
def test_the_splitting_is_of_its_order(order: int):
    start = waves(1, 1, np.arange(16) / 16, rectified=0, windowed=0, normalised=True)

    def at(steps: int) -> np.ndarray:
        return rd._advance(start, 0.1 / steps, steps, 0.2, 10.0, order)

    errors = np.array([np.abs(at(steps) - at(64)).max() for steps in (4, 8, 16)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert order - 0.5 < orders.min() and orders.max() < order + 1


@settings(max_examples=6, deadline=None)
@given(SEEDS, st.sampled_from([0.05, 0.5, 2.0]), st.sampled_from([1.0, 5.0]))
def test_states_keep_the_bounds_of_logistic_growth(seed: int, nu: float, rho: float):
    """Comparison: u stays between the growths of its least and largest values. Jensen: u (1-u) is concave, so the mean
    grows no faster than the growth of the mean; and it grows, as u is within [0, 1]."""
    out = rd.generate(4, seed, points=32, frames=5, final_time=0.4, nu=nu, rho=rho)
    u, gap = out.values[..., 0], rho * out.t[1]
    assert u.min() >= 0 and u.max() <= 1 + 1e-14
    u = u[:, 1:]  # smooth by now, so that 32 points tell the mean, and nearly the extremes
    least, mean, largest = u.min(axis=2), u.mean(axis=2), u.max(axis=2)
    assert (least[:, 1:] >= logistic(least[:, :-1], gap) - 1e-3).all()
    assert (largest[:, 1:] <= logistic(largest[:, :-1], gap) + 1e-3).all()
    assert (np.diff(mean, axis=1) > 0).all()
    assert (mean[:, 1:] <= logistic(mean[:, :-1], gap) + 1e-6).all()


def test_one_seed_is_the_same_problem_on_every_grid():
    coarse, fine = (rd.generate(3, 5, points=points, frames=3, final_time=0.1) for points in (32, 128))
    assert coarse.values.shape == (3, 3, 32, 1) and coarse.values.dtype == np.float64
    np.testing.assert_allclose(coarse.values.mean(axis=2)[:, 1:], fine.values.mean(axis=2)[:, 1:], atol=1e-12)
    assert fine.attributes == {"Nu": 0.5, "rho": 1.0} and fine.names == ("u",)
    np.testing.assert_array_equal(fine.axes[0], grid(128))


def test_trajectories_do_not_depend_on_their_chunk(monkeypatch: pytest.MonkeyPatch):
    whole = rd.generate(5, 0, points=16, frames=3)
    monkeypatch.setattr(rd, "CHUNK", 2)
    np.testing.assert_allclose(rd.generate(5, 0, points=16, frames=3).values, whole.values, atol=1e-14)


def test_the_original_scheme_agrees_where_its_steps_are_long():
    x, t = grid(64), np.linspace(0, 0.2, 3)
    start = waves(3, 0, x, normalised=True)
    single = rd.original(start.astype(np.float32), t, 0.5, 1.0)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, rd.solve(start, t, 0.5, 1.0), atol=2e-4)


def test_the_original_scheme_freezes_in_single_precision():
    """The time step of 1024 points at nu = 1, reached here by a large nu: growth over 0.002 is lost altogether."""
    points, nu, t = 64, 256.0, np.linspace(0, 0.003, 4)
    assert 0.25 / (2 * nu * points**2) == 0.25 / (2 * 1024**2)
    frozen = rd.generate(3, 1, points, len(t), t[-1], nu, 1.0, faithful=True).values[..., 0]
    np.testing.assert_array_equal(frozen[:, 1:], frozen[:, 1:2].repeat(3, axis=1))
    mean = frozen[:, 1].astype(float).mean(axis=-1)
    growth = logistic(mean, t[-1] - t[1]) - mean
    assert growth.min() > 4e-4
    alive = rd.solve(frozen[:, 1].astype(float), t, nu, 1.0)
    np.testing.assert_allclose(alive[:, 2].mean(axis=-1) - mean, growth, rtol=1e-3)


def test_a_step_of_1024_points_is_lost_in_single_precision_only():
    step = 0.25 / (2 * 1024**2)
    for value in (0.3, 0.55, 0.7):
        u = np.full((1, 1024), value, np.float32)
        for _ in range(50):
            u = rd.original_step(u, step, 1.0, 1.0)
        assert abs(float(u[0, 0]) - float(np.float32(value))) < 0.1 * 50 * step * value * (1 - value)


@pytest.mark.parametrize("module", [rd, ds])
@pytest.mark.parametrize("options", [{"samples": 0}, {"points": 7}, {"frames": 1}, {"final_time": 0.0}])
def test_generators_refuse_bad_sizes(module: Any, options: dict[str, Any]):
    (name,) = options
    with pytest.raises(BenchError, match=f"{name} = .* is wanted"):
        module.generate(**{"samples": 1, "seed": 0} | options)


@pytest.mark.parametrize("options", [{"nu": -1.0}, {"rho": -0.1}, {"nu": math.nan}])
def test_reaction_diffusion_refuses_bad_coefficients(options: dict[str, float]):
    with pytest.raises(BenchError, match="is wanted"):
        rd.generate(1, 0, **options)


# Diffusion-sorption


def heat_series(start: float, x: np.ndarray, t: np.ndarray, diffusion: float) -> np.ndarray:
    """The exact solution without sorption: the steady line plus a sum of sin(m x) exp(-D m^2 t), tan m = -D m."""
    m = np.array(
        [
            optimize.brentq(
                lambda m: math.sin(m) + diffusion * m * math.cos(m),
                (n - 0.5) * math.pi,
                (n + 0.5) * math.pi,
                xtol=1e-14,
            )
            for n in range(1, 200)
        ]
    )
    norm = 0.5 - np.sin(2 * m) / (4 * m)
    slope = 1 / (1 + diffusion)
    sine, ramp = (1 - np.cos(m)) / m, np.sin(m) / m**2 - np.cos(m) / m  # integrals of sin(m x) and x sin(m x)
    coefficients = ((start - 1) * sine + slope * ramp) / norm
    decay = np.exp(-diffusion * m**2 * t[:, None])
    return 1 - slope * x + (coefficients * decay) @ np.sin(m[:, None] * x)


@pytest.mark.parametrize("start", [0.0, 0.15])
def test_without_sorption_the_reference_is_the_heat_series(start: float):
    x = grid(96)
    u = ds.reference(np.full(96, start), TIMES, CLEAR)
    np.testing.assert_allclose(u[1:], heat_series(start, x, TIMES[1:], CLEAR.diffusion), atol=2e-7)


def test_the_convergence_in_space_is_of_second_order_and_extrapolated_to_fourth():
    errors = []
    for points in (24, 48, 96):
        exact = heat_series(0.1, grid(points), TIMES[2:], CLEAR.diffusion)
        start = np.full(points, 0.1)
        errors.append([np.abs(f(start, TIMES, CLEAR)[2:] - exact).max() for f in (ds.solve, ds.reference)])
    orders = np.log2(np.array(errors)[:-1] / np.array(errors)[1:])
    assert orders[:, 0].min() > 1.8 and orders[:, 0].max() < 2.2
    assert orders[:, 1].min() > 3


@pytest.mark.parametrize("medium", [ds.SOIL, CLEAR])
def test_the_march_is_of_second_order_and_samples_are_independent(medium: ds.Medium):
    starts, t = np.array([0.02, 0.1]), TIMES[:9]
    initial = np.tile(starts[:, None], (1, 48))
    exact = np.stack([ds.solve(state, t, medium, tolerance=1e-11) for state in initial])
    errors = np.array([np.abs(ds.march(initial, t, steps, medium) - exact).max() for steps in (4, 8, 16)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert errors[-1] < 1e-4 and orders.min() > 1.7 and orders.max() < 2.5, (errors, orders)
    np.testing.assert_allclose(ds.march(initial[1:], t, 2, medium)[0], ds.march(initial, t, 2, medium)[1], atol=1e-13)


@pytest.mark.parametrize("medium", [ds.SOIL, CLEAR])
def test_the_steady_state_is_a_line_that_meets_both_boundary_conditions(medium: ds.Medium):
    x, d = grid(40), medium.diffusion
    line = 1 - x / (1 + d)  # u(0) = 1 and u(1) = d / (1 + d) = -d u_x
    np.testing.assert_allclose(medium.fluxes(line), d / (1 + d), rtol=1e-11)
    late = ds.solve(np.full(40, 0.1), np.array([0.0, 1e5]), medium)[-1]
    np.testing.assert_allclose(late, line, atol=1e-7)


@settings(max_examples=10, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1e-3), st.floats(0.3, 1))
def test_the_retardation_is_the_derivative_of_the_mass(u: float, freundlich: float, exponent: float):
    medium, h = ds.Medium(freundlich=freundlich, exponent=exponent), 1e-7
    state = np.array([u])
    slope = (medium.mass(state + h) - medium.mass(state - h)) / (2 * h)
    np.testing.assert_allclose(slope, medium.retardation(state), rtol=1e-2)


def test_solute_changes_by_what_crosses_the_boundaries():
    points, t = 64, np.linspace(0, 300, 1201)
    u = ds.solve(np.full(points, 0.1), t)
    mass = ds.SOIL.mass(u).mean(axis=1)
    through = np.array([ds.SOIL.fluxes(state)[[0, -1]] for state in u])
    net = through[:, 0] - through[:, 1]
    late = slice(200, None)  # the flux is smooth after the jump at the boundary has spread
    steps = t[1] - t[0]
    entered = np.concatenate(([0.0], np.cumsum(net[1:] + net[:-1]) * steps / 2))
    np.testing.assert_allclose(mass[late] - mass[200], entered[late] - entered[200], atol=1e-6)
    assert mass[-1] - mass[200] > 0.1


@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_concentrations_keep_the_maximum_principle(seed: int):
    """Within the initial and the boundary values; rising in time near the left, falling in x."""
    u = ds.generate(1, seed, points=32, frames=6).values[0, ..., 0]
    assert u.min() > -1e-6 and u.max() < 1  # the error of 32 cells, where u is nearly 0
    assert (np.diff(u[1:], axis=1) < 1e-6).all()
    assert (np.diff(u[:, 0]) > 0).all()


@pytest.mark.parametrize("start", [0.0, 0.2])
def test_diffusion_sorption_reference_error_is_below_1e_6(start: float):
    """Against a third of the cell and a thousandth of the time tolerance, from the least and the largest initial
    state."""
    u = ds.reference(np.full(128, start), TIMES)
    coarse, fine = (ds.solve(np.full(points, start), TIMES, tolerance=1e-11) for points in (384, 1152))
    finer = (9 * fine[:, 4::9] - coarse[:, 1::3]) / 8
    assert np.abs(u - finer)[1:].max() < 1e-6
    assert np.abs(u - finer)[-1].max() < 1e-7


def test_the_originals_boundaries_are_of_first_order_and_its_solver_loose():
    errors = []
    for points in (32, 96):
        start = np.full(points, 0.1)
        errors.append(np.abs(ds.solve_original(start, TIMES) - ds.reference(start, TIMES))[4:].max())
    assert 0.5 < math.log(errors[0] / errors[1], 3) < 1.3
    assert 1e-3 < errors[1] < 0.05


def test_diffusion_sorption_is_reproducible_and_samples_are_independent():
    a, b = (ds.generate(3, 7, points=16, frames=3) for _ in range(2))
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.values[:2], ds.generate(2, 7, points=16, frames=3).values)
    assert a.values.shape == (3, 3, 16, 1) and a.values.dtype == np.float64
    assert ((a.values[:, 0] >= 0) & (a.values[:, 0] <= 0.2)).all()
    np.testing.assert_array_equal(a.values[:, 0], ds.generate(3, 7, points=16, frames=3, faithful=True).values[:, 0])
    assert a.attributes["D"] == 5e-4 and a.t[-1] == 500


@pytest.mark.parametrize("options", [{"diffusion": 0.0}, {"porosity": 1.0}, {"freundlich": -1.0}, {"exponent": -1.0}])
def test_a_medium_refuses_bad_parameters(options: dict[str, float]):
    with pytest.raises(BenchError):
        ds.Medium(**options)
