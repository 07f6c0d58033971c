"""Comparisons against closed forms, scipy, brute force and simulation."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from bench.tables import comparisons

# --- paired differences


def test_paired_difference_agrees_with_scipy_and_drops_unpaired_seeds():
    a = np.array([1.0, 2.5, 2.0, 4.0, math.nan, 1.0])
    b = np.array([0.5, 2.0, 2.4, 2.0, 3.0, math.inf])
    found = comparisons.paired_difference(a, b)
    theirs = reference.ttest_rel(a[:4], b[:4])
    interval = theirs.confidence_interval(0.95)
    assert found == pytest.approx((float(np.mean((a - b)[:4])), interval.low, interval.high, theirs.pvalue, 4))


def test_paired_difference_without_variance_or_seeds():
    a = np.array([1.0, 2.0, 4.0])
    nan = math.nan  # a difference that never varies has no interval
    assert comparisons.paired_difference(a, a) == pytest.approx((0, nan, nan, 1.0, 3), nan_ok=True)
    assert comparisons.paired_difference(a + 0.1, a) == pytest.approx((0.1, nan, nan, 0.0, 3), nan_ok=True)
    few = comparisons.paired_difference([1.0, 2.0], [0.0, 0.0])
    assert few.mean == 1.5 and math.isnan(few.lo) and math.isnan(few.p) and few.seeds == 2
    with pytest.raises(ValueError, match="same seeds"):
        comparisons.paired_difference([1.0, 2.0], [1.0])


# --- how many seeds


def power_by_hand(n: int, effect: float, alpha: float = 0.05) -> float:
    edge = reference.t.ppf(1 - alpha / 2, n - 1)
    return float(1 - reference.nct.cdf(edge, n - 1, effect * math.sqrt(n)))


def with_effect(effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Two entries whose paired difference has this mean over its standard deviation."""
    noise = np.array([-1.0, 0.0, 1.0])  # standard deviation 1
    return effect + noise, np.zeros(3)


@pytest.mark.parametrize(("effect", "textbook"), [(0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6)])
def test_seeds_to_separate_are_the_textbook_sample_sizes(effect, textbook):
    # sample sizes of a two-sided paired t test, alpha .05, power .80 (G*Power's manual, "Means: difference from constant")
    found = comparisons.seeds_to_separate(*with_effect(effect))
    assert found == textbook
    assert power_by_hand(found, effect) >= 0.8 > power_by_hand(found - 1, effect)


def test_seeds_to_separate_by_simulation():
    n = comparisons.seeds_to_separate(*with_effect(1.2))
    draws = 1.2 + np.random.default_rng(7).normal(size=(20000, n))
    assert np.mean(reference.ttest_1samp(draws, 0, axis=1).pvalue < 0.05) == pytest.approx(
        power_by_hand(n, 1.2), abs=0.01
    )


def test_seeds_to_separate_edges():
    row = np.array([1.0, 2.0, 4.0])
    assert comparisons.seeds_to_separate(row, row) is None
    assert comparisons.seeds_to_separate(row + 0.1, row) == 3  # never varies
    assert comparisons.seeds_to_separate(*with_effect(1e9)) == 3
    assert comparisons.seeds_to_separate(*with_effect(1e-4)) is None  # hundreds of millions
    assert comparisons.seeds_to_separate([1.0], [0.0]) is None
    assert comparisons.seeds_to_separate(*with_effect(0.01)) == pytest.approx(78490, rel=0.001)
    assert comparisons.seeds_to_separate(*with_effect(0.8), alpha=0.05 / 66) > 30
    for n, alpha in ((3, 0.05), (10, 1e-4), (200, 0.05), (10000, 0.005), (100000, 0.05)):
        for effect in np.geomspace(1e-4, 1e6, 30):  # no NaN of scipy's gets through
            assert 0 <= comparisons._power(n, effect, alpha) <= 1 + 1e-9


@given(st.floats(0.05, 5), st.floats(0.5, 0.95))
def test_more_power_or_less_effect_needs_more_seeds(effect, power):
    n = comparisons.seeds_to_separate(*with_effect(effect), power)
    assert comparisons.seeds_to_separate(*with_effect(effect), min(0.99, power + 0.04)) >= n
    assert comparisons.seeds_to_separate(*with_effect(effect / 2), power) >= n


# --- profiles


def test_performance_profile_by_hand():
    # Dolan and More's definition on three problems: a is best on two, b solves all, nobody needs the third's ratio of 4
    costs = [[1.0, 2.0, math.inf], [2.0, 2.0, 5.0], [4.0, math.nan, 10.0]]
    ratios, shares = comparisons.performance_profile(costs)
    assert ratios.tolist() == [1, 2, 4]
    assert shares.tolist() == [pytest.approx(x) for x in ([2 / 3] * 3, [2 / 3, 1, 1], [0, 1 / 3, 2 / 3])]


def test_performance_profile_weighs_tasks_equally_and_counts_what_nobody_solved():
    costs = np.array([[[1.0, 1.0, 1.0], [3.0, math.nan, math.nan]], [[2.0, 2.0, 2.0], [1.0, math.nan, math.nan]]])
    assert comparisons.performance_profile(costs, [1.0])[1].ravel().tolist() == pytest.approx([0.5, 0.5])
    failed = [[1.0, math.inf], [1.0, math.inf]]
    assert comparisons.performance_profile(failed, [1, 1e9])[1].tolist() == [[0.5, 0.5]] * 2
    assert comparisons.performance_profile([[0.0], [0.0], [1.0]], [1.0])[1].ravel().tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match="at least 0"):
        comparisons.performance_profile([[-1.0]])


@given(st.integers(0, 10**6))
def test_performance_profile_properties(seed):
    rng = np.random.default_rng(seed)
    costs = rng.lognormal(size=(4, 6))
    costs[rng.uniform(size=costs.shape) < 0.2] = math.inf
    ratios, shares = comparisons.performance_profile(costs)
    assert (np.diff(shares, axis=1) >= 0).all() and ratios[0] == 1
    solved = np.isfinite(costs)
    assert shares[:, -1] == pytest.approx(solved.mean(axis=1))  # in the end: what it solves at all
    assert shares[:, 0].sum() == pytest.approx(solved.any(axis=0).mean())  # at 1: one best entry a solved problem
    between = np.append((ratios[:-1] + ratios[1:]) / 2, 1e9)
    _, scaled = comparisons.performance_profile(costs * rng.lognormal(size=6), between)
    assert scaled == pytest.approx(shares)  # a problem's unit does not matter


def test_positive_costs():
    assert comparisons.positive_costs([1e-3, 2.0], "log", "min").tolist() == pytest.approx([1e-3, 2.0])
    assert comparisons.positive_costs([0.75, 0.9], "logit", "max").tolist() == pytest.approx([1 / 3, 1 / 9])
    assert comparisons.positive_costs([5, 7], "linear", "min").tolist() == [5, 7]
    for values, better in (([1.0], "max"), ([-1.0], "min")):
        with pytest.raises(ValueError, match="ratios"):
            comparisons.positive_costs(values, "linear", better)


# --- win matrix


def test_win_matrix_by_hand():
    values = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 5.0], [1.0, 3.0, math.nan, math.inf]])
    share, pairs = comparisons.win_matrix(values, "min")
    assert share[0, 1] == 0.75 and share[1, 0] == 0.25
    assert pairs[0].tolist() == [4, 4, 3] and share[0, 2] == pytest.approx(2.5 / 3)
    assert np.diag(share).tolist() == [0.5] * 3
    alone, none = comparisons.win_matrix([[math.nan], [1.0]], "max")
    assert math.isnan(alone[0, 1]) and none[0, 1] == 0


@given(st.integers(0, 10**6), st.sampled_from(["min", "max"]))
def test_win_matrix_properties(seed, better):
    values = np.random.default_rng(seed).integers(0, 4, (4, 3, 5)).astype(float)
    share, pairs = comparisons.win_matrix(values, better)
    assert share + share.T == pytest.approx(np.ones((4, 4))) and (pairs == 15).all()
    brute = [[np.mean((a > b) + 0.5 * (a == b)) for b in values] for a in (values if better == "max" else values)]
    assert share == pytest.approx(np.array(brute) if better == "max" else 1 - np.array(brute))


# --- over tasks


def test_leave_one_out_by_hand():
    # the second entry leads by its third task alone
    skills = np.array([[0.6, 0.6, 0.6], [0.5, 0.5, 1.4], [0.1, 0.1, 0.1]])
    assert comparisons.leave_one_out(skills) == ([2], [0, 0, 1])
    with pytest.raises(ValueError, match="two tasks"):
        comparisons.leave_one_out([[1.0], [2.0]])


def test_leave_one_out_with_gaps():
    # over both tasks the first entry has no mean, so the second leads; without the second task the first does
    assert comparisons.leave_one_out([[0.5, math.nan], [0.4, 0.3]]) == ([1], [0, 0])


# --- tuning


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=7), st.sampled_from(["min", "max"]))
def test_best_of_is_the_mean_over_all_subsets(values, better):
    choose = min if better == "min" else max
    for k, expected in enumerate(comparisons.best_of(values, better), 1):
        assert expected == pytest.approx(np.mean([choose(subset) for subset in combinations(values, k)]))
    logs = comparisons.best_of(values, better, "log")
    subsets = [choose(subset) for subset in combinations(values, min(2, len(values)))]
    assert logs[min(2, len(values)) - 1] == pytest.approx(math.exp(np.mean(np.log(subsets))))
    assert logs[-1] == pytest.approx(choose(values))


def test_best_of_is_unbiased_and_drawing_with_replacement_is_not():
    """Uniform trials: the smallest of k has mean 1 / (k + 1)."""
    n, k = 8, 6
    draws = np.random.default_rng(8).uniform(size=(8000, n))
    ours = np.mean([comparisons.best_of(x, "min")[k - 1] for x in draws])
    rank = np.arange(n, 0, -1) / n  # of the sorted trials: share that is no better
    replaced = np.mean(np.sort(draws, axis=1) @ (rank**k - (rank - 1 / n) ** k))
    assert ours == pytest.approx(1 / (k + 1), abs=0.004)
    assert replaced > 1 / (k + 1) + 0.02


def test_best_of_with_diverged_trials():
    found = comparisons.best_of([math.inf, 2.0, math.inf, 4.0], "min", "log")
    assert found[:2] == [math.inf, math.inf]
    assert found[2:] == pytest.approx([math.exp((math.log(2) * 3 + math.log(4)) / 4), 2.0])
    assert comparisons.best_of([-math.inf, 0.5], "max", "logit") == pytest.approx([0.0, 0.5])
    assert comparisons.best_of([], "min") == []


def test_near_best():
    assert comparisons.near_best([1.0, 1.04, 1.06, math.inf], "min") == 0.5
    assert comparisons.near_best([0.90, 0.96, 1.0, -math.inf], "max") == 0.5
    assert comparisons.near_best([20, 21, 22], "min") == pytest.approx(2 / 3)  # exactly 5 % off counts, rounding or not
    assert comparisons.near_best([-1.0, -0.96, 3.0], "min") == pytest.approx(2 / 3)
    assert math.isnan(comparisons.near_best([math.inf], "min")) and math.isnan(comparisons.near_best([], "min"))
