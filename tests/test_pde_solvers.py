"""The classical ladder: exact where it should be, and of its stated order elsewhere."""

import math

import numpy as np
import pytest
import torch

from baselines.solvers import finite_volume, spectral
from baselines.solvers.grids import persistence, resample, sample
from bench.contract import BenchError
from bench.planning import config

ADVECTION = {"name": "advection", "beta": 0.4}
BURGERS = {"name": "burgers", "nu": 0.1}


def grid(points: int) -> torch.Tensor:
    return (torch.arange(points, dtype=torch.float64) + 0.5) / points


def state(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.sin(2 * math.pi * x) + 0.5 * torch.cos(6 * math.pi * x + 1), torch.cos(4 * math.pi * x)])


def wave(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(2 * math.pi * x)[None]


def solved(solver, initial: torch.Tensor, x: torch.Tensor, t: torch.Tensor, equation: dict, **options) -> torch.Tensor:
    """States (batch, points, times) of a solver for one channel in one dimension."""
    return solver.solve(initial[..., None], [x], t, equation, **options)[..., 0]


def test_resampling_keeps_what_both_grids_hold():
    x = torch.arange(16, dtype=torch.float64) / 16
    finer = torch.arange(48, dtype=torch.float64) / 48
    torch.testing.assert_close(resample(state(x), 48), state(finer))
    torch.testing.assert_close(resample(state(finer), 16), state(x))
    torch.testing.assert_close(sample(state(finer), 16), state(x))
    torch.testing.assert_close(sample(state(finer), 20), state(torch.arange(20, dtype=torch.float64) / 20))


def test_resampling_cuts_waves_that_sampling_reads_off():
    fine = torch.arange(64, dtype=torch.float64) / 64
    high = torch.cos(2 * math.pi * 13 * fine)[None]
    assert float(resample(high, 16).abs().max()) < 1e-12
    torch.testing.assert_close(sample(high, 16), high[:, ::4])


def test_persistence_repeats():
    x = grid(16)
    initial = torch.stack([state(x), -state(x)], dim=-1)
    out = persistence(initial, [x], torch.tensor([0.1, 0.2, 0.3]), BURGERS)
    assert out.shape == (2, 16, 3, 2) and bool((out == initial[:, :, None]).all())


@pytest.mark.parametrize("points", [16, 64])
def test_spectral_advection_is_exact_on_any_grid_that_holds_the_waves(points):
    x, t = grid(32), torch.tensor([0.1, 1.0, 2.5], dtype=torch.float64)
    out = solved(spectral, state(x), x, t, ADVECTION, points=points)
    for i, time in enumerate(t.tolist()):
        torch.testing.assert_close(out[..., i], state(x - 0.4 * time))


def cole_hopf(x: torch.Tensor, t: float, diffusion: float) -> np.ndarray:
    """Burgers from sin(2 pi x), by direct quadrature of the Cole-Hopf formula."""
    y = np.linspace(-3 * t - 1, 3 * t + 1, 40001)
    rows = []
    for point in x.tolist():
        g = -(-np.cos(2 * math.pi * (point - y)) / (2 * math.pi) + y**2 / (2 * t)) / (2 * diffusion)
        w = np.exp(g - g.max())
        rows.append((w * y / t).sum() / w.sum())
    return np.array(rows)


@pytest.mark.parametrize(("solver", "points", "bound"), [(spectral, 128, 1e-6), (finite_volume, 128, 3e-3)])
def test_burgers_meets_cole_hopf(solver, points, bound):
    x, times = grid(32), [0.1, 0.3]
    out = solved(solver, wave(x), x, torch.tensor(times), BURGERS, points=points)
    for i, time in enumerate(times):
        exact = cole_hopf(x, time, 0.1 / math.pi)
        assert np.linalg.norm(out[0, :, i].numpy() - exact) < bound * np.linalg.norm(exact)


def test_the_spectral_ladder_converges_faster_than_any_order():
    x, t = grid(32), torch.tensor([0.2])
    truth = torch.from_numpy(cole_hopf(x, 0.2, 0.05 / math.pi))
    errors = [
        float((solved(spectral, wave(x), x, t, {"name": "burgers", "nu": 0.05}, points=n)[0, :, 0] - truth).norm())
        for n in (16, 32, 64, 128)
    ]
    ratios = [a / b for a, b in zip(errors, errors[1:], strict=False)]
    assert errors[-1] < 1e-5
    assert ratios[0] < ratios[1] < ratios[2]


def test_lawsons_method_is_of_fourth_order_in_time():
    x, t = grid(64), torch.tensor([0.2])

    def at(courant: float) -> torch.Tensor:
        return solved(spectral, state(x), x, t, BURGERS, points=64, courant=courant)

    exact = at(0.05)
    errors = [float((at(c) - exact).norm()) for c in (0.8, 0.4)]
    assert 3.4 < math.log2(errors[0] / errors[1]) < 4.6


def test_burgers_solves_the_dealiased_waves_equations():
    """Against plain Runge-Kutta steps, 40 times as short, of u_k' = -i k/2 (u^2)_k - (nu/pi) k^2 u_k for |k| <= 32/3."""
    x, points, steps = grid(32), 32, 4000
    numbers = 2 * math.pi * torch.arange(11, dtype=torch.float64)
    u = torch.fft.rfft(state(x))[:, :11]

    def rate(v: torch.Tensor) -> torch.Tensor:
        square = torch.fft.rfft(torch.fft.irfft(v, points) ** 2)[:, :11]
        return -0.5j * numbers * square - 0.1 / math.pi * numbers**2 * v

    for _ in range(steps):
        a = rate(u)
        b = rate(u + 0.3 / steps / 2 * a)
        c = rate(u + 0.3 / steps / 2 * b)
        u = u + 0.3 / steps / 6 * (a + 2 * b + 2 * c + rate(u + 0.3 / steps * c))
    out = solved(spectral, state(x), x, torch.tensor([0.1, 0.3], dtype=torch.float64), BURGERS, points=32, courant=0.02)
    torch.testing.assert_close(out[..., 1], torch.fft.irfft(u, points), atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    ("solver", "points"), [(spectral, 48), (spectral, 64), (finite_volume, 64), (finite_volume, 256)]
)
def test_the_entries_steps_cost_little_accuracy(solver, points):
    """The error at thin shocks is at most a tenth larger than with steps a tenth as long, and energy never grows."""
    x, t = grid(64), torch.linspace(0.05, 1, 20, dtype=torch.float64)
    equation = {"name": "burgers", "nu": 0.01}
    exact = solved(spectral, state(x), x, t, equation, points=512)
    step = config.entry(f"{solver.__name__.rsplit('.', 1)[-1]}_{points}").parts["solver"]["courant"]
    long, short = (
        solved(solver, state(x), x, t, equation, points=points, courant=courant) for courant in (step, step / 10)
    )
    assert float((long - exact).norm()) < 1.1 * float((short - exact).norm())
    energy = long.square().sum(dim=1)
    assert float(energy.diff(dim=1).max()) <= 0


def test_the_spectral_step_is_as_long_as_its_stability_allows():
    """Waves that hardly decay: up to 1.35 cells a step they keep their energy, beyond they gain it."""
    x, t = grid(48), torch.tensor([2.0])
    carried = torch.full_like(x, 1.0) + 1e-3 * torch.sin(2 * math.pi * 15 * x)
    start, equation = carried[None], {"name": "burgers", "nu": 1e-9}
    for courant, bound in ((1.2, 1.0), (1.6, math.inf)):
        out = solved(spectral, start, x, t, equation, points=48, courant=courant)[0, :, 0] - 1
        assert (float(out.abs().max()) < 2e-3) == (bound == 1.0)


@pytest.mark.parametrize("equation", [ADVECTION, BURGERS], ids=["advection", "burgers"])
def test_finite_volumes_are_of_second_order(equation):
    x, t = grid(32), torch.tensor([0.1])
    exact = solved(spectral, wave(x), x, t, equation, points=256)
    errors = [
        float((solved(finite_volume, wave(x), x, t, equation, points=n) - exact).abs().mean()) for n in (64, 128, 256)
    ]
    orders = [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]
    assert min(orders) > 1.75, orders  # the limiter costs some of it at extrema


def test_finite_volumes_create_no_extrema_and_conserve():
    x = grid(64)
    step = torch.where((x > 0.3) & (x < 0.6), 1.0, -0.5).double()[None]
    for equation in (ADVECTION, {"name": "advection", "beta": -0.7}, {"name": "burgers", "nu": 1e-6}):
        out = solved(finite_volume, step, x, torch.tensor([0.2, 0.5]), equation, points=64)
        assert float(out.max()) <= 1 + 1e-9 and float(out.min()) >= -0.5 - 1e-9
        torch.testing.assert_close(out.mean(dim=1), step.mean(dim=1, keepdim=True).expand(1, 2))


def test_godunovs_flux_opens_a_rarefaction_through_the_sonic_point():
    x = grid(128)
    step = torch.where((x > 0.5), 1.0, -1.0).double()[None]
    out = solved(finite_volume, step, x, torch.tensor([0.2]), {"name": "burgers", "nu": 1e-9}, points=128)[0, :, 0]
    fan = (x > 0.35) & (x < 0.65)
    torch.testing.assert_close(out[fan], (x[fan] - 0.5) / 0.2, atol=0.02, rtol=0)


@pytest.mark.parametrize("solver", [spectral, finite_volume])
def test_an_unknown_equation_is_named(solver):
    x = grid(16)
    with pytest.raises(BenchError, match="not 'heat'"):
        solved(solver, state(x), x, torch.tensor([0.1]), {"name": "heat"}, points=16)
