"""Measures of claims about walks on functions of one variable. Pure functions of one seed's records: entry -> its records.

The share of starts that reach the global minimum is that of the metric `reached`; a run that diverged reaches it from none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records.record import Record, number
from tasks.vision.claims import best, paired


def reached(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """The share of starts from which entry `of` ends at the global minimum."""
    (record,) = records[of]
    return _reached(record)


def mean_gain(records: Mapping[str, Sequence[Record]], *, of: str, over: str) -> float:
    """The share of entry `of` less that of `over` at the same rate, mean over the rates of the plan."""
    gains = [_reached(one) - _reached(other) for one, other in paired(records, of, over)]
    return sum(gains) / len(gains)


def best_rate_gain(records: Mapping[str, Sequence[Record]], *, of: str, over: str) -> float:
    """The share of entry `of` less that of `over`, each at the rate with its least gap on validation starts."""
    one, other = (best(records[name], "val_gap", "min", diverged=10.0) for name in (of, over))
    return _reached(one) - _reached(other)


def _reached(record: Record) -> float:
    return number(record, "reached", diverged=0.0)
