"""The ledger: published records, one line each, reviewable in a pull request."""

from __future__ import annotations

import base64
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.contract import BenchError
from bench.outcome import Outcome
from bench.records import certificates
from bench.records.files import read_lines, write_atomically
from bench.records.record import Components, Record, decode, encode
from bench.records.spelling import SHOWN, blake, canonical_json
from bench.records.store import Store

if TYPE_CHECKING:
    from filelock import FileLock

    from bench.records.cell import Cell

POINTS = 60  # of each curve in the ledger
SHOWN_SEED = 0  # the only seed whose exhibits the ledger keeps: those of all would be its bulk


def thin(points: Any, count: int = POINTS) -> list[list[float]]:
    """At most `count` points of a curve (2, n), the first and the last among them; points that are not finite are left out."""
    finite = [(float(x), float(y)) for x, y in zip(*points, strict=True) if math.isfinite(x) and math.isfinite(y)]
    steps, values = [x for x, _ in finite], [y for _, y in finite]
    if len(steps) > count:
        index = sorted({round(i * (len(steps) - 1) / (count - 1)) for i in range(count)})
        steps, values = [steps[i] for i in index], [values[i] for i in index]
    return [steps, [float(f"{value:.5g}") for value in values]]


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
    rows: list[tuple[str, Any, Any]] = [
        (name, getattr(old, name), getattr(new, name)) for name in ("status", "censored")
    ]
    for a, b in ((old.metrics, new.metrics), (old.costs.counts, new.costs.counts)):
        rows += [(name, a.get(name), b.get(name)) for name in sorted({*a, *b})]
    return [row for row in rows if row[1] != row[2]]


class Published:
    """The ledger's records of some cells, found by key or else by row and seed."""

    def __init__(self, store: Store, cells: Iterable[Cell]) -> None:
        cells = list(cells)
        self.by_key = store.by_key(cell.key for cell in cells)
        self.by_row = store.of_rows(cell.row_digest for cell in cells if cell.key not in self.by_key)
        self._standing = certificates.standing(certificates.read(store)) if self.by_row else {}

    def get(self, cell: Cell) -> tuple[Record | None, bool]:
        """(record, whether it is of older code). Where the data are absent on this machine, a record of any data is taken."""
        if cell.key in self.by_key:
            return self.by_key[cell.key], False
        data = cell.components.data
        for record in self.by_row.get(cell.row_digest, ()):
            if data == record.components.data or (data and set(data.values()) == {"absent"}):
                return record, not self.current(record, cell.components)
        return None, False

    def current(self, record: Record, components: Components) -> bool:
        """Whether a published record is of the code in `components`, or was certified for it."""
        certified = self._standing.get(record.key, ())
        return record.components.code == components.code or code_digest(components) in certified


def locked(store: Store) -> FileLock:
    """The lock under which the ledger is written: `with locked(store): …`."""
    from filelock import FileLock  # takes 10 ms, which a reader need not spend

    return FileLock(store.root / ".ledger.lock", timeout=60)


def lines_of(path: Path, remedy: str = "mend or remove the line, then publish") -> Iterator[Record]:
    """The records of a file that `write_lines` wrote. BenchError, with the remedy, for a line that cannot be read."""
    reports: list[str] = []
    yield from read_lines(path, decode, reports, remedy)
    if reports:
        raise BenchError(reports[0])


def _line(store: Store, record: Record, old: Record | None) -> Record | None:
    """The record as the ledger holds it in place of `old`; None, with a report, if the two are in conflict."""
    settled = old is not None and old.key == record.key and old.settled and record.settled
    if old is not None and settled and (old.status, old.metrics) != (record.status, record.metrics):
        store.reports.append(
            f"conflict: {record.key[:SHOWN]} ({record.label}) gave another result than its published record, which "
            "stays; the board shows the conflict. Find out why one cell has two results; the new one can be published "
            "once the old line is gone from the ledger"
        )
        return None
    curves = {name: thinned for name, points in store.curves(record).items() if (thinned := thin(points))[0]}
    if record.seed == SHOWN_SEED:
        return msgspec.structs.replace(record, curves=curves, exhibited=_packed(store, record))
    return msgspec.structs.replace(record, curves=curves, exhibits={})


def _packed(store: Store, record: Record) -> str:
    """The arrays of a record's exhibits as an .npz file in base64; empty if it has none."""
    import numpy as np

    exhibits = store.exhibits(record).items()
    arrays = {f"{exhibit}/{name}": array for exhibit, parts in exhibits for name, array in parts.items()}
    if not arrays:
        return ""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return base64.b64encode(stream.getvalue()).decode()


def publish(store: Store, records: Iterable[Record]) -> int:
    """Add `records` to the ledger, idempotently and under a lock; returns the number of new or changed lines.

    Lines of an older version of the task are removed. A record whose result differs from the published one of the same key
    does not replace it: `store.reports` names the conflict, and the board shows it.
    """
    files: dict[Path, list[Record]] = defaultdict(list)
    for record in records:
        files[file_of(store.ledger, record.task, record.entry)].append(record)
    changed = 0
    store.ledger.mkdir(parents=True, exist_ok=True)
    with locked(store):
        for path, news in sorted(files.items()):
            version = max(record.version for record in news)
            before = {comparable(old): old for old in lines_of(path) if old.version == version}
            after = dict(before)
            for record in news:
                if record.version == version:
                    identity = comparable(record)
                    after[identity] = _line(store, record, before.get(identity)) or before[identity]
            changed += sum(before.get(identity) != record for identity, record in after.items())
            write_lines(path, after.values())
    return changed


def write_lines(path: Path, records: Iterable[Record]) -> None:
    """Write a file of one record a line, sorted by `comparable`. An equal file is not written again."""
    text = b"".join(encode(record) + b"\n" for record in sorted(records, key=comparable))
    if not path.is_file() or path.read_bytes() != text:
        write_atomically(path, text)
