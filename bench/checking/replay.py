"""The replay of `bench verify`: a claimed cell is run again, and its numbers are compared with the claimed ones.

On the same processor and packages the bits must be equal; elsewhere rounding differs, so only a tolerance can be asked for.
"""

from __future__ import annotations

import math

from bench.checking.published_rows import Claim
from bench.records.record import Record
from bench.records.standing import Replayed
from bench.records.store import Store

LACKING = ("unavailable", "timeout", "oom")  # statuses for want of this machine, neither for nor against a claim
TOLERANCE = 1e-4  # relative, where machine or packages differ


def difference(old: Record, new: Record) -> float:
    """The largest relative difference between two records' metrics; infinite if status, names or censoring differ."""
    if (old.status, {*old.metrics}, sorted(old.censored)) != (new.status, {*new.metrics}, sorted(new.censored)):
        return math.inf
    pairs = [(value, new.metrics[name]) for name, value in old.metrics.items()]
    return max((abs(a - b) / max(abs(a), abs(b)) for a, b in pairs if a != b), default=0.0)


def same_machine(old: Record, new: Record) -> bool:
    """Whether two records were made by the same kind of processor with the same packages, so that bits must agree."""
    names = ("cpu", "packages", "python", "system", "threads")
    return all(getattr(old.provenance, name) == getattr(new.provenance, name) for name in names)


def records_of(claim: Claim, scratch: Store) -> list[Record | None]:
    """The replayed records in plan order; None where a cell left no record."""
    seed = claim.replay_seed
    return [] if seed is None else [scratch.get(cell.key) for cell in claim.row.planned[seed]]


def outcome(claim: Claim, scratch: Store, first: list[Record | None] | None) -> tuple[Replayed, str]:
    """(how the replay ended, why it speaks against the claim, empty if it does not).

    first: the records of the first replay, where it was run a second time; without them no difference is taken as repeatable.
    """
    seed = claim.replay_seed
    assert seed is not None
    claimed, replayed = claim.records[seed], records_of(claim, scratch)
    new = [record for record in replayed if record is not None]
    gaps = [(difference(old, record), old.key) for old, record in zip(claimed, new, strict=False)]
    gap, key = max(gaps, default=(math.inf, claimed[0].key))
    line = Replayed(key=key, seed=seed, equal=gap == 0, difference=gap if math.isfinite(gap) else None)
    if gap == 0 or len(new) < len(replayed):
        return line, ""
    if lacking := [record.status for record in new if record.status in LACKING]:
        line.note = f"not comparable ({lacking[0]})"
        return line, ""
    pairs = list(zip(claimed, new, strict=True))
    same_code = all(old.key == record.key for old, record in pairs)
    if not same_code or not all(same_machine(old, record) for old, record in pairs):
        what = "machine or packages" if same_code else "code"
        line.note = f"within {TOLERANCE:g}" if gap <= TOLERANCE else f"not comparable ({what})"
        return line, ""
    if not all(a is not None and difference(a, b) == 0 for a, b in zip(first or [None], new, strict=False)):
        line.note = "not repeatable"
        return line, "the same cell gives other numbers each time; seed every random draw"
    size = f"by {gap:.2g}" if math.isfinite(gap) else "in status or names"
    return line, f"the replay of seed {seed} differs {size} on the same machine and packages"
