"""What published rows stand for beside the code they were made with: one line for each certificate.

    results/certificates.jsonl

A row is never edited. After a refactor, a random sample of rows is run again, and a certificate says which rows stand for
the code of now (`bench.upkeep.recertify`); a change of the identity itself is certified likewise (`kind: migrated`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from bench.records.files import write_atomically

if TYPE_CHECKING:
    from bench.records.store import Store


class Certificate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """rows: code digest -> keys of the published rows that stand for it. sample: keys of those that were run again; drawn: the
    number that chose them. commit, dirty: of the code. note: what a reader has to know.
    """

    kind: Literal["recertified", "migrated"]
    when: str
    commit: str | None
    dirty: bool | None
    sample: list[str]
    drawn: int
    rows: dict[str, list[str]]
    note: str = ""


def path_of(store: Store) -> Path:
    """Where certificates are."""
    return store.root / "certificates.jsonl"


def read(store: Store) -> list[Certificate]:
    """Every certificate; a line that cannot be read is reported and skipped: its rows are then of older code."""
    path, found = path_of(store), []
    for number, line in enumerate(path.read_bytes().splitlines() if path.is_file() else (), 1):
        try:
            found.append(msgspec.json.decode(line, type=Certificate))
        except msgspec.DecodeError as error:
            store.reports.append(f"{path}:{number} cannot be read ({error}); skipped, its rows count as of older code")
    return found


def standing(certificates: Iterable[Certificate]) -> dict[str, set[str]]:
    """key of a published row -> digests of the code that it stands for beside its own."""
    found: dict[str, set[str]] = {}
    for certificate in certificates:
        for code, keys in certificate.rows.items():
            for key in keys:
                found.setdefault(key, set()).add(code)
    return found


def append(store: Store, certificate: Certificate) -> None:
    """Add a line; nothing written before is changed. The caller holds the ledger's lock."""
    path = path_of(store)
    old = path.read_bytes() if path.is_file() else b""
    write_atomically(path, old + msgspec.json.encode(certificate, order="deterministic") + b"\n")
