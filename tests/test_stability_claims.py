"""The measures of claims about stability, on made-up records."""

from __future__ import annotations

import pytest

from bench.contract import BenchError
from bench.records.record import Record
from tasks.stability.claims import at_best, at_worst, change, largest, rank_correlation, ratio, spearman
from tests.test_claims import record


def run(lr: float, status: str = "ok", entry: str = "a", interpolated: float = 1.0, **metrics: float) -> Record:
    made = record(entry, status=status, interpolated=interpolated, **metrics)
    made.config = {"stepper": {"lr": lr}}
    return made


def test_spearman_is_the_correlation_of_ranks():
    assert spearman([1, 2, 3], [10, 20, 1000]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [4, 3, 1, 2]) == pytest.approx(-0.8)
    assert spearman([1, 2, 2], [1, 2, 3]) == pytest.approx(0.866025, abs=1e-6), "ties get their mean rank"
    assert spearman([1, 2, 3], [7, 7, 7]) == 0.0


def test_only_runs_that_interpolate_count():
    runs = [run(0.3, trace=1.0), run(0.1, trace=3.0), run(0.2, trace=2.0), run(0.4, trace=9.0, interpolated=0.0)]
    records = {"a": [*runs, run(0.5, status="diverged")]}
    assert largest(records, of="a", metric="trace") == 3.0
    assert rank_correlation(records, of="a", metric="trace") == pytest.approx(-1.0)
    assert rank_correlation(records, of="a", metric="trace", against="trace") == pytest.approx(1.0)
    assert change(records, of="a", metric="trace") == pytest.approx(1 / 3)


def test_too_few_runs_and_failed_ones_are_told():
    with pytest.raises(BenchError, match="0 of 1 runs interpolate"):
        largest({"a": [run(0.1, interpolated=0.0, trace=1.0)]}, of="a", metric="trace")
    with pytest.raises(BenchError, match="2 of 2 runs interpolate, the measure wants 3"):
        rank_correlation({"a": [run(0.1, trace=1.0), run(0.2, trace=1.0)]}, of="a", metric="trace")
    with pytest.raises(BenchError, match="timeout"):
        largest({"a": [run(0.1, trace=1.0), run(0.2, status="timeout")]}, of="a", metric="trace")


def test_ratios_and_extremes():
    records = {"a": [run(0.1, x=1.0)], "b": [run(0.1, entry="b", x=4.0)]}
    assert ratio(records, of="a", over="b", metric="x") == 0.25
    rates = {"a": [run(0.1, escape_ratio=2.0), run(0.1, escape_ratio=5.0), run(0.1, status="diverged")]}
    assert at_worst(rates, of="a") == 1e6 and at_best(rates, of="a") == 2.0
