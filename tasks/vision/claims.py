"""Measures of claims about optimizers on pictures. Pure functions of one seed's records: entry -> its records.

Accuracies are shares of the test samples, in [0, 1]; a run that diverged counts as chance, 0.1. Where a plan sweeps the rate or a
parameter of the task, an entry has several records, and those of two entries are compared in pairs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number

CHANCE = 0.1


def mean_gain(records: Mapping[str, Sequence[Record]], *, of: str, over: str) -> float:
    """Accuracy of entry `of` less that of `over`, mean over the pairs of equal rate and parameters."""
    gains = [_accuracy(one) - _accuracy(other) for one, other in paired(records, of, over)]
    return sum(gains) / len(gains)


def best_rate_gain(records: Mapping[str, Sequence[Record]], *, of: str, over: str) -> float:
    """Accuracy of entry `of` less that of `over`, each at the rate of its best validation accuracy."""
    one, other = (best(records[name], "val_accuracy", "max", diverged=CHANCE) for name in (of, over))
    return _accuracy(one) - _accuracy(other)


def least_gain(records: Mapping[str, Sequence[Record]], *, of: str, over: Sequence[str]) -> float:
    """Accuracy of entry `of` less the best among the entries `over`, one record each."""
    (record,) = records[of]
    rivals = [_accuracy(other) for name in over for other in records[name]]
    return _accuracy(record) - max(rivals)


def spread(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """Largest less smallest accuracy of entry `of` over its records, such as one for each activation."""
    accuracies = [_accuracy(record) for record in records[of]]
    return max(accuracies) - min(accuracies)


def largest(records: Mapping[str, Sequence[Record]], *, of: str, metric: str) -> float:
    """Largest `metric` over the records of entry `of`."""
    return max(number(record, metric) for record in records[of])


def furthest_ratio(records: Mapping[str, Sequence[Record]], *, of: str, over: str, metric: str) -> float:
    """`metric` of entry `of` over that of `over`, of the pairs of equal rate and parameters the one furthest from 1."""
    ratios = [number(one, metric) / number(other, metric) for one, other in paired(records, of, over)]
    return max(ratios, key=lambda ratio: max(ratio, 1 / ratio))


def paired(records: Mapping[str, Sequence[Record]], of: str, over: str) -> list[tuple[Record, Record]]:
    """Records of two entries that agree in rate and task parameters. BenchError unless each has its partner."""
    sides = [{_place(record): record for record in records[name]} for name in (of, over)]
    if sides[0].keys() != sides[1].keys() or not sides[0]:
        raise BenchError(f"{of} and {over} were not run at the same rates and parameters")
    return [(sides[0][place], sides[1][place]) for place in sorted(sides[0])]


def best(records: Sequence[Record], metric: str, better: str, diverged: float) -> Record:
    """The record with the least or, if `better` is "max", the largest `metric`; of equal ones that of the smaller rate."""
    sign = -1 if better == "max" else 1
    return min(records, key=lambda record: (sign * number(record, metric, diverged), _rate(record)))


def _rate(record: Record) -> float:
    return float(record.config["optimizer"]["lr"])


def _place(record: Record) -> tuple[float, str]:
    return _rate(record), json.dumps(record.params, sort_keys=True)


def _accuracy(record: Record) -> float:
    return number(record, "test_accuracy", diverged=CHANCE)
