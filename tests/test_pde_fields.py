"""The reference data against exact solutions."""

import math

import numpy as np
import pytest

from baselines.solvers import spectral
from tasks.pde import fields
from tasks.pde.generate import burgers

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


@pytest.mark.parametrize("nu", [0.003, 0.01, 0.1])
def test_the_generator_meets_cole_hopf_below_1e_11_on_the_steepest_waves(nu):
    """The statement of `reference_error`, on the small preset's grid and times."""
    waves, points = steepest(3), 64
    t = np.linspace(0, 1, 21)
    u = burgers.solve(waves, points, t, nu)
    for i in (1, 2, 3, 5, 10, 20):
        exact = fields.cole_hopf(waves, fields.grid(points), t[i], nu / math.pi)
        allowed = 1e-11 * np.abs(exact).max(axis=1) + 1e-15 * np.abs(u[:, 0]).max(
            axis=1
        )  # a decayed state ends in rounding
        assert (np.abs(u[:, i] - exact).max(axis=1) < allowed).all(), t[i]


@pytest.mark.parametrize(("points", "nu", "frames"), [(64, 0.01, 2), (97, 0.05, 4), (32, 1.0, 6)])
def test_the_way_there_does_not_matter(points, nu, frames):
    """The heat equation's semigroup: in one step, or in many, on grids of their own; also for a prime number of points."""
    waves = fields.Waves.draw(4, 1)
    once = burgers.solve(waves, points, np.linspace(0, 0.2, 2), nu)[:, -1]
    often = burgers.solve(waves, points, np.linspace(0, 0.2, frames * 5 + 1), nu)[:, -1]
    assert np.abs(once - often).max() < 1e-11 * np.abs(waves(fields.grid(points))).max()


def test_the_generator_meets_an_independent_scheme():
    """A dealiased Fourier scheme with ETDRK4 in time, on a grid that holds the shocks."""
    import torch

    waves, points, nu = steepest(2), 512, 0.02
    t = np.linspace(0, 0.3, 4)
    u = burgers.solve(waves, points, t, nu)
    other = spectral.solve(
        initial=torch.from_numpy(u[:, 0, :, None]), axes=[torch.from_numpy(fields.grid(points))],
        t=torch.from_numpy(t[1:]), equation={"name": "burgers", "nu": nu}, points=1024,
    )  # fmt: skip
    assert relative(other[..., 0].movedim(1, 2).numpy(), u[:, 1:]).max() < 1e-5


def test_a_mean_carries_the_waves_along():
    """Galilei: u(x, t) = c + v(x - c t, t); a mean is a wave of number zero."""
    still = fields.Waves.draw(3, 2)
    mean, points, t = 0.5, 40, np.linspace(0, 0.2, 3)
    both = fields.Waves(
        np.hstack([still.amplitudes, np.full((3, 1), mean)]),
        np.hstack([still.numbers, np.zeros((3, 1))]),
        np.hstack([still.phases, np.full((3, 1), math.pi / 2)]),
    )
    np.testing.assert_allclose(both.mean, mean)
    moving, resting = (burgers.solve(waves, points, t, 0.05) for waves in (both, still))
    shift = mean * t[-1] * points
    assert shift == round(shift)
    np.testing.assert_allclose(moving[:, -1], mean + np.roll(resting[:, -1], round(shift), axis=-1), atol=1e-11)


def test_a_shock_that_the_range_of_numbers_does_not_hold_is_an_error():
    with pytest.raises(ValueError, match="wants more than 8 points"):
        burgers.solve(steepest(2), 8, np.linspace(0, 1, 3), 1e-6)


def test_burgers_conserves_the_mean_and_loses_energy():
    u = burgers.solve(steepest(3), 256, np.linspace(0, 0.2, 5), 0.05)
    assert np.abs(u.mean(axis=-1)).max() < 1e-14
    energy = (u**2).mean(axis=-1)
    assert (np.diff(energy, axis=1) < 0).all()
    assert (np.abs(u).max(axis=(1, 2)) <= np.abs(u[:, 0]).max(axis=-1) * 1.01).all()  # maximum principle, as sampled


def test_strong_viscosity_approaches_the_heat_equation():
    waves = fields.Waves(np.array([[1e-3]]), np.array([[2.0]]), np.array([[0.7]]))
    t, nu = np.linspace(0, 0.02, 3), 1.0
    u = burgers.solve(waves, 64, t, nu)
    decay = np.exp(-(nu / math.pi) * (4 * math.pi) ** 2 * t)
    np.testing.assert_allclose(u[0], waves(fields.grid(64)) * decay[:, None], atol=1e-3 * 1e-3)


def test_trajectories_do_not_depend_on_their_chunk(monkeypatch):
    waves, t = fields.Waves.draw(5, 0), np.linspace(0, 0.1, 3)
    whole = burgers.solve(waves, 32, t, 0.05)
    monkeypatch.setattr(burgers, "CHUNK", 2)
    assert relative(burgers.solve(waves, 32, t, 0.05), whole).max() < 1e-13
