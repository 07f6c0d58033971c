"""Replays for `bench verify`: does a claimed cell give the same numbers again?

On the same processor and packages the bits must be equal; elsewhere rounding differs, so only a tolerance can be asked for.
"""

from __future__ import annotations

import math

from bench.checking.published_rows import Claim
from bench.records.record import Record
from bench.records.standing import Replayed
from bench.records.store import Store

LACKING = ("unavailable", "timeout", "oom")  # what this machine lacks speaks neither for nor against a claim
TOLERANCE = 1e-4  # relative, where machine or packages differ; on the same ones the bits must be equal


def difference(old: Record, new: Record) -> float:
    """The largest relative difference between two records' metrics; infinite if status, names or censoring differ."""
    if old.status != new.status or set(old.metrics) != set(new.metrics):
        return math.inf
    if sorted(old.censored) != sorted(new.censored):
        return math.inf
    gaps = [0.0]
    for name, value in old.metrics.items():
        other = new.metrics[name]
        if value != other:
            gaps.append(abs(value - other) / max(abs(value), abs(other)))
    return max(gaps)


def same_machine(old: Record, new: Record) -> bool:
    """Whether two records were made by the same kind of processor with the same packages, so that bits must agree."""
    names = ("cpu", "packages", "python", "system", "threads")
    return all(getattr(old.provenance, name) == getattr(new.provenance, name) for name in names)


def records_of(claim: Claim, scratch: Store) -> list[Record | None]:
    """What replaying the drawn seed gave, in plan order; None where there is no record."""
    seed = claim.replay_seed
    return [] if seed is None else [scratch.get(cell.key) for cell in claim.row.planned[seed]]


def differs(claim: Claim, scratch: Store) -> bool:
    """Whether the replay differs where it must not: of the same code, on the same machine and packages."""
    seed = claim.replay_seed
    assert seed is not None
    pairs = [(old, new) for old, new in zip(claim.records[seed], records_of(claim, scratch), strict=True) if new]
    same = all(old.key == new.key and same_machine(old, new) for old, new in pairs)
    return same and any(difference(old, new) > 0 and new.status not in LACKING for old, new in pairs)


def outcome(claim: Claim, scratch: Store, first: list[Record | None] | None) -> tuple[Replayed, str]:
    """(what the replay gave, what speaks against the claim, empty if nothing)."""
    assert claim.replay_seed is not None
    claimed, new = claim.records[claim.replay_seed], records_of(claim, scratch)
    sure = [record for record in new if record is not None]
    gaps = [(difference(old, record), old.key) for old, record in zip(claimed, sure, strict=False)]
    gap, cell = max(gaps, default=(math.inf, claimed[0].key))
    told = Replayed(key=cell, seed=claim.replay_seed, equal=gap == 0, difference=gap if math.isfinite(gap) else None)
    if gap == 0 or len(sure) < len(new):
        return told, ""
    if lacking := [record.status for record in sure if record.status in LACKING]:
        told.note = f"not comparable ({lacking[0]})"
        return told, ""
    same_code = all(old.key == record.key for old, record in zip(claimed, sure, strict=True))
    alike = all(same_machine(old, record) for old, record in zip(claimed, sure, strict=True))
    if not (same_code and alike):
        where = "machine or packages" if same_code else "code"
        told.note = f"within {TOLERANCE:g}" if gap <= TOLERANCE else f"not comparable ({where})"
        return told, ""
    if not all(a is not None and difference(a, b) == 0 for a, b in zip(first or [None], sure, strict=False)):
        told.note = "not repeatable"
        return told, "the same cell gives other numbers each time; seed every random draw"
    shown = f"by {gap:.2g}" if math.isfinite(gap) else "in status or names"
    return told, f"the replay of seed {claim.replay_seed} differs {shown} on the same machine and packages"
