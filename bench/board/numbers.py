"""Numbers as the board's data files hold them: few digits, and None for what JSON cannot hold."""

from __future__ import annotations

import math
from collections.abc import Iterable


def short(value: float | None, digits: int = 4) -> float | None:
    """`digits` significant digits, a whole number as an integer; None if the value is absent or not finite."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e6 else rounded


def several(values: Iterable[float | None], digits: int = 4) -> list[float | None]:
    """`short` of each value."""
    return [short(value, digits) for value in values]
