"""Measures of claims about formulations of an equation. Pure functions of one seed's records: entry -> its records.

Sources: Mojgani, Balajewicz and Hassanzadeh 2022 (arXiv 2205.02902); Krishnapriyan et al. 2021 (arXiv 2109.01050).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number
from tasks.pinn.base import WORST

Records = Mapping[str, Sequence[Record]]


def least(records: Records, *, of: str, metric: str = "error") -> float:
    """The least `metric` among the runs of entry `of`, one a setting of its weights; one that diverged has the worst."""
    return min(number(record, metric, WORST) for record in records[of])


def largest(records: Records, *, of: str, metric: str = "error") -> float:
    """The largest `metric` among the runs of entry `of`."""
    return max(number(record, metric, WORST) for record in records[of])


def ratio(records: Records, *, of: str, over: str, metric: str = "error") -> float:
    """The least `metric` among the runs of entry `of` over that among the runs of entry `over`."""
    return least(records, of=of, metric=metric) / least(records, of=over, metric=metric)


def growth(records: Records, *, of: str, along: str, metric: str = "error") -> float:
    """`metric` of entry `of` at the largest value of the task parameter `along` over that at the smallest. BenchError for one
    value."""
    ordered = sorted(records[of], key=lambda record: float(record.params[along]))
    first, last = ordered[0], ordered[-1]
    if not float(first.params[along]) < float(last.params[along]):
        raise BenchError(f"{of}: growth along {along} wants two of its values; the records have one")
    return number(last, metric, WORST) / number(first, metric, WORST)


def modes_ratio(records: Records, *, of: str) -> float:
    """Modes of the exact solution on places over those on labels."""
    (record,) = records[of]
    return number(record, "modes_eulerian") / number(record, "modes_lagrangian")
