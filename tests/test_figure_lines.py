"""Theory lines of figures against the theory they stand for."""

from __future__ import annotations

import pytest

from tasks.deep_linear import lines as deep_linear
from tasks.deep_linear import saxe
from tasks.generalization import lines as generalization
from tasks.generalization import theory
from tasks.stability import lines as stability
from tasks.stability import threshold


def test_a_mode_by_steps_reaches_what_its_time_says():
    steps = saxe.deep_mode_time(2, 3.0, 0.01, 1.5) / 0.001
    assert deep_linear.strength(steps, s=3.0, u0=0.01, rate=0.001) == pytest.approx(1.5, rel=1e-9)
    assert deep_linear.strength(0, s=3.0, u0=0.01, rate=0.001) == pytest.approx(0.01)


def test_the_delay_is_that_of_two_layers_and_grows_to_its_limit():
    two = 2 * saxe.deep_mode_time(2, 5.0, 0.05, 4.5) / saxe.infinite_depth_time(5.0, 0.05, 4.5)
    found = [deep_linear.delay(layers, s=5.0, u0=0.05, share=0.9) for layers in (2, 2.5, 8, 64, 1e6)]
    assert found[0] == pytest.approx(two, rel=1e-8)
    assert found == sorted(found) and found[-1] == pytest.approx(1, abs=1e-4)


def test_descent_by_steps_is_the_curve_of_the_task():
    at = {"alpha": 2.0, "snr": 5.0, "rate": 0.2}
    assert generalization.descent(0, **at) == pytest.approx(1.2, rel=1e-9)
    third, fourth = (theory.gradient_descent(2.0, 5.0, k * 0.2, rate=0.2) for k in (3, 4))
    assert generalization.descent(3, **at) == pytest.approx(third, rel=1e-12)
    assert generalization.descent(3.5, **at) == pytest.approx((third + fourth) / 2, rel=1e-12)


def test_the_bound_of_the_trace_is_reached_by_one_sample():
    """One sample of squared gradient norm c: the threshold is 2 / c, and c is the trace."""
    import torch

    rate = threshold.mean_square_threshold(torch.tensor([[4.0]], dtype=torch.float64), 1)
    assert stability.trace_bound(rate) == pytest.approx(4.0, rel=1e-9)
