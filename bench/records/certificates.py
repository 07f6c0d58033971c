"""Certificates: which published rows are valid for newer code than they were run with.

    results/certificates.jsonl      one certificate a line

A row is never edited. After a refactor, `bench.upkeep.recertify` runs a random sample of rows again, and a certificate lists
the rows that are valid for the current code. A change of the identity itself is certified likewise (`kind: migrated`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from bench.records.files import read_lines, write_atomically

if TYPE_CHECKING:
    from bench.records.store import Store


class Certificate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """rows: code digest -> keys of the published rows that are valid for it. sample: keys of the rows that were run again.
    drawn: the random number that chose them. commit, dirty: of the code. note: remarks for a reader."""

    kind: Literal["recertified", "migrated"]
    when: str
    commit: str | None
    dirty: bool | None
    sample: list[str]
    drawn: int
    rows: dict[str, list[str]]
    note: str = ""


def path_of(store: Store) -> Path:
    """The file of certificates."""
    return store.root / "certificates.jsonl"


def read(store: Store) -> list[Certificate]:
    """Every certificate. A line that cannot be read is reported and skipped: its rows then count as of older code."""
    skipped = "skipped, its rows count as of older code"
    return list(read_lines(path_of(store), msgspec.json.Decoder(Certificate).decode, store.reports, skipped))


def standing(certificates: Iterable[Certificate]) -> dict[str, set[str]]:
    """key of a published row -> digests of the code for which it was certified."""
    digests: dict[str, set[str]] = defaultdict(set)
    for certificate in certificates:
        for code, keys in certificate.rows.items():
            for key in keys:
                digests[key].add(code)
    return digests


def append(store: Store, certificate: Certificate) -> None:
    """Add a certificate. The caller holds the ledger's lock."""
    path = path_of(store)
    old = path.read_bytes() if path.is_file() else b""
    write_atomically(path, old + msgspec.json.encode(certificate, order="deterministic") + b"\n")
