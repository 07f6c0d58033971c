"""For a record's page: the command that runs its cell again, and the nearest baseline's configuration."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from bench.contract import BenchError
from bench.planning import config
from bench.planning.plan import axis_of
from bench.records.identity import CONTENT, difference
from bench.records.record import Record

PATH = "PATH"  # in a command, a file of the reader's own: the record holds only a digest of its content
Parts = Mapping[str, Any]
Difference = tuple[str, Any, Any]  # dotted path, value here, value there; None stands for absent


def command(record: Record) -> str:
    """The command line that runs the record's cell again, quoted for a shell, since names may hold any character."""
    words = [f"{name}={getattr(record, name)}" for name in ("task", "entry", "seed", "preset")]
    defaults, axis, tuned, untuned = _installed(record.task, record.preset, record.entry)
    overrides = []
    if defaults is not None:
        params = {n: PATH if str(v).startswith(CONTENT) else v for n, v in sorted(record.params.items())}
        overrides = [f"task.{n}={v}" for n, v in params.items() if n == axis or defaults.get(n) != v]
    now = untuned if overrides else tuned  # tuned values do not apply once the task's parameters are overridden
    if now in (None, record.config):
        more = []
    elif untuned == record.config:
        more = ["tuned=false"]
    else:
        changed = [(path, mine) for path, mine, _ in difference(leaves(record.config), leaves(now)) if mine is not None]
        more = [f"entry.{path}={value}" for path, value in changed if not path.endswith("_target_")]
    return shlex.join(["bench", "run", *words, *overrides, *more, "reuse=none"])


@cache
def _installed(task: str, preset: str, entry: str) -> tuple[Parts | None, str, Parts | None, Parts | None]:
    """What a plan gives today: the preset's parameters, the axis it expands unless that is set, and the entry's parts with
    and without tuned values. None stands for what is not installed."""
    defaults, axis, tuned, untuned = None, "", None, None
    with suppress(BenchError):
        spec = config.task_spec(task)
        derived = axis_of(spec.cls)
        defaults, axis = config.parameters(spec, preset, {}), derived.axis if derived is not None else ""
        chosen = config.entry(entry)
        untuned = config.resolve_parts(spec, chosen, {})
        file = config.tuned(task, entry) if chosen.search else None
        tuned = config.resolve_parts(spec, chosen, file.values if file is not None and file.preset == preset else {})
    return defaults, axis, tuned, untuned


def leaves(node: Any, path: str = "") -> dict[str, Any]:
    """dotted path -> value of every leaf of nested mappings; a list is a leaf."""
    if not isinstance(node, Mapping):
        return {path: node}
    return {k: v for name, part in node.items() for k, v in leaves(part, f"{path}.{name}".removeprefix(".")).items()}


def nearest(name: str, mine: Parts, baselines: Mapping[str, Parts]) -> tuple[str, list[Difference]] | None:
    """The baseline, other than `name`, whose configuration differs in the fewest leaves, and where; None without any."""
    own = leaves(mine)
    differences = [(other, difference(own, leaves(parts))) for other, parts in baselines.items() if other != name]
    return min(differences, key=lambda pair: (len(pair[1]), pair[0]), default=None)
