"""Measures of claims about delayed generalisation. Pure functions of one seed's records: entry -> its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records.record import Record, number


def delay(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """Steps to 99 % of the monitor pairs over steps to 99 % of the training pairs, of entry `of`; 1 is no delay.

    A time that was not reached counts as the budget: where only the training pairs were learned this is a lower bound.
    Power et al. 2022 (arXiv 2201.02177), figure 1.
    """
    (record,) = records[of]
    budget = float(record.params["steps"])
    fitted, understood = (number(record, f"steps_to_{name}", diverged=budget) for name in ("train", "monitor"))
    return understood / max(fitted, 1.0)


def decay_gain(records: Mapping[str, Sequence[Record]]) -> float:
    """Monitor accuracy at the end with weight decay minus without, of one entry run at two decays, one of them 0.

    Power et al. 2022, figure 2, left. A run that diverged counts as 0.
    """
    (runs,) = records.values()
    plain, decayed = sorted(runs, key=lambda record: float(record.config["optimizer"]["weight_decay"]))
    if plain.config["optimizer"]["weight_decay"] != 0:
        raise ValueError("one of the two runs has to be without weight decay")
    return number(decayed, "monitor_acc", diverged=0.0) - number(plain, "monitor_acc", diverged=0.0)
