"""Whether a claim's predicate was fixed before its data: git dates the change of the file, records name their commit."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

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
    if _git(path, "rev-parse", "--is-inside-work-tree") != (0, "true"):
        return "unchecked: not in a git checkout"
    if _git(path, "rev-parse", "--is-shallow-repository") == (0, "true"):
        return "unchecked: the checkout is shallow"
    fixed = last_change(path, fields)
    if fixed is None:
        return "unchecked: not committed"

    def descends(commit: str) -> bool | None:
        return {0: True, 1: False}.get(_git(path, "merge-base", "--is-ancestor", fixed.id, commit)[0])

    return "before" if precedes(fixed, runs, descends) else "after"


def last_change(path: Path, fields: Sequence[str]) -> Commit | None:
    """The commit that gave the `fields` their present values; None while those are not committed."""
    now = _values(path.read_text(encoding="utf-8"), fields)
    last = None
    for line in _git(path, "log", "--format=%H %cI", "--", path.name)[1].splitlines():
        commit = Commit(*line.split(" ", 1))
        if _values(_git(path, "show", f"{commit.id}:./{path.name}")[1], fields) != now:
            break
        last = commit
    return last


def _values(text: str, fields: Sequence[str]) -> Any:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return {name: content.get(name) for name in fields} if isinstance(content, dict) else None


def _git(path: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of git in the file's folder; -1 and no output where git cannot be run."""
    try:
        command = ["git", "-C", str(path.parent), *arguments]
        completed = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return -1, ""
    return completed.returncode, completed.stdout.strip()
