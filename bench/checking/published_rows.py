"""Rows as they are claimed: the published or local records of an entry, and the plan that makes them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.planning import config, plan
from bench.planning.seeds import TUNING_FROM
from bench.records.cell import Cell
from bench.records.record import Record
from bench.records.spelling import blake, canonical_json
from bench.records.store import Store
from bench.tables.statistics import MIN_SEEDS


@dataclass
class Claim:
    """A row as published. records: seed -> its records in plan order (one, or one a value of a derived axis).

    digest: of all that the row's results depend on, but the seed. row: the plan's row of the claimed seeds.
    """

    row: plan.Row
    records: dict[int, list[Record]]
    digest: str
    fresh: plan.Row | None = None
    replay_seed: int | None = None
    why_not: str = ""


def digest_of(row: plan.Row) -> str:
    """Of task, version, parameters, parts, data, code and packages of a row: all its results depend on but the seed."""
    cells = next(iter(row.planned.values()))
    return blake(canonical_json([cell.identity for cell in cells]))


def claims(store: Store, name: str, request: config.Request, seeds_below: int = TUNING_FROM) -> list[Claim]:
    """The rows of entry `name` that the store has records of, at the request's preset, tasks and current versions.

    A record counts if its configuration is the one the entry resolves to now; others are variants, not the entry.
    """
    groups: dict[tuple[str, str], dict[str, Record]] = {}
    # published ones come first: what is published is what is claimed, where it differs
    for record in store.of_entry(name, request.settings.preset):
        if record.seed < seeds_below and (not request.tasks or record.task in request.tasks):
            params = _shared_params(record)
            groups.setdefault((record.task, canonical_json(params)), {}).setdefault(record.key, record)
    planner = plan.Planner(Store(Path(request.settings.results)), request.settings)  # `store` is only read
    found = []
    for (task, shared), records in sorted(groups.items()):
        claim = _claim(planner, task, name, json.loads(shared), list(records.values()))
        if claim is not None:
            found.append(claim)
    planner.digests.save()
    return found


def _shared_params(record: Record) -> dict[str, Any]:
    """The record's parameters without a derived metric's axis."""
    params = dict(record.params)
    if record.task in config.names("task"):
        derived = plan.axis_of(config.task_spec(record.task).cls)
        if derived is not None:
            params.pop(derived.axis, None)
    return params


def _claim(
    planner: plan.Planner, task: str, name: str, params: Mapping[str, Any], records: list[Record]
) -> Claim | None:
    """The claim behind records of one task and one set of parameters; None if none is of the entry as it is now."""
    if task not in config.names("task"):
        return None
    spec = config.task_spec(task)
    usual = config.parameters(spec, planner.settings.preset, {})
    given = {n: v for n, v in params.items() if usual.get(n) != v}
    if not set(params) <= set(usual):
        return None  # of a version with other parameters
    row = planner.row(task, name, sorted({r.seed for r in records}), given, {})
    kept: dict[int, list[Record]] = {}
    for seed, cells in row.planned.items():
        group = [_of(cell, records) for cell in cells]
        if all(record is not None for record in group):
            kept[seed] = [record for record in group if record is not None]
    if not kept:
        return None
    row.planned = {seed: cells for seed, cells in row.planned.items() if seed in kept}
    claim = Claim(row, kept, digest_of(row))
    versions = {r.version for group in kept.values() for r in group}
    if versions != {spec.cls.version}:
        claim.why_not = f"version: the records are of {task}@{max(versions)}, here is {spec.cls.version}"
    elif len(kept) < MIN_SEEDS:
        claim.why_not = f"{len(kept)} seeds claimed; at least {MIN_SEEDS} make a claim"
    return claim


def _of(cell: Cell, records: Iterable[Record]) -> Record | None:
    """The record of a cell's parameters, configuration and seed; of the newest version, the first where several are."""
    like = [
        r for r in records
        if r.seed == cell.seed and dict(r.params) == dict(cell.params) and r.config == dict(cell.parts)
    ]  # fmt: skip
    return max(like, key=lambda r: r.version, default=None)


def reseeded(planner: plan.Planner, row: plan.Row, seeds: Sequence[int]) -> plan.Row:
    """The same row over other seeds."""
    return planner.row(row.task, row.entry, seeds, {**settings_of(row), **row.paths}, {})


def settings_of(row: plan.Row) -> dict[str, Any]:
    """The parameters of a row that are not its preset's."""
    usual = config.parameters(config.task_spec(row.task), row.preset, {})
    return {n: v for n, v in row.params.items() if usual.get(n) != v}
