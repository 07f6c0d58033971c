"""Measures of claims about regularised differential equations. Pure functions of one seed's records: entry -> its records.

Source: Pal, Edelman and Rackauckas 2023 (arXiv 2303.02262). A plan sweeps the strength of a penalty. Strength 0 is training
without one; among the others the one counts that has the fewest evaluations on validation data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number
from tasks.neural_ode.base import WORST

Records = Mapping[str, Sequence[Record]]


def best_ratio(records: Records, *, of: str, metric: str, over: str = "") -> float:
    """`metric` of entry `of` at its best strength, over that of `over` at its own; over that at strength 0 without `over`."""
    reference = best(records[over]) if over else plain(records[of])
    return number(best(records[of]), metric, WORST) / number(reference, metric, WORST)


def best_difference(records: Records, *, of: str, metric: str) -> float:
    """`metric` of entry `of` at its best strength less that at strength 0."""
    return number(best(records[of]), metric) - number(plain(records[of]), metric)


def time_ratio(records: Records, *, of: str, phase: str, over: str = "") -> float:
    """CPU seconds of a phase (train, predict), compared as by `best_ratio`. BenchError if one took none."""
    seconds = [
        record.costs.cpu.get(phase, 0.0)
        for record in (best(records[of]), best(records[over]) if over else plain(records[of]))
    ]
    if not min(seconds) > 0:
        raise BenchError(f"{of}: no time was booked on the phase {phase}")
    return seconds[0] / seconds[1]


def sensitivity_ratio(records: Records, *, of: str, metric: str) -> float:
    """`metric` under task.sensitivity=adjoint over that under backpropagation, each at its best strength."""
    sides = {
        how: best([record for record in records[of] if record.params["sensitivity"] == how])
        for how in ("adjoint", "backpropagation")
    }
    return number(sides["adjoint"], metric, WORST) / number(sides["backpropagation"], metric, WORST)


def best(records: Sequence[Record]) -> Record:
    """The record with a strength above 0 that has the fewest evaluations on validation data; of equal ones the weakest."""
    rows = sorted((r for r in records if strength(r) > 0), key=strength)
    if not rows:
        raise BenchError("no record has a strength above 0; sweep entry.flow_regularizer.strength")
    return min(rows, key=lambda record: number(record, "val_evaluations", WORST))


def plain(records: Sequence[Record]) -> Record:
    """The record of strength 0; BenchError without one."""
    for record in records:
        if strength(record) == 0:
            return record
    raise BenchError(
        "no record has strength 0, training without a penalty; sweep entry.flow_regularizer.strength from 0"
    )


def strength(record: Record) -> float:
    """Of a record's penalty."""
    return float(record.config["flow_regularizer"]["strength"])
