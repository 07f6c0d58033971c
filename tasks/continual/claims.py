"""Measures of claims about continual learning. Pure functions of one seed's records: entry -> its records.

A run that diverged counts as an accuracy of 0, as the tasks say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract import BenchError
from bench.records.record import Record, number

Records = Mapping[str, Sequence[Record]]
WORST = {"forgetting": 1.0}  # what a diverged run counts as, 0 for all other metrics


def difference(records: Records, *, of: str, over: str, metric: str = "average_accuracy") -> float:
    """A metric of entry `of` minus that of entry `over`, one cell each."""
    (record,), (other,) = records[of], records[over]
    return _value(record, metric) - _value(other, metric)


def ratio(records: Records, *, of: str, over: str, metric: str) -> float:
    """A metric of entry `of` over that of entry `over`, one cell each. BenchError where the latter is 0."""
    (record,), (other,) = records[of], records[over]
    if not (below := number(other, metric)):
        raise BenchError(f"{other.label}: {metric} is 0; nothing can be put over it")
    return number(record, metric) / below


def value(records: Records, *, of: str, metric: str) -> float:
    """A metric of entry `of`, one cell."""
    (record,) = records[of]
    return _value(record, metric)


def matched_gap(records: Records, *, of: str, over: str) -> float:
    """Accuracy on the first task at equal accuracy on the last: that of entry `of` minus that of `over`.

    Each entry has several cells, of different rates after the first task. Its frontier joins, linearly, the cells that no other
    beats in both accuracies, and goes on level to the left, since one can always do worse on the last task. The gap is the mean
    over the range of the last task's accuracy that the cells of both cover. BenchError if there is none.
    """
    ours, theirs = ([_point(record) for record in records[entry]] for entry in (of, over))
    low, high = max(min(ours)[0], min(theirs)[0]), min(max(ours)[0], max(theirs)[0])
    if low > high:
        raise BenchError(f"{of} and {over} reach no common accuracy on the last task; give their rates a wider range")
    ours, theirs = frontier(ours), frontier(theirs)
    levels = sorted({low, high, *(x for x, _ in (*ours, *theirs) if low < x < high)})
    gaps = [height(ours, x) - height(theirs, x) for x in levels]
    if low == high:
        return gaps[0]
    pieces = zip(levels, levels[1:], gaps, gaps[1:], strict=False)
    return sum((b - a) * (left + right) / 2 for a, b, left, right in pieces) / (high - low)


Points = Sequence[tuple[float, float]]


def frontier(points: Points) -> list[tuple[float, float]]:
    """The points (x, y) that no other one beats in both, by increasing x."""
    kept: list[tuple[float, float]] = []
    for x, y in sorted(points, reverse=True):
        if not kept or y > kept[-1][1]:
            kept.append((x, y))
    return kept[::-1]


def height(points: Points, x: float) -> float:
    """y at `x` on the line through `points`, whose x increase, and level before the first; BenchError beyond the last."""
    if x <= points[0][0]:
        return points[0][1]
    for (left, low), (right, high) in zip(points, points[1:], strict=False):
        if left <= x <= right:
            return low + (high - low) * (x - left) / (right - left)
    raise BenchError(f"{x} lies beyond the frontier, which ends at {points[-1][0]}")


def _point(record: Record) -> tuple[float, float]:
    return _value(record, "last_accuracy"), _value(record, "first_accuracy")


def _value(record: Record, metric: str) -> float:
    return number(record, metric, diverged=WORST.get(metric, 0.0))
