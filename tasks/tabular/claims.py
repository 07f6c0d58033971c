"""Measures of claims about networks trained in stages. Pure functions of one seed's records: entry -> its records.

Source: Emami and Martínez-Muñoz, Sequential Training of Neural Networks with Gradient Boosting (arXiv 1909.12098).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records.record import Record, number

Records = Mapping[str, Sequence[Record]]


def gain(records: Records, *, of: str, over: str) -> float:
    """Accuracy of entry `of` minus that of entry `over`, one cell each; a run that diverged counts as 0."""
    (record,), (other,) = records[of], records[over]
    return number(record, "accuracy", diverged=0.0) - number(other, "accuracy", diverged=0.0)


def error_ratio(records: Records, *, of: str, over: str) -> float:
    """Error of entry `of` over that of entry `over`, one cell each; a run that diverged counts as the task says, 10."""
    (record,), (other,) = records[of], records[over]
    return number(record, "error", diverged=10.0) / number(other, "error", diverged=10.0)


def lost_accuracy(records: Records, *, of: str) -> float:
    """Accuracy that is lost when the second half of the units is switched off."""
    (record,) = records[of]
    return number(record, "accuracy") - number(record, "half_accuracy")


def lost_more(records: Records, *, of: str, than: str) -> float:
    """Accuracy that `of` loses by switching off half of its units, minus what `than` loses."""
    return lost_accuracy(records, of=of) - lost_accuracy(records, of=than)


def half_error_ratio(records: Records, *, of: str) -> float:
    """Error with the second half of the units switched off over that with all of them."""
    (record,) = records[of]
    return number(record, "half_error") / number(record, "error")


def rising(records: Records, *, of: str) -> float:
    """Share of the stages, of one unit each, after which the loss on all training rows is above the one before."""
    (record,) = records[of]
    return number(record, "rising")
