"""Whether a submission's records are of its files and of this code. Nothing of the entry is executed."""

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


def records_hold(folder: Path) -> list[str]:
    """Whether the records are those of this code: components made again from the entry's files, keys, seeds, versions.

    The entry must be known here (submitted.open_folder). Data that are absent here and other versions of packages
    contradict nothing; code, configuration and parameters do.
    """
    about, found = submitted.manifest(folder), []
    records = list(Store(folder / "results").published())
    for record in records:
        if record.key != key_maker(record.identity)(record.seed):
            found.append(f"record {record.key[:SHOWN]}: its key is not that of what it says; submit again")
    seen = set()
    for row in about.rows:
        task, name = row.task, about.entry
        if task not in config.names("task"):
            found.append(f"{task}: there is no such task")
            continue
        cls = config.task_spec(task).cls
        if row.version != cls.version:
            found.append(f"{task}: made with version {row.version}, here is {cls.version}; update, then submit again")
            continue
        if row.seeds != tuple(range(len(row.seeds))) or len(row.seeds) < 3:
            found.append(f"{task}: seeds {[*row.seeds]}; the suite's are 0, 1, 2, … and at least 3")
        settings = config.parse([f"preset={row.preset}"]).settings
        usual = config.parameters(config.task_spec(task), row.preset, {})
        given = {n: v for n, v in row.params.items() if usual.get(n) != v}
        planner = plan.Planner(Store(Path(settings.results)), settings)  # the folder itself is only read
        planned = planner.row(task, name, row.seeds, given, {})
        for cell in (cell for cells in planned.planned.values() for cell in cells):
            like = [r for r in records if r.seed == cell.seed and _same(r, cell)]
            if not like:
                found.append(f"{cell.name}: no record of this code, configuration and seed; update, then submit again")
                continue
            record = like[0]
            seen.add(record.key)
            if record.preset != cell.preset:
                found.append(f"{cell.name}: its record is of preset {record.preset}; submit again")
            elif not record.settled:
                found.append(f"{cell.name}: {record.status}; mend it, then submit again")
            else:
                found += [f"{cell.name}: {what}; submit again" for what in contract_suite.metrics_wrong(cls, record)]
    if extra := {record.key for record in records} - seen:
        found.append(f"{len(extra)} records that the manifest's rows do not plan; submit again")
    return found


def _same(record: Record, cell: Cell) -> bool:
    """Whether a record is of a cell's task, parameters, configuration and code; data and packages aside."""
    told = (record.task, record.version, record.params, record.config, record.components.code)
    return told == (cell.task, cell.version, dict(cell.params), dict(cell.parts), cell.components.code)
