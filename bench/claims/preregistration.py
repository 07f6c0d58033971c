"""Was a claim's predicate fixed before its data? Git knows when the lines changed, records know their commit."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

Made = tuple[str | None, str]  # a record's commit (None: unknown) and the time it was started, ISO 8601


@dataclass(frozen=True)
class Commit:
    """A revision and its committer's date, ISO 8601."""

    id: str
    date: str


def precedes(fixed: Commit, made: Iterable[Made], descends: Callable[[str], bool | None]) -> bool:
    """Whether every record was made at or after the commit `fixed`. Pure.

    descends(commit): whether a record's commit has `fixed` in its history; None if it is not known here, where the dates
    decide. A record without either cannot show that it came later.
    """

    def later(commit: str | None, started: str) -> bool:
        known = descends(commit) if commit else None
        if known is not None:
            return known
        return bool(started) and datetime.fromisoformat(started) >= datetime.fromisoformat(fixed.date)

    return all(later(*one) for one in made)


def check(path: Path, fields: Sequence[str], made: Iterable[Made]) -> str:
    """ "before", "after", or "unchecked: why" for the `fields` of the YAML file `path` against records.

    Fields are compared by value, so comments and layout do not count as changes. A file that has moved counts as new.
    """
    if _git(path, "rev-parse", "--is-inside-work-tree") != "true":
        return "unchecked: not in a git checkout"
    if _git(path, "rev-parse", "--is-shallow-repository") == "true":
        return "unchecked: the history is cut off"
    fixed = last_change(path, fields)
    if fixed is None:
        return "unchecked: not committed"
    return "before" if precedes(fixed, made, lambda commit: _descends(path, fixed, commit)) else "after"


def last_change(path: Path, fields: Sequence[str]) -> Commit | None:
    """The commit that gave the `fields` their present values; None while those are not committed."""
    now = _values(path.read_text(encoding="utf-8"), fields)
    found = None
    for line in (_git(path, "log", "--format=%H %cI", "--", path.name) or "").splitlines():
        commit = Commit(*line.split(" ", 1))
        text = _git(path, "show", f"{commit.id}:./{path.name}")
        if text is None or _values(text, fields) != now:
            break
        found = commit
    return found


def _values(text: str, fields: Sequence[str]) -> Any:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return {name: content.get(name) for name in fields} if isinstance(content, dict) else None


def _descends(path: Path, fixed: Commit, commit: str) -> bool | None:
    told = _run(path, "merge-base", "--is-ancestor", fixed.id, commit)
    return None if told is None or told.returncode not in (0, 1) else told.returncode == 0


def _git(path: Path, *arguments: str) -> str | None:
    told = _run(path, *arguments)
    return told.stdout.strip() if told is not None and told.returncode == 0 else None


def _run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    command = ["git", "-C", str(path.parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
