"""Measures of claims about batch sizes. Pure functions of one seed's records: entry -> its records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.records.record import Record, number


def accuracy_gain(records: Mapping[str, Sequence[Record]], *, of: str, over: str) -> float:
    """Test accuracy of entry `of` minus that of entry `over`, shares in [0, 1]; a run that diverged counts as chance, 0.1.

    Hoffer et al. 2017 (arXiv 1705.08741), table 1, compares validation accuracies; here test samples are held back.
    """
    return _accuracy(records[of]) - _accuracy(records[over])


def least_step(records: Mapping[str, Sequence[Record]], *, order: Sequence[str]) -> float:
    """The least gain of test accuracy from an entry of `order` to the next: positive if all of the ordering holds.

    Hoffer et al. 2017, table 1, whose columns add one adaptation after another.
    """
    accuracies = [_accuracy(records[name]) for name in order]
    return min(after - before for before, after in zip(accuracies, accuracies[1:], strict=False))


def straightness(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """R2 of entry `of`'s weight distance on log t minus that on sqrt t: positive if it is nearer to the logarithm.

    Hoffer et al. 2017, section 3.
    """
    (record,) = records[of]
    return number(record, "log_r2") - number(record, "root_r2")


def pace_gain(records: Mapping[str, Sequence[Record]], *, of: str, over: str, like: str) -> float:
    """How much nearer the pace of entry `of` is to that of `like` than the pace of `over` is, in powers of e.

    The pace is the slope of weight distance on log t. ValueError for weights that do not move away.
    """

    def off(name: str) -> float:
        (record,), (other,) = records[name], records[like]
        paces = number(record, "log_rate"), number(other, "log_rate")
        if min(paces) <= 0:
            raise ValueError(f"the weights of {name} or {like} do not move away from their start")
        return abs(math.log(paces[0] / paces[1]))

    return off(over) - off(of)


def _accuracy(records: Sequence[Record]) -> float:
    (record,) = records
    return number(record, "test_accuracy", diverged=0.1)
