"""Measures of claims about learned scores. Pure functions of one seed's records: entry -> its records.

Source: Han, Razaviyayn and Xu 2024 (arXiv 2401.15604).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number
from tasks.diffusion import theory

Records = Mapping[str, Sequence[Record]]


def value(records: Records, *, of: str, metric: str) -> float:
    """A metric of entry `of`, one cell."""
    (record,) = records[of]
    return number(record, metric)


def least_over_most_samples(records: Records, *, of: str, metric: str) -> float:
    """A metric of entry `of` at the fewest samples over that at the most."""
    runs = _by_samples(records[of])
    return number(runs[0], metric) / number(runs[-1], metric)


def exponent(records: Records, *, of: str) -> float:
    """Slope of log score_error against log samples, by least squares over the entry's cells."""
    runs = _by_samples(records[of])
    xs = [math.log(float(run.params["samples"])) for run in runs]
    ys = [math.log(number(run, "score_error")) for run in runs]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def over_formula(records: Records, *, of: str) -> float:
    """score_error of entry `of`, the Gaussian fit on the law `gaussian`, over theory.gaussian_error."""
    (record,) = records[of]
    p = record.params
    if p["law"] != "gaussian":
        raise BenchError(f"law={p['law']}: the formula is that of Gaussian data")
    variances = theory.gaussian_variances(int(p["dimension"]))
    formula = theory.gaussian_error(variances, float(p["samples"]), float(p["start"]), float(p["end"]))
    return number(record, "score_error") / formula


def order_agreement(records: Records, *, metric: str) -> float:
    """Spearman's correlation, over all entries, of score_error and `metric`, one cell each; 1 if they order the entries alike."""
    cells = [record for runs in records.values() for record in runs]
    if len(cells) < 3:
        raise BenchError(f"{len(cells)} cells: an order needs three entries or more")
    one, other = (_ranks([number(cell, name) for cell in cells]) for name in ("score_error", metric))
    middle = (len(cells) + 1) / 2
    products = sum((a - middle) * (b - middle) for a, b in zip(one, other, strict=True))
    spread = math.prod(math.sqrt(sum((a - middle) ** 2 for a in ranks)) for ranks in (one, other))
    return products / spread if spread else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    return [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]


def _by_samples(runs: Sequence[Record]) -> list[Record]:
    found = sorted(runs, key=lambda record: float(record.params["samples"]))
    if len(found) < 2:
        raise BenchError("one number of samples; the measure needs others beside it")
    return found
