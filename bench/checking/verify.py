"""`bench verify`: is a published row as good as its author says?

Two questions. *Replay*: does a claimed cell, drawn at random, give the same numbers again? *Fresh seeds*: are the claimed
seeds better than seeds nobody could choose? The digest of everything the row depends on is fixed and printed first, then
a number is drawn from the system's entropy, and the seeds are a hash of both. Whoever kept the best of many seeds is
caught, since a fresh seed is as good as an honest one on average.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.checking import replay
from bench.checking.fresh_seeds import ALPHA, FEWEST, USUAL, drawn, fresh_seeds, p_better, repeated
from bench.checking.published_rows import Claim, reseeded, settings_of
from bench.contract import BenchError, Metric
from bench.planning import config, plan
from bench.planning.settings import Settings
from bench.records import standing
from bench.records.record import Record
from bench.records.spelling import blake
from bench.records.standing import Claimed, Fresh, Verification
from bench.records.store import Store
from bench.tables import grid


def verify(
    found: Sequence[Claim],
    store: Store,
    settings: Settings,
    count: int = USUAL,
    say: Callable[[str], None] = lambda line: None,
    draw: Callable[[], str] = drawn,
) -> list[Verification]:
    """Verify every claim: fix digests, draw, run fresh seeds and one replay a row in one sweep, judge, append lines.

    The fresh seeds' records go into the store, as those of any other cell; a replay's do not.
    """
    if count < FEWEST:
        raise BenchError(f"--seeds {count}: verifying takes at least {FEWEST} fresh seeds")
    for claim in found:
        say(f"digest {claim.digest}  {claim.row.task} {claim.row.entry}")
    number = draw()  # after every digest is fixed
    say(f"drawn  {number}")
    planner = plan.Planner(store, settings)
    rows = []
    for claim in found:
        if claim.why_not:
            continue
        seeds = fresh_seeds(claim.digest, number, count)
        claim.fresh = reseeded(planner, claim.row, seeds)
        reported = sorted(claim.records)
        claim.replay_seed = reported[int(blake(f"{claim.digest}/{number}/replay"), 16) % len(reported)]
        rows += [claim.fresh, reseeded(planner, claim.row, [claim.replay_seed])]
    with tempfile.TemporaryDirectory(prefix="sweepstakes-verify-") as folder:
        scratch = Store(Path(folder))
        (store.root / ".cache").mkdir(parents=True, exist_ok=True)
        (scratch.root / ".cache").symlink_to((store.root / ".cache").absolute())  # digests and speed are known there
        _run(rows, scratch, settings)
        repeats = [claim for claim in found if claim.fresh is not None and replay.differs(claim, scratch)]
        first = {claim.digest: replay.records_of(claim, scratch) for claim in repeats}
        if repeats:  # before a difference counts, this machine has to agree with itself
            _run([reseeded(planner, c.row, [c.replay_seed or 0]) for c in repeats], scratch, settings)
        findings = [judge(claim, scratch, number, first.get(claim.digest)) for claim in found]
        for claim in found:
            _keep(claim, scratch, store)
    for finding in findings:
        standing.append(store, finding)
    return findings


def _run(rows: Sequence[plan.Row], scratch: Store, settings: Settings) -> None:
    from bench.running import sweep

    if not rows:
        return
    own = msgspec.structs.replace(settings, reuse="none", transport="pipe")
    if sweep.run(plan.Plan(list(rows)), scratch, own).interrupted:
        raise KeyboardInterrupt


def _keep(claim: Claim, scratch: Store, store: Store) -> None:
    """Fresh seeds' records move into the store, with their curves."""
    for cells in claim.fresh.planned.values() if claim.fresh is not None else ():
        for cell in cells:
            record = scratch.get(cell.key)
            if record is not None:
                curves = scratch.local / cell.key[:2] / f"{cell.key}.{record.attempt}.npz"
                store.put(record, curves.read_bytes() if curves.is_file() else b"")


def _read(claim: Claim, scratch: Store) -> tuple[Metric, list[list[float]]]:
    """The ranking metric, and its values over the claimed and over the fresh seeds, penalties for failures included."""
    from bench.tables.seed_values import Joined, Reader

    task = config.task_spec(claim.row.task).cls
    joined = [Joined(claim.row, {seed: list(records) for seed, records in claim.records.items()})]
    if claim.fresh is not None:
        other = Joined(claim.fresh)
        for seed, group in claim.fresh.planned.items():
            other.cells[seed] = [scratch.get(cell.key) for cell in group]
        joined.append(other)
    params = next(iter(claim.row.planned.values()))[0].params
    reader = Reader(task(task.Params(**params)), joined)
    return reader.metric, [[reader.read(seed, cell).value for seed, cell in one.cells.items()] for one in joined]


def _centre(scaled: Sequence[float], scale: Any) -> float | None:
    from bench.tables import statistics

    finite = [value for value in scaled if math.isfinite(value)]
    return float(statistics.inverse(sum(finite) / len(finite), scale)) if finite else None


def judge(claim: Claim, scratch: Store, number: str, first: list[Record | None] | None) -> Verification:
    """The line of one claim from the records in `scratch`. first: the replay's first run, where it was run twice."""
    from bench.tables import statistics

    row = claim.row
    planned = claim.fresh.planned if claim.fresh is not None else {}
    made = [scratch.get(cell.key) for cells in planned.values() for cell in cells]
    records = [record for record in made if record is not None]
    origin = records[0].provenance if records else None
    metric, values = _read(claim, scratch)
    scaled = [list(map(float, statistics.transform(group, metric.scale))) for group in values]
    line = Verification(
        entry=row.entry, task=row.task, version=config.task_spec(row.task).cls.version, preset=row.preset,
        params=dict(row.params), set=settings_of(row), metric=metric.name, verdict="not comparable", reason=claim.why_not,
        fresh=None, p=None, replayed=None, entry_digest=claim.digest, drawn=number, repeated=bool(repeated()),
        claimed=Claimed(
            mean=_centre(scaled[0], metric.scale), seeds=sorted(claim.records),
            keys=sorted(r.key for group in claim.records.values() for r in group),
        ),
        isolation=origin.isolation if origin else None, commit=origin.commit if origin else None,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    if claim.why_not:
        return line
    p = p_better(scaled[0], scaled[1], metric.better)
    line.p = None if math.isnan(p) else p
    line.fresh = Fresh(
        mean=_centre(scaled[1], metric.scale), seeds=list(planned),
        values=[value if math.isfinite(value) else None for value in values[1]],
    )  # fmt: skip
    line.replayed, complaint = replay.outcome(claim, scratch, first)
    short = [f"{r.status}: {r.reason}" for r in records if r.status in replay.LACKING]
    if short or len(records) < len(made):
        line.reason = f"a fresh seed has no result here ({short[0] if short else 'no record'})"
    elif complaint:
        line.verdict, line.reason = "disputed", complaint
    elif math.isnan(p):
        line.reason = f"{metric.name} is undefined for some seed"
    elif p < ALPHA:
        line.verdict = "disputed"
        line.reason = f"the claimed seeds are better than fresh ones (one-sided p = {p:.2g}, below {ALPHA:g})"
    else:
        line.verdict = "verified"
    return line


def table(found: Sequence[Verification], form: str = "text") -> str:
    """Verdicts as an aligned text table, or in Markdown."""
    rows = [("task", "entry", "verdict", "claimed", "fresh", "p", "replay", "reason")]
    for line in found:
        again, claimed, fresh = line.replayed, line.claimed, line.fresh
        said = "" if again is None else "equal" if again.equal else again.note or "differs"
        rows.append((
            line.task, line.entry, line.verdict, f"{_short(claimed.mean)} (n {len(claimed.seeds)})",
            f"{_short(fresh.mean)} (n {len(fresh.seeds)})" if fresh else "", _short(line.p), said, line.reason,
        ))  # fmt: skip
    return (grid.markdown if form == "markdown" else grid.text)(rows)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
