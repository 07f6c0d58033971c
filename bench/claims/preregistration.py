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


class History:
    """What git says of the files of a checkout, each question asked once: a survey asks the same of many claims."""

    def __init__(self) -> None:
        self._git = functools.cache(lambda at, *arguments: git(*arguments, at=at))

    def check(self, path: Path, fields: Sequence[str], runs: Iterable[Run]) -> str:
        """Whether the `fields` of the YAML file `path` were fixed before the runs: "before", "after", or "unchecked: reason".

        Fields are compared by value, so comments and layout do not count as changes. A file that has moved counts as new.
        """
        if self._git(path.parent, "rev-parse", "--is-inside-work-tree") != "true":
            return "unchecked: not in a git checkout"
        if self._git(path.parent, "rev-parse", "--is-shallow-repository") == "true":
            return "unchecked: the checkout is shallow"
        fixed = self.last_change(path, fields)
        if fixed is None:
            return "unchecked: not committed"

        def descends(commit: str) -> bool | None:
            outside = self._git(path.parent, "rev-list", "--count", "--max-count=1", fixed.id, f"^{commit}")
            return None if outside is None else outside == "0"

        return "before" if precedes(fixed, runs, descends) else "after"

    def last_change(self, path: Path, fields: Sequence[str]) -> Commit | None:
        """The commit that gave the `fields` their present values; None while those are not committed."""
        now = _values(path.read_text(encoding="utf-8"), fields)
        last = None
        for line in (self._git(path.parent, "log", "--format=%H %cI", "--", path.name) or "").splitlines():
            commit = Commit(*line.split(" ", 1))
            if _values(self._git(path.parent, "show", f"{commit.id}:./{path.name}") or "", fields) != now:
                break
            last = commit
        return last


def _values(text: str, fields: Sequence[str]) -> Any:
    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # libyaml is ten times faster
    except yaml.YAMLError:
        return None
    return {name: content.get(name) for name in fields} if isinstance(content, dict) else None
