"""The cell: one task with its parameters, one entry and one seed, which a plan holds and a process runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from bench.records.record import Components
from bench.records.spelling import SHOWN, cell_digest, row_digest


@dataclass(frozen=True)
class Cell:
    """A task with its parameters, an entry with its resolved configuration, a preset and a seed.

    target: dotted path of the Task class. params: as in the key, a file named by its content. paths: parameter -> that
    file's place on this machine. parts: slot -> resolved part. absent: needed packages or devices that this machine lacks.
    reads: the code and data files that the key covers; its processes read nothing else but installed packages.
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
        """A name for messages; it identifies nothing."""
        return f"{self.task} {self.entry} seed {self.seed} [{self.key[:SHOWN]}]"

    @property
    def identity(self) -> dict[str, Any]:
        """What the key is made of, without the seed."""
        about = {"task": self.task, "version": self.version, "params": dict(self.params), "parts": dict(self.parts)}
        return about | msgspec.structs.asdict(self.components)

    @property
    def given(self) -> dict[str, Any]:
        """The parameters to run with: files by their places on this machine."""
        return {**self.params, **self.paths}

    @cached_property
    def cell_digest(self) -> int:
        """The digest by which a stale record of this cell is found: code and data are no part of it."""
        return cell_digest(self.task, self.preset, self.entry, self.seed, dict(self.params))

    @cached_property
    def row_digest(self) -> int:
        """The digest by which a published record of this row and seed is found, whatever its code."""
        return row_digest(self.task, self.version, dict(self.params), dict(self.parts), self.seed)
