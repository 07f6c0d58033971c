"""The board's promises, by simulation: the same functions print the tables of `docs/statistics.md`.

Repetitions are enough for the Monte Carlo error to be below the margin: three standard errors of a coverage of .95 are .010
at 4000 repetitions, of a family-wise error of .05 .017 at 1500. Skewed and failing seeds are printed, not gated.
"""

from __future__ import annotations

import pytest

from bench.tables import statistics
from benchmarks import statistics as simulated


@pytest.mark.parametrize("seeds", simulated.SEEDS)
def test_the_interval_of_one_entry_covers(seeds):
    assert simulated.interval_coverage(seeds, repeats=10000) == pytest.approx(0.95, abs=0.008)


@pytest.mark.parametrize("tasks", simulated.TASKS)
@pytest.mark.parametrize("seeds", simulated.SEEDS)
def test_the_interval_of_a_mean_skill_covers(tasks, seeds):
    assert simulated.aggregate_coverage(tasks, seeds) >= 0.935


@pytest.mark.parametrize("entries", simulated.ENTRIES)
@pytest.mark.parametrize("seeds", simulated.SEEDS)
@pytest.mark.parametrize("noise", ["normal", "unequal", "half quiet"])
def test_rank_ranges_seldom_separate_equals(entries, seeds, noise):
    assert simulated.family_wise_error(entries, seeds, simulated.NOISES[noise], repeats=1500) <= 0.07


@pytest.mark.parametrize(("entries", "seeds"), [(4, 5), (10, 3), (20, 10)])
@pytest.mark.parametrize("noise", ["normal", "unequal"])
def test_rank_ranges_seldom_err_where_some_entries_differ(entries, seeds, noise):
    assert simulated.family_wise_error(entries, seeds, simulated.NOISES[noise], pairs=True, repeats=1500) <= 0.07


def test_an_error_is_counted(monkeypatch):
    """The simulations can fail: without Holm's correction, and with intervals a fifth too narrow."""
    monkeypatch.setattr(statistics, "_holm", lambda p, alpha: p <= alpha)
    assert simulated.family_wise_error(6, 5, repeats=300) > 0.15
    monkeypatch.undo()
    whole = statistics.aggregate

    def narrow(skills):
        mean, lo, hi = whole(skills)
        return mean, mean - 0.8 * (mean - lo), mean + 0.8 * (hi - mean)

    monkeypatch.setattr(statistics, "aggregate", narrow)
    assert simulated.aggregate_coverage(4, 5, repeats=1000) < 0.92
