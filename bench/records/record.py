"""The cell, which a plan holds and a process runs, and its record: typed, versioned, written once and never edited.

A record of an older format loads through `migrate`. Numbers are finite, since JSON has neither NaN nor infinity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from bench.contract import BenchError
from bench.outcome import SETTLED, Costs, Exhibit, Status
from bench.records.modules import moved
from bench.records.spelling import SHOWN, cell_digest, row_digest

FORMAT = 2
OLD_COSTS = ("cpu", "cpu_entry", "cpu_total", "wall", "rss_mb", "evaluations")


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of a cell: wall seconds, and memory of its process tree."""

    seconds: float = 600.0
    memory_mb: int = 4000


class Components(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The parts of a key that are no fields of the record.

    data: file -> content hash. code: module or package file -> digest. distributions: `name version` behind each
    third-party `_target_`. form: version of the code digests (`bench.records.syntax.FORM`); 1 in records of format 1.
    """

    data: dict[str, str] = {}
    code: dict[str, str] = {}
    distributions: list[str] = []
    form: int = 1


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


class Provenance(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How and where a record was made. commit: of the project. dirty: whether anything uncommitted lay outside of results/.

    transport: pipe, or call (no isolation). isolation: means of isolation -> "on", or why it was not. calibration: the
    machine's speed (`bench.running.calibration`), where the task has a target. numerics: portable or native. fingerprint: of
    the arithmetic (`bench.running.numerics`). started, ended: ISO 8601.
    """

    commit: str | None = None
    dirty: bool | None = None
    packages: dict[str, str] = {}
    python: str = ""
    system: str = ""
    cpu: str = ""
    cores: int | None = None
    threads: int = 1
    command: str = ""
    origin: str = ""
    transport: str = ""
    isolation: dict[str, str] = {}
    calibration: float | None = None
    numerics: str = ""
    fingerprint: str = ""
    started: str = ""
    ended: str = ""


class Record(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The record of one cell.

    params: of the task, a file named by its content. config: slot -> resolved part. trials: number of trials of the tuning
    that chose the configuration; 0 where nothing can be tuned, None if it was not tuned. absent: needed packages or devices
    that the machine lacked. curves: thinned, in the ledger only; those of a local record are in its .npz file. exhibits:
    descriptions. exhibited: the exhibits' arrays in the ledger, an .npz file in base64, for one seed a row.
    """

    format: int
    key: str
    task: str
    version: int
    preset: str
    params: dict[str, Any]
    entry: str
    config: dict[str, Any]
    seed: int
    status: Status
    metrics: dict[str, float]
    costs: Costs
    reason: str = ""
    traceback: str = ""
    output: str = ""
    censored: list[str] = []
    trials: int | None = None
    components: Components = msgspec.field(default_factory=Components)
    limits: Limits = Limits()
    absent: list[str] = []
    unkeyed_reads: list[str] = []
    provenance: Provenance = msgspec.field(default_factory=Provenance)
    attempt: int = 1
    exhibits: dict[str, Exhibit] = {}
    curves: dict[str, list[list[float]]] = {}
    exhibited: str = ""

    @property
    def settled(self) -> bool:
        """Whether the status is a result."""
        return self.status in SETTLED

    @property
    def identity(self) -> dict[str, Any]:
        """What the key is made of, without the seed."""
        about = {"task": self.task, "version": self.version, "params": self.params, "parts": self.config}
        return about | msgspec.structs.asdict(self.components)

    @property
    def label(self) -> str:
        """Task, entry and seed, for messages."""
        return f"{self.task} {self.entry} seed {self.seed}"


_decoder = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder(order="deterministic")


def decode(text: str | bytes, older: bool = True) -> Record:
    """The record in a file or a ledger line. older: whether an older format is accepted. ValueError if it is no record."""
    try:
        record = _decoder.decode(text)
        if record.format == FORMAT:
            return record
    except msgspec.ValidationError as error:
        content = msgspec.json.decode(text)
        if not older or isinstance(content, dict) and content.get("format", 1) == FORMAT:
            raise ValueError(str(error)) from error
        return migrate(content)
    raise ValueError(f"it is of format {record.format}, and this version reads up to {FORMAT}; update sweepstakes")


def encode(record: Record) -> bytes:
    """The record as one line of JSON. ValueError for a number that is not finite."""
    numbers = {**record.metrics, **record.costs.cpu, "wall": record.costs.wall, "cpu_total": record.costs.cpu_total}
    if bad := [name for name, value in numbers.items() if not math.isfinite(value)]:
        raise ValueError(f"{record.label}: {', '.join(bad)} is not finite")
    return _encoder.encode(record)


def migrate(content: Any) -> Record:
    """A record of an older format in this one. ValueError if it is none.

    Format 1 had no field `format`, held counts among the costs, repeated the cell in its components, and held each row's
    recertification (now in `bench.records.ledger`). Moved modules get their new names.
    """
    version = content.get("format", 1) if isinstance(content, dict) else type(content).__name__
    if version != 1:
        raise ValueError(f"it is no record of a known format ({version})")
    record = {name: value for name, value in content.items() if name not in ("recertified", "kept", "unkept")}
    try:
        costs = {name: value for name, value in record["costs"].items() if name in OLD_COSTS}
        costs["counts"] = {name: value for name, value in record["costs"].items() if name not in OLD_COSTS}
        components = {n: v for n, v in record.get("components", {}).items() if n in ("data", "code", "distributions")}
        provenance = {n: v for n, v in record.get("provenance", {}).items() if n != "rescored_from"}
        record |= {"format": FORMAT, "costs": costs, "components": components, "provenance": provenance}
        record |= {"config": moved(record["config"]), "params": moved(record["params"])}
        return msgspec.convert(record, Record)
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # msgspec's errors are ValueErrors
        raise ValueError(f"its fields are not those of a record: {error}") from error


def schema() -> dict[str, Any]:
    """JSON schema of a record in this format."""
    return msgspec.json.schema(Record)


def number(record: Record, metric: str, diverged: float | None = None) -> float:
    """A record's metric, for the measures of claims; `diverged` is the value of a diverged record. BenchError, naming the cell
    and its status, if there is no value."""
    values = {"ok": record.metrics.get(metric), "diverged": diverged}
    if (value := values.get(record.status)) is None:
        raise BenchError(f"{record.label} ({record.status}) has no {metric}")
    return float(value)
