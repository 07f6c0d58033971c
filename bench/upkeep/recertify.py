"""Published rows after a refactor: a random sample is run again, and the rows are of the new code if every bit agrees.

A published record of an older code digest stays on the board, marked *older code*. Running everything again after every
edit of a training loop would be the honest and the hopeless way; a sample that agrees to the last bit says nearly as much,
since a cell that takes another path of the code ends in other bits. The sample has at least one cell of every (task, entry)
that is to be marked, at least three in all, and at least a twentieth of the rows. If one differs, nothing is marked.

A row is never edited: the certificate is a line of its own (`bench.records.certificates`), which names the rows, the code
that they stand for, and the cells that were run again.
"""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bench.planning.plan import Plan
from bench.planning.settings import Settings
from bench.records.cell import Cell
from bench.records.certificates import Certificate, append
from bench.records.ledger import Published, code_digest, differences, locked
from bench.records.provenance import here
from bench.records.record import Record
from bench.records.spelling import SHOWN
from bench.records.store import Store
from bench.running import sweep
from bench.upkeep.golden import TOLERANCE

LEAST = 3  # cells of a sample
SHARE = 0.05  # of the rows


@dataclass
class Recertification:
    """What a recertification did. drawn: the number that chose the sample. reasons: why nothing was marked, if so."""

    older: int = 0
    sample: list[str] = field(default_factory=list)
    drawn: int = 0
    marked: int = 0
    reasons: list[str] = field(default_factory=list)
    skipped: int = 0  # rows of older code that cannot be run here
    interrupted: bool = False


def older_rows(plan: Plan, store: Store) -> list[tuple[Cell, Record]]:
    """The plan's cells that only a published result of older code stands for, with that result; data must agree."""
    cells = list(plan.cells())
    published = Published(store, cells)
    found = []
    for cell in cells:
        record, older = published.get(cell)
        if record is not None and older and record.settled:
            found.append((cell, record))
    return found


def runnable(cell: Cell) -> bool:
    """Whether the packages, devices and data that a cell needs are here."""
    return not cell.absent and "absent" not in cell.components.data.values()


def draw(rows: Sequence[tuple[Cell, Record]], drawn: int) -> list[tuple[Cell, Record]]:
    """The sample that the number `drawn` chooses."""
    chance = random.Random(drawn)
    groups: dict[tuple[str, str], list[tuple[Cell, Record]]] = defaultdict(list)
    for cell, record in rows:
        groups[cell.task, cell.entry].append((cell, record))
    sample = [chance.choice(group) for group in groups.values()]
    chosen = {cell.key for cell, _ in sample}
    rest = [one for one in rows if one[0].key not in chosen]
    wanted = max(LEAST, math.ceil(SHARE * len(rows)))
    return sample + chance.sample(rest, min(len(rest), max(0, wanted - len(sample))))


def chosen(plan: Plan, keys: set[str]) -> Plan:
    """The plan of the cells with these keys."""
    some = []
    for row in plan.rows:
        planned = {seed: [c for c in cells if c.key in keys] for seed, cells in row.planned.items()}
        planned = {seed: cells for seed, cells in planned.items() if cells}
        if planned:
            some.append(replace(row, planned=planned))
    return Plan(some, plan.suite)


def _near(old: Any, new: Any) -> bool:
    numbers = all(isinstance(value, (int, float)) for value in (old, new))
    return numbers and math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _machine(record: Record) -> dict[str, Any]:
    return {name: getattr(record.provenance, name) for name in ("cpu", "system", "python", "packages")}


def reason(cell: Cell, old: Record, new: Record | None) -> str:
    """Why a rerun does not certify a published row; empty if it does."""
    if new is None:
        return f"{cell.name}: the rerun left no record; run the same command again"
    if not (found := differences(old, new)):
        return ""
    told = []
    for name, a, b in found:
        numbers = all(isinstance(value, (int, float)) for value in (a, b))
        told.append(f"{name} was {a}, is {b}" + (f" (difference {abs(a - b):.3g})" if numbers else ""))
    text = f"{cell.name}: {'; '.join(told)}"
    then, now = _machine(old), _machine(new)
    other = [name for name in then if then[name] != now[name]]
    if other and all(_near(a, b) for _, a, b in found):
        text += (
            f". All within {TOLERANCE:g}, and {', '.join(other)} differ from the published record's: this cannot tell whether "
            "the code or the machine did it; recertify where the records were made, or run and publish anew"
        )
    return text


def recertify(plan: Plan, store: Store, settings: Settings, drawn: int | None = None) -> Recertification:
    """Run a random sample of the plan's older-code rows again; mark all of them if it agrees bit by bit.

    drawn: the number that chooses the sample; by default the time in nanoseconds.
    """
    rows = older_rows(plan, store)
    ready = [one for one in rows if runnable(one[0])]
    outcome = Recertification(
        len(rows), drawn=time.time_ns() if drawn is None else drawn, skipped=len(rows) - len(ready)
    )
    if not ready:
        return outcome
    sample = draw(ready, outcome.drawn)
    keys = {cell.key for cell, _ in sample}
    outcome.sample = sorted(keys)
    outcome.interrupted = sweep.run(chosen(plan, keys), store, settings).interrupted
    if outcome.interrupted:
        return outcome
    fresh = store.latest(keys)
    outcome.reasons = [text for cell, old in sample if (text := reason(cell, old, fresh.get(cell.key)))]
    if not outcome.reasons:
        outcome.marked = _mark(store, ready, outcome)
    return outcome


def _mark(store: Store, rows: Sequence[tuple[Cell, Record]], outcome: Recertification) -> int:
    """Write the certificate of `rows`; returns how many."""
    codes: dict[str, list[str]] = defaultdict(list)
    for cell, record in rows:
        codes[code_digest(cell.components)].append(record.key)
    origin = here()
    certificate = Certificate(
        kind="recertified",
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=origin.commit,
        dirty=origin.dirty,
        sample=outcome.sample,
        drawn=outcome.drawn,
        rows={code: sorted(keys) for code, keys in codes.items()},
    )
    with locked(store):
        append(store, certificate)
    return len(rows)


def tell(outcome: Recertification) -> list[str]:
    """What was done, line by line."""
    if not outcome.older:
        return ["no published row of this plan is of older code: there is nothing to recertify"]
    lines = []
    if outcome.skipped:
        lines.append(
            f"{outcome.skipped} rows of older code need packages, devices or data that are not here; they stay so"
        )
    if outcome.interrupted:
        return [*lines, "interrupted: nothing was marked; the same command starts anew"]
    shown = " ".join(key[:SHOWN] for key in outcome.sample)
    if outcome.sample:
        lines.append(
            f"{len(outcome.sample)} of {outcome.older - outcome.skipped} rows, drawn by {outcome.drawn}, run again: {shown}"
        )
    if outcome.reasons:
        lines += [f"differs: {text}" for text in outcome.reasons]
        lines.append(
            "nothing was marked; a change of results needs a new version of the task, or `bench run` and `publish`"
        )
    elif outcome.sample:
        lines.append(f"every bit agrees: {outcome.marked} published rows are recertified for this code")
    return lines
