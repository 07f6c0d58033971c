"""Where every record is: an index over the store, made from its files and never more than a shortcut to them.

    results/.cache/index.sqlite      one row a local record or ledger line: key, identities, status, cost, place

The files stay the truth. Every query first compares what the index has seen with what lies there: a folder of local
records by its time, a ledger file by size and time; only what changed is read again. A record found here is then read
from its own file, which must hold the key that the index promised. The index file is never edited: a new one is
written beside it and renamed over it, so that readers need no lock, two processes may do so at once (the last wins,
both are right), and a process killed meanwhile leaves the old one. A damaged one is made anew. A store that is read
faster than an index is written gets none on disk.

SQLite rather than Parquet and DuckDB: opening and asking takes 0.015 s instead of 0.2 s, and nothing is installed for it.
"""

from __future__ import annotations

import gc
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.records.record import Record, decode
from bench.records.spelling import row_of, same_of

SCHEMA = 2  # raised when the columns change: an older file is made anew
WORTH = 500  # records to read; with fewer, writing the index costs more than it saves
SETTLING = 1_000_000_000  # ns; what changed so shortly before it was read may change again within a tick of its clock
AT_ONCE = 500  # values of one query; SQLite allows 999
COLUMNS = (
    "unit",
    "key",
    "attempt",
    "offset",
    "length",
    "row",
    "same",
    "task",
    "preset",
    "entry",
    "status",
    "cpu",
    "ended",
)
LOOKUPS = {"unit": "unit", "key": "key", "row": '"row"', "same": "same", "cost": "task, preset, entry, status, cpu"}


@dataclass(frozen=True)
class Place:
    """Where one record is. unit: a folder of `local` ("local/ab"), or a file of the ledger, relative to it."""

    unit: str
    key: str
    attempt: int
    offset: int
    length: int

    @property
    def local(self) -> bool:
        """Whether it is this machine's record."""
        return self.unit.startswith("local/")


@dataclass(frozen=True)
class Changes:
    """Units whose content is not what the index has seen (name -> stamp), and those that are gone."""

    new: Mapping[str, str]
    gone: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.new or self.gone)


def _values(record: Record, unit: str, attempt: int, offset: int, length: int) -> tuple[Any, ...]:
    return (
        unit, record.key, attempt, offset, length,
        row_of(record.task, record.version, record.params, record.config, record.seed),
        same_of(record.task, record.preset, record.entry, record.seed, record.params),
        record.task, record.preset, record.entry, record.status, record.costs.cpu_total, record.provenance.ended,
    )  # fmt: skip


def name_of(filename: str) -> tuple[str, int] | None:
    """`<key>.<attempt>.json` -> (key, attempt); None for any other file."""
    stem, dot, suffix = filename.rpartition(".")
    key, _, attempt = stem.rpartition(".")
    return (key, int(attempt)) if dot and suffix == "json" and key and attempt.isdigit() else None


class Index:
    """Queries over one store. read: a local file -> its record, or None once it has set a damaged one aside."""

    def __init__(
        self, root: Path, ledger: Path, read: Callable[[Path], Record | None], reports: list[str],
    ) -> None:  # fmt: skip
        self.path = root / ".cache" / "index.sqlite"
        self.local, self.ledger = root / "local", ledger
        self._read, self._reports = read, reports
        self._db: sqlite3.Connection | None = None
        self._told: set[str] = set()

    # What lies there now

    def _stamps(self) -> dict[str, str]:
        """unit -> a stamp that changes with its content; one that may still change within its tick is marked by `?`."""
        found: dict[str, str] = {}
        now = time.time_ns()

        def stamp(stat: os.stat_result, size: int) -> str:
            unsettled = -60 * SETTLING < now - stat.st_mtime_ns < SETTLING  # another host's clock may be ahead
            return f"{size}:{stat.st_mtime_ns}" + ("?" if unsettled else "")

        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.local) as folders:
            for folder in folders:
                if len(folder.name) == 2 and folder.is_dir():
                    found[f"local/{folder.name}"] = stamp(folder.stat(), 0)
        start = len(os.path.join(self.ledger, ""))
        for folder_name, _, names in os.walk(self.ledger):
            for name in names:
                if name.endswith(".jsonl"):
                    path = os.path.join(folder_name, name)
                    with suppress(FileNotFoundError):
                        stat = os.stat(path)
                        found[path[start:].replace(os.sep, "/")] = stamp(stat, stat.st_size)
        return found

    def _changes(self, db: sqlite3.Connection, distrusted: frozenset[str]) -> Changes:
        seen = dict(db.execute("select unit, stamp from units"))
        now = self._stamps()
        new = {u: s for u, s in now.items() if seen.get(u) != s or s.endswith("?") or u in distrusted}
        return Changes(new, frozenset(seen) - frozenset(now))

    # Reading what changed

    def _local_rows(self, db: sqlite3.Connection, unit: str) -> Iterator[tuple[Any, ...]]:
        """Rows of the files that are new in a folder; those of vanished files leave. A record's file is never edited."""
        folder = self.local / unit.removeprefix("local/")
        there = {}
        with suppress(FileNotFoundError):
            there = {name: found for name in os.listdir(folder) if (found := name_of(name))}
        known = set(db.execute("select key, attempt from records where unit = ?", (unit,)))
        gone = known - set(there.values())
        db.executemany("delete from records where unit = ? and key = ? and attempt = ?", [(unit, *one) for one in gone])
        for name, (key, attempt) in there.items():
            if (key, attempt) not in known:
                record = self._read(folder / name)
                if record is not None:
                    yield _values(record, unit, attempt, 0, 0)

    def _ledger_rows(self, db: sqlite3.Connection, unit: str) -> Iterator[tuple[Any, ...]]:
        """Every line of a ledger file; those that cannot be read are kept as such."""
        for table in ("records", "bad"):
            db.execute(f"delete from {table} where unit = ?", (unit,))
        try:
            content = (self.ledger / unit).read_bytes()
        except FileNotFoundError:
            return
        offset = 0
        for number, line in enumerate(content.splitlines(keepends=True), 1):
            try:
                record = decode(line)
                yield _values(record, unit, record.attempt, offset, len(line))
            except ValueError as error:
                db.execute("insert into bad values (?, ?, ?)", (unit, number, str(error)))
            offset += len(line)

    def _update(self, db: sqlite3.Connection, changes: Changes) -> int:
        """Read what changed into `db`; returns how many records were read."""
        insert, count = f"insert into records values ({', '.join('?' * len(COLUMNS))})", 0
        for unit in changes.gone:
            for table in ("records", "units", "bad"):
                db.execute(f"delete from {table} where unit = ?", (unit,))
        for unit, stamp in changes.new.items():
            rows = list((self._local_rows if unit.startswith("local/") else self._ledger_rows)(db, unit))
            db.executemany(insert, rows)
            db.execute("insert or replace into units values (?, ?)", (unit, stamp))
            count += len(rows)
        for name, columns in LOOKUPS.items():  # after the first rows: filling them one by one takes longer
            db.execute(f"create index if not exists by_{name} on records ({columns})")
        db.commit()
        return count

    # The file

    def _empty(self, path: str) -> sqlite3.Connection:
        db = sqlite3.connect(path)
        db.execute("pragma journal_mode = off")
        db.execute("pragma synchronous = off")
        db.execute("create table about (schema integer, ledger text)")
        db.execute("insert into about values (?, ?)", (SCHEMA, str(self.ledger.absolute())))
        db.execute("create table units (unit text primary key, stamp text)")
        db.execute("create table bad (unit text, line integer, reason text)")
        db.execute(f"create table records ({', '.join(COLUMNS)})")
        db.commit()  # a backup waits for an open transaction
        return db

    def _stored(self) -> sqlite3.Connection | None:
        """The index on disk, read-only and without locks; None if there is none for this ledger and these columns."""
        try:
            db = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        except sqlite3.OperationalError:
            return None
        try:
            if db.execute("select schema, ledger from about").fetchone() == (SCHEMA, str(self.ledger.absolute())):
                return db
        except sqlite3.DatabaseError as error:
            self._damaged(error)
        db.close()
        return None

    def _damaged(self, error: Exception) -> None:
        self._reports.append(f"{self.path} is damaged ({error}); it is made anew from the records")

    def refresh(self, distrusted: Iterable[str] = ()) -> sqlite3.Connection:
        """The database, agreeing with the files. distrusted: units to read again whatever their stamps say."""
        distrust = frozenset(distrusted)
        try:
            return self._refreshed(self._db or self._stored(), distrust)
        except sqlite3.DatabaseError as error:
            self._damaged(error)
            return self._refreshed(None, distrust)

    def _refreshed(self, db: sqlite3.Connection | None, distrust: frozenset[str]) -> sqlite3.Connection:
        old = db if db is not None else self._empty(":memory:")
        changes = self._changes(old, distrust)
        if changes:
            new = sqlite3.connect(":memory:")
            old.backup(new)
            if old is not self._db:
                old.close()
            collecting = gc.isenabled()
            gc.disable()  # of a hundred thousand records that hold no cycles, it would walk each many times
            try:
                count = self._update(new, changes)
            finally:
                if collecting:
                    gc.enable()
            if count >= WORTH:
                self._write(new)
            old = new
        if self._db is not None and self._db is not old:
            self._db.close()
        self._db = old
        for unit, line, reason in old.execute("select unit, line, reason from bad").fetchall():
            told = f"{self.ledger / unit}:{line} cannot be read ({reason}); skipped"
            if told not in self._told:
                self._told.add(told)
                self._reports.append(told)
        return old

    def _write(self, db: sqlite3.Connection) -> None:
        """Put the index on disk beside the old one and rename it; a folder that cannot take it only costs time."""
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for left in self.path.parent.glob(f".{self.path.name}.*"):  # of processes that were killed
                if time.time() - left.stat().st_mtime > 3600:
                    left.unlink(missing_ok=True)
            with closing(sqlite3.connect(temporary)) as disk:
                db.backup(disk)
            temporary.replace(self.path)
        except (OSError, sqlite3.Error):
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    # Queries

    def _ask(self, db: sqlite3.Connection, where: str, values: Iterable[Any], last: bool = False) -> list[Place]:
        """Places by a condition: the ledger's in order of file, then local ones, attempts in order (last: ended last)."""
        query = f"select unit, key, attempt, offset, length, ended from records where {where}"
        found = db.execute(query, list(values)).fetchall()
        found.sort(key=lambda one: (one[0].startswith("local/"), one[5] if last else "", *one[:4]))
        return [Place(*one[:5]) for one in found]

    def _places(self, column: str, values: Iterable[Any]) -> list[Place]:
        db, wanted, found = self.refresh(), list(dict.fromkeys(values)), []
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            found += self._ask(db, f'"{column}" in ({", ".join("?" * len(some))})', some, last=column == "same")
        return found

    def of_keys(self, keys: Iterable[str]) -> list[Place]:
        """Every place of the records with these keys, a key's attempts in order."""
        return self._places("key", keys)

    def of_rows(self, rows: Iterable[int]) -> list[Place]:
        """Places of the records that may be these rows (`row_of`)."""
        return self._places("row", rows)

    def of_cells(self, cells: Iterable[int]) -> list[Place]:
        """Places of the records that may be of these cells (`same_of`); of a cell, the one that ended last comes last."""
        return self._places("same", cells)

    def of_prefix(self, prefix: str) -> list[Place]:
        """Places of the records whose key starts with `prefix`."""
        return self._ask(self.refresh(), "key >= ? and key < ?", (prefix, prefix + "\x7f"))

    def of_entry(self, entry: str, preset: str | None = None) -> list[Place]:
        """Places of an entry's records, at one preset or at all."""
        where, values = ("entry = ? and preset = ?", [entry, preset]) if preset else ("entry = ?", [entry])
        return self._ask(self.refresh(), where, values)

    def costs(self, tasks: Iterable[str]) -> dict[tuple[str, str, str], float]:
        """(task, preset, entry) -> mean CPU seconds of the cells that ended well or diverged, for some tasks."""
        query = (
            "select task, preset, entry, avg(cpu) from records where task = ? and cpu is not null "
            "and status in ('ok', 'diverged') group by task, preset, entry"
        )
        db = self.refresh()
        found = [row for task in set(tasks) for row in db.execute(query, (task,))]
        return {(task, preset, entry): mean for task, preset, entry, mean in found}
