"""How narrow a verdict is: how far its interval and its seeds reach towards the bound, and how many seeds lie beyond it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.tables.statistics import transform

if TYPE_CHECKING:
    from bench.claims.claim import Claim
    from bench.claims.verdicts import SettingOutcome

NARROW = 0.9  # of the way from the centre to the bound, on the claim's scale


def reach(claim: Claim, outcome: SettingOutcome) -> float:
    """The largest share of the way from the centre to a limit that the interval or a seed on this side of it covers.

    On the claim's scale; 0 where the centre lies at the limit, for then nothing comes nearer than it does.
    """
    ends = [end for end in (outcome.lo, outcome.hi, *outcome.values.values()) if math.isfinite(end)]
    limits = [limit for limit in (claim.predicate.low, claim.predicate.high) if math.isfinite(limit)]
    centre, *placed = (float(x) for x in transform([outcome.measured, *ends, *limits], claim.file.scale))
    ends, limits = placed[: len(ends)], placed[len(ends) :]
    shares = [(end - centre) / (limit - centre) for limit in limits if limit != centre for end in ends]
    return max((share for share in shares if share <= 1), default=0.0)


def qualified(claim: Claim, outcomes: Iterable[SettingOutcome]) -> str:
    """What a verdict leaves unsaid: "narrowly" where some setting reaches `NARROW`, and the seeds that contradict theirs.

    As "narrowly, 1 of 5 seeds outside" the bound for what is reproduced, "inside" it for what is not; empty for all others.
    """
    decided = [one for one in outcomes if one.verdict in ("reproduced", "not reproduced")]
    words = ["narrowly"] if any(reach(claim, one) > NARROW for one in decided) else []
    for verdict, side in (("reproduced", "outside"), ("not reproduced", "inside")):
        values = [value for one in decided if one.verdict == verdict for value in one.values.values()]
        if against := sum(claim.predicate.verdict(value, value) != verdict for value in values):
            words.append(f"{against} of {len(values)} seeds {side}")
    return ", ".join(words)
