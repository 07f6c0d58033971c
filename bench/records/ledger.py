"""Folding records into the ledger: published rows, one line each, reviewable in a pull request."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from bench.contract import BenchError
from bench.records.identity import SHOWN, blake, canonical_json
from bench.records.store import Store, write_atomically

if TYPE_CHECKING:
    from bench.planning.plan import Cell

Record = Mapping[str, Any]
POINTS = 60  # of a curve kept in the ledger
SETTLED = ("ok", "diverged")
COUNTS = ("steps", "samples", "evals", "parameters")


def thin(points: Any, count: int = POINTS) -> list[list[float]]:
    """At most `count` finite points of a curve (2, n), the first and the last among them; where a run diverges its curve ends."""
    finite = [(float(x), float(y)) for x, y in zip(*points, strict=True) if math.isfinite(x) and math.isfinite(y)]
    steps, values = [x for x, _ in finite], [y for _, y in finite]
    if len(steps) > count:
        index = sorted({round(i * (len(steps) - 1) / (count - 1)) for i in range(count)})
        steps, values = [steps[i] for i in index], [values[i] for i in index]
    return [steps, [float(f"{value:.5g}") for value in values]]


def comparable(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What makes two published records the same row of the ledger: a newer one replaces the older."""
    return (
        json.dumps(record["params"], sort_keys=True),
        json.dumps(record["config"], sort_keys=True),
        str(record["seed"]),
    )


def code_digest(components: Mapping[str, Any]) -> str:
    """One digest of all the code that a cell's result depends on."""
    return blake(canonical_json(components["code"]))


def current(record: Mapping[str, Any], components: Mapping[str, Any]) -> bool:
    """Whether a record is of the code in `components`, or was recertified for it (`bench.upkeep.recertify`)."""
    if record["components"]["code"] == components["code"]:
        return True
    certified = record.get("recertified", {}).get("code", ())
    return bool(certified) and code_digest(components) in certified


def differences(old: Record, new: Record) -> list[tuple[str, Any, Any]]:
    """(what, old, new) wherever two results differ by a bit: status, metrics, what was censored, what was counted."""
    found = [(name, old[name], new[name]) for name in ("status", "censored") if old[name] != new[name]]
    for name in sorted({*old["metrics"], *new["metrics"]}):
        a, b = old["metrics"].get(name), new["metrics"].get(name)
        if a != b:
            found.append((name, a, b))
    for name in COUNTS:
        a, b = old["costs"].get(name), new["costs"].get(name)
        if a != b:
            found.append((name, a, b))
    return found


class Published:
    """What the ledger has of some cells, by key and by what makes rows comparable."""

    def __init__(self, store: Store, cells: Iterable[Cell]) -> None:
        cells = list(cells)
        self.by_key = store.by_key(cell.key for cell in cells)
        self.by_row = store.like(cell.like for cell in cells if cell.key not in self.by_key)

    def get(self, cell: Cell) -> tuple[Record | None, bool]:
        """(record, whether it is of older code). Data that are absent here cannot contradict a published record's."""
        if cell.key in self.by_key:
            return self.by_key[cell.key], False
        here = cell.components["data"]
        for record in self.by_row.get(cell.like, ()):
            theirs = record["components"]["data"]
            if here == theirs or (here and set(here.values()) == {"absent"}):
                return record, not current(record, cell.components)
        return None, False


def locked(store: Store) -> FileLock:
    """The lock under which the ledger is written. `with locked(store): …`"""
    return FileLock(store.root / ".ledger.lock", timeout=60)


def lines_of(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """(record, line) of a ledger file that is to be written anew. BenchError for a line that would be lost."""
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            yield json.loads(line), line
        except ValueError as error:
            raise BenchError(
                f"{path}:{number} cannot be read ({error}); mend or remove the line, then publish"
            ) from error


def _disagree(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two records of one key, both results, tell different things."""
    if old["status"] not in SETTLED or new["status"] not in SETTLED:
        return False
    return (old["status"], old["metrics"]) != (new["status"], dict(new["metrics"]))


def _line(store: Store, record: Mapping[str, Any], old: Mapping[str, Any] | None) -> str:
    """The ledger line of a record that takes the place of `old`; empty, with a report, if the two are in conflict."""
    more: dict[str, Any] = {
        "curves": {n: kept for n, points in store.curves(record).items() if (kept := thin(points))[0]}
    }
    if old is not None and old["key"] == record["key"]:
        if _disagree(old, record):
            store.reports.append(
                f"conflict: {record['key'][:SHOWN]} ({record['task']} {record['entry']} seed {record['seed']}) gave another "
                f"result than its published record, which stays; the board shows the conflict. Find out why one cell has two "
                f"results; the new one can be published once the old line is gone from the ledger"
            )
            return ""
        if "recertified" in old:
            more["recertified"] = old["recertified"]
    return json.dumps({**record, **more}, sort_keys=True, allow_nan=False)


def publish(store: Store, records: Iterable[Mapping[str, Any]]) -> int:
    """Add `records` to the ledger, idempotently and under a lock; returns how many lines are new or changed.

    Lines of an older version of the task leave the file. A record that disagrees with the published one of the very key
    does not replace it: the same cell gave two results, which `store.reports` says and the board shows as a conflict.
    """
    files: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        files[f"{record['task']}/{record['entry'].replace('/', '_')}.jsonl"].append(record)
    changed = 0
    store.ledger.mkdir(parents=True, exist_ok=True)
    with locked(store):
        for name, news in sorted(files.items()):
            path = store.ledger / name
            kept: dict[tuple[str, ...], str] = {}
            version = max(record["version"] for record in news)
            for old, line in lines_of(path):
                if old["version"] == version:
                    kept[comparable(old)] = line
            before = dict(kept)
            for record in news:
                if record["version"] == version:
                    identity = comparable(record)
                    line = _line(store, record, json.loads(before[identity]) if identity in before else None)
                    kept[identity] = line or before[identity]
            changed += sum(before.get(identity) != line for identity, line in kept.items())
            text = "".join(line + "\n" for _, line in sorted(kept.items()))
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_atomically(path, text.encode())
    return changed
