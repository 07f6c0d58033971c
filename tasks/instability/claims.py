"""Measures of claims about training instability. Pure functions of one seed's records: entry -> its records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record
from tasks.instability.lm_proxy import LanguageModel


def sensitivity_drop(records: Mapping[str, Sequence[Record]], *, of: str, under: str) -> float:
    """Learning-rate sensitivity of entry `under` minus that of entry `of`, in nats: positive if `of` is the steadier.

    Wortsman et al. 2023 (arXiv 2309.14322), section 2.2, with the bound `bar` that the task adds. A cell that diverged
    counts as the loss at initialisation. BenchError if another failure hides a loss.
    """
    return _sensitivity(records[under]) - _sensitivity(records[of])


def _sensitivity(records: Sequence[Record]) -> float:
    lost = [record for record in records if record.status not in ("ok", "diverged")]
    if lost:
        raise BenchError(f"{lost[0].entry} at lr {lost[0].params['lr']}: {lost[0].status}, so its loss is unknown")
    derived = LanguageModel.derived[0]
    rows = sorted(records, key=lambda record: record.params[derived.axis])
    grid = [record.params[derived.axis] for record in rows]
    value = derived.reduce(grid, [record.metrics for record in rows])
    worst = derived.metric.diverged
    return value if math.isfinite(value) or not isinstance(worst, float) else worst  # no rate of the grid gave a result
