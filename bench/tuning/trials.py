"""The tuning ledger: what tuning an entry got, what it would have found with fewer trials, and every trial's record.

configs/tuned/<task>/<entry>.yaml               what `bench tune` chose, and its table of trials
results/trials/<family>/<task>/<entry>.jsonl    the trials' records without curves, written by `bench publish --trials`
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.contract import BenchError
from bench.planning import config
from bench.records.ledger import comparable
from bench.records.store import Store, write_atomically
from bench.tables import comparisons
from bench.tuning.search import DIVERGED, FIRST_SEED, MOST_SEEDS, objective

KEPT = ("key", "task", "version", "preset", "params", "entry", "config", "seed", "status", "reason", "metrics", "censored",
        "costs", "provenance")  # fmt: skip
RESULTS = Path("results")


@dataclass(frozen=True)
class Tuning:
    """The tuning of an entry on a task.

    trials: settings in the chosen-from table. tried: distinct settings among the published trial records of this preset and
    task version, which is more where it was tuned several times; at least `trials`. declared: trials that the entry's
    authors made elsewhere, None if they say nothing. value: objective of the chosen setting. best_of: expected best objective
    of k trials, k = 1 .. trials. sensitivity: share of the tried space within 5 % of the best. cpu_seconds: of all known
    trials, NaN where none is. Objectives that are not finite (all diverged) are inf or -inf.
    """

    task: str
    entry: str
    preset: str
    space: str
    seeds: tuple[int, ...]
    trials: int
    tried: int
    declared: int | None
    objective: str
    better: str
    value: float
    values: Mapping[str, Any]
    at_the_edge: tuple[str, ...]
    best_of: list[float]
    sensitivity: float
    cpu_seconds: float


@cache
def declared(entry: str) -> int | None:
    """Trials that the entry's authors say they made elsewhere (`declared_trials`), summed over a composition's parts.

    None if none says so, or the entry's file is not here. BenchError for what is no whole number from 0 up.
    """
    known = config.names("entry")
    found = {one: config.load("entry", one).get("declared_trials") for one in entry.split("+") if one in known}
    for one, number in found.items():
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
            raise BenchError(f"{known[one]}: declared_trials: {number!r} must be a whole number from 0 up")
    numbers = [number for number in found.values() if number is not None]
    return sum(numbers) if numbers else None


def trials_text(trials: int | None, declared: int | None) -> str:
    """For a table's cell: "7", or "here 7 / declared 20"; "—" for an untuned entry that declares nothing."""
    here = "—" if trials is None else f"{trials:,}"
    return here if declared is None else f"here {here} / declared {declared:,}"


def _file(results: Path, task: str, entry: str) -> Path:
    return results / "trials" / task / f"{entry.replace('/', '_')}.jsonl"


def records(task: str, entry: str, results: Path = RESULTS) -> list[dict[str, Any]]:
    """The published trial records, as they stand in their file; none if there is none. BenchError for a damaged line."""
    path, found = _file(results, task, entry), []
    if path.is_file():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                record = json.loads(line)
                comparable(record)
            except (ValueError, KeyError, TypeError) as error:
                raise BenchError(f"{path}:{number} is no trial record ({error}); restore the file, or delete it and "
                                 "`bench publish --trials` again where the trials ran") from error  # fmt: skip
            found.append(record)
    return found


def publish(store: Store, pairs: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """Fold this machine's trials of the (task, entry) pairs into `results/trials/`: (trials, lines new or changed).

    A trial is a record on a tuning seed, whatever its setting and however it ended. Idempotent, under a lock, each file
    written whole or not at all. A newer record of the same setting and seed replaces the older; those of an older task
    version leave.
    """
    wanted = set(pairs)
    news: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in store.records():
        pair = record["task"], record["entry"]
        if pair not in wanted or not FIRST_SEED <= record["seed"] < FIRST_SEED + MOST_SEEDS:
            continue
        if record["version"] == config.task_spec(record["task"]).cls.version:
            news.setdefault(pair, []).append({name: record[name] for name in KEPT if name in record})
    changed = 0
    store.root.mkdir(parents=True, exist_ok=True)
    with FileLock(store.root / ".trials.lock", timeout=60):
        for pair, found in sorted(news.items()):
            path, version = _file(store.root, *pair), found[0]["version"]
            kept = {comparable(old): old for old in records(*pair, store.root) if old["version"] == version}
            before = {identity: _line(old) for identity, old in kept.items()}
            for record in found:
                old = kept.get(comparable(record))
                if old is None or _ended(old) <= _ended(record):
                    kept[comparable(record)] = record
            lines = {identity: _line(record) for identity, record in sorted(kept.items())}
            changed += sum(before.get(identity) != line for identity, line in lines.items())
            text = "".join(line + "\n" for line in lines.values())
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_atomically(path, text.encode())
    return sum(map(len, news.values())), changed


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, allow_nan=False)


def _ended(record: Mapping[str, Any]) -> str:
    return str(record["provenance"].get("ended", ""))


def summary(task: str, entry: str, results: Path = RESULTS) -> Tuning | None:
    """The tuning of `entry` (a name or a composition) on `task`; None if it was never tuned here.

    Works from the tuned file alone where no trial records are published. BenchError for an unknown task.
    """
    name = config.canonical(entry)
    tuned = config.tuned(task, name)
    if tuned is None:
        return None
    cls = config.task_spec(task).cls
    metric = objective(cls)
    worst = math.inf if metric.better == "min" else -math.inf
    values = [worst if row["objective"] == DIVERGED else float(row["objective"]) for row in tuned["table"]]
    published = [
        r for r in records(task, name, results) if (r["preset"], r["version"]) == (tuned["preset"], cls.version)
    ]
    settings = {json.dumps(record["config"], sort_keys=True) for record in published}
    costs = [
        sum(record["costs"].get("cpu_total") or 0.0 for record in published) if published else math.nan,
        sum(row.get("cpu_seconds", math.nan) for row in tuned["table"]),  # NaN in files that have none
    ]
    return Tuning(
        task=task,
        entry=name,
        preset=tuned["preset"],
        space=tuned.get("space", "lattice"),
        seeds=tuple(tuned["seeds"]),
        trials=len(values),
        tried=max(len(values), len(settings)),
        declared=declared(name),
        objective=metric.name,
        better=metric.better,
        value=worst if tuned["value"] == DIVERGED else float(tuned["value"]),
        values=tuned["values"],
        at_the_edge=tuple(tuned["at_the_edge"]),
        best_of=comparisons.best_of(values, metric.better, metric.scale),
        sensitivity=comparisons.near_best(values, metric.better),
        cpu_seconds=max((cost for cost in costs if not math.isnan(cost)), default=math.nan),
    )


def everywhere() -> list[tuple[str, str]]:
    """(task, entry) of every tuned file."""
    entries = {name.replace("/", "_"): name for name in config.names("entry")}
    return sorted(
        {
            (path.parent.relative_to(folder / "tuned").as_posix(), entries.get(path.stem, path.stem))
            for folder in config.folders()
            for path in (folder / "tuned").rglob("*.yaml")
        }
    )


def _finite(value: Any) -> Any:
    """For JSON: null for what is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def as_json(found: Iterable[Tuning]) -> str:
    """A list of objects with `Tuning`'s fields; null stands for what is not finite."""
    return json.dumps([{k: _finite(v) for k, v in asdict(one).items()} for one in found], indent=1, ensure_ascii=False)


def as_text(found: Iterable[Tuning]) -> str:
    """A table a task, compared at the number of trials that every entry had; the best expected value first."""
    tasks: dict[str, list[Tuning]] = {}
    for one in found:
        tasks.setdefault(one.task, []).append(one)
    return "\n\n".join(_table(rows) for rows in tasks.values()) or "nothing is tuned here; `bench tune` does it"


def _table(rows: list[Tuning]) -> str:
    equal, first = min(row.trials for row in rows), rows[0]
    half = max(1, equal // 2)
    sign = 1 if first.better == "min" else -1
    grid = [["entry", "trials", f"best of {half}", f"best of {equal}", "best", "within 5 %", "CPU s", "remark"]]
    for row in sorted(rows, key=lambda row: sign * row.best_of[equal - 1]):
        remarks = [f"{row.tried} settings tried in all"] if row.tried > row.trials else []
        remarks += [f"best at the edge of {', '.join(row.at_the_edge)}"] if row.at_the_edge else []
        grid.append([
            row.entry, trials_text(row.trials, row.declared), _number(row.best_of[half - 1]), _number(row.best_of[equal - 1]),
            _number(row.value), "—" if math.isnan(row.sensitivity) else f"{100 * row.sensitivity:.0f} %",
            "—" if math.isnan(row.cpu_seconds) else f"{row.cpu_seconds:.0f}", "; ".join(remarks),
        ])  # fmt: skip
    widths = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    right = range(2, len(widths) - 1)
    text = [
        "  ".join(
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in grid
    ]
    head = f"{first.task} · {first.preset} · {first.objective} ({first.better}), expected best of k trials"
    return "\n".join([head, *(line.rstrip() for line in text)])


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else DIVERGED
