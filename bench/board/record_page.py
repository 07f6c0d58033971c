"""A record's page: its fields, the command that runs its cell again, and the nearest baseline's configuration."""

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

PATH = "PATH"  # in a command, a file of the reader's own: the record holds only a digest of its content
LEFT_OUT = ("components", "curves")  # digests, which `bench why` compares, and points, which are in the task's chunk


def command(record: Record) -> str:
    """The command line that runs the record's cell again, quoted for a shell, since names may hold any character."""
    words = [f"{name}={getattr(record, name)}" for name in ("task", "entry", "seed", "preset")]
    defaults, axis = _defaults(record.task, record.preset)
    if defaults is not None:
        params = {n: PATH if str(v).startswith(CONTENT) else v for n, v in record.params.items()}
        overrides = [f"task.{n}={v}" for n, v in sorted(params.items()) if n == axis or defaults.get(n) != v]
        words += [*overrides, *_entry_words(record, bool(overrides))]
    return shlex.join(["bench", "run", *words, "reuse=none"])


def _entry_words(record: Record, overridden: bool) -> list[str]:
    """Overrides that give the entry the record's configuration. overridden: the task's parameters are, so that tuned values
    do not apply."""
    tuned, untuned = _parts(record.task, record.entry, record.preset)
    now = untuned if overridden else tuned
    if now is None or now == record.config:
        return []
    if untuned == record.config:
        return ["tuned=false"]
    changed = [(path, mine) for path, mine, _ in difference(record.config, now) if mine is not None]
    return [f"entry.{path}={value}" for path, value in changed if not path.endswith("_target_")]


@cache
def _parts(task: str, entry: str, preset: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The entry's parts on the task (with tuned values, as in its files); None if the task or the entry is not installed."""
    try:
        spec, chosen = config.task_spec(task), config.entry(entry)
        untuned = config.resolve_parts(spec, chosen, {})
        file = config.tuned(task, entry) if chosen.search else None
        values = file.values if file is not None and file.preset == preset else {}
        return config.resolve_parts(spec, chosen, values), untuned
    except BenchError:
        return None, None


@cache
def _defaults(task: str, preset: str) -> tuple[dict[str, Any] | None, str]:
    """(the preset's parameters, the axis that a plan expands unless it is set); None if the task is not installed."""
    try:
        spec = config.task_spec(task)
        derived = axis_of(spec.cls)
        return config.parameters(spec, preset, {}), derived.axis if derived is not None else ""
    except BenchError:
        return None, ""


def detail(record: Record) -> dict[str, Any]:
    """The record without its code digests and curves, with sentences on what is unusual in it (`look`)."""
    fields = {name: value for name, value in plain(record).items() if name not in LEFT_OUT}
    return fields | {"look": oddities.of(record)}


def leaves(node: Any, path: str = "") -> dict[str, Any]:
    """dotted path -> value of every leaf of nested mappings; a list is a leaf."""
    if not isinstance(node, Mapping):
        return {path: node}
    return {k: v for name, part in node.items() for k, v in leaves(part, f"{path}.{name}".removeprefix(".")).items()}


def difference(mine: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(path, mine, other's) of every leaf that differs; None stands for absent."""
    a, b = leaves(mine), leaves(other)
    return [(path, a.get(path), b.get(path)) for path in sorted({*a, *b}) if a.get(path) != b.get(path)]


def nearest(
    name: str, mine: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]
) -> tuple[str, list[tuple[str, Any, Any]]] | None:
    """The baseline, other than `name`, whose configuration differs in the fewest leaves, and where; None without any."""
    differences = [(other, difference(mine, parts)) for other, parts in baselines.items() if other != name]
    return min(differences, key=lambda pair: (len(pair[1]), pair[0]), default=None)
