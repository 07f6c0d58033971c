"""Ratios of CPU seconds, measured side by side."""

from __future__ import annotations

import time
from collections.abc import Callable


def ratio(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> float:
    """The least CPU seconds of `ours` over the least of `theirs`; the two take turns, `rounds` times."""
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for place, method in enumerate((ours, theirs)):
            start = time.process_time()
            method()
            best[place] = min(best[place], time.process_time() - start)
    return best[0] / best[1]
