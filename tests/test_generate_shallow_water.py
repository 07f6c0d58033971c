"""The shallow-water generator against exact solutions and invariants."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from tasks.pde.generate import shallow_water


def stoker(x: np.ndarray, t: float) -> np.ndarray:
    """Depths after a plane dam at x = 0 breaks between 2 and 1 (Stoker 1957): rarefaction, plateau and bore."""
    left, right = 2.0, 1.0

    def difference(h: float) -> float:
        return 2 * (math.sqrt(left) - math.sqrt(h)) - (h - right) * math.sqrt((h + right) / (2 * h * right))

    middle = brentq(difference, right, left, xtol=1e-14)
    u = 2 * (math.sqrt(left) - math.sqrt(middle))
    bore = middle * u / (middle - right)
    fan = np.clip((2 * math.sqrt(left) - x / t) / 3, math.sqrt(middle), math.sqrt(left)) ** 2
    return np.where(x < bore * t, fan, right)


def test_a_lake_at_rest_stays_exactly():
    start = np.stack([np.full((12, 12), 1.7), np.zeros((12, 12)), np.zeros((12, 12))])[None]
    out = shallow_water.evolve(start, 0.1, np.array([0.0, 0.5, 3.0]))
    np.testing.assert_array_equal(out, np.broadcast_to(start[:, None], out.shape))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_plane_dam_converges_to_stokers_solution(axis):
    errors = []
    for n in (50, 100, 200):
        x = shallow_water.SIDE * ((np.arange(n) + 0.5) / n - 0.5)
        h = np.repeat(np.where(x < 0, 2.0, 1.0)[:, None], 4, axis=1)
        h = h if axis == 0 else h.T
        start = np.stack([h, 0 * h, 0 * h])[None]
        out = shallow_water.evolve(start, shallow_water.SIDE / n, np.array([0.0, 1.0]))[0, 1]
        line = out[0, :, 2] if axis == 0 else out[0, 2]
        assert np.abs(out[2 - axis]).max() < 1e-14
        errors.append(np.abs(line - stoker(x, 1.0)).mean())
    assert errors[-1] < 4e-3
    assert math.log2(errors[0] / errors[-1]) / 2 > 0.85  # first order, for the bore


def test_transverse_momentum_travels_with_the_water():
    """A step of v in a uniform stream u = 0.5: the contact wave alone moves, at the speed u."""
    n, t = 200, 1.0
    x = shallow_water.SIDE * ((np.arange(n) + 0.5) / n - 0.5)
    h = np.ones((n, 4))
    start = np.stack([h, 0.5 * h, np.where(x < 0, 1.0, -1.0)[:, None] * h])[None]
    out = shallow_water.evolve(start, shallow_water.SIDE / n, np.array([0.0, t]))[0, 1]
    np.testing.assert_allclose(out[0], 1, atol=1e-13)
    assert np.abs(out[2, :, 2] - np.where(x < 0.5 * t, 1, -1)).mean() < 0.02


def test_mass_is_kept_and_the_radial_dam_stays_symmetric():
    data = shallow_water.generate(2, 0, 64, 6, 1.0, momentum=True)
    h, hu, hv = np.moveaxis(data.values, -1, 0)
    mass = h.sum(axis=(2, 3))
    np.testing.assert_allclose(mass, mass[:, :1].repeat(6, axis=1), rtol=1e-13)
    np.testing.assert_allclose(h, h.swapaxes(2, 3), atol=1e-12)
    np.testing.assert_allclose(h, h[:, :, ::-1], atol=1e-12)
    np.testing.assert_allclose(hu, hv.swapaxes(2, 3), atol=1e-12)
    np.testing.assert_allclose(hu, -hu[:, :, ::-1], atol=1e-12)
    assert h.min() > 0.1 and h.max() <= 2
    np.testing.assert_array_equal(shallow_water.generate(2, 0, 64, 6, 1.0).values[..., 0], h)


def test_the_radial_dam_converges_to_the_radial_equations():
    """h_t + m_r = -m / r, m_t + (m u + h^2 / 2)_r = -m u / r on a fine line through the centre, m = h u."""
    n, radius = 1000, float(np.random.default_rng(0).uniform(0.3, 0.7))
    dr = shallow_water.SIDE / n
    r = dr * (np.arange(n) + 0.5) - shallow_water.SIDE / 2
    state = np.stack([np.where(abs(r) < radius, 2.0, 1.0), 0 * r, 0 * r])

    def slope(y: np.ndarray) -> np.ndarray:
        return shallow_water.rate(y) / dr - y[1] / r * np.stack([np.ones(n), y[1] / y[0], 0 * r])

    steps = 1000
    for _ in range(steps):
        middle = state + slope(state) / steps
        state = (state + middle + slope(middle) / steps) / 2
    errors = []
    for points in (24, 48, 96):
        data = shallow_water.generate(1, 0, points, 2, 1.0)
        distance = np.hypot(data.axes[0][:, None], data.axes[1])
        exact = np.interp(np.minimum(distance, 2.49), r, state[0])
        errors.append(np.abs(data.values[0, 1, ..., 0] - exact).mean())
    assert errors[-1] < 8e-3 and math.log2(errors[0] / errors[-1]) / 2 > 0.85


def test_refined_fields_are_averages_that_approach_each_other():
    one, two, four = (shallow_water.generate(1, 0, 32, 3, 1.0, refine=refine).values for refine in (1, 2, 4))
    np.testing.assert_allclose(two[:, 0], one[:, 0], atol=2e-3)
    assert np.abs(two - four).mean() < 0.7 * np.abs(one - four).mean()


def test_waves_leave_through_the_boundary():
    data = shallow_water.generate(1, 0, 32, 3, 8.0)
    assert np.abs(data.values[0, -1] - 1).max() < 0.02 < np.abs(data.values[0, 0] - 1).max()


def test_depths_at_cell_centres_repeat_and_cell_averages_do_not():
    radii = np.random.default_rng(0).uniform(0.3, 0.7, 200)
    kinds = [len(np.unique(shallow_water.dam(radii, 64, faithful), axis=0)) for faithful in (True, False)]
    assert kinds[0] < 25 and kinds[1] == 200
    area = (shallow_water.dam(radii, 64) - 1).sum(axis=(1, 2)) * (5 / 64) ** 2
    np.testing.assert_allclose(area, math.pi * radii**2, rtol=1e-3)
