"""`bench publish --recertify`: published rows after a refactor are of the new code if a random sample agrees in every bit.

A sample that agrees to the last bit says nearly as much as running everything again, since a cell that takes another path of the
code ends in other bits. It has at least one cell of every (task, entry), three in all, and a twentieth of the rows. If one
differs, nothing is marked; else a certificate (`bench.records.ledger`) names rows, code and the cells that were run again.
"""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.planning.plan import Plan
from bench.planning.settings import Settings
from bench.records.ledger import Certificate, Published, certify, code_digest, differences
from bench.records.provenance import here
from bench.records.record import Cell, Record
from bench.records.spelling import SHOWN
from bench.records.store import Store
from bench.running import sweep
from bench.upkeep.golden import TOLERANCE, near

LEAST = 3  # cells of a sample
SHARE = 0.05  # of the rows


@dataclass
class Recertification:
    """How it ended. older: rows of older code; skipped: those that cannot be run here. sample: keys of the cells run again,
    chosen by the number `drawn`. marked: certified rows. reasons: why no row was certified."""

    older: int = 0
    sample: list[str] = field(default_factory=list)
    drawn: int = 0
    marked: int = 0
    reasons: list[str] = field(default_factory=list)
    skipped: int = 0
    interrupted: bool = False


def draw(rows: Sequence[tuple[Cell, Record]], drawn: int) -> list[tuple[Cell, Record]]:
    """The sample that the number `drawn` chooses: a cell of every (task, entry), then others."""
    shuffled = random.Random(drawn).sample(rows, len(rows))
    first = {(cell.task, cell.entry): cell for cell, _ in reversed(shuffled)}
    ordered = sorted(shuffled, key=lambda row: row[0] is not first[row[0].task, row[0].entry])
    return ordered[: max(len(first), LEAST, math.ceil(SHARE * len(rows)))]


def reason(cell: Cell, old: Record, new: Record | None) -> str:
    """Why a rerun does not certify a published row; empty if it does."""
    if new is None:
        return f"{cell.name}: the rerun left no record; run the same command again"
    if not (changes := differences(old, new)):
        return ""
    lines = []
    for name, a, b in changes:
        numbers = isinstance(a, int | float) and isinstance(b, int | float)
        lines.append(f"{name} was {a}, is {b}" + (f" (difference {abs(a - b):.3g})" if numbers else ""))
    text = f"{cell.name}: {'; '.join(lines)}"
    if (other := sweep.other_arithmetic(old, new)) and all(near(a, b) for _, a, b in changes):
        text += f". All within {TOLERANCE:g}, and {', '.join(other)} differ from the published record's: this cannot tell whether"
        text += " the code or the machine did it; recertify where the records were made, or run and publish anew"
    return text


def recertify(plan: Plan, store: Store, settings: Settings) -> Recertification:
    """Run a random sample of the plan's older-code rows again; mark all of them if it agrees bit by bit."""
    cells = list(plan.cells())
    published = Published(store, cells)
    results = ((cell, *published.get(cell)) for cell in cells)
    rows = [(cell, record) for cell, record, older in results if record is not None and older and record.settled]
    # Of these cells, this machine has the packages, devices and data.
    ready = [row for row in rows if not row[0].absent and "absent" not in row[0].components.data.values()]
    outcome = Recertification(len(rows), drawn=time.time_ns(), skipped=len(rows) - len(ready))
    if not ready:
        return outcome
    sample = draw(ready, outcome.drawn)
    keys = {cell.key for cell, _ in sample}
    outcome.sample = sorted(keys)
    chosen = [{seed: [c for c in cells if c.key in keys] for seed, cells in row.planned.items()} for row in plan.rows]
    part = Plan([replace(row, planned=planned) for row, planned in zip(plan.rows, chosen, strict=True)], plan.suite)
    outcome.interrupted = sweep.run(part, store, settings).interrupted
    if outcome.interrupted:
        return outcome
    fresh = store.latest(keys)
    outcome.reasons = [text for cell, old in sample if (text := reason(cell, old, fresh.get(cell.key)))]
    if not outcome.reasons:
        codes: dict[str, list[str]] = defaultdict(list)
        for cell, record in ready:
            codes[code_digest(cell.components)].append(record.key)
        certify(store, Certificate(
            kind="recertified", when=sweep.now(), commit=here().commit, dirty=here().dirty,
            sample=outcome.sample, drawn=outcome.drawn, rows={code: sorted(keys) for code, keys in codes.items()},
        ))  # fmt: skip
        outcome.marked = len(ready)
    return outcome


def report(outcome: Recertification) -> list[str]:
    """The lines that `bench publish --recertify` prints."""
    if not outcome.older:
        return ["no published row of this plan is of older code: there is nothing to recertify"]
    needs = "packages, devices or data that this machine lacks"
    lines = [f"{outcome.skipped} rows of older code need {needs}; they stay so"] if outcome.skipped else []
    if outcome.interrupted:
        lines.append("interrupted: nothing was marked; the same command starts anew")
    elif outcome.sample:
        keys = " ".join(key[:SHOWN] for key in outcome.sample)
        count = outcome.older - outcome.skipped
        lines.append(f"{len(outcome.sample)} of {count} rows, drawn by {outcome.drawn}, run again: {keys}")
        lines += [f"differs: {text}" for text in outcome.reasons]
        needed = "a new version of the task, or `bench run` and `publish`"
        differs = f"nothing was marked; a change of results needs {needed}"
        agrees = f"every bit agrees: {outcome.marked} published rows are recertified for this code"
        lines.append(differs if outcome.reasons else agrees)
    return lines
