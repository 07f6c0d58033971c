"""A record: what one cell left behind, typed, versioned, written once and never edited.

Every reader and writer goes through this module. A line of an older format loads through `migrate`. Metrics are finite
numbers, so a value that is not is an error when a record is written: JSON has no word for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from bench.contract import BenchError
from bench.outcome import FAILED, SETTLED, Costs, Exhibit, Status
from bench.records.moves import moved

FORMAT = 2
OLD_COSTS = ("cpu", "cpu_entry", "cpu_total", "wall", "rss_mb", "evaluations")


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a cell may use: wall seconds, and memory of its process tree."""

    seconds: float = 600.0
    memory_mb: int = 4000


class Components(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What a key is made of beside the task, version, parameters, configuration and seed that the record states.

    data: file -> content hash. code: module or package file -> digest. distributions: `name version` behind each
    third-party `_target_`. form: how code digests are made (`bench.records.syntax.FORM`); 1 in records of format 1.
    """

    data: dict[str, str] = {}
    code: dict[str, str] = {}
    distributions: list[str] = []
    form: int = 1


class Provenance(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a number came from. commit: of the project, with `dirty`: uncommitted changes outside of results/.

    transport: pipe, or call (no isolation). isolation: what held, by name, "on" or why not. calibration: the machine's speed
    (`bench.running.calibration`), where the task has a target. started, ended: ISO 8601.
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
    started: str = ""
    ended: str = ""


class Record(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one cell left behind.

    params: the task's, a file by its content. config: slot -> resolved part. trials: of the tuning that chose the
    configuration; 0 where there is nothing to tune, None if it was not tuned. absent: what the entry needed and was not there.
    curves: thinned, in the ledger only; a local record's lie in its .npz. exhibits: what that file holds beside them;
    exhibited: their arrays in the ledger, an .npz file in base64, for one seed a row.
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
        """Whether it is a result."""
        return self.status in SETTLED

    @property
    def failed(self) -> bool:
        """Whether its metrics count as their penalties."""
        return self.status in FAILED

    @property
    def identity(self) -> dict[str, Any]:
        """What its key is made of, but the seed."""
        found = msgspec.structs.asdict(self.components)
        return {"task": self.task, "version": self.version, "params": self.params, "parts": self.config, **found}

    @property
    def label(self) -> str:
        """For people: task, entry and seed."""
        return f"{self.task} {self.entry} seed {self.seed}"


_decoder = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder(order="deterministic")


def decode(text: str | bytes, older: bool = True) -> Record:
    """The record in a file or a ledger line, of this format or, with `older`, of one before. ValueError says what is wrong."""
    try:
        record = _decoder.decode(text)
        if record.format == FORMAT:
            return record
    except msgspec.ValidationError as error:
        content = msgspec.json.decode(text)
        if not older or isinstance(content, dict) and content.get("format", 1) == FORMAT:
            raise ValueError(str(error)) from error
        return migrate(content)
    raise ValueError(f"it is of format {record.format}, this version reads up to {FORMAT}; update sweepstakes")


def encode(record: Record) -> bytes:
    """The record as one line of JSON. ValueError for a number that is not finite."""
    numbers = {**record.metrics, **record.costs.cpu, "wall": record.costs.wall, "cpu_total": record.costs.cpu_total}
    if bad := [name for name, value in numbers.items() if not math.isfinite(value)]:
        raise ValueError(f"{record.label}: {', '.join(bad)} is not finite")
    return _encoder.encode(record)


def migrate(content: Any) -> Record:
    """A record of an older format as one of this. ValueError if it is none.

    Format 1 had no `format`; it kept counts among the costs, repeated the cell in its components, and each row told its own
    recertification, which is a line of its own now (`bench.records.certificates`). Modules that moved since get their new names.
    """
    if not isinstance(content, dict) or content.get("format", 1) != 1:
        told = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"it is no record of a known format ({told})")
    record = {name: value for name, value in content.items() if name not in ("recertified", "kept", "unkept")}
    try:
        costs = dict(record["costs"])
        counts = {name: costs.pop(name) for name in [name for name in costs if name not in OLD_COSTS]}
        components = {n: v for n, v in record.get("components", {}).items() if n in ("data", "code", "distributions")}
        record |= {"format": FORMAT, "costs": {**costs, "counts": counts}, "components": components}
        record |= {"config": moved(record["config"]), "params": moved(record["params"])}
        record["provenance"] = {n: v for n, v in record.get("provenance", {}).items() if n != "rescored_from"}
        return msgspec.convert(record, Record)
    except (msgspec.ValidationError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"its fields are not those of a record: {error}") from error


def schema() -> dict[str, Any]:
    """JSON schema of a record, of this format."""
    return msgspec.json.schema(Record)


def number(record: Record, metric: str, diverged: float | None = None) -> float:
    """A record's metric, for measures of claims; `diverged` stands in where training diverged.

    BenchError, naming the cell and its status, if there is neither: what a failed cell would have given is not known.
    """
    found = record.metrics.get(metric) if record.status == "ok" else None
    if found is None and record.status == "diverged":
        found = diverged
    if found is None:
        raise BenchError(f"{record.label} ({record.status}) has no {metric}")
    return float(found)


Records = Mapping[str, list[Record]]  # entry -> its records, what a measure is given
