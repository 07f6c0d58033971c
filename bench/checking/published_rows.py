"""The rows that an author claims, with the plan that makes them again, and fresh seeds, which nobody can choose, to test them."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.contract import BenchError
from bench.planning import config, plan
from bench.planning.plan import TUNING_FROM
from bench.records.record import Cell, Record
from bench.records.spelling import blake, canonical_json
from bench.records.store import Store
from bench.seeds import POOL
from bench.tables.statistics import MIN_SEEDS

FRESH_FROM = 1 << 51  # fresh seeds lie above 2^51 and below 2^53: exact in JSON everywhere
FEWEST = 3  # fresh seeds of a row

Say = Callable[[str], None]  # takes a line that tells how far a long call is


@dataclass
class Claim:
    """A row as published. row: the plan's row of the claimed seeds. digest: see `digest_of`. why_not: why it cannot be verified.

    records: seed -> its records in plan order, one per value of a derived metric's axis. fresh, replay: the rows of the fresh
    seeds and of the claimed seed to replay, empty until `verify` has drawn them. replays: the records of every run of `replay`.
    """

    row: plan.Row
    records: dict[int, list[Record]]
    digest: str
    fresh: plan.Row
    replay: plan.Row
    replays: list[list[Record | None]] = field(default_factory=list)
    why_not: str = ""


def digest_of(row: plan.Row) -> str:
    """A digest of all that a row's results depend on beside the seed: task, version, parameters, parts, data, code, packages."""
    return blake(canonical_json([cell.identity for cell in next(iter(row.planned.values()))]))


def claims(store: Store, name: str, request: config.Request) -> list[Claim]:
    """The rows of entry `name` that the store has records of, at the request's preset, tasks and current versions.

    A record counts if its configuration is the one the entry resolves to now; others are variants, not the entry.
    """
    preset, groups = request.settings.preset, defaultdict(list)
    tasks = request.tasks or config.names("task")
    for record in store.of_entry(name, preset):
        if record.seed < TUNING_FROM and record.task in tasks and record.task in config.names("task"):
            derived = plan.axis_of(config.task_spec(record.task).cls)
            params = {n: value for n, value in record.params.items() if derived is None or n != derived.axis}
            groups[record.task, canonical_json(params)].append(record)
    planner = plan.Planner(Store(Path(request.settings.results)), request.settings)  # `store` is only read
    found = []
    for (task, text), records in sorted(groups.items()):
        params = json.loads(text)
        known = config.parameters(config.task_spec(task), preset, {})
        if {*params} <= {*known}:  # else of a version with other parameters
            changed = config.changed_parameters(task, preset, params)
            row = planner.row(task, name, sorted({record.seed for record in records}), changed, {})
            found.append(_claim(row, records))
    planner.digests.save()
    return [claim for claim in found if claim is not None]


def _claim(row: plan.Row, records: list[Record]) -> Claim | None:
    """The claim behind records of one row; None if none is of the entry as it is now."""
    kept: dict[int, list[Record]] = {}
    for seed, cells in row.planned.items():
        group = [record for cell in cells if (record := _record_of(cell, records)) is not None]
        if len(group) == len(cells):
            kept[seed] = group
    if not kept:
        return None
    row.planned = {seed: row.planned[seed] for seed in kept}
    empty = replace(row, planned={})
    claim = Claim(row, kept, digest_of(row), empty, empty)
    versions, version = {record.version for group in kept.values() for record in group}, row.cls.version
    if versions != {version}:
        claim.why_not = f"version: the records are of {row.task}@{max(versions)}, here is {version}"
    elif len(kept) < MIN_SEEDS:
        claim.why_not = f"{len(kept)} seeds claimed; at least {MIN_SEEDS} make a claim"
    return claim


def _record_of(cell: Cell, records: Iterable[Record]) -> Record | None:
    """The record of a cell's parameters, configuration and seed; of several the newest version, then the published one."""
    wanted = (cell.seed, dict(cell.params), dict(cell.parts))
    same = [record for record in records if (record.seed, record.params, record.config) == wanted]
    return max(same, key=lambda record: record.version, default=None)


def reseeded(planner: plan.Planner, row: plan.Row, seeds: Sequence[int]) -> plan.Row:
    """The same row over other seeds."""
    changed = config.changed_parameters(row.task, row.preset, row.params)
    return planner.row(row.task, row.entry, seeds, {**changed, **row.paths}, {})


def repeated() -> str:
    """The number of an earlier verification to repeat, from SWEEPSTAKES_DRAWN; empty if it is not set."""
    return os.environ.get("SWEEPSTAKES_DRAWN", "")


def drawn() -> str:
    """A number from the system's entropy, or the number to repeat."""
    return repeated() or os.urandom(16).hex()


def fresh_seeds(digest: str, number: str, count: int) -> list[int]:
    """`count` consecutive seeds of a pool of their own, which is a hash of the row's digest, fixed first, and of the number drawn
    afterwards. BenchError for more than a pool holds."""
    if count > POOL:
        raise BenchError(f"{count} fresh seeds: a verification draws at most {POOL}")
    hashed = int.from_bytes(hashlib.blake2b(f"{digest}/{number}".encode(), digest_size=8).digest(), "big")
    first = (FRESH_FROM + hashed % FRESH_FROM) // POOL * POOL + POOL
    return [*range(first, first + count)]
