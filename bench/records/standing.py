"""The standing of a row: what `bench verify` said of it, one line a verification.

results/verified/<entry>.jsonl
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.records.spelling import canonical_json
from bench.records.store import Store

Verdict = Literal["verified", "disputed", "not comparable"]


class Claimed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What was claimed. mean: on the metric's axis, taken on its scale. keys: of the records behind it."""

    mean: float | None
    seeds: list[int]
    keys: list[str]


class Fresh(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What fresh seeds gave. values: None where a seed's is not finite."""

    mean: float | None
    seeds: list[int]
    values: list[float | None]


class Replayed(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What replaying a claimed cell gave. difference: the largest relative one, None if status or names differ."""

    key: str
    seed: int
    equal: bool
    difference: float | None
    note: str = ""


class Verification(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One look at a row. set: parameters that are not the preset's. p: one-sided, of "the claimed seeds are better".

    entry_digest: of all that the row depends on, fixed before the number `drawn` was. repeated: whether that number was
    given, which earns nothing.
    """

    entry: str
    task: str
    version: int
    preset: str
    params: dict[str, Any]
    set: dict[str, Any]
    metric: str
    verdict: Verdict
    reason: str
    fresh: Fresh | None
    p: float | None
    replayed: Replayed | None
    entry_digest: str
    drawn: str
    claimed: Claimed
    commit: str | None
    when: str
    isolation: dict[str, str] | None = None
    repeated: bool = False


def path_of(store: Store, entry: str) -> Path:
    """Where an entry's verifications are."""
    return store.root / "verified" / f"{entry.replace('/', '_')}.jsonl"


def append(store: Store, line: Verification) -> None:
    """Add a line; nothing written before is changed."""
    path = path_of(store, line.entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        stream.write(msgspec.json.encode(line, order="deterministic") + b"\n")


def lines(store: Store) -> list[Verification]:
    """The latest line about every row, told apart by task, preset, entry and parameters.

    Lines that repeat a draw are left out: whoever chooses the number chooses the seeds.
    """
    found: dict[tuple[str, str, str, str], Verification] = {}
    for path in sorted((store.root / "verified").glob("*.jsonl")):
        for number, text in enumerate(path.read_bytes().splitlines(), 1):
            try:
                line = msgspec.json.decode(text, type=Verification)
            except msgspec.DecodeError as error:
                store.reports.append(f"{path}:{number} cannot be read ({error}); skipped")
                continue
            where = (line.task, line.preset, line.entry, canonical_json(line.params))
            if not line.repeated and (where not in found or line.when >= found[where].when):
                found[where] = line
    return list(found.values())


def standing(store: Store) -> dict[tuple[str, str, str], Verification]:
    """(task, preset, entry) -> the latest line about that row; with the preset's own parameters, where there is one."""
    found: dict[tuple[str, str, str], Verification] = {}
    for line in sorted(lines(store), key=lambda line: (not line.set, line.when)):
        found[line.task, line.preset, line.entry] = line
    return found


def badge(line: Verification | None, keys: Iterable[str]) -> str:
    """ "verified" or "disputed" if `line` speaks of a row's records, else "claimed". keys: of those records.

    A verification covers the records it saw: one more seed or newer code, and the row is a claim again. A dispute stays
    with every row that still shows one of the disputed records.
    """
    shown, seen = set(keys), set(line.claimed.keys) if line is not None else set()
    if line is None or not shown:
        return "claimed"
    if line.verdict == "disputed" and shown & seen:
        return "disputed"
    return "verified" if line.verdict == "verified" and shown <= seen else "claimed"
