"""Measures of claims about second-order methods. Pure functions of one seed's records: entry -> its records.

A run that did not reach a target counts as the whole budget, so that a ratio to it is a bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number

Records = Mapping[str, Sequence[Record]]


def ratio(records: Records, *, of: str, over: str, metric: str = "gradients_to_8") -> float:
    """A metric of entry `of` over that of entry `over`, one cell each."""
    (record,), (other,) = records[of], records[over]
    return number(record, metric) / number(other, metric)


def value(records: Records, *, of: str, metric: str) -> float:
    """A metric of the one cell of entry `of`."""
    (record,) = records[of]
    return number(record, metric)


def pace(records: Records, *, of: str) -> float:
    """Gradient evaluations from 1e-6 to 1e-8 over those from 1e-4 to 1e-6.

    1 at a linear rate, 100 at f - f* ~ 1/k, 10 at 1/k^2, below 1 at a superlinear one. A run that did not reach 1e-8 counts as if
    it did with its last evaluation, which is too low; a stretch that one step leaps counts as one evaluation. BenchError if it
    did not reach 1e-6.
    """
    (record,) = records[of]
    if "gradients_to_6" in record.censored:
        raise BenchError(f"{record.label} did not reach 1e-6; raise task.gradients")
    early, middle, late = (number(record, f"gradients_to_{digits}") for digits in (4, 6, 8))
    return max(late - middle, 1.0) / max(middle - early, 1.0)


def spread(records: Records, *, of: str, metric: str) -> float:
    """The largest value of a metric among the cells of entry `of` over the smallest."""
    values = [number(record, metric) for record in records[of]]
    return max(values) / min(values)


def worst_rise(records: Records) -> float:
    """The largest `rise` among all entries; negative or 0 if every one of them descends at every step."""
    return max(number(record, "rise") for cells in records.values() for record in cells)
