"""The store: records on disk.

    results/local/<key[:2]>/<key>.<attempt>.json, .npz   this machine's records; curves and exhibits beside each
    results/ledger/<family>/<task>/<entry>.jsonl         published records, one line each, sorted

A record is written under a temporary name and renamed: no shared file, no lock, so any number of processes may write at once.
A corrupt file is moved to `results/quarantine/` and reported. Queries for many records at once use `bench.records.index`.
"""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.contract import BenchError
from bench.outcome import EXHIBIT
from bench.records.files import read_lines, write_atomically
from bench.records.record import Record, decode, encode
from bench.records.spelling import cell_digest, row_digest

if TYPE_CHECKING:
    from bench.records.index import Index, Place

LEASE_SECONDS = 120.0  # a lease of another host that was not touched for so long has expired


class Store:
    """The results folder. ledger: by default the one in it. Reading tolerates damaged files; `reports` lists them."""

    def __init__(self, root: Path, ledger: Path | None = None) -> None:
        self.root = root
        self.local = root / "local"
        self.ledger = ledger or root / "ledger"
        self.reports: list[str] = []

    @cached_property
    def index(self) -> Index:
        """The index over local records and ledger."""
        from bench.records.index import Index

        return Index(self)

    def attempts(self, key: str) -> list[Path]:
        """This machine's files of `key`, oldest attempt first."""
        files = (self.local / key[:2]).glob(f"{key}.*.json")
        return sorted(files, key=lambda path: int(path.suffixes[0][1:]) if path.suffixes[0][1:].isdigit() else 0)

    def get(self, key: str) -> Record | None:
        """The latest undamaged record of `key`, or None."""
        return next(filter(None, map(self.read, reversed(self.attempts(key)))), None)

    def read(self, path: Path) -> Record | None:
        """The record in a local file; None if there is none, or the file is damaged, and is then moved aside."""
        try:
            record = decode(path.read_bytes())
            if not path.name.startswith(f"{record.key}."):
                raise ValueError(f"it holds the record of another key, {record.key}")
            return record
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            self._quarantine(path, error)
            return None

    def _quarantine(self, path: Path, error: Exception) -> None:
        target = self.root / "quarantine" / path.name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            self.reports.append(f"{path.name} is damaged ({error}); moved to {target}, its cell counts as missing")
        except OSError as problem:
            self.reports.append(f"{path} is damaged ({error}) and could not be moved aside: {problem}")

    def put(self, record: Record, curves: bytes = b"") -> Path:
        """Store a record as the next attempt of its key. Its curves are written first, so that no record lacks them."""
        attempt = max((int(path.suffixes[0][1:]) for path in self.attempts(record.key)), default=0) + 1
        path = self.local / record.key[:2] / f"{record.key}.{attempt}.json"
        if curves:
            write_atomically(path.with_suffix(".npz"), curves)
        text = encode(msgspec.structs.replace(record, attempt=attempt))
        write_atomically(path, msgspec.json.format(text, indent=1))
        return path

    def _arrays(self, record: Record) -> dict[str, Any]:
        """name -> array in the .npz file of a local record; {} if there is none."""
        path = self.local / record.key[:2] / f"{record.key}.{record.attempt}.npz"
        return _loaded(path) if path.is_file() else {}

    def curves(self, record: Record) -> dict[str, Any]:
        """name -> array (2, n) of steps and values: the local record's, else those thinned in the ledger line; {} if none."""
        import numpy as np

        curves = {name: array for name, array in self._arrays(record).items() if not name.startswith(EXHIBIT)}
        return curves or {name: np.asarray(points) for name, points in record.curves.items()}

    def exhibits(self, record: Record) -> dict[str, Any]:
        """`exhibit/name` -> array: the local record's, else those in the ledger line; {} if none. See `record.exhibits`."""
        arrays = {n.removeprefix(EXHIBIT): a for n, a in self._arrays(record).items() if n.startswith(EXHIBIT)}
        return arrays or (_loaded(io.BytesIO(base64.b64decode(record.exhibited))) if record.exhibited else {})

    def records(self) -> Iterator[Record]:
        """The latest undamaged record of every key of this machine."""
        return self._newest(self.index.local())

    def published(self, tasks: Iterable[str] | None = None) -> Iterator[Record]:
        """The ledger's records, all or those of `tasks`. A line that cannot be read is reported and skipped."""
        folders = [self.ledger] if tasks is None else [self.ledger / task for task in sorted(set(tasks))]
        for folder in folders:
            for path in sorted(folder.rglob("*.jsonl")):
                yield from read_lines(path, decode, self.reports)

    def latest(self, keys: Iterable[str]) -> dict[str, Record]:
        """key -> this machine's latest undamaged record, for those `keys` that have one."""
        return {record.key: record for record in self._newest(self.index.places("key", keys))}

    def _newest(self, places: Iterable[Place]) -> Iterator[Record]:
        own = (place for place in places if place.local)
        for _, attempts in groupby(own, key=lambda place: place.key):
            yield from islice(filter(None, map(self._record, reversed([*attempts]))), 1)

    def by_key(self, keys: Iterable[str]) -> dict[str, Record]:
        """key -> its published record, for those `keys` that have one."""
        return {record.key: record for record in self._lines(self.index.places, "key", [*keys])}

    def of_rows(self, rows: Iterable[int]) -> dict[int, list[Record]]:
        """row digest -> its published records, of any code and data."""
        by_row: dict[int, list[Record]] = defaultdict(list)
        for record in self._lines(self.index.places, "row_digest", [*rows]):
            by_row[row_digest(record.task, record.version, record.params, record.config, record.seed)].append(record)
        return by_row

    def older(self, cells: Iterable[int]) -> dict[int, Record]:
        """cell digest -> this machine's record of it that ended last, of any code and data."""
        places = (place for place in self.index.places("cell_digest", cells) if place.local)
        records = sorted(filter(None, map(self._record, places)), key=lambda record: record.provenance.ended)
        return {cell_digest(r.task, r.preset, r.entry, r.seed, r.params): r for r in records}

    def of_entry(self, entry: str, preset: str) -> Iterator[Record]:
        """An entry's records at a preset: the published ones, then this machine's latest of each key."""
        yield from self._lines(self.index.of_entry, entry, preset)
        yield from self._newest(self.index.of_entry(entry, preset))

    def _record(self, place: Place) -> Record | None:
        return self.read(self.root / place.unit / f"{place.key}.{place.attempt}.json")

    def _lines(self, query: Callable[..., list[Place]], *arguments: Any) -> list[Record]:
        """The published records at the places of a query. When a line is not at its indexed place, the index reads the file
        again, and the query is repeated once."""
        for _ in range(2):
            records, wrong = [], set()
            for place in query(*arguments):
                try:
                    if not place.local:
                        records.append(self._line(place))
                except (ValueError, OSError):
                    wrong.add(place.unit)
            if not wrong:
                break
            self.index.refresh(wrong)
        return records

    def _line(self, place: Place) -> Record:
        with (self.ledger / place.unit).open("rb") as stream:
            stream.seek(place.offset)
            record = decode(stream.read(place.length))
        if record.key != place.key:
            raise ValueError(f"the record of another key than {place.key}")
        return record

    def find(self, prefix: str) -> Record:
        """The record whose key starts with `prefix`, preferably this machine's. BenchError if there is none, or several."""
        places = self.index.of_prefix(prefix)
        for local, query in ((True, self.latest), (False, self.by_key)):
            keys = {place.key for place in places if place.local == local}
            if len(keys) > 1:
                raise BenchError(f"{len(keys)} records start with {prefix!r}; give more characters")
            if records := query(keys):
                return records.popitem()[1]
        raise BenchError(f"no record starts with {prefix!r} in {self.root}; `bench plan` lists the cells of a plan")

    # Leases let two sweeps on one store share work. They are advisory: without one, a cell is run twice and stored twice.

    def _lease(self, key: str) -> Path:
        return self.root / ".leases" / key

    def lease(self, key: str) -> bool:
        """Whether this process may run a cell: False while another living process holds its lease."""
        path = self._lease(key)
        holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
        for _ in range(2):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("x") as stream:
                    stream.write(holder)
                return True
            except FileExistsError:
                if self._alive(path):
                    return False
                path.unlink(missing_ok=True)
            except OSError:  # the folder takes no lease files
                return True
        return False

    def _alive(self, path: Path) -> bool:
        import psutil

        try:
            age = time.time() - path.stat().st_mtime
            holder = json.loads(path.read_text())
        except FileNotFoundError:
            return False
        except ValueError:
            return age < 5.0  # half-written: its writer finishes soon or has died
        if holder.get("host") == socket.gethostname():
            return psutil.pid_exists(int(holder["pid"]))
        return age < LEASE_SECONDS

    def touch(self, key: str) -> None:
        """Renew a lease, so that it does not expire on other hosts."""
        with suppress(OSError):
            os.utime(self._lease(key))

    def release(self, key: str) -> None:
        """End a cell's lease."""
        self._lease(key).unlink(missing_ok=True)


def _loaded(file: Path | io.BytesIO) -> dict[str, Any]:
    """name -> array of an .npz file."""
    import numpy as np

    with np.load(file, allow_pickle=False) as stored:
        return dict(stored)
