"""Measures of claims about deep linear networks. Pure functions of one seed's records: entry -> its records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number

Records = Mapping[str, Sequence[Record]]


def value(records: Records, *, of: str, metric: str) -> float:
    """A metric of entry `of`, which has one record a seed."""
    (record,) = records[of]
    return number(record, metric)


def rate_ratio(records: Records, *, of: str, metric: str) -> float:
    """A metric of entry `of` at the larger of two rates, over that at the smaller one; the rates differ by a factor of 2."""
    small, large = sorted(records[of], key=lambda record: float(record.params["lr"]))
    ratio = float(large.params["lr"]) / float(small.params["lr"])
    if not math.isclose(ratio, 2):
        raise BenchError(f"the rates differ by a factor of {ratio:g}, not 2; give task.lr two such values")
    return number(large, metric) / number(small, metric)


def delay_at_depth(records: Records, *, of: str) -> float:
    """`delay` of the deepest network of entry `of`, over that which the theory has in the limit of infinite depth.

    BenchError if a deeper network on the way is faster, for then the limit is not approached from below.
    """
    runs = sorted(records[of], key=lambda record: int(record.params["layers"]))
    delays = [number(record, "delay") for record in runs]
    if sorted(delays) != delays:
        raise BenchError(f"the delay falls with depth somewhere: {', '.join(f'{d:.4g}' for d in delays)}")
    return delays[-1]


def depth_slowdown(records: Records, *, of: str) -> float:
    """Steps to learn of the deepest network over those of the shallowest, each at its own best rate, of entry `of`."""
    best = _best(records[of])
    return best[max(best)][0] / best[min(best)][0]


def rate_exponent(records: Records, *, of: str) -> float:
    """Slope of ln(best rate) over ln(depth), of entry `of`; -1 is a best rate that falls as one over the depth.

    BenchError if a best rate lies at an edge of those tried: it may then lie anywhere beyond.
    """
    best = _best(records[of])
    tried = {float(record.params["lr"]) for record in records[of]}
    for depth, (_, rate) in best.items():
        if rate in (min(tried), max(tried)):
            raise BenchError(f"at depth {depth} the best rate, {rate:g}, is at the edge of those tried; widen task.lr")
    x, y = ([math.log(v) for v in values] for values in (best, (rate for _, rate in best.values())))
    middle = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - middle[0]) * (b - middle[1]) for a, b in zip(x, y, strict=True))
    return slope / sum((a - middle[0]) ** 2 for a in x)


def speed_up(records: Records, *, of: str, over: str) -> float:
    """Steps to learn of entry `over` over those of entry `of`, each at its own best rate.

    A run that does not learn counts as the budget, so where `over` never learns this is a lower bound.
    """
    (trial,), (other,) = (_best(records[name]).values() for name in (of, over))
    return other[0] / trial[0]


def _best(records: Sequence[Record]) -> dict[int, tuple[float, float]]:
    """depth -> (fewest steps over the rates tried, the rate that needed them, or the geometric mean of several)."""
    trials: dict[int, list[tuple[float, float]]] = {}
    for record in records:
        p = record.params
        steps = max(number(record, "learning_steps", diverged=float(p["steps"])), 1.0)
        trials.setdefault(int(p["depth"]), []).append((steps, float(p["lr"])))
    best = {}
    for depth, runs in sorted(trials.items()):
        least = min(steps for steps, _ in runs)
        logs = [math.log(rate) for steps, rate in runs if steps == least]
        best[depth] = (least, math.exp(sum(logs) / len(logs)))
    return best
