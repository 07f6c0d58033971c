"""Measures of claims about rich and lazy learning. Pure functions of one seed's records: entry -> its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records.record import Record, number


def excess(records: Mapping[str, Sequence[Record]], *, metric: str, of: str, over: str) -> float:
    """`metric` of entry `of` minus that of entry `over`. With an alignment, above 0 says that `of` is the lazier.

    Liu et al. 2023 (arXiv 2310.08513). A run that diverged has no alignment, and is an error.
    """
    return _only(records[of], metric) - _only(records[over], metric)


def ratio(records: Mapping[str, Sequence[Record]], *, metric: str, of: str, over: str) -> float:
    """`metric` of entry `of` over that of entry `over`; both are above 0."""
    return _only(records[of], metric) / _only(records[over], metric)


def _only(records: Sequence[Record], metric: str) -> float:
    (record,) = records
    return number(record, metric)
