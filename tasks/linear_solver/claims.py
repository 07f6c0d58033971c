"""Measures of claims about solvers of linear systems. Pure functions of one seed's records: entry -> its records.

Source: Kaneda et al. 2023 (arXiv 2205.10763). Time is CPU seconds of the phases that a record keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number
from tasks.linear_solver.base import KINDS, WORST

Records = Mapping[str, Sequence[Record]]
NEVER = 1e9  # solves; stands for a training that is never repaid


def value(records: Records, *, of: str, metric: str) -> float:
    """`metric` of entry `of`."""
    (record,) = records[of]
    return number(record, metric, WORST)


def ratio(records: Records, *, of: str, over: str, metric: str) -> float:
    """`metric` of entry `of` over that of entry `over`."""
    return value(records, of=of, metric=metric) / value(records, of=over, metric=metric)


def growth(records: Records, *, of: str) -> float:
    """Products of entry `of` until 1e-8 over those until 1e-4."""
    return value(records, of=of, metric="tight_products") / value(records, of=of, metric="products")


def growth_ratio(records: Records, *, of: str, over: str) -> float:
    """`growth` of entry `of` over that of entry `over`."""
    return growth(records, of=of) / growth(records, of=over)


def spread(records: Records, *, of: str) -> float:
    """The most products of entry `of` among the four kinds of right-hand sides over the fewest, until 1e-4."""
    kinds = [value(records, of=of, metric=f"products_{kind}") for kind in KINDS]
    return max(kinds) / min(kinds)


def size_growth(records: Records, *, of: str) -> float:
    """Products of entry `of` on the largest domain over those on the smallest, until 1e-4."""
    runs = sorted(records[of], key=lambda record: int(record.params["side"]))
    if len(runs) < 2:
        raise BenchError(f"{of}: growth with the size wants two values of task.side, the records have {len(runs)}")
    return number(runs[-1], "products", WORST) / number(runs[0], "products", WORST)


def time_ratio(records: Records, *, of: str, over: str) -> float:
    """CPU seconds of entry `of` to solve all right-hand sides until 1e-8 over those of entry `over`, without set-up."""
    return _seconds(records, of) / _seconds(records, over)


def break_even(records: Records, *, of: str) -> float:
    """Solves until 1e-4 that repay the products of training and set-up of entry `of`, against conjugate gradients."""
    (record,) = records[of]
    return number(record, "break_even") if "break_even" in record.metrics else NEVER


def break_even_time(records: Records, *, of: str, over: str) -> float:
    """Solves until 1e-8 that repay the CPU seconds of training entry `of` by what a solve takes less than by entry `over`; NEVER
    if it takes no less."""
    (record,) = records[of]
    solves = int(record.params["val"]) + int(record.params["test"])
    saved = (_seconds(records, over) - _seconds(records, of)) / solves
    return min(NEVER, record.costs.cpu["train"] / saved) if saved > 0 else NEVER


def _seconds(records: Records, entry: str) -> float:
    (record,) = records[entry]
    return float(record.costs.cpu["predict"])
