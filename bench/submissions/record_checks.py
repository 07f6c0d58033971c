"""Checks that a submission's records are of its files and of this code. Nothing of the entry is executed."""

from __future__ import annotations

from pathlib import Path

from bench.checking import contract_suite
from bench.planning import config, plan
from bench.records.cell import Cell
from bench.records.identity import key_maker
from bench.records.record import Record
from bench.records.spelling import SHOWN
from bench.records.store import Store
from bench.submissions import folder as submitted


def contradictions(folder: Path) -> list[str]:
    """Contradictions between a submission's records and the keys, seeds and versions of its entry's files and this code.

    The entry must be known here (submitted.open_folder). Data that are absent here and other versions of packages
    contradict nothing; code, configuration and parameters do.
    """
    about, wrong = submitted.manifest(folder), []
    records = list(Store(folder / "results").published())
    for key, remade in ((record.key, key_maker(record.identity)(record.seed)) for record in records):
        if key != remade:
            wrong.append(f"record {key[:SHOWN]}: its key is not that of its content; submit again")
    planned = set()
    for row in about.rows:
        task = row.task
        if task not in config.names("task"):
            wrong.append(f"{task}: there is no such task")
            continue
        cls = config.task_spec(task).cls
        if row.version != cls.version:
            wrong.append(f"{task}: made with version {row.version}, here is {cls.version}; update, then submit again")
            continue
        if row.seeds != tuple(range(len(row.seeds))) or len(row.seeds) < 3:
            wrong.append(f"{task}: seeds {[*row.seeds]}; the suite's are 0, 1, 2, … and at least 3")
        settings = config.parse([f"preset={row.preset}"]).settings
        planner = plan.Planner(Store(Path(settings.results)), settings)  # the folder itself is only read
        changed = config.changed_parameters(task, row.preset, row.params)
        for cell in planner.row(task, about.entry, row.seeds, changed, {}).cells():
            record = next((record for record in records if _same(record, cell)), None)
            if record is None:
                wrong.append(f"{cell.name}: no record of this code, configuration and seed; update, then submit again")
                continue
            planned.add(record.key)
            if record.preset != cell.preset:
                wrong.append(f"{cell.name}: its record is of preset {record.preset}; submit again")
            elif not record.settled:
                wrong.append(f"{cell.name}: {record.status}; mend it, then submit again")
            else:
                wrong += [f"{cell.name}: {flaw}; submit again" for flaw in contract_suite.metrics_wrong(cls, record)]
    if extra := {record.key for record in records} - planned:
        wrong.append(f"{len(extra)} records that the manifest's rows do not plan; submit again")
    return wrong


def _same(record: Record, cell: Cell) -> bool:
    """Whether a record is of a cell's task, parameters, configuration, code and seed; data and packages may differ."""
    fields = (record.task, record.version, record.params, record.config, record.components.code, record.seed)
    return fields == (cell.task, cell.version, dict(cell.params), dict(cell.parts), cell.components.code, cell.seed)
