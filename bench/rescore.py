"""Records after a change of a metric only: kept predictions are scored again, and nothing is trained.

That the change is of metrics only is its author's word. It is checked as far as can be: nothing but code may differ between
the old record and the cell, no module that only the entry or the training loop reaches may have changed, and what
`bench.keeping` compares while it scores. What a changed `run` would do is seen by golden digests, which are named here and
compared by `python -m bench.golden`.

A new record has the new key and metrics; costs, curves and the machine's part of its provenance are those of the run, which
`provenance.rescored_from` names by key and commit.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import golden, key
from bench.data import cache_dir
from bench.plan import Cell, Plan, states
from bench.progress import Progress
from bench.provenance import provenance
from bench.publish import SETTLED
from bench.runner import job_of, prepare
from bench.store import Store

LOOP = ("bench.train", "bench.schedules")  # reached from every task, and no part of any score
SCORING = ("packages", "python", "cpu")  # of provenance: what the scores' last bits depend on

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """A cell that was rescored. metrics: name -> (old, new), None for one that is not defined."""

    cell: Cell
    old: str
    status: tuple[str, str]
    metrics: Mapping[str, tuple[float | None, float | None]]


@dataclass
class Outcome:
    """What a rescoring did. left: (cell, reason). changed: module -> cells that it concerns. guards: task -> its file."""

    there: int = 0
    done: list[Done] = field(default_factory=list)
    left: list[tuple[Cell, str]] = field(default_factory=list)
    changed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    guards: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


def changes(cell: Cell, old: Record) -> list[tuple[str, Any, Any]]:
    """(component, old, new) wherever a record and the cell of now differ."""
    return key.difference(old["components"], json.loads(key.canonical_json(dict(cell.components))))


def trained_by(cell: Cell, digests: key.Digests) -> set[str]:
    """Modules that train: those of the entry's parts, what only these reach, and the loop. Not the task's own module."""
    targets = [name for name in key.targets(cell.parts) if key.first_party(name.split(".")[0])]
    own = {found[-1][0] for name in targets if (found := key.module_files(name))}
    beyond = set(digests.closure(targets)) - set(digests.closure([cell.target, *key.HARNESS]))
    return (own | beyond | set(LOOP)) - {module for module, _ in key.module_files(cell.target)}


def refusal(cell: Cell, old: Record, kept: Path, training: set[str]) -> str:
    """Why the old record's predictions cannot stand for this cell; empty if nothing speaks against it."""
    if old["status"] not in SETTLED:
        return f"its older record is {old['status']}"
    other = [name for name, _, _ in changes(cell, old) if not name.startswith("code.")]
    if other:
        return f"not only code changed: {', '.join(other)}"
    modules = [name.removeprefix("code.") for name, _, _ in changes(cell, old)]
    trains = [name for name in modules if name in training]
    if trains:
        return f"it trains with {', '.join(trains)}, which changed"
    if not old.get("kept"):
        why = old.get("unkept", "it ran without keep=predictions")
        return f"no predictions are kept with its older record {old['key'][: key.SHOWN]}: {why}"
    return "" if kept.is_file() else f"{kept.name}, its predictions, is gone"


def record_of(cell: Cell, old: Record, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a rescored cell."""
    then, now = old["provenance"], provenance()
    origin = then.get("rescored_from", {"key": old["key"], "commit": then.get("commit")})
    differing = {name: now[name] for name in SCORING if now[name] != then.get(name)}
    other = {"scored_on": differing} if differing else {}
    left_out = ("attempt", "reason", "traceback", "output")
    record = {name: value for name, value in old.items() if name not in left_out}
    record |= {
        "key": cell.key,
        "components": dict(cell.components),
        "trials": cell.trials,
        "status": outcome["status"],
        "metrics": outcome["metrics"],
        "censored": outcome["censored"],
        "provenance": {
            **then,
            **{name: now[name] for name in ("commit", "dirty", "command")},
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "rescored_from": {**{name: origin[name] for name in ("key", "commit")}, **other},
        },
    }
    return record | {name: outcome[name] for name in ("reason", "traceback") if outcome.get(name)}


def compared(cell: Cell, old: Record, new: Record) -> Done:
    """What became of the metrics."""
    names = sorted({*old["metrics"], *new["metrics"]})
    pairs = {name: (old["metrics"].get(name), new["metrics"].get(name)) for name in names}
    return Done(cell, old["key"], (old["status"], new["status"]), pairs)


def rescore(plan: Plan, store: Store, settings: Any) -> Outcome:
    """Rescore the plan's stale cells whose older record on this machine has predictions; the others stay as they are."""
    from bench.keeping import split
    from bench.pool import Pool

    outcome = Outcome()
    digests = key.Digests(store.root / ".cache" / "digests.json")
    work: dict[str, tuple[Cell, Record]] = {}
    found = states(plan, store, settings, look_for_stale=True)
    for cell in plan.cells():
        old = found[cell.key].record
        if found[cell.key].word not in ("missing", "stale"):
            outcome.there += 1
        elif old is None:
            outcome.left.append((cell, "this machine has no older record of it"))
        elif reason := refusal(cell, old, store.kept(old), trained_by(cell, digests)):
            outcome.left.append((cell, reason))
        else:
            work[cell.key] = (cell, old)
            for name, _, _ in changes(cell, old):
                outcome.changed[name.removeprefix("code.")] += 1
            outcome.guards[cell.task] = _guard(cell.task)
    if not work:
        return outcome
    progress = Progress(len(work), outcome.there, int(settings.workers))
    held: set[str] = set()

    def jobs() -> Iterator[tuple[str, str, Any, Mapping[str, Any]]]:
        for cell, old in work.values():
            if not store.lease(cell.key):
                outcome.left.append((cell, "another sweep runs it now"))
                progress.ended(cell.key, None)
                continue
            held.add(cell.key)
            yield cell.key, "rescore", job_of(cell, settings), {"kept": str(store.kept(old).resolve())}

    try:
        with Pool(int(settings.workers), [store.root, cache_dir()]) as pool:
            prepare(pool, [cell for cell, _ in work.values()], settings)
            for name, scored, body in pool.run(jobs(), lambda: progress.show([])):
                cell, old = work[name]
                if scored["status"] in SETTLED:
                    new = record_of(cell, old, scored)
                    store.put(new, split(scored, body)[0], store.kept(old).read_bytes())
                    outcome.done.append(compared(cell, old, new))
                else:
                    progress.bad += 1
                    outcome.left.append((cell, scored["reason"]))
                store.release(name)
                held.discard(name)
                progress.ended(name, None)
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        for name in held:
            store.release(name)
    progress.show([], force=True)
    if progress.out.isatty():
        progress.out.write("\n")
    return outcome


def _guard(task: str) -> str:
    """The file of a task's golden digests, relative to the project; empty if it has none."""
    path = golden.FOLDER / f"{task.replace('/', '.')}.json"
    return str(path.relative_to(golden.FOLDER.parent.parent)) if path.is_file() else ""


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Everything, cell by cell."""
    return {
        "rescored": [
            {"key": one.cell.key, "from": one.old, "cell": one.cell.name, "status": one.status[1],
             "changed": {n: {"old": a, "new": b} for n, (a, b) in one.metrics.items() if a != b},
             "as_before": [n for n, (a, b) in one.metrics.items() if a == b]} for one in outcome.done
        ],
        "left": [{"key": cell.key, "cell": cell.name, "reason": reason} for cell, reason in outcome.left],
        "there": outcome.there,
        "modules": dict(outcome.changed),
        "golden": outcome.guards,
        "interrupted": outcome.interrupted,
    }  # fmt: skip


def as_text(outcome: Outcome) -> list[str]:
    """What was done, line by line: changed modules, what guards the training, metrics by task and entry, cells left."""
    lines = [f"changed   {name}, for {count} cells" for name, count in sorted(outcome.changed.items())]
    for task, path in sorted(outcome.guards.items()):
        if path:
            lines.append(f"guard     {task}: {path}; `python -m bench.golden` tells whether data and training changed")
        else:
            lines.append(f"guard     {task}: no golden digests; that the training is as before is your word alone")
    groups: dict[tuple[str, str], list[Done]] = defaultdict(list)
    for one in outcome.done:
        groups[one.cell.task, one.cell.entry].append(one)
    for (task, entry), group in sorted(groups.items()):
        lines += [f"rescored  {task} {entry}, {len(group)} cells", *_metrics(group)]
    lines += [f"left      {cell.name}: {reason}" for cell, reason in outcome.left]
    if outcome.interrupted:
        lines.append("interrupted: what was rescored is kept; the same command continues")
    told = f"{len(outcome.done)} cells rescored, {outcome.there} were there, {len(outcome.left)} left as they were"
    return [*lines, told + ("; `bench run` runs these" if outcome.left else "")]


def _metrics(group: list[Done]) -> list[str]:
    """The metrics of one entry's cells on a task: which changed, by how much at most, and which did not."""
    lines, same = [], []
    for name in sorted({name for one in group for name in one.metrics}):
        pairs = [one.metrics[name] for one in group if name in one.metrics]
        moved = [(a, b) for a, b in pairs if a != b]
        both = [(a, b) for a, b in moved if a is not None and b is not None]
        if not moved:
            same.append(name)
        elif both:
            a, b = max(both, key=lambda pair: abs(pair[1] - pair[0]))
            lines.append(f"          {name} changed in {len(moved)}, at most by {abs(b - a):.3g} ({a:.6g} -> {b:.6g})")
        else:
            lines.append(f"          {name} is {'new' if moved[0][0] is None else 'gone'} in {len(moved)}")
    status = [one for one in group if one.status[0] != one.status[1]]
    lines += [f"          {one.cell.name} was {one.status[0]}, is {one.status[1]}" for one in status]
    return [*lines, f"          as before: {', '.join(same)}"] if same else lines
