"""Search spaces: from an entry's `search` to the settings of its trials, the same on every machine.

search: {optimizer.lr: [1.0e-3, 1.0]}                    two positive bounds: searched on a log scale
search: {optimizer.lr: {values: [0.01, 0.03, 0.1]}}      a list
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from itertools import product
from typing import Any, Literal

from bench.contract import BenchError
from bench.planning import config
from bench.records.spelling import blake

Setting = dict[str, Any]
Name = Literal["lattice", "random", "given"]


def _log_point(path: str, bounds: Any, share: float) -> float:
    """The point at `share` (0 to 1) of the way between two positive bounds on a log scale, to four digits."""
    low, high = bounds
    if not 0 < low < high:
        raise BenchError(f"search of {path}: bounds {low}, {high} must satisfy 0 < low < high")
    return float(f"{low * (high / low) ** share:.4g}")


def grid(search: Mapping[str, Any], trials: int) -> list[Setting]:
    """`trials` settings. One path: a log grid between its bounds, or its given values. Several: all are walked together on
    shifted grids, so that each path sees `trials` different values (a rank-1 lattice). BenchError for fewer given values.
    """
    settings: list[Setting] = [{} for _ in range(trials)]
    for number, (path, space) in enumerate(sorted(search.items())):
        if isinstance(space, Mapping):
            values = space["values"]
            if len(values) < trials:
                raise BenchError(f"search of {path}: {len(values)} values for {trials} trials; give as many, or bounds")
            picks = [values[round(i * (len(values) - 1) / max(1, trials - 1))] for i in range(trials)]
        else:
            picks = [_log_point(path, space, i / max(1, trials - 1)) for i in range(trials)]
        stride = 1 if number == 0 else next(s for s in range(2 * number, 99) if math.gcd(s, trials) == 1)
        for i, setting in enumerate(settings):
            setting[path] = picks[(i * stride) % trials]
    return settings


def _generator(task: str, entry: str) -> random.Random:
    """The same draws for a task and an entry everywhere; `random()` alone is the same in every Python."""
    return random.Random(int(blake(f"{task} {entry}")[:16], 16))


def drawn(search: Mapping[str, Any], trials: int, task: str, entry: str) -> list[Setting]:
    """`trials` different settings: log-uniform between bounds, uniform over given values.

    The first k of n are the draws of k trials, so that more trials later add to those already run. BenchError for lists with
    fewer combinations than trials.
    """
    lists = [len(space["values"]) for space in search.values() if isinstance(space, Mapping)]
    if len(lists) == len(search) and math.prod(lists) < trials:
        raise _too_few(search, math.prod(lists), trials, "give bounds")
    rng = _generator(task, entry)
    settings: list[Setting] = []
    while len(settings) < trials:
        setting: Setting = {}
        for path, space in sorted(search.items()):
            share, values = rng.random(), space["values"] if isinstance(space, Mapping) else ()
            setting[path] = values[int(share * len(values))] if values else _log_point(path, space, share)
        if setting not in settings:
            settings.append(setting)
    return settings


def given(search: Mapping[str, Any], trials: int, task: str, entry: str) -> list[Setting]:
    """`trials` of the combinations of the listed values, in their order; of more combinations, a seeded draw. BenchError if
    there are fewer, or if a path has bounds instead of a list."""
    for path, space in search.items():
        if not isinstance(space, Mapping):
            raise BenchError(f"search of {path}: --space given wants a list, such as {path}: {{values: [0.01, 0.1]}}")
    paths = sorted(search)
    combinations = [dict(zip(paths, values, strict=True)) for values in product(*(search[p]["values"] for p in paths))]
    if (count := len(combinations)) < trials:
        raise _too_few(search, count, trials, f"ask for --trials {count} of every entry")
    rng = _generator(task, entry)
    chosen = sorted(range(count), key=[rng.random() for _ in combinations].__getitem__)[:trials]
    return [combinations[i] for i in sorted(chosen)]


def _too_few(search: Mapping[str, Any], count: int, trials: int, advice: str) -> BenchError:
    counts = f"{count} combinations of given values for {trials} trials"
    return BenchError(f"search of {', '.join(sorted(search))}: {counts}; list more, or {advice}")


def settings(space: Name, task: str, entry: str, trials: int) -> list[Setting]:
    """The trials of an entry on a task."""
    search = config.entry(entry).search
    if space == "lattice":
        return grid(search, trials)
    return (drawn if space == "random" else given)(search, trials, task, entry)
