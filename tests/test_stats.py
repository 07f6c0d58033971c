"""Statistics against closed forms, an independent implementation, properties and simulation."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from bench.tables import statistics

SCALES = ("linear", "log", "logit")


# --- scales and intervals


@given(st.floats(1e-5, 1 - 1e-5), st.sampled_from(SCALES))
def test_inverse_undoes_transform(x, scale):
    assert float(statistics.inverse(statistics.transform(x, scale), scale)) == pytest.approx(x, rel=1e-9)


def test_scales_have_their_closed_forms_and_finite_edges():
    assert float(statistics.transform(math.e, "log")) == pytest.approx(1)
    assert float(statistics.transform(0.75, "logit")) == pytest.approx(math.log(3))
    assert np.isfinite(statistics.transform([0.0, 1.0], "logit")).all() and np.isfinite(
        statistics.transform(0.0, "log")
    )
    for function in (statistics.transform, statistics.inverse):
        with pytest.raises(ValueError, match="linear, log, logit"):
            function(1.0, "cubic")


def test_t_interval_closed_form():
    # 1, 2, 3: mean 2, standard error 1/sqrt(3), t(2, .975) = 4.302653
    centre, lo, hi = statistics.t_interval([1, 2, 3])
    half = 4.302652729911275 / math.sqrt(3)
    assert (centre, lo, hi) == pytest.approx((2, 2 - half, 2 + half))
    centre, lo, hi = statistics.t_interval(np.exp([1, 2, 3]), scale="log")
    assert (centre, lo, hi) == pytest.approx((math.exp(2), math.exp(2 - half), math.exp(2 + half)))
    assert statistics.t_interval([1, 2, 3], level=0.5)[2] == pytest.approx(2 + 0.816496580927726 / math.sqrt(3))


def test_t_interval_leaves_out_what_is_not_finite_and_wants_three_seeds():
    assert statistics.t_interval([1, 2, 3, math.nan, math.inf]) == statistics.t_interval([1, 2, 3])
    centre, lo, hi = statistics.t_interval([1, 3, math.nan])
    assert centre == 2 and math.isnan(lo) and math.isnan(hi)
    assert all(math.isnan(v) for v in statistics.t_interval([]))


@given(st.lists(st.floats(0.01, 0.99), min_size=3, max_size=8), st.sampled_from(SCALES))
def test_t_interval_brackets_its_centre_inside_the_range(x, scale):
    centre, lo, hi = statistics.t_interval(x, scale=scale)
    assert min(x) - 1e-9 <= centre <= max(x) + 1e-9
    if statistics.all_equal(x):
        assert math.isnan(lo) and math.isnan(hi)
        return
    assert lo <= centre <= hi
    assert scale == "linear" or lo >= 0
    assert scale != "logit" or hi <= 1


@pytest.mark.parametrize("n", [3, 5])
def test_t_interval_covers(n):
    draws = np.random.default_rng(1).normal(size=(3000, n))
    covered = np.mean([lo <= 1 <= hi for _, lo, hi in (statistics.t_interval(np.exp(x), scale="log") for x in draws)])
    assert 0.935 < covered < 0.965


# --- what a value is good to


def test_equal_shares_have_clopper_and_pearsons_interval():
    assert statistics.interval([1.0] * 3, sample=500) == pytest.approx((1, 0.025 ** (1 / 1500), 1))  # closed form
    assert statistics.interval([0.0] * 5, sample=1) == pytest.approx((0, 0, 1 - 0.025 ** (1 / 5)))
    assert statistics.interval([0.25] * 4, sample=8)[1:] == pytest.approx(statistics.clopper_pearson(8, 32))
    assert statistics.interval([1.0] * 3, "logit", sample=500)[2] == 1
    spread = [1.0, 1.0, 0.99]
    assert statistics.t_interval(spread)[2] > 1 and statistics.interval(spread, sample=100)[2] == 1
    assert statistics.interval(spread, sample=100)[1] == statistics.t_interval(spread)[1]
    assert math.isnan(statistics.interval([1.0] * 2, sample=500)[1]), "two seeds give no interval, however many samples"


def test_a_step_is_part_of_the_interval():
    centre, lo, hi = statistics.t_interval([10, 20, 20])
    assert statistics.interval([10, 20, 20], step=(10, 0)) == (centre, lo - 10, hi)
    assert statistics.interval([20, 20, 20], step=(10, 0)) == (20, 10, 20)
    assert statistics.interval([20, 20, 20], "log", step=(0, 5)) == pytest.approx((20, 20, 25))
    assert all(math.isnan(edge) for edge in statistics.interval([20, 20, 20])[1:]), "nothing tells how wide it is"


def test_rows_within_the_resolution_tie():
    exact = np.array([[7.39e-8] * 5, [8.02e-8] * 5, [6e-3] * 5])
    assert statistics.rank_ranges(np.log(exact), "min") == [(1, 1), (2, 2), (3, 3)]
    ties = statistics.tied(exact, "log", 4.8e-7)
    assert statistics.rank_ranges(np.log(exact), "min", ties=ties) == [(1, 2), (1, 2), (3, 3)]
    assert not statistics.tied(exact, "log", 6e-9)[0, 1]
    skills = statistics.skill(exact[:2, 0], 1.0, 8.02e-8, "log", "min", 4.8e-7)
    assert skills.tolist() == [1, 1]


@given(st.integers(0, 30), st.integers(1, 30))
def test_clopper_pearson_agrees_with_scipy(k, n):
    k = min(k, n)
    interval = reference.binomtest(k, n).proportion_ci(0.95, method="exact")
    assert statistics.clopper_pearson(k, n) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_clopper_pearson_ends():
    lo, hi = statistics.clopper_pearson(5, 5)
    assert (lo, hi) == pytest.approx((0.025 ** (1 / 5), 1))  # closed form at k = n
    assert statistics.clopper_pearson(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="6 successes of 5"):
        statistics.clopper_pearson(6, 5)


# --- moderated variances


def test_inverse_trigamma():
    from scipy.special import polygamma

    for y in (1e-4, 0.1, 1.0, 7.5, 300.0, 1e8):
        assert statistics._inverse_trigamma(float(polygamma(1, y))) == pytest.approx(y, rel=1e-5)


def test_moderate_recovers_the_prior():
    rng = np.random.default_rng(2)
    df, prior_df, prior = 4, 8.0, 3.0
    truth = prior * prior_df / rng.chisquare(prior_df, 40000)
    variances = truth * rng.chisquare(df, len(truth)) / df
    posterior, total = statistics.moderate(variances, df, cap=1e9)
    assert total == pytest.approx(df + prior_df, rel=0.1)
    intercept = posterior - variances * df / total
    assert intercept == pytest.approx(np.full(len(truth), prior * prior_df / total), rel=0.1)


def test_moderate_caps_the_prior_and_pools_equal_variances():
    variances = np.full(10, 2.0)
    posterior, total = statistics.moderate(variances, 4, cap=4)
    assert total == 8
    assert np.ptp(posterior) == pytest.approx(0, abs=1e-12)
    alone, df = statistics.moderate([2.0], 4, cap=4)
    assert alone.tolist() == [2.0] and df == 4


# --- rank ranges


def by_hand(values, better, alpha=0.05):
    """Plain paired t tests and Holm, written another way."""
    sign = 1 if better == "min" else -1
    k = len(values)
    tests = sorted((reference.ttest_rel(values[i], values[j]).pvalue, i, j) for i, j in combinations(range(k), 2))
    lo, hi = [1] * k, [k] * k
    for done, (p, i, j) in enumerate(tests):
        if p > alpha / (len(tests) - done):
            break
        winner, loser = (i, j) if sign * (np.mean(values[i]) - np.mean(values[j])) < 0 else (j, i)
        hi[winner] -= 1
        lo[loser] += 1
    return list(zip(lo, hi, strict=True))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 3), st.integers(3, 8), st.sampled_from(["min", "max"]))
def test_ranges_of_up_to_three_entries_are_those_of_plain_t_tests_or_wider(seed, k, n, better):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(k, n)) + 2.0 * rng.normal(size=(k, 1))
    ranges, plain = statistics.rank_ranges(values, better), by_hand(values, better, 0.05 / 8)  # a small table
    if k == 2 or n < 5:  # the rule for tails needs three rows and five seeds
        assert ranges == plain
    assert all(lo <= plain_lo and plain_hi <= hi for (lo, hi), (plain_lo, plain_hi) in zip(ranges, plain, strict=True))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 7), st.integers(3, 6))
def test_rank_range_properties(seed, k, n):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(k, n)) + 3.0 * rng.normal(size=(k, 1))
    ranges = statistics.rank_ranges(values, "min")
    assert all(1 <= lo <= hi <= k for lo, hi in ranges)
    assert min(lo for lo, _ in ranges) == 1
    order = rng.permutation(k)
    assert statistics.rank_ranges(values[order], "min") == [ranges[i] for i in order]
    assert statistics.rank_ranges(-values, "max") == ranges
    assert (
        statistics.rank_ranges(values + 50 * rng.normal(size=n), "min") == ranges
    )  # paired: a hard seed is hard for all


def test_rank_ranges_of_differences_that_never_vary():
    row = np.array([1.0, 2.0, 4.0])
    assert statistics.rank_ranges([row, row], "min") == [(1, 2), (1, 2)]
    assert statistics.rank_ranges([row, row + 0.1], "min") == [(1, 1), (2, 2)]
    assert statistics.rank_ranges([row, row + 0.1], "max") == [(2, 2), (1, 1)]
    shifts = np.array([0.0, 0.0, 0.1, 0.2, 0.3])[:, None]
    assert statistics.rank_ranges(row + shifts, "min") == [(1, 2), (1, 2), (3, 3), (4, 4), (5, 5)]
    noisy = np.array([9.0, 12.0, 7.0])
    assert statistics.rank_ranges([row, row, row + 1, noisy], "min")[:2] == [(1, 3), (1, 3)]


def test_holm_stops_at_the_first_that_stands():
    # thresholds .05/3, .05/2, .05: .03 stands, so .04 does too, though it is below its own
    assert statistics._holm(np.array([0.04, 0.01, 0.03]), 0.05).tolist() == [False, True, False]
    assert statistics._holm(np.array([0.04, 0.01, 0.02]), 0.05).tolist() == [True, True, True]


def test_rank_ranges_edges():
    assert statistics.rank_ranges(np.zeros((1, 5)), "min") == [(1, 1)]
    assert statistics.rank_ranges([[1.0], [2.0]], "min") == [(1, 2), (1, 2)]
    with pytest.raises(ValueError, match="finite"):
        statistics.rank_ranges([[1.0, math.nan], [1.0, 2.0]], "min")


def test_a_pair_is_tested_on_the_seeds_in_which_both_ended_well():
    rng = np.random.default_rng(7)
    values, failed = rng.normal(size=(3, 6)), np.zeros((3, 6), dtype=bool)
    values[1] += 4
    failed[0, 2] = failed[1, 5] = True
    values[failed] = 100.0
    means, p = statistics.paired_test(values, [0, 0, 1], [1, 2, 2], failed)
    for place, (i, j, both) in enumerate(((0, 1, [0, 1, 3, 4]), (0, 2, [0, 1, 3, 4, 5]), (1, 2, [0, 1, 2, 3, 4]))):
        want = reference.ttest_rel(values[i, both], values[j, both]).pvalue
        agrees = (values[i] - values[j]).mean() * (values[i, both] - values[j, both]).mean() > 0
        assert p[place] == pytest.approx(want if agrees else 1.0)
        assert (means[place] != 0) == agrees


def test_a_failure_decides_no_pair_by_itself_and_nobody_gains_by_it():
    clean = np.array([1.0, 1.1, 0.9, 1.2, 1.0])
    fails, failed = np.where(np.arange(5) == 2, 9.0, clean), np.zeros((2, 5), dtype=bool)
    failed[1, 2] = True
    assert statistics.rank_ranges([clean, fails], "min", failed) == [(1, 2), (1, 2)]
    assert statistics.rank_ranges([clean, fails + 1], "min", failed) == [(1, 1), (2, 2)]  # worse where it ended well
    better = np.where(failed[1], 90.0, clean - 1)  # better where it ended well, but worse with its penalty
    assert statistics.rank_ranges([clean, better], "min", failed) == [(1, 2), (1, 2)]
    assert statistics.rank_ranges([-clean, -better], "max", failed) == [(1, 2), (1, 2)]
    always = [[False] * 5, [True] * 5]
    assert statistics.rank_ranges([clean, np.full(5, 9.0)], "min", always) == [(1, 1), (2, 2)]


def test_copies_of_a_row_are_one_draw_of_the_noise():
    """Seven copies of one row and a noisy one are seven pairs with the same variance: only the plain t test is known."""
    for seed in range(20):
        noisy = np.random.default_rng(seed).normal(2, 1, 5)
        rows = np.vstack([noisy, np.zeros((7, 5))])
        _, p = statistics.paired_test(rows, *np.triu_indices(8, 1))
        assert p[:7] == pytest.approx(np.full(7, reference.ttest_1samp(noisy, 0).pvalue))
        assert (p[7:] == 1).all()


@pytest.mark.parametrize(("k", "n"), [(3, 5), (6, 3), (6, 5), (12, 5)])
def test_family_wise_error_of_equal_entries(k, n):
    rng = np.random.default_rng(3)
    wrong = [any(r != (1, k) for r in statistics.rank_ranges(rng.normal(size=(k, n)), "min")) for _ in range(3000)]
    assert np.mean(wrong) < 0.062  # .05 and three standard errors


def test_moderation_gains_power():
    rng = np.random.default_rng(4)
    shift = np.array([0.0, 4, 4, 4, 4, 4])[:, None]
    tables = [rng.normal(size=(6, 5)) + shift for _ in range(200)]
    alone = np.mean([statistics.rank_ranges(table, "min")[0] == (1, 1) for table in tables])
    plain = np.mean([by_hand(table, "min", 0.05 / 4)[0] == (1, 1) for table in tables])  # both as in a small table
    # .8 until p grew in small tables; .6 was set after measuring what that costs (.655 of these tables).
    assert alone > 0.6 and plain < 0.1


# --- skill and aggregates


@given(st.sampled_from(SCALES), st.floats(0.02, 0.98), st.floats(0.02, 0.98))
def test_skill_is_zero_at_the_floor_and_one_at_the_reference(scale, floor, top):
    better = "max" if top > floor else "min"
    if abs(top - floor) < 1e-3:
        return
    assert statistics.skill([floor, top], floor, top, scale, better) == pytest.approx([0, 1])
    assert np.isnan(statistics.skill([floor], floor, top, scale, "min" if better == "max" else "max")).all()


def test_skill_closed_form():
    # log scale: floor 1, reference 1e-2; 1e-1 is half way, 1e-3 beyond, 10 as far below the floor as 1e-1 is above
    assert statistics.skill([1e-1, 1e-3, 10.0], 1.0, 1e-2, "log", "min") == pytest.approx([0.5, 1.5, -0.5])
    assert statistics.skill([-2.0], 0.0, 10.0, "linear", "max") == pytest.approx([-0.2])
    assert statistics.skill([5.0], 0.0, 10.0, "linear", "max") == pytest.approx([0.5])
    assert np.isnan(statistics.skill([1.0], 2.0, 2.0, "linear", "min")).all()


def test_aggregate_of_one_task_is_its_t_interval():
    x = [0.2, 0.5, 0.9, 0.4]
    assert statistics.aggregate([x]) == pytest.approx(statistics.t_interval(x))


def test_aggregate_of_two_tasks_is_welch():
    a, b = np.array([0.1, 0.4, 0.35]), np.array([0.9, 1.0, 1.3, 0.8, 0.2])
    skills = np.array([[*a, math.nan, math.nan], b])
    welch = reference.ttest_ind(a, -b, equal_var=False).confidence_interval(0.95)  # of mean(a) + mean(b)
    mean, lo, hi = statistics.aggregate(skills)
    assert mean == pytest.approx((a.mean() + b.mean()) / 2)
    assert (lo, hi) == pytest.approx((welch.low / 2, welch.high / 2))


def test_aggregate_edges():
    mean, lo, hi = statistics.aggregate([[1.0, 2.0, 3.0], [1.0, 1.0, math.nan]])
    assert mean == 1.5 and math.isnan(lo) and math.isnan(hi)
    assert all(math.isnan(v) for v in statistics.aggregate([[1.0, 2.0, 3.0], [math.nan] * 3]))
    mean, lo, hi = statistics.aggregate([[1.0] * 3, [0.0] * 3])
    assert mean == 0.5 and math.isnan(lo) and math.isnan(hi)  # no seed differs, and nothing tells an interval


def test_aggregate_covers():
    rng = np.random.default_rng(5)
    spread = np.array([0.02, 0.1, 0.2, 0.05])[:, None]
    truth = np.array([0.1, 0.5, 0.9, 1.2])[:, None]
    intervals = [statistics.aggregate(truth + spread * rng.normal(size=(4, 5))) for _ in range(2000)]
    assert 0.935 < np.mean([lo <= truth.mean() <= hi for _, lo, hi in intervals]) < 0.975


def test_interquartile_mean():
    assert statistics.interquartile_mean([0, 1, 2, 3, 4, 5, 6, 1000]) == pytest.approx(3.5)
    assert statistics.interquartile_mean([1, 2, math.nan]) == pytest.approx(1.5)
    assert math.isnan(statistics.interquartile_mean([]))
    x = np.random.default_rng(6).normal(size=23)
    assert statistics.interquartile_mean(x) == pytest.approx(reference.trim_mean(x, 0.25))


# --- time to target


def test_time_to_target():
    assert statistics.time_to_target([10, 30, 100], [False, False, True], 100) == (2, 3, pytest.approx(140 / 3), 30)
    assert statistics.time_to_target([10, 99, 99], [False, True, True], 100) == (1, 3, 70, math.inf)
    k, n, mean, median = statistics.time_to_target([], [], 100)
    assert (k, n) == (0, 0) and math.isnan(mean) and math.isnan(median)


@given(st.lists(st.tuples(st.integers(1, 100), st.booleans()), min_size=1, max_size=12))
def test_missing_the_target_never_helps(runs):
    values, censored = [v for v, _ in runs], [c for _, c in runs]
    k, n, mean, median = statistics.time_to_target(values, censored, 100)
    missed = statistics.time_to_target(values, [True, *censored[1:]], 100)
    assert missed[0] <= k <= n and missed[2] >= mean and missed[3] >= median
