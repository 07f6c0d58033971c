"""The unit of work, of caching and of blame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from bench.records.record import Components
from bench.records.spelling import SHOWN, row_of, same_of


@dataclass(frozen=True)
class Cell:
    """A task with its parameters, an entry with its resolved configuration, a preset and a seed.

    target: dotted path of the Task class. params: as the key knows them, where a file is named by its content. paths: of
    those files here, by parameter. absent: packages or devices that the entry needs and that are not here. reads:
    files that its processes may read beside the interpreter's packages: the code and data files that the key covers.
    """

    task: str
    version: int
    target: str
    preset: str
    params: Mapping[str, Any]
    entry: str
    parts: Mapping[str, Any]
    seed: int
    absent: tuple[str, ...]
    trials: int | None
    key: str
    components: Components
    paths: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For people; never an identity."""
        return f"{self.task} {self.entry} seed {self.seed} [{self.key[:SHOWN]}]"

    @property
    def identity(self) -> dict[str, Any]:
        """What its key is made of, but the seed."""
        found = msgspec.structs.asdict(self.components)
        about = {"task": self.task, "version": self.version, "params": dict(self.params), "parts": dict(self.parts)}
        return about | found

    @property
    def given(self) -> dict[str, Any]:
        """The parameters to run with: files by their places here."""
        return {**self.params, **self.paths}

    @cached_property
    def same(self) -> int:
        """What stays the same when code or data change: finds the stale record of this cell."""
        return same_of(self.task, self.preset, self.entry, self.seed, dict(self.params))

    @cached_property
    def like(self) -> int:
        """What makes a published record stand for this cell on the board, if its data are the same."""
        return row_of(self.task, self.version, dict(self.params), dict(self.parts), self.seed)
