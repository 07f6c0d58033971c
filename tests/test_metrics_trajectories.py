"""Times, distances, spikes and boundaries against curves whose answers are known."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

from bench.metrics.trajectories import (
    delay,
    divergence_boundary,
    fit_log,
    fit_power,
    fit_sqrt,
    gradient_norm,
    recovery,
    snapshot,
    spikes,
    update_norm,
    weight_distance,
)

TIMES = [1, 2, 4, 8, 16, 32, 64]


def test_importing_the_measures_of_curves_needs_neither_torch_nor_numpy():
    code = "import sys, bench.metrics.trajectories; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_delay_is_the_ratio_of_two_times_capped_at_the_budget():
    steps, train, held = [0, 10, 20, 40], [0.1, 1, 1, 1], [0.1, 0.2, 0.4, 1]
    assert delay(steps, train, held, 0.99, 100) == (4.0, True)
    assert delay(steps, train, [0, 0, 0, 0], 0.99, 100) == (10.0, False)
    assert delay(steps, [0] * 4, [0] * 4, 0.99, 100) == (1.0, False)
    assert delay([0, 5], [1, 1], [0, 1], 0.99, 100) == (5.0, True), "a time of 0 counts as step 1"


def test_divergence_boundary_is_the_least_rate_that_ends_no_better_than_it_began():
    assert divergence_boundary([0.3, 0.01, 0.1, 1.0], [math.nan, 1.0, 2.0, 9.0], 7.0) == 0.3
    assert divergence_boundary([0.1, 0.2], [7.0, 1.0], 7.0) == 0.1, "no progress is divergence"
    assert divergence_boundary([0.1], [1.0], 7.0) == math.inf
    with pytest.raises(ValueError, match="no rates"):
        divergence_boundary([], [], 7.0)
    with pytest.raises(ValueError, match="positive"):
        divergence_boundary([0.0], [1.0], 7.0)
    with pytest.raises(ValueError, match="zip"):
        divergence_boundary([0.1, 0.2], [1.0], 7.0)


def test_fits_recover_the_laws_they_fit():
    log = fit_log(TIMES, [2 + 3 * math.log(t) for t in TIMES])
    assert (log.intercept, log.slope, log.r2) == pytest.approx((2, 3, 1))
    root = fit_sqrt(TIMES, [2 + 3 * math.sqrt(t) for t in TIMES])
    assert (root.intercept, root.slope, root.r2) == pytest.approx((2, 3, 1))
    power = fit_power(TIMES, [2 * t**0.25 for t in TIMES])
    assert (power.factor, power.exponent, power.r2) == pytest.approx((2, 0.25, 1))


def test_r2_tells_logarithmic_from_ordinary_diffusion():
    slow, plain = [math.log(t) for t in TIMES], [math.sqrt(t) for t in TIMES]
    assert fit_log(TIMES, slow).r2 > fit_sqrt(TIMES, slow).r2
    assert fit_log(TIMES, plain).r2 < fit_sqrt(TIMES, plain).r2


def test_r2_of_a_worked_example():
    """Values 0, 1, 5 at log t = 0, 1, 2: slope 5/2, intercept -1/2, residuals ½, -1, ½ of total 14: 1 - 1.5/14."""
    fit = fit_log([1, math.e, math.e**2], [0, 1, 5])
    assert (fit.intercept, fit.slope, fit.r2) == pytest.approx((-0.5, 2.5, 1 - 1.5 / 14))


@pytest.mark.parametrize(
    ("times", "values", "reason"),
    [
        ([1, 2], [1, 2], "three"),
        ([1, 2, 3], [1, 2], "pairs"),
        ([0, 1, 2], [1, 2, 3], "step 0"),
        ([1, 2, 3], [1, math.nan, 3], "finite"),
        ([2, 2, 2], [1, 2, 3], "different times"),
    ],
)
def test_points_without_a_fit_are_an_error(times, values, reason):
    for fit in (fit_log, fit_sqrt, fit_power):
        with pytest.raises(ValueError, match=reason):
            fit(times, values)


def test_a_power_law_needs_positive_values():
    with pytest.raises(ValueError, match="positive"):
        fit_power([1, 2, 3], [0, 1, 2])


def test_spikes_are_counted_once_each_and_dated_until_they_are_over():
    curve = [1.0] * 5 + [3.0, 4.0, 2.0] + [1.0] * 5 + [math.nan] + [1.1] * 3
    assert spikes(curve, 3, 0.5) == 2
    assert recovery(curve, 3, 0.5) == [3, 1]
    assert spikes([1.0] * 4 + [9.0] * 6, 3, 0.5) == 1
    assert recovery([1.0] * 4 + [9.0] * 6, 3, 0.5) == [6], "a level that stays up is no new normal"
    assert spikes([5 - 0.1 * i for i in range(40)], 3, 0.5) == 0
    assert spikes([], 3, 0.5) == 0
    with pytest.raises(ValueError, match="window"):
        spikes([1.0], 0, 0.5)
    with pytest.raises(ValueError, match="threshold"):
        recovery([1.0], 3, 0.0)


def test_distances_are_pythagorean_and_a_snapshot_stays():
    params = [torch.zeros(2, 2, requires_grad=True), torch.zeros(1, requires_grad=True)]
    start = snapshot(params)
    with torch.no_grad():
        params[0].fill_(1.5)
        params[1].fill_(4.0)
    assert weight_distance(params, start) == pytest.approx(5.0)
    assert update_norm(params, start) == pytest.approx(5.0)
    assert update_norm(params, start, rms=True) == pytest.approx(5 / math.sqrt(5))
    assert weight_distance([], []) == 0.0
    with pytest.raises(ValueError, match="snapshot"):
        weight_distance(params, start[:1])
    with pytest.raises(ValueError, match="no numbers"):
        update_norm([], [], rms=True)


def test_gradient_norm_leaves_out_parameters_without_a_gradient():
    used, unused = torch.ones(4, requires_grad=True), torch.ones(3, requires_grad=True)
    with pytest.raises(ValueError, match="backward"):
        gradient_norm([used, unused])
    (3 * used).sum().backward()
    assert gradient_norm([used, unused]) == pytest.approx(6.0)
    assert gradient_norm([used, unused], rms=True) == pytest.approx(3.0)
