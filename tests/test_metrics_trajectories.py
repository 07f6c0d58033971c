"""Times, distances, spikes and boundaries against curves whose answers are known."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics.trajectories import (
    delay,
    divergence_boundary,
    fit_log,
    fit_power,
    fit_sqrt,
    gradient_norm,
    lr_sensitivity,
    recovery,
    snapshot,
    spikes,
    time_to_target,
    update_norm,
    weight_distance,
    weight_norm,
)

LOSSES = st.lists(st.floats(0, 10), min_size=1, max_size=8)

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


def test_lr_sensitivity_of_the_worked_example():
    """Losses 4.5, 4.0, 9.0 and 7 at initialisation: (4.5 + 4 + 7) / 3 - 4 = 1.1667."""
    assert lr_sensitivity([4.5, 4.0, 9.0], 7.0) == pytest.approx(7 / 6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_run_that_diverged_counts_as_untrained(bad):
    assert lr_sensitivity([4.5, 4.0, bad], 7.0) == pytest.approx(7 / 6)


def test_learning_nothing_has_no_sensitivity_unless_a_loss_is_attainable():
    assert lr_sensitivity([7.0, 8.0, math.nan], 7.0) == 0.0
    assert lr_sensitivity([7.0, 8.0, math.nan], 7.0, attainable=4.0) == 3.0


@given(LOSSES, st.floats(0, 10), st.floats(0, 10))
def test_the_attainable_loss_changes_nothing_for_a_recipe_that_attains_it(losses, initial, attainable):
    plain, guarded = lr_sensitivity(losses, initial), lr_sensitivity(losses, initial, attainable)
    assert 0 <= plain <= guarded
    if min(*losses, initial) <= attainable:
        assert guarded == plain


@given(LOSSES, st.floats(-3, 3))
def test_a_shift_of_all_losses_changes_nothing(losses, shift):
    moved = [loss + shift for loss in losses]
    assert lr_sensitivity(moved, 11 + shift) == pytest.approx(lr_sensitivity(losses, 11.0), abs=1e-9)


def test_the_sensitivity_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no losses"):
        lr_sensitivity([], 7.0)


def test_time_to_target_is_the_first_arrival_or_the_budget():
    steps, values = [0, 10, 20, 30], [0.1, 0.5, 0.4, 0.9]
    assert time_to_target(steps, values, 0.5, 100) == (10, True)
    assert time_to_target(steps, values, 0.95, 100) == (100, False)
    assert time_to_target(steps, values, 0.9, 20) == (20, False), "an arrival after the budget is none"
    assert time_to_target([0, 5], [math.nan, 1.0], 0.5, 9) == (5, True)
    assert time_to_target([], [], 0.5, 9) == (9, False)
    with pytest.raises(ValueError, match="zip"):
        time_to_target([1], [], 0.5, 9)


def test_weight_norm_is_the_norm_of_all_numbers_together():
    parts = [torch.tensor([[3.0], [0.0]]), torch.tensor([4.0j, 12.0])]
    assert weight_norm(parts) == pytest.approx(13.0)
    assert weight_norm([]) == 0.0
