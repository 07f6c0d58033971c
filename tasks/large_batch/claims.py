"""Measures of claims about batch sizes. Pure functions of one seed's records: entry -> its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.claims import Record, number


def accuracy_gain(records: Mapping[str, Sequence[Record]], *, of: str, over: str) -> float:
    """Test accuracy of entry `of` minus that of entry `over`, shares in [0, 1]; a run that diverged counts as chance, 0.1.

    Hoffer et al. 2017 (arXiv 1705.08741), table 1, compares validation accuracies; here test samples are held back.
    """
    return _accuracy(records[of]) - _accuracy(records[over])


def _accuracy(records: Sequence[Record]) -> float:
    (record,) = records
    return number(record, "test_accuracy", diverged=0.1)
