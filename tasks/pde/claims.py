"""Measures of claims about surrogates, solvers and data. Pure functions of one seed's records: entry -> its records."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from bench.records.record import Record, number
from tasks.pde.base import WORST


def error_ratio(records: Mapping[str, Sequence[Record]], *, of: str, over: str) -> float:
    """nRMSE of entry `of` divided by that of entry `over`; a run that diverged counts as the most a rollout can have.

    Takamoto et al. 2022 (arXiv 2210.07182) rank surrogates by this error.
    """
    return _error(records[of]) / _error(records[over])


def least_growth(records: Mapping[str, Sequence[Record]], *, of: str, by: str) -> float:
    """The least factor by which the nRMSE of entry `of` grows from one value of task parameter `by` to the next larger."""
    runs = sorted(records[of], key=lambda record: float(record.params[by]))
    errors = [_error([run]) for run in runs]
    return min(later / earlier for earlier, later in itertools.pairwise(errors))


def growth_by_dissipation(records: Mapping[str, Sequence[Record]]) -> float:
    """`least_growth` of the one entry there is, by the viscosity."""
    (entry,) = records
    return least_growth(records, of=entry, by="nu")


def error_against(records: Mapping[str, Sequence[Record]], *, other: str) -> float:
    """nRMSE of the one entry beside `other`, divided by that of `other`."""
    (entry,) = records.keys() - {other}
    return error_ratio(records, of=entry, over=other)


def faithful_ratio(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """nRMSE of entry `of` on data as PDEBench's own code makes them, over that on data that follow the equation."""
    original, right = sorted(records[of], key=lambda record: not record.params["faithful"])
    if right.params["faithful"] or not original.params["faithful"]:
        raise ValueError("one of the two runs has to be on the original's data, the other on the right ones")
    return _error([original]) / _error([right])


def diluted(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """The relative error with the given context counted as predicted without error, over that of the predicted frames.

    PDEBench's metrics counted it until October 2024 (its repository, commit 268ba5e).
    """
    (record,) = records[of]
    params = record.params
    frames = len(range(0, params["frames"], params["reduced_resolution_t"]))
    over_all = _error([record]) * (frames - params["initial_step"]) / frames
    return over_all / _error([record])


def solver_time(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """CPU seconds to predict the test set by the fastest solver that errs no more than surrogate `of`, over those of `of`."""
    (surrogate,) = records[of]
    return _fastest(records, of).costs.cpu["predict"] / surrogate.costs.cpu["predict"]


NEVER = 1e9  # trajectories; stands for a surrogate that is no faster than the solver


def break_even(records: Mapping[str, Sequence[Record]], *, of: str) -> float:
    """Trajectories from which on training surrogate `of` and predicting with it takes less CPU than the fastest solver that
    errs no more; at most NEVER."""
    (surrogate,) = records[of]
    costs, params = surrogate.costs.cpu, surrogate.params
    saved = (_fastest(records, of).costs.cpu["predict"] - costs["predict"]) / (params["test"] + params["valid"])
    return min(NEVER, (costs["setup"] + costs["train"]) / saved) if saved > 0 else NEVER


def _fastest(records: Mapping[str, Sequence[Record]], surrogate: str) -> Record:
    """Of the other entries' records, the one that predicts fastest among those that err no more than the surrogate's."""
    others = [record for entry, (record,) in records.items() if entry != surrogate]
    good = [record for record in others if _error([record]) <= _error(records[surrogate])]
    if not good:
        raise ValueError(f"no solver among the entries errs as little as {surrogate}; add a finer one")
    return min(good, key=lambda record: float(record.costs.cpu["predict"]))


def _error(records: Sequence[Record]) -> float:
    (record,) = records
    return number(record, "nrmse", diverged=WORST)
