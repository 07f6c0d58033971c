"""Records on disk.

    results/local/<key[:2]>/<key>.<attempt>.json, .npz   this machine's records; curves and exhibits beside each
    results/ledger/<family>/<task>/<entry>.jsonl         published records, one line each, sorted

A record is written under a temporary name, synced and renamed: no shared file, no lock, so any number of processes may
write at once. A corrupt file is moved to `results/quarantine/` and reported; the rest loads. Queries for many records at
once (`latest`, `by_key`, `like`, `older`, `costs`) read only what they return, by `bench.records.index`.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.contract import BenchError
from bench.outcome import EXHIBIT
from bench.records.files import write_atomically
from bench.records.record import Record, decode, encode
from bench.records.spelling import row_of, same_of

if TYPE_CHECKING:
    from bench.records.index import Index, Place

LEASE_SECONDS = 120.0  # a lease whose holder has not touched it for so long is dead


class Store:
    """The results folder. Reading tolerates damage; `reports` says what was set aside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.local = root / "local"
        self.ledger = root / "ledger"
        self.reports: list[str] = []
        self._index: Index | None = None

    @property
    def index(self) -> Index:
        """The index over both parts; made at the first query."""
        from bench.records.index import Index

        if self._index is None or self._index.ledger != self.ledger:
            self._index = Index(self.root, self.ledger, self._read, self.reports)
        return self._index

    def attempts(self, key: str) -> list[Path]:
        """This machine's files of `key`, oldest attempt first."""
        found = (self.local / key[:2]).glob(f"{key}.*.json")
        return sorted(found, key=lambda path: int(path.suffixes[0][1:]) if path.suffixes[0][1:].isdigit() else 0)

    def get(self, key: str) -> Record | None:
        """The latest sound record of `key`, or None."""
        for path in reversed(self.attempts(key)):
            record = self._read(path)
            if record is not None:
                return record
        return None

    def _read(self, path: Path) -> Record | None:
        try:
            with path.open("rb") as stream:
                record = decode(stream.read())
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
        """Store a record as the next attempt of its key. Its curves go first, so a record never lacks them."""
        key = record.key
        taken = [int(path.suffixes[0][1:]) for path in self.attempts(key)]
        attempt = max(taken, default=0) + 1
        folder = self.local / key[:2]
        if curves:
            write_atomically(folder / f"{key}.{attempt}.npz", curves)
        path = folder / f"{key}.{attempt}.json"
        text = encode(msgspec.structs.replace(record, attempt=attempt))
        write_atomically(path, msgspec.json.format(text, indent=1))
        return path

    def _arrays(self, record: Record) -> dict[str, Any]:
        """name -> array of what lies beside a local record; {} if nothing does."""
        import numpy as np

        path = self.local / record.key[:2] / f"{record.key}.{record.attempt}.npz"
        if not path.is_file():
            return {}
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    def curves(self, record: Record) -> dict[str, Any]:
        """name -> array (2, n) of steps and values; those thinned into a ledger line otherwise; {} if none."""
        import numpy as np

        found = {name: array for name, array in self._arrays(record).items() if not name.startswith(EXHIBIT)}
        return found or {name: np.asarray(points) for name, points in record.curves.items()}

    def exhibits(self, record: Record) -> dict[str, dict[str, Any]]:
        """exhibit -> its arrays by name (`record.exhibits` describes them); those in a ledger line otherwise; {} if none."""
        import numpy as np

        arrays = {n.removeprefix(EXHIBIT): a for n, a in self._arrays(record).items() if n.startswith(EXHIBIT)}
        if not arrays and record.exhibited:
            with np.load(io.BytesIO(base64.b64decode(record.exhibited)), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        found: dict[str, dict[str, Any]] = {}
        for name, array in arrays.items():
            exhibit, _, part = name.partition("/")
            found.setdefault(exhibit, {})[part] = array
        return found

    def records(self) -> Iterator[Record]:
        """The latest record of every key of this machine."""
        latest: dict[str, tuple[int, Path]] = {}
        for path in self.local.glob("??/*.json"):
            stem, _, attempt = path.stem.rpartition(".")
            if attempt.isdigit() and int(attempt) > latest.get(stem, (0, path))[0]:
                latest[stem] = (int(attempt), path)
        for _, path in sorted(latest.values(), key=lambda item: item[1]):
            record = self._read(path)
            if record is not None:
                yield record

    def published(self, tasks: Iterable[str] | None = None) -> Iterator[Record]:
        """Every record of the ledger, or of `tasks`; a line that cannot be read is reported and skipped."""
        folders = [self.ledger] if tasks is None else [self.ledger / task for task in sorted(set(tasks))]
        for path in (found for folder in folders for found in sorted(folder.rglob("*.jsonl"))):
            for number, line in enumerate(path.read_bytes().splitlines(), 1):
                try:
                    yield decode(line)
                except ValueError as error:
                    self.reports.append(f"{path}:{number} cannot be read ({error}); skipped")

    def latest(self, keys: Iterable[str]) -> dict[str, Record]:
        """key -> this machine's latest sound record, of those `keys` that have one."""
        return self._newest(self.index.of_keys(keys))

    def _newest(self, places: list[Place]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for place in reversed(places):  # the last attempt of a key comes first
            if place.local and place.key not in found and (record := self._read(self._file(place))) is not None:
                found[place.key] = record
        return found

    def by_key(self, keys: Iterable[str]) -> dict[str, Record]:
        """key -> its published record, of those `keys` that have one."""
        wanted = list(keys)
        return {record.key: record for record in self._lines(lambda: self.index.of_keys(wanted))}

    def like(self, rows: Iterable[int]) -> dict[int, list[Record]]:
        """row (`spelling.row_of`) -> the published records that may be it, whatever code and data they are of."""
        wanted = set(rows)
        found: dict[int, list[Record]] = defaultdict(list)
        for record in self._lines(lambda: self.index.of_rows(wanted)):
            found[row_of(record.task, record.version, record.params, record.config, record.seed)].append(record)
        return found

    def older(self, cells: Iterable[int]) -> dict[int, Record]:
        """cell (`spelling.same_of`) -> this machine's record of it that ended last, whatever code and data it is of."""
        found = {}
        for place in self.index.of_cells(cells):
            if place.local and (record := self._read(self._file(place))) is not None:
                found[same_of(record.task, record.preset, record.entry, record.seed, record.params)] = record
        return found

    def of_entry(self, entry: str, preset: str) -> Iterator[Record]:
        """An entry's records at a preset: the published ones, then this machine's latest of every key."""
        yield from self._lines(lambda: self.index.of_entry(entry, preset))
        yield from self._newest(self.index.of_entry(entry, preset)).values()

    def costs(self, tasks: Iterable[str]) -> dict[tuple[str, str, str], float]:
        """(task, preset, entry) -> mean CPU seconds of a settled cell, over all there is of `tasks`."""
        return self.index.costs(tasks)

    def _file(self, place: Place) -> Path:
        return self.root / place.unit / f"{place.key}.{place.attempt}.json"

    def _lines(self, query: Callable[[], list[Place]], asked: list[Place] | None = None) -> list[Record]:
        """The published records at the places that `query` finds; asked: its answer, where it is known.

        When a line is not where the index says, its file is read and the question asked again.
        """
        found: list[Record] = []
        for _ in range(2):
            found, wrong, files = [], set(), defaultdict(list)
            for place in query() if asked is None else asked:
                if not place.local:
                    files[place.unit].append(place)
            for unit, places in files.items():
                try:
                    with (self.ledger / unit).open("rb") as stream:
                        for place in places:
                            stream.seek(place.offset)
                            record = decode(stream.read(place.length))
                            if record.key != place.key:
                                raise ValueError(f"another record than {place.key} is there")
                            found.append(record)
                except (ValueError, OSError):
                    wrong.add(unit)
            if not wrong:
                break
            self.index.refresh(wrong)
            asked = None
        return found

    def find(self, prefix: str) -> Record:
        """The one record whose key starts with `prefix`, this machine's first. BenchError if none or several."""
        places = self.index.of_prefix(prefix)
        local = {place.key for place in places if place.local}
        if len(local) < 2:
            for record in self._newest(places).values():
                return record
        keys = local if len(local) > 1 else {place.key for place in places} - local
        if len(keys) > 1:
            raise BenchError(f"{len(keys)} records start with {prefix!r}; give more characters")
        for record in self._lines(lambda: self.index.of_prefix(prefix), places):
            return record
        raise BenchError(f"no record starts with {prefix!r} in {self.root}; `bench plan` lists the cells of a plan")

    # Leases: two sweeps on one store share work. They are advice: without one, a cell is run twice and stored twice.

    def _lease(self, key: str) -> Path:
        return self.root / ".leases" / key

    def lease(self, key: str) -> bool:
        """Claim a cell; False while another living process holds it. A store that takes no lease files says True."""
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
            except OSError:
                return True
        return False

    def _alive(self, path: Path) -> bool:
        try:
            age = time.time() - path.stat().st_mtime
            holder = json.loads(path.read_text())
        except FileNotFoundError:
            return False
        except ValueError:
            return age < 5.0  # half-written; its writer finishes at once or is dead
        if holder.get("host") == socket.gethostname():
            try:
                os.kill(int(holder["pid"]), 0)
            except ProcessLookupError:
                return False
            except PermissionError:
                return True
            return True
        return age < LEASE_SECONDS

    def touch(self, key: str) -> None:
        """Keep a lease alive for other hosts."""
        try:
            os.utime(self._lease(key))
        except OSError:
            pass

    def release(self, key: str) -> None:
        """Give a cell back."""
        self._lease(key).unlink(missing_ok=True)
