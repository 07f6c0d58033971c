"""Measures of claims about initial weights of graph networks. Pure functions of one seed's records: entry -> its records.

Source: Li, Song, Song and Wipf 2023 (arXiv 2312.02622). Where a plan sweeps the layer or the depth, an entry has several records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number

Records = Mapping[str, Sequence[Record]]


def furthest(records: Records, *, of: str, metric: str) -> float:
    """The largest size of `metric` over the records of entry `of`."""
    return max(abs(number(record, metric)) for record in records[of])


def mean_gain(records: Records, *, of: str, over: str, metric: str, diverged: float) -> float:
    """`metric` of entry `of` less that of `over`, mean over pairs of equal parameters; `diverged` for a run that failed."""
    pairs = paired(records, of, over)
    gains = [number(a, metric, diverged=diverged) - number(b, metric, diverged=diverged) for a, b in pairs]
    return sum(gains) / len(gains)


def mean_size_gain(records: Records, *, of: str, over: str, metric: str) -> float:
    """Size of `metric` of entry `of` less that of `over`, mean over pairs of equal parameters."""
    gains = [abs(number(a, metric)) - abs(number(b, metric)) for a, b in paired(records, of, over)]
    return sum(gains) / len(gains)


def best_rate_gain(records: Records, *, of: str, over: str, metric: str, chosen_by: str, diverged: float) -> float:
    """`metric` of entry `of` less that of `over`, each at the rate with its best `chosen_by`, a measure on validation data."""
    best = [max(records[name], key=lambda record: number(record, chosen_by, diverged=diverged)) for name in (of, over)]
    gains = [number(record, metric, diverged=diverged) for record in best]
    return gains[0] - gains[1]


def paired(records: Records, of: str, over: str) -> list[tuple[Record, Record]]:
    """Records of two entries that agree in the task's parameters. BenchError unless each has its partner."""
    sides = [{str(sorted(record.params.items())): record for record in records[name]} for name in (of, over)]
    if sides[0].keys() != sides[1].keys() or not sides[0]:
        raise BenchError(f"{of} and {over} were not run with the same parameters")
    return [(sides[0][place], sides[1][place]) for place in sorted(sides[0])]


def gain_of_depth(records: Records, *, of: str, metric: str, deep: int, shallow: int) -> float:
    """`metric` of entry `of` with `deep` layers less that with `shallow` ones; a run that diverged counts as 0."""
    by_depth = {record.params["depth"]: number(record, metric, diverged=0.0) for record in records[of]}
    return by_depth[deep] - by_depth[shallow]
