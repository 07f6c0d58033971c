"""The index of a store: where each of its records is, derived from the files and rebuilt at will.

    results/.cache/index.sqlite      one row a local record or ledger line: key, identities, status, cost, place

The files decide. Every query first compares the index with them, a folder of local records by its time and a ledger file by
size and time, and reads again only what changed. The record itself is then read from its file and must have the indexed
key. The index file is never edited: a new one is written beside it and renamed over it, so that readers need no lock, two
processes may do so at once (the last one stays, both are right), and a process killed meanwhile leaves the old file. A
damaged index is rebuilt; a store that is read faster than an index is written gets none on disk.

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
from glob import glob
from pathlib import Path
from typing import Any

from bench.records.record import Record, decode
from bench.records.spelling import cell_digest, row_digest

SCHEMA = 3  # raised when the columns change; an index of an older schema is rebuilt
WORTH = 500  # newly read records from which on the index is written to disk
SETTLING = 1_000_000_000  # ns; a file that changed so shortly before it was read may change again and keep its time
AT_ONCE = 500  # values in one query; SQLite allows 999
COLUMNS = "unit, key, attempt, offset, length, row_digest, cell_digest, task, preset, entry, status, cpu, ended"
LOOKUPS = (
    "unit",
    "key",
    "row_digest",
    "cell_digest",
    "task, preset, entry, status, cpu",
)  # columns that queries search


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
    return (
        unit, record.key, attempt, offset, length,
        row_digest(record.task, record.version, record.params, record.config, record.seed),
        cell_digest(record.task, record.preset, record.entry, record.seed, record.params),
        record.task, record.preset, record.entry, record.status, record.costs.cpu_total, record.provenance.ended,
    )  # fmt: skip


def name_of(filename: str) -> tuple[str, int] | None:
    """`<key>.<attempt>.json` -> (key, attempt); None for any other file."""
    stem, dot, suffix = filename.rpartition(".")
    key, _, attempt = stem.rpartition(".")
    return (key, int(attempt)) if dot and suffix == "json" and key and attempt.isdigit() else None


class Index:
    """Queries over one store. read: local file -> record, or None for a damaged file, which it moves aside."""

    def __init__(self, root: Path, ledger: Path, read: Callable[[Path], Record | None], reports: list[str]) -> None:
        self.path = root / ".cache" / "index.sqlite"
        self.local, self.ledger = root / "local", ledger
        self._read, self._reports = read, reports
        self._db: sqlite3.Connection | None = None
        self._reported: set[tuple[str, int, str]] = set()  # unreadable ledger lines: file, number, reason

    # The state of the files

    def _stamps(self) -> dict[str, str]:
        """unit -> a stamp that changes with its content. `?` marks a unit whose content may change and keep its stamp."""
        stamps: dict[str, str] = {}
        now = time.time_ns()

        def stamp(stat: os.stat_result, size: int) -> str:
            unsettled = -60 * SETTLING < now - stat.st_mtime_ns < SETTLING  # another host's clock may be ahead
            return f"{size}:{stat.st_mtime_ns}" + ("?" if unsettled else "")

        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.local) as folders:
            for folder in folders:
                if len(folder.name) == 2 and folder.is_dir():
                    stamps[f"local/{folder.name}"] = stamp(folder.stat(), 0)
        for path in glob("**/*.jsonl", root_dir=self.ledger, recursive=True):  # faster than Path.rglob
            with suppress(FileNotFoundError):
                stat = os.stat(os.path.join(self.ledger, path))
                stamps[path.replace(os.sep, "/")] = stamp(stat, stat.st_size)
        return stamps

    def _changes(self, db: sqlite3.Connection, distrusted: frozenset[str]) -> tuple[dict[str, str], set[str]]:
        """(units whose content the index has not read -> stamp, units that no longer exist)."""
        seen = dict(db.execute("select unit, stamp from units"))
        stamps = self._stamps()
        new = {u: s for u, s in stamps.items() if seen.get(u) != s or s.endswith("?") or u in distrusted}
        return new, seen.keys() - stamps.keys()

    # Reading the changed files

    def _local_rows(self, db: sqlite3.Connection, unit: str) -> Iterator[tuple[Any, ...]]:
        """Rows of a folder's new files; rows of deleted files are removed. A record's file is never edited."""
        folder = self.local / unit.removeprefix("local/")
        present: dict[tuple[str, int], str] = {}
        with suppress(FileNotFoundError):
            present = {parts: name for name in os.listdir(folder) if (parts := name_of(name))}
        known: set[tuple[str, int]] = set()
        if db.execute(
            "select 1 from units where unit = ?", (unit,)
        ).fetchone():  # else a search of all rows for nothing
            known = set(db.execute("select key, attempt from records where unit = ?", (unit,)))
        gone = [(unit, *parts) for parts in known - present.keys()]
        db.executemany("delete from records where unit = ? and key = ? and attempt = ?", gone)
        for parts, name in present.items():
            if parts not in known and (record := self._read(folder / name)) is not None:
                yield _values(record, unit, parts[1], 0, 0)

    def _ledger_rows(self, db: sqlite3.Connection, unit: str) -> Iterator[tuple[Any, ...]]:
        """Rows of a ledger file's lines; a line that cannot be read goes into the table `bad`."""
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

    def _update(self, db: sqlite3.Connection, new: Mapping[str, str], gone: set[str]) -> int:
        """Read the changed files into `db`; returns the number of records read."""
        insert, count = f"insert into records values ({', '.join('?' * len(COLUMNS.split()))})", 0
        read = {unit for (unit,) in db.execute("select unit from units")}
        ledgers = {unit for unit in read & new.keys() if not unit.startswith("local/")}
        for unit in gone | ledgers:  # a first build deletes nothing: each deletion would search all rows that are in
            for table in ("records", "units", "bad"):
                db.execute(f"delete from {table} where unit = ?", (unit,))
        for unit, stamp in new.items():
            rows = list((self._local_rows if unit.startswith("local/") else self._ledger_rows)(db, unit))
            db.executemany(insert, rows)
            db.execute("insert or replace into units values (?, ?)", (unit, stamp))
            count += len(rows)
        for number, columns in enumerate(LOOKUPS):  # made after the first rows are in, which is faster
            db.execute(f"create index if not exists lookup_{number} on records ({columns})")
        db.commit()
        return count

    # The index file

    def _empty(self, path: str) -> sqlite3.Connection:
        db = sqlite3.connect(path)
        db.execute("pragma journal_mode = off")
        db.execute("pragma synchronous = off")
        db.execute("create table about (schema integer, ledger text)")
        db.execute("insert into about values (?, ?)", (SCHEMA, str(self.ledger.absolute())))
        db.execute("create table units (unit text primary key, stamp text)")
        db.execute("create table bad (unit text, line integer, reason text)")
        db.execute(f"create table records ({COLUMNS})")
        db.commit()  # a backup waits for an open transaction
        return db

    def _stored(self) -> sqlite3.Connection | None:
        """The index on disk, opened read-only and without locks; None if absent, damaged, or of another ledger or schema."""
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
        self._reports.append(f"{self.path} is damaged ({error}); it is rebuilt from the records")

    def refresh(self, distrusted: Iterable[str] = ()) -> sqlite3.Connection:
        """The database, brought up to date with the files. distrusted: units to read again whatever their stamps are."""
        distrust = frozenset(distrusted)
        try:
            return self._refreshed(self._db or self._stored(), distrust)
        except sqlite3.DatabaseError as error:
            self._damaged(error)
            return self._refreshed(None, distrust)

    def _refreshed(self, db: sqlite3.Connection | None, distrust: frozenset[str]) -> sqlite3.Connection:
        old = db if db is not None else self._empty(":memory:")
        new, gone = self._changes(old, distrust)
        if new or gone:
            updated = sqlite3.connect(":memory:")
            old.backup(updated)
            if old is not self._db:
                old.close()
            collecting = gc.isenabled()
            gc.disable()  # it would walk a hundred thousand records many times, and they hold no cycles
            try:
                count = self._update(updated, new, gone)
            finally:
                if collecting:
                    gc.enable()
            if count >= WORTH:
                self._write(updated)
            old = updated
        if self._db is not None and self._db is not old:
            self._db.close()
        self._db = old
        for unit, line, reason in old.execute("select unit, line, reason from bad").fetchall():
            if (unit, line, reason) not in self._reported:
                self._reported.add((unit, line, reason))
                self._reports.append(f"{self.ledger / unit}:{line} cannot be read ({reason}); skipped")
        return old

    def _write(self, db: sqlite3.Connection) -> None:
        """Write the index beside the old one and rename it. Where that fails, the next command reads the files again."""
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for abandoned in self.path.parent.glob(f".{self.path.name}.*"):  # by processes that were killed
                if time.time() - abandoned.stat().st_mtime > 3600:
                    abandoned.unlink(missing_ok=True)
            with closing(sqlite3.connect(temporary)) as disk:
                db.backup(disk)
            temporary.replace(self.path)
        except (OSError, sqlite3.Error):
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    # Queries

    def _ask(self, db: sqlite3.Connection, where: str, values: Iterable[Any], last: bool = False) -> list[Place]:
        """Places by a condition: those in the ledger, then local ones, by file and attempt (last: by the time they ended)."""
        order = f"unit like 'local/%', {'ended, ' if last else ''}unit, key, attempt, \"offset\""
        query = f"select unit, key, attempt, offset, length from records where {where} order by {order}"
        return [Place(*row) for row in db.execute(query, list(values))]

    def _places(self, column: str, values: Iterable[Any]) -> list[Place]:
        db, wanted, places = self.refresh(), list(dict.fromkeys(values)), []
        for start in range(0, len(wanted), AT_ONCE):
            batch = wanted[start : start + AT_ONCE]
            places += self._ask(db, f"{column} in ({', '.join('?' * len(batch))})", batch, last=column == "cell_digest")
        return places

    def of_keys(self, keys: Iterable[str]) -> list[Place]:
        """Places of the records with these keys; the attempts of a key are in order."""
        return self._places("key", keys)

    def of_rows(self, rows: Iterable[int]) -> list[Place]:
        """Places of the records with these row digests (`row_digest`)."""
        return self._places("row_digest", rows)

    def of_cells(self, cells: Iterable[int]) -> list[Place]:
        """Places of the records with these cell digests (`cell_digest`); the one that ended last comes last."""
        return self._places("cell_digest", cells)

    def of_prefix(self, prefix: str) -> list[Place]:
        """Places of the records whose key starts with `prefix`."""
        return self._ask(self.refresh(), "key >= ? and key < ?", (prefix, prefix + "\x7f"))

    def of_entry(self, entry: str, preset: str | None = None) -> list[Place]:
        """Places of an entry's records, at one preset or at every."""
        where, values = ("entry = ? and preset = ?", [entry, preset]) if preset else ("entry = ?", [entry])
        return self._ask(self.refresh(), where, values)

    def costs(self, tasks: Iterable[str]) -> dict[tuple[str, str, str], float]:
        """(task, preset, entry) -> mean CPU seconds of the cells of `tasks` that ended as ok or diverged."""
        query = (
            "select task, preset, entry, avg(cpu) from records where task = ? and cpu is not null "
            "and status in ('ok', 'diverged') group by task, preset, entry"
        )
        db = self.refresh()
        rows = (row for task in set(tasks) for row in db.execute(query, (task,)))
        return {(task, preset, entry): mean for task, preset, entry, mean in rows}
