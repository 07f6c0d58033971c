"""The ledger: published records, one line each, reviewable in a pull request; and which newer code they are valid for.

A row is never edited. After a refactor, `bench.upkeep.recertify` runs a random sample of rows again, and a line of
`results/certificates.jsonl` lists the rows that are valid for the current code; `kind: migrated` is a change of the identity.
"""

from __future__ import annotations

import base64
import io
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from bench.contract import BenchError
from bench.outcome import Outcome
from bench.records.files import read_lines, write_atomically
from bench.records.identity import difference
from bench.records.record import Cell, Components, Record, decode, encode
from bench.records.spelling import SHOWN, blake, canonical_json
from bench.records.store import Store

if TYPE_CHECKING:
    from filelock import FileLock


Replacement = Callable[[Record, Record | None], Record]  # (new, old line) -> line
POINTS = 60  # of each curve in the ledger
CERTIFICATES = "certificates.jsonl"
SHOWN_SEED = 0  # the only seed whose exhibits the ledger keeps: those of all would be its bulk


def thin(points: Any, count: int = POINTS) -> list[list[float]]:
    """At most `count` points of a curve (2, n), the first and the last among them; points that are not finite are left out."""
    finite = [(float(x), float(y)) for x, y in zip(*points, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if len(finite) > count:
        finite = [finite[i] for i in sorted({round(i * (len(finite) - 1) / (count - 1)) for i in range(count)})]
    return [[x for x, _ in finite], [float(f"{y:.5g}") for _, y in finite]]


def comparable(record: Record) -> tuple[str, ...]:
    """The identity of a ledger line in its file: a newer record with an equal one replaces the older."""
    return canonical_json(record.params), canonical_json(record.config), str(record.seed)


def file_of(ledger: Path, task: str, entry: str) -> Path:
    """The ledger's file for an entry on a task."""
    return ledger / task / f"{entry.replace('/', '_')}.jsonl"


def code_digest(components: Components) -> str:
    """One digest of all code in a cell's components."""
    return blake(canonical_json(components.code))


def differences(old: Record | Outcome, new: Record | Outcome) -> list[tuple[str, Any, Any]]:
    """(name, old, new) wherever two results differ by a bit: status, censored, metrics and counts."""
    rows = [(name, getattr(old, name), getattr(new, name)) for name in ("status", "censored")]
    numbers = difference(old.metrics, new.metrics) + difference(old.costs.counts, new.costs.counts)
    return [row for row in rows if row[1] != row[2]] + numbers


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


def certificates(store: Store) -> Iterator[Certificate]:
    """Every certificate. A line that cannot be read is reported and skipped: its rows then count as of older code."""
    path, skipped = store.root / CERTIFICATES, "skipped, its rows count as of older code"
    return read_lines(path, msgspec.json.Decoder(Certificate).decode, store.reports, skipped)


def certify(store: Store, certificate: Certificate) -> None:
    """Add a certificate, under the ledger's lock."""
    path = store.root / CERTIFICATES
    with locked(store):
        old = path.read_bytes() if path.is_file() else b""
        write_atomically(path, old + msgspec.json.encode(certificate, order="deterministic") + b"\n")


class Published:
    """The ledger's records of some cells, found by key or else by row and seed."""

    def __init__(self, store: Store, cells: Iterable[Cell]) -> None:
        cells = list(cells)
        self.by_key = store.by_key(cell.key for cell in cells)
        self._by_row = store.of_rows(cell.row_digest for cell in cells if cell.key not in self.by_key)
        rows = (row for one in certificates(store) for row in one.rows.items()) if self._by_row else ()
        self._certified = {(key, code) for code, keys in rows for key in keys}

    def get(self, cell: Cell) -> tuple[Record | None, bool]:
        """(record, whether it is of older code). Where the data are absent on this machine, a record of any data is taken."""
        if cell.key in self.by_key:
            return self.by_key[cell.key], False
        own = cell.components
        for record in self._by_row.get(cell.row_digest, ()):
            if own.data == record.components.data or (own.data and set(own.data.values()) == {"absent"}):
                current = record.components.code == own.code or (record.key, code_digest(own)) in self._certified
                return record, not current
        return None, False


def locked(store: Store, name: str = "ledger") -> FileLock:
    """The lock under which the ledger, or another folder of lines, is written: `with locked(store): …`."""
    from filelock import FileLock  # takes 10 ms, which a reader need not spend

    return FileLock(store.root / f".{name}.lock", timeout=60)


def lines_of(path: Path, remedy: str) -> Iterator[Record]:
    """The records of a file that `fold` wrote. BenchError, with the remedy, for a line that cannot be read."""
    reports: list[str] = []
    yield from read_lines(path, decode, reports, remedy)
    if reports:
        raise BenchError(reports[0])


def _line(store: Store, record: Record, old: Record | None) -> Record:
    """The record as the ledger holds it in place of `old`; `old`, with a report, if the two are in conflict."""
    import numpy as np

    settled = old is not None and old.key == record.key and old.settled and record.settled
    if old is not None and settled and (old.status, old.metrics) != (record.status, record.metrics):
        store.reports.append(
            f"conflict: {record.key[:SHOWN]} ({record.label}) gave another result than its published record, which "
            "stays; the board shows the conflict. Find out why one cell has two results; the new one can be published "
            "once the old line is gone from the ledger"
        )
        return old
    curves = {name: thinned for name, points in store.curves(record).items() if (thinned := thin(points))[0]}
    if record.seed != SHOWN_SEED:
        return msgspec.structs.replace(record, curves=curves, exhibits={})
    exhibited = io.BytesIO()  # an .npz file; empty without exhibits
    if arrays := store.exhibits(record):
        np.savez_compressed(exhibited, allow_pickle=False, **arrays)
    return msgspec.structs.replace(record, curves=curves, exhibited=base64.b64encode(exhibited.getvalue()).decode())


def fold(store: Store, folder: Path, records: Iterable[Record], line: Replacement, remedy: str) -> int:
    """Add records to a folder of one record a line, idempotently and under a lock; returns the number of new or changed lines.

    Lines of an older version of the task are removed. A file is sorted by `comparable`, and an equal one is not written again.
    """
    files: dict[Path, list[Record]] = defaultdict(list)
    for record in records:
        files[file_of(folder, record.task, record.entry)].append(record)
    changed = 0
    store.root.mkdir(parents=True, exist_ok=True)
    with locked(store, folder.name):
        for path, news in sorted(files.items()):
            version = max(record.version for record in news)
            before = {comparable(old): old for old in lines_of(path, remedy) if old.version == version}
            current = {comparable(record): record for record in news if record.version == version}
            after = before | {place: line(record, before.get(place)) for place, record in current.items()}
            changed += sum(before.get(place) != record for place, record in after.items())
            text = b"".join(encode(after[place]) + b"\n" for place in sorted(after))
            if not path.is_file() or path.read_bytes() != text:
                write_atomically(path, text)
    return changed


def publish(store: Store, records: Iterable[Record]) -> int:
    """Add `records` to the ledger; returns the number of new or changed lines. A record whose result differs from the
    published one of the same key does not replace it: `store.reports` names the conflict, and the board shows it."""
    return fold(store, store.ledger, records, partial(_line, store), "mend or remove the line, then publish")
