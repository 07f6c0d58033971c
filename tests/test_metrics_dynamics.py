"""Metrics of training runs against worked examples and identities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics.trajectories import lr_sensitivity, time_to_target, weight_norm

LOSSES = st.lists(st.floats(0, 10), min_size=1, max_size=8)


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
