"""Folding records into the ledger: published rows, one line each, reviewable in a pull request."""

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
from bench.records.files import write_atomically
from bench.records.record import Components, Record, decode, encode
from bench.records.spelling import SHOWN, blake, canonical_json
from bench.records.store import Store

if TYPE_CHECKING:
    from filelock import FileLock

    from bench.records.cell import Cell

POINTS = 60  # of a curve kept in the ledger
SHOWN_SEED = 0  # whose exhibits a row keeps: one seed is a picture, all would be the ledger's bulk


def thin(points: Any, count: int = POINTS) -> list[list[float]]:
    """At most `count` finite points of a curve (2, n), the first and the last among them; where a run diverges its curve ends."""
    finite = [(float(x), float(y)) for x, y in zip(*points, strict=True) if math.isfinite(x) and math.isfinite(y)]
    steps, values = [x for x, _ in finite], [y for _, y in finite]
    if len(steps) > count:
        index = sorted({round(i * (len(steps) - 1) / (count - 1)) for i in range(count)})
        steps, values = [steps[i] for i in index], [values[i] for i in index]
    return [steps, [float(f"{value:.5g}") for value in values]]


def comparable(record: Record) -> tuple[str, ...]:
    """What makes two published records the same row of the ledger: a newer one replaces the older."""
    return canonical_json(record.params), canonical_json(record.config), str(record.seed)


def file_of(ledger: Path, task: str, entry: str) -> Path:
    """The ledger's file of an entry on a task."""
    return ledger / task / f"{entry.replace('/', '_')}.jsonl"


def code_digest(components: Components) -> str:
    """One digest of all the code that a cell's result depends on."""
    return blake(canonical_json(components.code))


def differences(old: Record | Outcome, new: Record | Outcome) -> list[tuple[str, Any, Any]]:
    """(what, old, new) wherever two results differ by a bit: status, metrics, what was censored, what was counted."""
    found: list[tuple[str, Any, Any]] = []
    for name in ("status", "censored"):
        if getattr(old, name) != getattr(new, name):
            found.append((name, getattr(old, name), getattr(new, name)))
    for a, b in ((old.metrics, new.metrics), (old.costs.counts, new.costs.counts)):
        found += [(name, a.get(name), b.get(name)) for name in sorted({*a, *b}) if a.get(name) != b.get(name)]
    return found


class Published:
    """What the ledger has of some cells, by key and by what makes rows comparable."""

    def __init__(self, store: Store, cells: Iterable[Cell]) -> None:
        cells = list(cells)
        self.by_key = store.by_key(cell.key for cell in cells)
        self.by_row = store.like(cell.like for cell in cells if cell.key not in self.by_key)
        self._standing = certificates.standing(certificates.read(store)) if self.by_row else {}

    def get(self, cell: Cell) -> tuple[Record | None, bool]:
        """(record, whether it is of older code). Data that are absent here cannot contradict a published record's."""
        if cell.key in self.by_key:
            return self.by_key[cell.key], False
        here = cell.components.data
        for record in self.by_row.get(cell.like, ()):
            if here == record.components.data or (here and set(here.values()) == {"absent"}):
                return record, not self.current(record, cell.components)
        return None, False

    def current(self, record: Record, components: Components) -> bool:
        """Whether a published record is of the code in `components`, or was certified for it."""
        if record.components.code == components.code:
            return True
        certified = self._standing.get(record.key)
        return bool(certified) and code_digest(components) in certified  # type: ignore[operator]


def locked(store: Store) -> FileLock:
    """The lock under which the ledger is written. `with locked(store): …`"""
    from filelock import FileLock  # 10 ms, which who only reads can save

    return FileLock(store.root / ".ledger.lock", timeout=60)


def lines_of(path: Path) -> Iterator[Record]:
    """The records of a ledger file that is to be written anew. BenchError for a line that would be lost."""
    for number, line in enumerate(path.read_bytes().splitlines() if path.is_file() else (), 1):
        try:
            yield decode(line)
        except ValueError as error:
            raise BenchError(
                f"{path}:{number} cannot be read ({error}); mend or remove the line, then publish"
            ) from error


def _line(store: Store, record: Record, old: Record | None) -> Record | None:
    """The record as it takes the place of `old` in the ledger; None, with a report, if the two are in conflict."""
    both = old is not None and old.key == record.key and old.settled and record.settled
    if old is not None and both and (old.status, old.metrics) != (record.status, record.metrics):
        store.reports.append(
            f"conflict: {record.key[:SHOWN]} ({record.label}) gave another result than its published record, which "
            "stays; the board shows the conflict. Find out why one cell has two results; the new one can be published "
            "once the old line is gone from the ledger"
        )
        return None
    curves = {name: kept for name, points in store.curves(record).items() if (kept := thin(points))[0]}
    if record.seed == SHOWN_SEED:
        return msgspec.structs.replace(record, curves=curves, exhibited=_packed(store, record))
    return msgspec.structs.replace(record, curves=curves, exhibits={})


def _packed(store: Store, record: Record) -> str:
    """The arrays of a record's exhibits as text; empty if it has none."""
    import numpy as np

    arrays = {f"{one}/{name}": array for one, parts in store.exhibits(record).items() for name, array in parts.items()}
    if not arrays:
        return ""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return base64.b64encode(stream.getvalue()).decode()


def publish(store: Store, records: Iterable[Record]) -> int:
    """Add `records` to the ledger, idempotently and under a lock; returns how many lines are new or changed.

    Lines of an older version of the task leave the file. A record that disagrees with the published one of the very key
    does not replace it: the same cell gave two results, which `store.reports` says and the board shows as a conflict.
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
            kept = dict(before)
            for record in news:
                if record.version == version:
                    identity = comparable(record)
                    line = _line(store, record, before.get(identity))
                    kept[identity] = line or before[identity]
            changed += sum(before.get(identity) != record for identity, record in kept.items())
            write_lines(path, kept.values())
    return changed


def write_lines(path: Path, records: Iterable[Record]) -> None:
    """Write a file of one record a line, sorted by what makes rows comparable; an equal file is left alone."""
    text = b"".join(encode(record) + b"\n" for record in sorted(records, key=comparable))
    if not path.is_file() or path.read_bytes() != text:
        write_atomically(path, text)
