"""Measures of claims about group arithmetic and the grokking pack. Pure functions of one seed's records: entry -> its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records.record import Record, number

CRITICAL = 2.7482  # pairs over M ln M, from the code of Tian 2025


def critical_ratio(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """Pairs over M ln M from which on entry `of` reaches 99 % of the monitor pairs, in runs over a grid of task.ratio.

    The middle between the largest ratio that fails and the next one; the grid's end where none fails, or the largest does. A
    run that diverged fails. Tian 2025 (arXiv 2509.21519), the scaling law of generalisation.
    """
    runs = sorted(records[of], key=lambda record: float(record.params["ratio"]))
    ratios = [float(record.params["ratio"]) for record in runs]
    failed = [i for i, record in enumerate(runs) if number(record, "monitor_acc", diverged=0.0) < 0.99]
    if not failed or failed[-1] == len(runs) - 1:
        return ratios[failed[-1] if failed else 0]
    return (ratios[failed[-1]] + ratios[failed[-1] + 1]) / 2


def corrected_ratio(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """critical_ratio over 2.7482 d_max/2, the non-abelian group's predicted one; 1 agrees. d_max is its largest irrep degree."""
    from tasks.grokking.groups import group

    degree = group(records[of][0].params["group"]).largest_degree
    return critical_ratio(records, of=of) / (CRITICAL * degree / 2)


def feature_error(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """The largest of: a hidden unit's power outside one irrep, and the mean distance of energies from that irrep's height.

    Tian 2025: the local maxima of the energy are the irreducible representations.
    """
    (record,) = records[of]
    return max(number(record, "worst_impurity"), number(record, "level_gap"))


def purity_gain(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """Mean purity of the features from the most pairs less that from the fewest, in runs over a grid of task.ratio."""
    runs = sorted(records[of], key=lambda record: float(record.params["ratio"]))
    return number(runs[0], "impurity", diverged=1.0) - number(runs[-1], "impurity", diverged=1.0)


def coverage_gain(records: Mapping[str, Sequence[Record]], *, of: str, over: str) -> float:
    """Share of the irreps that the hidden units of `of` find, less that of `over`, each at its best of equally many rates."""
    best = {name: max(number(run, "irreps_covered", diverged=0.0) for run in records[name]) for name in (of, over)}
    return best[of] - best[over]


def speed_up(records: Mapping[str, Sequence[Record]], *, of: str, over: str) -> float:
    """Steps to 99 % of the monitor pairs of `over` over those of `of`, each at its best of equally many rates.

    Not reached, or diverged, counts as the budget.
    """
    return _steps(records[over]) / _steps(records[of])


def scale_delay(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """Steps to 99 % of the monitor pairs from initial weights times the largest alpha over those from the smallest.

    Liu et al. 2023, Omnigrok (arXiv 2210.01117). Not reached, or diverged, counts as the budget.
    """
    runs = sorted(records[of], key=lambda record: float(record.config["weights"]["alpha"]))
    return _steps(runs[-1:]) / _steps(runs[:1])


def hidden_progress(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """Share of the restricted loss's fall that is over while less than 10 % of the monitor pairs are right; 0 if it diverged.

    After Nanda et al. 2023 (arXiv 2301.05217).
    """
    (record,) = records[of]
    return number(record, "hidden_progress", diverged=0.0)


def _steps(runs: Sequence[Record]) -> float:
    return min(number(run, "steps_to_monitor", diverged=float(run.params["steps"])) for run in runs)
