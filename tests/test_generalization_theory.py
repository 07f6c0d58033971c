"""Generalisation theory: quadrature against closed forms and finite-size simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.generalization import theory

ALPHAS = [0.1, 0.5, 0.9, 1.0, 1.1, 2.0, 5.0]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_moments_of_the_marchenko_pastur_law(alpha):
    """Mass 1, mean alpha, second moment alpha + alpha^2, third alpha + 3 alpha^2 + alpha^3 (Narayana numbers)."""
    exact = (1, alpha, alpha + alpha**2, alpha + 3 * alpha**2 + alpha**3)
    for power, moment in enumerate(exact):
        assert theory.expectation(lambda x, k=power: x**k, alpha) == pytest.approx(moment, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 2.0, 5.0])
def test_inverse_moment(alpha):
    """Off zero, <1/l> is alpha/(1 - alpha) below alpha = 1 and 1/(alpha - 1) above."""
    found = theory.expectation(lambda x: np.divide(1.0, x, out=np.zeros_like(x), where=x > 0), alpha)
    assert found == pytest.approx(alpha / (1 - alpha) if alpha < 1 else 1 / (alpha - 1), rel=1e-9)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("snr", [1.0, 5.0])
def test_gradient_descent_from_start_to_end(alpha, snr):
    """At time 0 nothing is learned; without end it is the least-norm solution, plus what the frozen subspace keeps."""
    assert theory.gradient_descent(alpha, snr, 0.0, start=0.3) == pytest.approx(1.3 + 1 / snr, rel=1e-9)
    if alpha != 1:
        end = theory.gradient_descent(alpha, snr, 1e4, start=0.3)
        assert end == pytest.approx(theory.minimum_norm_limit(alpha, snr) + 0.3 * max(0.0, 1 - alpha), rel=1e-6)


def test_at_as_many_samples_as_weights_the_error_grows_without_bound():
    """The density is 1 / (pi sqrt(l)) near zero, so the error grows as c sqrt(t)/snr, c = int (1-e^-u)^2 u^-3/2 du / pi."""
    times = (1e3, 4e3, 1.6e4)
    first, second, third = (theory.gradient_descent(1.0, 1.0, t) for t in times)
    assert (third - second) / (second - first) == pytest.approx(2.0, rel=0.02)
    constant = 2 * math.sqrt(math.pi) * (2 - math.sqrt(2)) / math.pi
    assert (third - second) / (math.sqrt(times[2]) - math.sqrt(times[1])) == pytest.approx(constant, rel=0.02)


def test_steps_tend_to_the_flow():
    flow = theory.gradient_descent(0.5, 5.0, 8.0)
    gaps = [abs(theory.gradient_descent(0.5, 5.0, 8.0, rate=rate) - flow) for rate in (0.2, 0.1, 0.05)]
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1) and gaps[1] / gaps[2] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("snr", [1.0, 5.0])
def test_the_best_penalty_is_noise_over_signal(alpha, snr):
    """The optimum of the formula; and there E = g (1 + <1/(l + g)>), the resolvent's closed form."""
    best = theory.ridge(alpha, snr)
    assert best < min(theory.ridge(alpha, snr, 0.8 / snr), theory.ridge(alpha, snr, 1.25 / snr))
    g = 1 / snr
    resolvent = (1 - alpha - g + math.sqrt((1 - alpha - g) ** 2 + 4 * g)) / (2 * g)
    assert best == pytest.approx(g * (1 + resolvent), rel=1e-8)


def best_stopped(alpha: float, snr: float) -> float:
    """Least error of the gradient flow over a fine grid of times."""
    return min(theory.gradient_descent(alpha, snr, 10 ** (power / 20)) for power in range(-20, 50))


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("snr", [1.0, 5.0])
def test_the_best_stopping_is_nearly_the_best_ridge(alpha, snr):
    """Advani, Saxe 2017: above ridge, which is the optimum, by less than 2 %."""
    assert 1.0 < best_stopped(alpha, snr) / theory.ridge(alpha, snr) < 1.02


def test_overtraining_peaks_at_as_many_samples_as_weights():
    grid = (0.2, 0.5, 0.8, 1.0, 1.25, 2.0, 3.0)
    for snr in (1.0, 5.0):
        ratios = [theory.gradient_descent(a, snr, 1e3) / best_stopped(a, snr) for a in grid]
        assert max(ratios) == ratios[3] > 2 * max(ratios[1], ratios[5])


def test_finite_size_formula_tends_to_its_limit():
    for alpha in (0.5, 2.0):
        assert theory.minimum_norm(100000, round(alpha * 100000), 5.0) == pytest.approx(
            theory.minimum_norm_limit(alpha, 5.0), rel=1e-4
        )
    assert math.isinf(theory.minimum_norm_limit(1.0, 5.0))


@pytest.mark.parametrize(("dimension", "samples"), [(20, 6), (20, 12), (20, 30), (20, 60)])
def test_the_least_norm_error_is_the_exact_one(dimension, samples):
    """4000 draws, averaged over teacher and noise in closed form given the inputs: within four standard errors."""
    x = np.random.default_rng(0).standard_normal((4000, samples, dimension)) / math.sqrt(dimension)
    singular = np.linalg.svd(x, compute_uv=False)
    errors = max(0, dimension - samples) / dimension + (1 / singular**2).sum(1) / dimension / 5.0 + 1 / 5.0
    expected = theory.minimum_norm(dimension, samples, 5.0)
    assert abs(errors.mean() - expected) < 4 * errors.std() / math.sqrt(len(errors)) and errors.mean() == pytest.approx(
        expected, rel=0.05
    )


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: theory.edges(0.0), "alpha=0.0"),
        (lambda: theory.expectation(np.sqrt, -1.0), "alpha=-1.0"),
        (lambda: theory.gradient_descent(1.0, 0.0, 1.0), "snr=0.0"),
        (lambda: theory.gradient_descent(1.0, 1.0, -1.0), "time=-1.0"),
        (lambda: theory.gradient_descent(1.0, 1.0, 1.0, rate=0.6), "rate=0.6"),
        (lambda: theory.ridge(1.0, 1.0, 0.0), "penalty=0.0"),
        (lambda: theory.minimum_norm(10, 11, 1.0), "no finite mean"),
        (lambda: theory.minimum_norm(10, 0, 1.0), "samples=0"),
    ],
)
def test_bad_input_is_named(call, reason):
    with pytest.raises(ValueError, match=reason):
        call()
