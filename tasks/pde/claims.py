"""Measures of claims about surrogates. Pure functions of one seed's records: entry -> its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.claims import Record, number
from tasks.pde.base import WORST


def error_ratio(records: Mapping[str, Sequence[Record]], *, of: str, over: str) -> float:
    """nRMSE of entry `of` divided by that of entry `over`; a run that diverged counts as the most a rollout can have.

    Takamoto et al. 2022 (arXiv 2210.07182) rank surrogates by this error.
    """
    return _error(records[of]) / _error(records[over])


def _error(records: Sequence[Record]) -> float:
    (record,) = records
    return number(record, "nrmse", diverged=WORST)
