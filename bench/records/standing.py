"""The standing of a row: the verdicts of `bench verify`, one a line of `results/verified/<entry>.jsonl`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.records.files import read_lines
from bench.records.spelling import canonical_json
from bench.records.store import Store

Verdict = Literal["verified", "disputed", "not comparable"]


class Claimed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The claimed result. mean: in the metric's unit, taken on its scale. keys: of its records."""

    mean: float | None
    seeds: list[int]
    keys: list[str]


class Fresh(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The result on fresh seeds. values: None where a seed's value is not finite."""

    mean: float | None
    seeds: list[int]
    values: list[float | None]


class Replayed(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A replay of a claimed cell. difference: the largest relative one, None if status or names differ."""

    key: str
    seed: int
    equal: bool
    difference: float | None
    note: str = ""


class Verification(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One verification of a row. set: parameters that are not the preset's. p: one-sided, of "the claimed seeds are better".

    level: p at or below it disputes the row. power: noise -> the chance to dispute the best of ten times as many seeds, None
    where values have no spread; both are None on lines of the t test that preceded the rank test.
    entry_digest: of all that the row depends on, fixed before the number `drawn`, which chose the fresh seeds. repeated:
    whether that number was given by the user; such a verification does not count.
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
    level: float | None = None
    power: dict[str, float] | None = None
    isolation: dict[str, str] | None = None
    repeated: bool = False


def path_of(store: Store, entry: str) -> Path:
    """The file of an entry's verifications."""
    return store.root / "verified" / f"{entry.replace('/', '_')}.jsonl"


def append(store: Store, line: Verification) -> None:
    """Add a verification to its entry's file."""
    path = path_of(store, line.entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        stream.write(msgspec.json.encode(line, order="deterministic") + b"\n")


def lines(store: Store) -> list[Verification]:
    """The latest verification of every row (task, preset, entry, parameters), without repeated draws: whoever chooses the
    number chooses the seeds."""
    latest: dict[tuple[str, str, str, str], Verification] = {}
    for path in sorted((store.root / "verified").glob("*.jsonl")):
        for line in read_lines(path, msgspec.json.Decoder(Verification).decode, store.reports):
            row = (line.task, line.preset, line.entry, canonical_json(line.params))
            if not line.repeated and (row not in latest or line.when >= latest[row].when):
                latest[row] = line
    return list(latest.values())


def standing(store: Store) -> dict[tuple[str, str, str], Verification]:
    """(task, preset, entry) -> the latest verification, preferably one with the preset's own parameters."""
    ordered = sorted(lines(store), key=lambda line: (not line.set, line.when))
    return {(line.task, line.preset, line.entry): line for line in ordered}


def badge(line: Verification | None, keys: Iterable[str]) -> str:
    """The badge of a row: "verified", "disputed" or "claimed". keys: of the row's records.

    A verification covers the records that it was made on: with one more seed or newer code the row is "claimed" again. A
    dispute covers every row that still shows one of the disputed records.
    """
    shown, seen = set(keys), set(line.claimed.keys) if line is not None else set()
    if line is None or not shown:
        return "claimed"
    if line.verdict == "disputed" and shown & seen:
        return "disputed"
    return "verified" if line.verdict == "verified" and shown <= seen else "claimed"
