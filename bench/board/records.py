"""A record as the board shows it: what it was made of, how it differs from its neighbours, and how to make it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import cache
from typing import Any

from bench import config
from bench.contract import BenchError

Record = Mapping[str, Any]
LEFT_OUT = (
    "components",
    "curves",
)  # code digests, which `bench why` compares, and points, which are in the task's chunk


def command(record: Record) -> str:
    """The command line that runs the record's cell again, quoted: names are foreign."""
    words = [f"{name}={record[name]}" for name in ("task", "entry", "seed", "preset")]
    usual = _usual(record["task"], record["preset"])
    if usual is not None:
        words += [f"task.{n}={v}" for n, v in sorted(record["params"].items()) if usual.get(n) != v]
    return shlex.join(["bench", "run", *words, "reuse=none"])


@cache
def _usual(task: str, preset: str) -> dict[str, Any] | None:
    """The preset's parameters; None for a task of a package that is not here, where the names alone must do."""
    try:
        return config.parameters(config.task_spec(task), preset, {})
    except BenchError:
        return None


def detail(record: Record) -> dict[str, Any]:
    """All of a record but its code digests and curves."""
    return {name: value for name, value in record.items() if name not in LEFT_OUT}


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
