"""What the store says of a plan's cells: fresh, stale, missing, failed; and what running them should cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.planning.plan import Plan
from bench.planning.settings import Settings
from bench.records import identity
from bench.records.cell import Cell
from bench.records.ledger import Published
from bench.records.record import Record
from bench.records.store import Store


@dataclass(frozen=True)
class State:
    """What the store says of a cell. rerun: whether `bench run` runs it. record: the latest, or the stale one."""

    word: str  # fresh, missing, stale, or the status of a record that is no result
    rerun: bool
    record: Record | None = None


def state(cell: Cell, record: Record | None, settings: Settings) -> State:
    """Fresh, missing or failed, by this machine's record of the very key, and whether it is to run (again)."""
    if settings.reuse == "none" or record is None:
        return State("missing" if record is None else record.status, True, record)
    if record.settled:
        return State("fresh", False, record)
    again = {
        "unavailable": record.absent != list(cell.absent),
        "timeout": settings.limits.seconds > record.limits.seconds,
        "oom": settings.limits.memory_mb > record.limits.memory_mb,
        "crashed": record.attempt < 2,
        "failed": settings.retry,
    }[record.status]
    return State(record.status, again, record)


def states(plan: Plan, store: Store, settings: Settings, look_for_stale: bool = False) -> dict[str, State]:
    """key -> State of every cell. Where `reuse=ledger`, published records of this code, or recertified for it, are results."""
    cells = list(plan.cells())
    known: dict[str, Record] = {**store.latest(cell.key for cell in cells)}
    if settings.reuse == "ledger":
        others = [cell for cell in cells if cell.key not in known]
        published = Published(store, others)
        for cell in others:
            record, outdated = published.get(cell)
            if record is not None and not outdated:
                known[cell.key] = record
    found = {cell.key: state(cell, known.get(cell.key), settings) for cell in cells}
    if look_for_stale:
        missing = {cell.key: cell.same for cell in cells if found[cell.key].word == "missing"}
        older = store.older(missing.values())
        for name, same in missing.items():
            if same in older:
                found[name] = State("stale", True, older[same])
    return found


def changes(cell: Cell, record: Record) -> list[tuple[str, Any, Any]]:
    """(component, old, new) of what differs between a cell and a stale record of it. Code is left out where its digests were
    made another way, so that they tell nothing: the component `form` then says so."""
    old, new = record.identity, cell.identity
    if record.components.form != cell.components.form:
        del old["code"], new["code"]
    return identity.difference(old, new)


def expected(cells: Iterable[Cell], store: Store) -> dict[str, float]:
    """key -> CPU seconds, the mean of what the store has of the same task, preset and entry; absent where it has none."""
    cells = list(cells)
    means = store.costs(cell.task for cell in cells)
    found = ((cell.key, means.get((cell.task, cell.preset, cell.entry))) for cell in cells)
    return {name: cost for name, cost in found if cost is not None}


def estimate(plan: Plan, found: Mapping[str, State], store: Store) -> tuple[float, int]:
    """(CPU seconds the cells to run should cost by stored costs of their like, number of cells without any)."""
    todo = [cell for cell in plan.cells() if found[cell.key].rerun]
    costs = expected(todo, store)
    return sum(costs.values()), len(todo) - len(costs)
