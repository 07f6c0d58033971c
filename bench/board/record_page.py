"""A record as the board shows it: what it was made of, how it differs from its neighbours, and how to make it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import cache
from typing import Any

from bench.checking import oddities
from bench.contract import BenchError
from bench.outcome import plain
from bench.planning import config
from bench.planning.plan import axis_of
from bench.records.identity import CONTENT
from bench.records.record import Record

PATH = "PATH"  # stands in a command for a file of the reader's own, which a record knows by its content
LEFT_OUT = ("components", "curves")  # digests, which `bench why` compares, and points, which are in the task's chunk


def command(record: Record) -> str:
    """The command line that runs the record's cell again, quoted: names are foreign."""
    words = [f"{name}={getattr(record, name)}" for name in ("task", "entry", "seed", "preset")]
    usual, axis = _usual(record.task, record.preset)
    if usual is not None:
        params = {n: PATH if str(v).startswith(CONTENT) else v for n, v in record.params.items()}
        apart = [f"task.{n}={v}" for n, v in sorted(params.items()) if n == axis or usual.get(n) != v]
        words += [*apart, *_entry_words(record, bool(apart))]
    return shlex.join(["bench", "run", *words, "reuse=none"])


def _entry_words(record: Record, set_apart: bool) -> list[str]:
    """What makes the entry's configuration that of the record. set_apart: parameters are set, where tuned values do not
    apply."""
    tuned, plain = _parts(record.task, record.entry, record.preset)
    now = plain if set_apart else tuned
    if now is None or now == record.config:
        return []
    if plain == record.config:
        return ["tuned=false"]
    changed = [(path, mine) for path, mine, _ in difference(record.config, now) if mine is not None]
    return [f"entry.{path}={value}" for path, value in changed if not path.endswith("_target_")]


@cache
def _parts(task: str, entry: str, preset: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The entry's parts on the task, (with tuned values, as its files say); None for what is not here."""
    try:
        spec, chosen = config.task_spec(task), config.entry(entry)
        plain = config.resolve_parts(spec, chosen, {})
        found = config.tuned(task, entry) if chosen.search else None
        values = found.values if found is not None and found.preset == preset else {}
        return config.resolve_parts(spec, chosen, values), plain
    except BenchError:
        return None, None


@cache
def _usual(task: str, preset: str) -> tuple[dict[str, Any] | None, str]:
    """(the preset's parameters, the axis that a plan expands unless it is set); None for a task of a package that is not
    here, where the names alone must do."""
    try:
        spec = config.task_spec(task)
        derived = axis_of(spec.cls)
        return config.parameters(spec, preset, {}), derived.axis if derived is not None else ""
    except BenchError:
        return None, ""


def detail(record: Record) -> dict[str, Any]:
    """All of a record but its code digests and curves, and what a reader should look at twice."""
    return {name: value for name, value in plain(record).items() if name not in LEFT_OUT} | {
        "look": oddities.of(record)
    }


def leaves(node: Any, path: str = "") -> dict[str, Any]:
    """dotted path -> value of every leaf of nested mappings; a list is a leaf."""
    if not isinstance(node, Mapping):
        return {path: node}
    found: dict[str, Any] = {}
    for name, part in node.items():
        found |= leaves(part, f"{path}.{name}" if path else str(name))
    return found


def difference(mine: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(path, mine, other's) of every leaf that differs; None stands for absent."""
    a, b = leaves(mine), leaves(other)
    return [(path, a.get(path), b.get(path)) for path in sorted({*a, *b}) if a.get(path) != b.get(path)]


def nearest(
    name: str, mine: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]
) -> tuple[str, list[tuple[str, Any, Any]]] | None:
    """The baseline, other than `name`, whose configuration differs in the fewest leaves, and where; None without any."""
    found = [(one, difference(mine, other)) for one, other in baselines.items() if one != name]
    return min(found, key=lambda item: (len(item[1]), item[0]), default=None)
