"""Measures of claims about searches over initial noise; `ratio` serves those about scores as well. Pure functions of one seed's
records: entry -> its records.

Source: Chen et al. 2024, FIND (arXiv 2407.19453).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.records.record import Record, number

Records = Mapping[str, Sequence[Record]]


def gain(records: Records, *, of: str, over: str, metric: str) -> float:
    """A reward of entry `of` minus that of entry `over`, one cell each; a run that diverged counts as 0."""
    (record,), (other,) = records[of], records[over]
    return number(record, metric, diverged=0.0) - number(other, metric, diverged=0.0)


def ratio(records: Records, *, of: str, over: str, metric: str) -> float:
    """A metric of entry `of` over that of entry `over`, one cell each."""
    (record,), (other,) = records[of], records[over]
    return number(record, metric) / number(other, metric)


def kept_diversity(records: Records, *, of: str) -> float:
    """Mean distance of samples in the plane over that within a mode, which is its deviation times the root of pi."""
    (record,) = records[of]
    return number(record, "diversity") / (float(record.params["deviation"]) * math.sqrt(math.pi))
