"""Measures of claims about constraints. Pure functions of one seed's records: entry -> its records.

Source: Chalapathi, Du and Krishnapriyan 2024 (arXiv 2402.13412).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number
from tasks.constraints.base import WORST

Records = Mapping[str, Sequence[Record]]


def over(records: Records, *, of: str, over: str, metric: str, diverged: float = WORST) -> float:
    """`metric` of entry `of` over that of entry `over`, one record each; a run that diverged has the value `diverged`."""
    return number(_only(records, of), metric, diverged) / number(_only(records, over), metric, diverged)


def over_longer(records: Records, *, of: str, over: str, metric: str) -> float:
    """`metric` of entry `of` at its fewest training steps over that of entry `over` at its most."""
    least = min(records[of], key=lambda record: int(record.params["steps"]))
    most = max(records[over], key=lambda record: int(record.params["steps"]))
    if int(most.params["steps"]) <= int(least.params["steps"]):
        raise BenchError(f"{over} has no run with more steps than {of}; the plan wants several task.steps")
    return number(least, metric, WORST) / number(most, metric, WORST)


def swept(records: Records, *, of: str, metric: str, parameter: str) -> float:
    """`metric` of entry `of` at the largest value of a task parameter over that at the smallest."""
    runs = sorted(records[of], key=lambda record: float(record.params[parameter]))
    if len({float(record.params[parameter]) for record in runs}) < 2:
        raise BenchError(f"{of}: the records have one value of {parameter}; the measure wants two")
    return number(runs[-1], metric, WORST) / number(runs[0], metric, WORST)


def swept_experts(records: Records, *, of: str, metric: str, diverged: float = WORST) -> float:
    """`metric` of entry `of` with the most experts over that with the fewest."""
    runs = sorted(records[of], key=lambda record: int(record.config["physics_constraint"]["experts"]))
    if len({int(record.config["physics_constraint"]["experts"]) for record in runs}) < 2:
        raise BenchError(f"{of}: the records have one number of experts; the measure wants two")
    return number(runs[-1], metric, diverged) / number(runs[0], metric, diverged)


def _only(records: Records, entry: str) -> Record:
    if len(records[entry]) != 1:
        raise BenchError(f"{entry}: {len(records[entry])} records of a seed; the measure wants one")
    return records[entry][0]
