"""Measures of claims about generalisation dynamics. Pure functions of one seed's records: entry -> its records.

Sources: Advani, Saxe 2017 (arXiv 1710.03667). Errors include the noise of a new target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number

Records = Mapping[str, Sequence[Record]]


def largest(records: Records, *, entry: str, metric: str) -> float:
    """The largest value of a metric among the entry's cells."""
    return max(number(record, metric) for record in records[entry])


def peak(records: Records, *, entry: str, metric: str, axis: str, at: float) -> float:
    """A metric where parameter `axis` is `at`, over its largest value elsewhere; above 1 if the peak is there."""
    values = _by(axis, records[entry], metric)
    here, elsewhere = values.pop(_known(at, axis, values)), list(values.values())
    if not elsewhere:
        raise BenchError(f"{axis}={at} is the only cell; a peak needs others beside it")
    return here / max(elsewhere)


def ratio(records: Records, *, of: str, over: str, metric: str) -> float:
    """A metric of entry `of` over that of entry `over`, one cell each."""
    (record,), (other,) = records[of], records[over]
    return number(record, metric) / number(other, metric)


def frozen_share(records: Records, *, kept: str, projected: str, start: float) -> float:
    """What the frozen part of initial weights of variance `start` adds to gen_error, over (1 - alpha) start; theory says 1."""
    (record,), (other,) = records[kept], records[projected]
    alpha = float(record.params["ratio"])
    if alpha >= 1:
        raise BenchError(f"ratio={alpha}: with as many samples as weights nothing is frozen")
    return (number(record, "gen_error") - number(other, "gen_error")) / ((1 - alpha) * start)


def norm_formula(records: Records, *, entry: str) -> float:
    """Mean over the ratios of gen_error over the exact mean error of the least-norm solution, minus 1.

    Ratios where P is within one of N are left out: the error has no finite mean there.
    """
    from tasks.generalization.theory import minimum_norm

    errors = []
    for record in records[entry]:
        params = record.params
        dimension, samples = int(params["dimension"]), round(params["ratio"] * params["dimension"])
        if abs(samples - dimension) > 1:
            errors.append(number(record, "gen_error") / minimum_norm(dimension, samples, params["snr"]) - 1)
    return sum(errors) / len(errors)


def widest(records: Records, *, entry: str, over: float | None = None) -> float:
    """gen_error of the widest student over that at width `over`, or over the least of all narrower ones."""
    errors = _by("width", records[entry], "gen_error")
    last = errors.pop(max(errors))
    return last / (min(errors.values()) if over is None else errors[_known(over, "width", errors)])


def _by(axis: str, records: Sequence[Record], metric: str) -> dict[float, float]:
    return {float(record.params[axis]): number(record, metric) for record in records}


def _known(value: float, axis: str, cells: Mapping[float, float]) -> float:
    if float(value) not in cells:
        raise BenchError(f"no cell with {axis}={value}; there are {', '.join(f'{x:g}' for x in sorted(cells))}")
    return float(value)
