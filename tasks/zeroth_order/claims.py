"""Measures of claims about learning from function values. Pure functions of one seed's records: entry -> its records.

Source: García Fernández, Ahmad and van Gerven 2025 (arXiv 2510.18812), a review without experiments of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number
from tasks.zeroth_order import descent, theory

Records = Mapping[str, Sequence[Record]]
CHANCE = 0.1  # accuracy of a run that diverged


def value(records: Records, *, of: str, metric: str) -> float:
    """A metric of entry `of`, one cell."""
    (record,) = records[of]
    return number(record, metric)


def ratio(records: Records, *, of: str, over: str, metric: str) -> float:
    """A metric of entry `of` over that of entry `over`, one cell each."""
    (record,), (other,) = records[of], records[over]
    return number(record, metric) / number(other, metric)


def accuracy_gain(records: Records, *, of: str, over: str) -> float:
    """Test accuracy of entry `of` minus that of `over`, shares in [0, 1]; a run that diverged counts as chance, 0.1."""
    (record,), (other,) = records[of], records[over]
    return number(record, "test_accuracy", diverged=CHANCE) - number(other, "test_accuracy", diverged=CHANCE)


def least_loss(records: Records, *, methods: Sequence[str], under: str) -> float:
    """Test accuracy of entry `under` minus that of the method of `methods` that this setting ran; the best one if several did."""
    return min(accuracy_gain(records, of=under, over=name) for name in methods if name in records)


def least_step(records: Records, *, order: Sequence[str]) -> float:
    """The least gain of test accuracy from an entry of `order` to the next: positive if all of the ordering holds."""
    return min(accuracy_gain(records, of=after, over=before) for before, after in zip(order, order[1:], strict=False))


def cosine_law(records: Records, *, of: str) -> float:
    """cosine_squared of entry `of`, which makes two evaluations a direction, over k/(d + k - 1)."""
    (record,) = records[of]
    k, d = record.params["queries"] // 2, record.params["dimension"]
    return number(record, "cosine_squared") / theory.cosine_squared(k, d)


def variance_law(records: Records, *, of: str, law: str) -> float:
    """relative_variance of entry `of` over (d + 1)/k for normal directions or (d - 1)/k for signs."""
    (record,) = records[of]
    k, d = record.params["queries"] // 2, record.params["dimension"]
    return number(record, "relative_variance") / theory.relative_variance(k, d, law)


def step_exponent(records: Records, *, of: str) -> float:
    """Slope of log steps to the reduction against log dimension. BenchError where a run missed it: its steps are a bound only."""
    runs = sorted(records[of], key=lambda record: float(record.params["dimension"]))
    if missed := [f"{record.params['dimension']:g}" for record in runs if number(record, "reached") == 0]:
        raise BenchError(f"{of} missed the reduction at dimension {', '.join(missed)}; raise task.patience")
    dimensions = [float(record.params["dimension"]) for record in runs]
    return descent.exponent(dimensions, [{"steps": number(record, "steps")} for record in runs])
