"""Folding records into the ledger: published rows, one line each, reviewable in a pull request."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from filelock import FileLock

from bench.store import Store, write_atomically

POINTS = 60  # of a curve kept in the ledger


def thin(points: Any, count: int = POINTS) -> list[list[float]]:
    """At most `count` points of a curve (2, n), the first and the last among them."""
    steps, values = (list(map(float, row)) for row in points)
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


def publish(store: Store, records: Iterable[Mapping[str, Any]]) -> int:
    """Add `records` to the ledger, idempotently and under a lock; returns how many lines are new or changed.

    Lines of an older version of the task leave the file.
    """
    files: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        files[f"{record['task']}/{record['entry'].replace('/', '_')}.jsonl"].append(record)
    changed = 0
    store.ledger.mkdir(parents=True, exist_ok=True)
    with FileLock(store.root / ".ledger.lock", timeout=60):
        for name, news in sorted(files.items()):
            path = store.ledger / name
            kept: dict[tuple[str, ...], str] = {}
            version = max(record["version"] for record in news)
            if path.is_file():
                for line in path.read_text(encoding="utf-8").splitlines():
                    old = json.loads(line)
                    if old["version"] == version:
                        kept[comparable(old)] = line
            before = dict(kept)
            for record in news:
                if record["version"] == version:
                    curves = {n: thin(points) for n, points in store.curves(record).items() if len(points[0])}
                    line = json.dumps({**record, "curves": curves}, sort_keys=True, allow_nan=False)
                    kept[comparable(record)] = line
            changed += sum(before.get(identity) != line for identity, line in kept.items())
            text = "".join(line + "\n" for _, line in sorted(kept.items()))
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_atomically(path, text.encode())
    return changed
