"""The index of a store, `results/.cache/index.sqlite`: where each of its records is, derived from the files.

The files decide. Every query first compares the index with them, a folder of local records by its time and a ledger file by
size and time, and reads again only what changed. The record itself is then read from its file and must have the indexed key.
The index file is never edited: a new one is renamed over it, so that readers need no lock, two processes may do so at once
(the last one stays, both are right), and a process killed meanwhile leaves the old file. A damaged index is rebuilt; a store
that is read faster than an index is written gets none on disk.

SQLite rather than Parquet and DuckDB: opening and asking takes 0.015 s instead of 0.2 s, and nothing is installed for it.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from glob import glob
from typing import TYPE_CHECKING, Any

from bench.records.record import Record, decode
from bench.records.spelling import cell_digest, row_digest

if TYPE_CHECKING:
    from bench.records.store import Store

SCHEMA = 4  # raised when the columns change; an index of an older schema is rebuilt
WORTH = 500  # newly read records from which on the index is written to disk
SETTLING = 1_000_000_000  # ns; a file that changed so shortly before it was read may change again and keep its time
COLUMNS = "unit, key, attempt, offset, length, row_digest, cell_digest, task, preset, entry, status, cpu"
LOOKUPS = ("key", "row_digest", "cell_digest", "task, preset, entry, status, cpu")  # columns that queries search
NAME = re.compile(r"(.+)\.(\d+)\.json")  # of a local record: key and attempt


@dataclass(frozen=True)
class Place:
    """Where one record is. unit: a folder of local records ("local/ab"), or a file's path in the ledger."""

    unit: str
    key: str
    attempt: int
    offset: int
    length: int

    @property
    def local(self) -> bool:
        """Whether the record is this machine's own."""
        return self.unit.startswith("local/")


def _values(record: Record, unit: str, attempt: int, offset: int, length: int) -> tuple[Any, ...]:
    row = row_digest(record.task, record.version, record.params, record.config, record.seed)
    cell = cell_digest(record.task, record.preset, record.entry, record.seed, record.params)
    group = record.task, record.preset, record.entry, record.status, record.costs.cpu_total
    return unit, record.key, attempt, offset, length, row, cell, *group


class Index:
    """Queries over one store."""

    def __init__(self, store: Store) -> None:
        self.path = store.root / ".cache" / "index.sqlite"
        self._store, self.root, self.ledger = store, store.root, store.ledger
        self._db: sqlite3.Connection | None = None

    # Reading the changed files

    def _changes(self, db: sqlite3.Connection, distrusted: Container[str]) -> tuple[dict[str, str], set[str]]:
        """(units whose content the index has not read -> stamp, units that no longer exist). A stamp changes with the content;
        `?` marks a unit whose content may change and keep its stamp."""
        paths = {f"local/{name}": self.root / "local" / name for name in glob("??", root_dir=self.root / "local")}
        # glob is faster than Path.rglob
        paths |= {name: self.ledger / name for name in glob("**/*.jsonl", root_dir=self.ledger, recursive=True)}
        stamps, now = {}, time.time_ns()
        for unit, path in paths.items():
            with suppress(FileNotFoundError):
                stat = path.stat()
                unsettled = -60 * SETTLING < now - stat.st_mtime_ns < SETTLING  # another host's clock may be ahead
                stamps[unit] = f"{stat.st_size}:{stat.st_mtime_ns}" + ("?" if unsettled else "")
        seen = dict(db.execute("select unit, stamp from units"))
        new = {u: s for u, s in stamps.items() if seen.get(u) != s or s.endswith("?") or u in distrusted}
        return new, seen.keys() - stamps.keys()

    def _local_rows(self, db: sqlite3.Connection, unit: str) -> Iterator[tuple[Any, ...]]:
        """Rows of a folder's new files; rows of deleted files are removed. A record's file is never edited."""
        present: set[tuple[str, int]] = set()
        with suppress(FileNotFoundError, NotADirectoryError):
            names = map(NAME.fullmatch, os.listdir(self.root / unit))
            present = {(name[1], int(name[2])) for name in names if name}
        known = set(db.execute("select key, attempt from records where unit = ?", (unit,)))
        gone = [(unit, *parts) for parts in known - present]
        db.executemany("delete from records where unit = ? and key = ? and attempt = ?", gone)
        for key, attempt in sorted(present - known):
            if (record := self._store.read(self.root / unit / f"{key}.{attempt}.json")) is not None:
                yield _values(record, unit, attempt, 0, 0)

    def _ledger_rows(self, db: sqlite3.Connection, unit: str) -> Iterator[tuple[Any, ...]]:
        """Rows of a ledger file's lines; a line that cannot be read goes into the table `bad`."""
        offset, lines = 0, []
        with suppress(FileNotFoundError):
            lines = (self.ledger / unit).read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            try:
                record = decode(line)
                yield _values(record, unit, record.attempt, offset, len(line))
            except ValueError as error:
                db.execute("insert into bad values (?, ?, ?)", (unit, number, str(error)))
            offset += len(line)

    def _update(self, db: sqlite3.Connection, new: Mapping[str, str], gone: set[str]) -> int:
        """Read the changed files into `db`; returns the number of records read."""
        insert, count = f"insert into records values ({', '.join('?' * len(COLUMNS.split()))})", 0
        ledgers = {unit for unit in new if not unit.startswith("local/")}
        for unit in gone | ledgers:
            for table in ("records", "units", "bad"):
                db.execute(f"delete from {table} where unit = ?", (unit,))
        for unit, stamp in new.items():
            rows = list((self._ledger_rows if unit in ledgers else self._local_rows)(db, unit))
            db.executemany(insert, rows)
            db.execute("insert or replace into units values (?, ?)", (unit, stamp))
            count += len(rows)
        for number, columns in enumerate(LOOKUPS):  # made after the first rows are in, which is faster
            db.execute(f"create index if not exists lookup_{number} on records ({columns})")
        db.commit()
        return count

    # The index file

    def _empty(self) -> sqlite3.Connection:
        db = sqlite3.connect(":memory:")
        db.execute("create table about (schema integer, ledger text)")
        db.execute("insert into about values (?, ?)", (SCHEMA, str(self.ledger.absolute())))
        db.execute("create table units (unit text primary key, stamp text)")
        db.execute("create table bad (unit text, line integer, reason text)")
        db.execute(f"create table records ({COLUMNS})")
        db.execute("create index lookup_unit on records (unit)")
        db.commit()  # a backup waits for an open transaction
        return db

    def _stored(self) -> sqlite3.Connection | None:
        """The index on disk, opened read-only and without locks; None if absent, or of another ledger or schema."""
        if not self.path.is_file():
            return None
        db = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        about = db.execute("select schema, ledger from about").fetchone()
        return db if about == (SCHEMA, str(self.ledger.absolute())) else None

    def refresh(self, distrusted: Container[str] = ()) -> sqlite3.Connection:
        """The database, brought up to date with the files. distrusted: units to read again whatever their stamps are."""
        try:
            self._db = self._refreshed(self._db or self._stored() or self._empty(), distrusted)
        except sqlite3.DatabaseError as error:
            self._store.reports.append(f"{self.path} is damaged ({error}); it is rebuilt from the records")
            self._db = self._refreshed(self._empty(), ())
        return self._db

    def _refreshed(self, db: sqlite3.Connection, distrusted: Container[str]) -> sqlite3.Connection:
        new, gone = self._changes(db, distrusted)
        if new or gone:
            updated = sqlite3.connect(":memory:")
            with closing(db):
                db.backup(updated)
            db = updated
            if self._update(db, new, gone) >= WORTH:
                self._write(db)
        for unit, line, reason in db.execute("select unit, line, reason from bad"):
            report = f"{self.ledger / unit}:{line} cannot be read ({reason}); skipped"
            if report not in self._store.reports:
                self._store.reports.append(report)
        return db

    def _write(self, db: sqlite3.Connection) -> None:
        """Write the index beside the old one and rename it. Where that fails, the next command reads the files again."""
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with suppress(OSError, sqlite3.Error):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for abandoned in self.path.parent.glob(f".{self.path.name}.*"):  # by processes that were killed
                if time.time() - abandoned.stat().st_mtime > 3600:
                    abandoned.unlink(missing_ok=True)
            with closing(sqlite3.connect(temporary)) as disk:
                db.backup(disk)
            temporary.replace(self.path)
        with suppress(OSError):  # it is still there if something failed
            temporary.unlink(missing_ok=True)

    # Queries: the places in the ledger come first, then the local ones, by file and attempt

    def _ask(self, where: str, *alternatives: Iterable[Any]) -> list[Place]:
        """The places by a condition, of each of its alternative values in turn."""
        order = "unit like 'local/%', unit, key, attempt, \"offset\""
        query = f"select unit, key, attempt, offset, length from records where {where} order by {order}"
        db = self.refresh()
        return [Place(*row) for values in alternatives for row in db.execute(query, tuple(values))]

    def places(self, column: str, values: Iterable[str | int]) -> list[Place]:
        """Places of the records with one of these values of `key`, `row_digest` or `cell_digest`."""
        return self._ask(f"{column} = ?", *((value,) for value in dict.fromkeys(values)))

    def of_prefix(self, prefix: str) -> list[Place]:
        """Places of the records whose key starts with `prefix`."""
        return self._ask("key >= ? and key < ?", (prefix, prefix + "\x7f"))

    def of_entry(self, entry: str, preset: str | None = None) -> list[Place]:
        """Places of an entry's records, at one preset or at every."""
        return self._ask("entry = ? and preset = coalesce(?, preset)", (entry, preset))

    def local(self) -> list[Place]:
        """Places of all of this machine's records."""
        return self._ask("unit like 'local/%'", ())

    def costs(self, tasks: Iterable[str]) -> dict[tuple[str, str, str], float]:
        """(task, preset, entry) -> mean CPU seconds of the cells of `tasks` that ended as ok or diverged."""
        query = (
            "select task, preset, entry, avg(cpu) from records where task = ? and cpu is not null "
            "and status in ('ok', 'diverged') group by task, preset, entry"
        )
        db = self.refresh()
        return {row[:3]: row[3] for task in set(tasks) for row in db.execute(query, (task,))}
