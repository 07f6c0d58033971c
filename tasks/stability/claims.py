"""Measures of claims about dynamical stability. Pure functions of one seed's records: entry -> its records, one a rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number
from tasks.stability.rates import GONE


def largest(records: Mapping[str, Sequence[Record]], *, of: str, metric: str) -> float:
    """Largest `metric` over the rates at which entry `of` interpolated: a minimum's stability says nothing of other runs.

    Wu and Su 2023 (arXiv 2305.17490): rate_trace is at most 2 for SGD on single samples, rate_sharpness for gradient descent.
    """
    return max(number(record, metric) for record in _interpolating(records[of], least=1))


def rank_correlation(records: Mapping[str, Sequence[Record]], *, of: str, metric: str, against: str = "lr") -> float:
    """Spearman's correlation, in [-1, 1], of `metric` with the learning rate, or with the metric `against`.

    Over the rates at which entry `of` interpolated, at least three; 0 where either is constant.
    """
    runs = _interpolating(records[of], least=3)
    other = [_rate(record) if against == "lr" else number(record, against) for record in runs]
    return spearman(other, [number(record, metric) for record in runs])


def change(records: Mapping[str, Sequence[Record]], *, of: str, metric: str) -> float:
    """`metric` at the largest rate at which entry `of` interpolated, over that at the smallest."""
    runs = _interpolating(records[of], least=2)
    return number(runs[-1], metric) / number(runs[0], metric)


def ratio(records: Mapping[str, Sequence[Record]], *, of: str, over: str, metric: str) -> float:
    """`metric` of entry `of` over that of entry `over`, at one rate each."""
    (record,), (other,) = records[of], records[over]
    return number(record, metric) / number(other, metric)


def at_worst(records: Mapping[str, Sequence[Record]], *, of: str, metric: str = "escape_ratio") -> float:
    """Largest `metric` of entry `of` over the task's rates; a run that diverged counts as the cap of a loss ratio, 1e6."""
    return max(number(record, metric, diverged=GONE) for record in records[of])


def at_best(records: Mapping[str, Sequence[Record]], *, of: str, metric: str = "escape_ratio") -> float:
    """Smallest `metric` of entry `of` over the task's rates; a run that diverged counts as the cap of a loss ratio, 1e6."""
    return min(number(record, metric, diverged=GONE) for record in records[of])


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Pearson's correlation of the ranks, ties at their mean rank; 0 if one side is constant."""
    a, b = _ranks(x), _ranks(y)
    middle = (len(a) - 1) / 2
    spread = math.sqrt(sum((v - middle) ** 2 for v in a) * sum((v - middle) ** 2 for v in b))
    return sum((v - middle) * (w - middle) for v, w in zip(a, b, strict=True)) / spread if spread else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    return [sum(other < v for other in values) + (values.count(v) - 1) / 2 for v in values]


def _rate(record: Record) -> float:
    return float(record.config["stepper"]["lr"])


def _interpolating(records: Sequence[Record], least: int) -> list[Record]:
    """Runs that ended at a loss below 1e-6, by rate. BenchError if fewer than `least` did, or one failed."""
    interpolating = [r for r in records if r.status != "diverged" and number(r, "interpolated") > 0]
    if len(interpolating) < least:
        raise BenchError(
            f"{records[0].label}: {len(interpolating)} of {len(records)} runs "
            f"interpolate, the measure wants {least}; give it smaller rates or more steps"
        )
    return sorted(interpolating, key=_rate)
