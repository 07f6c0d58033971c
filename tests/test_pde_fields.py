"""The reference data against exact solutions."""

import math

import numpy as np
import pytest

from tasks.pde import fields

NU = 0.01


def steepest(samples: int) -> fields.Waves:
    """The samples of a large draw whose initial slope is largest: the hardest for the generator."""
    waves = fields.Waves.draw(400, 0)
    order = np.argsort(-(waves.amplitudes * waves.numbers).sum(axis=1))[:samples]
    return fields.Waves(waves.amplitudes[order], waves.numbers[order], waves.phases[order])


def relative(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1)


def test_waves_are_periodic_reproducible_and_have_mean_zero():
    waves = fields.Waves.draw(50, 3)
    x = fields.grid(64)
    np.testing.assert_allclose(waves(x + 1), waves(x), atol=1e-12)
    assert np.abs(waves(x).mean(axis=1)).max() < 1e-14
    np.testing.assert_array_equal(waves(x), fields.Waves.draw(50, 3)(x))
    assert np.abs(waves(x) - fields.Waves.draw(50, 4)(x)).max() > 0.1
    assert set(waves.numbers.ravel()) == {1, 2, 3, 4}


def test_the_integral_is_the_antiderivative():
    waves, h = fields.Waves.draw(5, 0), 1e-5
    x = fields.grid(16)
    np.testing.assert_allclose((waves.integral(x + h) - waves.integral(x - h)) / (2 * h), waves(x), atol=1e-7)


def test_advection_shifts_and_returns_after_a_period():
    waves, x = fields.Waves.draw(4, 0), fields.grid(32)
    u = fields.advection(waves, x, np.array([0.0, 0.25, 2.5]), 0.4)
    np.testing.assert_array_equal(u[:, 0], waves(x))
    np.testing.assert_allclose(u[:, 1], waves(x - 0.1), atol=1e-12)
    np.testing.assert_allclose(u[:, 2], waves(x), atol=1e-12)


def test_cole_hopf_satisfies_burgers_equation():
    waves, diffusion, t, h = fields.Waves.draw(2, 1), 0.02, 0.2, 1e-4
    x = fields.grid(12)

    def u(dx: float, dt: float) -> np.ndarray:
        return fields.cole_hopf(waves, x + dx, t + dt, diffusion)

    u_t = (u(0, h) - u(0, -h)) / (2 * h)
    u_x = (u(h, 0) - u(-h, 0)) / (2 * h)
    u_xx = (u(h, 0) - 2 * u(0, 0) + u(-h, 0)) / h**2
    residual = u_t + u(0, 0) * u_x - diffusion * u_xx
    assert np.abs(residual).max() < 1e-4 * np.abs(u_t).max()


def test_cole_hopf_starts_from_the_initial_state():
    waves, x = fields.Waves.draw(3, 0), fields.grid(16)
    assert relative(fields.cole_hopf(waves, x, 1e-5, NU / math.pi), waves(x)).max() < 1e-3


def test_the_generator_meets_cole_hopf_below_1e_6_on_the_steepest_waves():
    """The statement of `reference_error`: nu = 0.01 on the small preset's grid and times."""
    waves, points = steepest(3), 64
    assert fields.burgers_resolution(NU) == 1024
    t = np.linspace(0, 1, 21)
    u = fields.burgers(waves, points, t, NU)
    for i in (1, 2, 3, 5, 10, 20):
        exact = fields.cole_hopf(waves, fields.grid(points), t[i], NU / math.pi)
        assert relative(u[:, i], exact).max() < 1e-6, t[i]


@pytest.mark.parametrize("nu", [0.02, 0.1, 1.0])
def test_the_resolution_rule_holds_at_other_viscosities(nu):
    waves, points, t = steepest(2), 32, np.linspace(0, 0.15, 4)
    u = fields.burgers(waves, points, t, nu)
    exact = fields.cole_hopf(waves, fields.grid(points), t[-1], nu / math.pi)
    assert np.abs(u[:, -1] - exact).max() < 1e-6 * np.abs(waves(fields.grid(points))).max()


def test_etdrk4_is_of_fourth_order():
    waves, points, diffusion = steepest(2), 256, 0.02
    x = np.arange(points) / points
    start = np.fft.rfft(waves(x))[:, : points // 3 + 1]

    def at(steps: int) -> np.ndarray:
        return fields._Etdrk4(points, diffusion, 0.1 / steps).advance(start, steps)

    errors = [np.abs(at(n) - at(800)).max() for n in (50, 100, 200)]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders.min() > 3.7 and orders.max() < 4.6


def test_burgers_conserves_the_mean_and_loses_energy():
    u = fields.burgers(steepest(3), 256, np.linspace(0, 0.2, 5), 0.05)
    assert np.abs(u.mean(axis=-1)).max() < 1e-14
    energy = (u**2).mean(axis=-1)
    assert (np.diff(energy, axis=1) < 0).all()
    assert (np.abs(u).max(axis=(1, 2)) <= np.abs(u[:, 0]).max(axis=-1) * 1.01).all()  # maximum principle, as sampled


def test_strong_viscosity_approaches_the_heat_equation():
    waves = fields.Waves(np.array([[1e-3]]), np.array([[2.0]]), np.array([[0.7]]))
    t, nu = np.linspace(0, 0.02, 3), 1.0
    u = fields.burgers(waves, 64, t, nu)
    decay = np.exp(-(nu / math.pi) * (4 * math.pi) ** 2 * t)
    np.testing.assert_allclose(u[0], waves(fields.grid(64)) * decay[:, None], atol=1e-3 * 1e-3)


def test_trajectories_depend_on_their_chunk_by_less_than_the_reference_error(monkeypatch):
    waves, t = fields.Waves.draw(5, 0), np.linspace(0, 0.1, 3)
    whole = fields.burgers(waves, 32, t, 0.05)
    monkeypatch.setattr(fields, "CHUNK", 2)
    assert relative(fields.burgers(waves, 32, t, 0.05), whole).max() < 1e-6


def test_the_grid_follows_the_solution():
    """A shock forms and decays: the grid grows to hold it and shrinks again, and what it dropped was nothing."""
    sizes: list[int] = []

    class Recorded(fields._Etdrk4):
        def advance(self, state, steps):
            sizes.append(self.points)
            return super().advance(state, steps)

    waves, t = steepest(2), np.linspace(0, 3, 61)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fields, "_Etdrk4", Recorded)
        u = fields.burgers(waves, 64, t, NU)
    assert sizes[0] == 64 < max(sizes) and sizes[-1] < max(sizes) <= fields.burgers_resolution(NU)
    exact = fields.cole_hopf(waves, fields.grid(64), t[-1], NU / math.pi)
    assert relative(u[:, -1], exact).max() < 1e-6


@pytest.mark.parametrize(("number", "size"), [(0.1, 1), (2, 2), (2.1, 3), (3.1, 4), (65, 96), (97, 128), (1000, 1024)])
def test_sizes_are_powers_of_two_and_three_quarters_of_them(number, size):
    assert fields._rounded(number) == size
