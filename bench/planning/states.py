"""The states of a plan's cells by the store (fresh, stale, missing, failed), and the expected cost of running them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.planning.plan import Plan
from bench.planning.settings import Settings
from bench.records import identity
from bench.records.ledger import Published
from bench.records.record import Cell, Record
from bench.records.store import Store


@dataclass(frozen=True)
class State:
    """The state of a cell. rerun: whether `bench run` runs it. record: the latest, or the stale one."""

    word: str  # fresh, missing, stale, or the status of a record that is no result
    rerun: bool
    record: Record | None = None


def state(cell: Cell, record: Record | None, settings: Settings) -> State:
    """The state of a cell by the record of its key."""
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
    """key -> State of every cell. With `reuse=ledger`, published records of this code, or certified for it, count too."""
    cells = list(plan.cells())
    known: dict[str, Record] = {**store.latest(cell.key for cell in cells)}
    if settings.reuse == "ledger":
        others = [cell for cell in cells if cell.key not in known]
        published = Published(store, others)
        for cell in others:
            record, outdated = published.get(cell)
            if record is not None and not outdated:
                known[cell.key] = record
    by_key = {cell.key: state(cell, known.get(cell.key), settings) for cell in cells}
    if look_for_stale:
        missing = {cell.key: cell.cell_digest for cell in cells if by_key[cell.key].word == "missing"}
        older = store.older(missing.values())
        by_key |= {key: State("stale", True, older[same]) for key, same in missing.items() if same in older}
    return by_key


def changes(cell: Cell, record: Record) -> list[tuple[str, Any, Any]]:
    """(component, old, new) wherever a cell differs from its stale record; without code where the form of its digests differs."""
    old, new = record.identity, cell.identity
    if record.components.form != cell.components.form:
        del old["code"], new["code"]
    return identity.difference(old, new)


def expected(cells: Iterable[Cell], store: Store) -> dict[str, float]:
    """key -> mean CPU seconds of the stored cells of the same task, preset and entry; absent where there are none."""
    cells = list(cells)
    means = store.index.costs(cell.task for cell in cells)
    groups = ((cell.key, (cell.task, cell.preset, cell.entry)) for cell in cells)
    return {key: means[group] for key, group in groups if group in means}


def estimate(plan: Plan, cell_states: Mapping[str, State], store: Store) -> tuple[float, int]:
    """(expected CPU seconds of the cells that will run, number of cells without an expected cost)."""
    todo = [cell for cell in plan.cells() if cell_states[cell.key].rerun]
    costs = expected(todo, store)
    return sum(costs.values()), len(todo) - len(costs)
