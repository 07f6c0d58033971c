"""Whether a claim's predicate was fixed before its data: git dates the change of the file, records name their commit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bench.records.provenance import git

Run = tuple[str | None, str]  # a record's commit (None: unknown) and the time it was started, ISO 8601


@dataclass(frozen=True)
class Commit:
    """A revision and its committer's date, ISO 8601."""

    id: str
    date: str


def precedes(fixed: Commit, runs: Iterable[Run], descends: Callable[[str], bool | None]) -> bool:
    """Whether every record was made at or after the commit `fixed`. Pure.

    descends(commit): whether a record's commit has `fixed` in its history; None if the commit is not known here, and then
    the dates decide. A record with neither commit nor date counts as earlier.
    """

    def later(commit: str | None, started: str) -> bool:
        if commit and (known := descends(commit)) is not None:
            return known
        return bool(started) and datetime.fromisoformat(started) >= datetime.fromisoformat(fixed.date)

    return all(later(*run) for run in runs)


def check(path: Path, fields: Sequence[str], runs: Iterable[Run]) -> str:
    """Whether the `fields` of the YAML file `path` were fixed before the runs: "before", "after", or "unchecked: reason".

    Fields are compared by value, so comments and layout do not count as changes. A file that has moved counts as new.
    """
    if git("rev-parse", "--is-inside-work-tree", at=path.parent) != "true":
        return "unchecked: not in a git checkout"
    if git("rev-parse", "--is-shallow-repository", at=path.parent) == "true":
        return "unchecked: the checkout is shallow"
    fixed = last_change(path, fields)
    if fixed is None:
        return "unchecked: not committed"

    @functools.cache
    def descends(commit: str) -> bool | None:
        outside = git("rev-list", "--count", "--max-count=1", fixed.id, f"^{commit}", at=path.parent)
        return None if outside is None else outside == "0"

    return "before" if precedes(fixed, runs, descends) else "after"


def last_change(path: Path, fields: Sequence[str]) -> Commit | None:
    """The commit that gave the `fields` their present values; None while those are not committed."""
    now = _values(path.read_text(encoding="utf-8"), fields)
    last = None
    for line in (git("log", "--format=%H %cI", "--", path.name, at=path.parent) or "").splitlines():
        commit = Commit(*line.split(" ", 1))
        if _values(git("show", f"{commit.id}:./{path.name}", at=path.parent) or "", fields) != now:
            break
        last = commit
    return last


def _values(text: str, fields: Sequence[str]) -> Any:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return {name: content.get(name) for name in fields} if isinstance(content, dict) else None
