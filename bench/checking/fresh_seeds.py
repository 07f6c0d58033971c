"""Fresh seeds, which nobody can choose, and the test whether the claimed seeds of a row are better than fresh ones."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence

import numpy as np

from bench.tables.statistics import ROUNDING

FRESH_FROM = 1 << 51  # fresh seeds lie in [2^51, 2^52): exact in JSON everywhere
ALPHA = 0.01  # the share of honest rows that are disputed by chance
FEWEST = 3  # fresh seeds of a row
USUAL = 5  # fresh seeds of a row by default


def repeated() -> str:
    """The number of an earlier verification to repeat, from SWEEPSTAKES_DRAWN; empty if it is not set."""
    return os.environ.get("SWEEPSTAKES_DRAWN", "")


def drawn() -> str:
    """A number from the system's entropy, or the number to repeat."""
    return repeated() or os.urandom(16).hex()


def fresh_seeds(digest: str, number: str, count: int) -> list[int]:
    """`count` seeds, hashes of the row's digest, fixed first, and of the number drawn afterwards."""
    hashes = (hashlib.blake2b(f"{digest}/{number}/{i}".encode(), digest_size=8).digest() for i in range(count))
    return [FRESH_FROM | (int.from_bytes(hashed, "big") >> 13) for hashed in hashes]


def p_better(claimed: Sequence[float], fresh: Sequence[float], better: str) -> float:
    """One-sided p of "the claimed seeds are better than fresh ones": Student's t with pooled variance.

    Values are on the metric's scale. An honest claim and the fresh seeds are draws of one distribution with one variance, so
    the pooled test is exact for normal values, and Welch's would lose power. NaN for an empty side, for fewer than three
    values in all, and for a value that is not finite; without any spread the sign of the difference decides.
    """
    from scipy.special import stdtr  # takes a tenth of a second, which a reader of speed-runs need not spend

    x, y = np.asarray(claimed, dtype=float), np.asarray(fresh, dtype=float)
    df = len(x) + len(y) - 2
    if not len(x) or not len(y) or df < 1 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return math.nan
    gain = float(y.mean() - x.mean()) if better == "min" else float(x.mean() - y.mean())
    spread = math.sqrt((((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum()) / df)
    tiny = ROUNDING * max(float(np.abs(np.concatenate([x, y])).max()), 1e-300)
    if abs(gain) <= tiny:
        return 1.0
    if spread <= tiny:
        return 0.0 if gain > 0 else 1.0
    return float(stdtr(df, -gain / (spread * math.sqrt(1 / len(x) + 1 / len(y)))))
