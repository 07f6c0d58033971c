"""Measures of claims about bilevel optimisation. Pure functions of one seed's records: entry -> its records.

Source: Kwon, Kwon, Wright and Nowak 2023 (arXiv 2309.01753).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number
from tasks.bilevel.base import TOLERANCES, WORST

Records = Mapping[str, Sequence[Record]]


def sigma_slope(records: Records, *, of: str, metric: str) -> float:
    """Least-squares slope of log `metric` against log sigma over the runs of entry `of`, one a sigma, at least three."""
    points = sorted(
        (float(record.config["bilevel_method"]["sigma"]), number(record, metric, WORST)) for record in records[of]
    )
    if len({sigma for sigma, _ in points}) < 3:
        raise BenchError(f"{of}: a slope wants three values of bilevel_method.sigma, the records have {len(points)}")
    return slope([math.log(sigma) for sigma, _ in points], [math.log(value) for _, value in points])


def complexity(records: Records, *, of: str) -> float:
    """Least-squares slope of log gradient evaluations against log 1 / tolerance, the fewest over the runs of entry `of`.

    Over the tolerances that some run reached, at least three: the exponent p of evaluations = tolerance^-p.
    """
    fewest = {}
    for name, tolerance in TOLERANCES.items():
        calls = [record.metrics[name] for record in records[of] if record.status == "ok" and name in record.metrics]
        if calls:
            fewest[tolerance] = min(calls)
    if len(fewest) < 3:
        raise BenchError(f"{of}: {len(fewest)} tolerances were reached, the exponent wants 3; raise task.gradients")
    return slope([-math.log(tolerance) for tolerance in fewest], [math.log(calls) for calls in fewest.values()])


def compared(
    records: Records, *, of: str, metric: str, at: Mapping[str, float], over: Mapping[str, float], worst: float = WORST
) -> float:
    """`metric` of entry `of` with the method's arguments `at` over that with `over`; a diverged run has `worst`."""
    return number(_with(records[of], at), metric, worst) / number(_with(records[of], over), metric, worst)


def best_ratio(records: Records, *, of: str, over: str, metric: str) -> float:
    """The least `metric` among the runs of entry `of`, over that among the runs of entry `over`."""
    return min(number(r, metric, WORST) for r in records[of]) / min(number(r, metric, WORST) for r in records[over])


def largest(records: Records, *, of: str, metric: str) -> float:
    """The largest `metric` among the runs of entry `of`."""
    return max(number(record, metric) for record in records[of])


def smallest(records: Records, *, of: str, metric: str) -> float:
    """The smallest `metric` among the runs of entry `of`."""
    return min(number(record, metric) for record in records[of])


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares slope of y against x."""
    middle, level = sum(x) / len(x), sum(y) / len(y)
    return sum((a - middle) * (b - level) for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)


def _with(records: Sequence[Record], arguments: Mapping[str, float]) -> Record:
    """The one record whose method has these arguments. BenchError if there is none or several."""
    chosen = [
        record
        for record in records
        if all(math.isclose(float(record.config["bilevel_method"][name]), value) for name, value in arguments.items())
    ]
    if len(chosen) != 1:
        raise BenchError(f"{len(chosen)} records have {dict(arguments)}; the measure wants one")
    return chosen[0]
