"""`bench verify`: whether a published row is as good as its author says.

*Replay*: does a claimed cell, drawn at random, give the same numbers again? *Fresh seeds*: are the claimed seeds better than
seeds that nobody could choose? The digest of everything the row depends on is fixed and printed first, then a number is
drawn from the system's entropy, and the seeds are a hash of both. Fresh seeds are as good as honest ones on average, so a
row that keeps the best of many seeds is disputed.
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
from bench.checking.published_rows import Claim, reseeded
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
    claims: Sequence[Claim], store: Store, settings: Settings, count: int = USUAL,
    say: Callable[[str], None] = lambda line: None,
) -> list[Verification]:  # fmt: skip
    """Verify every claim: fix digests, draw, run fresh seeds and one replay a row in one sweep, judge, append lines.

    count: fresh seeds a row. say: takes the lines that tell digests and draw. The records of fresh seeds go into the store as
    any others, those of replays do not. BenchError for fewer than three fresh seeds.
    """
    if count < FEWEST:
        raise BenchError(f"--seeds {count}: verifying takes at least {FEWEST} fresh seeds")
    for claim in claims:
        say(f"digest {claim.digest}  {claim.row.task} {claim.row.entry}")
    number = drawn()  # after every digest is fixed
    say(f"drawn  {number}")
    planner = plan.Planner(store, settings)
    rows = []
    for claim in claims:
        if not claim.why_not:
            claimed = sorted(claim.records)
            claim.replay_seed = claimed[int(blake(f"{claim.digest}/{number}/replay"), 16) % len(claimed)]
            claim.fresh = reseeded(planner, claim.row, fresh_seeds(claim.digest, number, count))
            rows += [claim.fresh, reseeded(planner, claim.row, [claim.replay_seed])]
    with tempfile.TemporaryDirectory(prefix="sweepstakes-verify-") as folder:
        scratch = Store(Path(folder))
        (store.root / ".cache").mkdir(parents=True, exist_ok=True)
        (scratch.root / ".cache").symlink_to(
            (store.root / ".cache").absolute()
        )  # it keeps digests and the machine's speed
        _run(rows, scratch, settings)
        # Where a replay differs, it is run a second time: the difference counts only if this machine agrees with itself.
        repeats = [claim for claim in claims if claim.fresh and replay.outcome(claim, scratch, None)[1]]
        first = {claim.digest: replay.records_of(claim, scratch) for claim in repeats}
        _run([reseeded(planner, claim.row, [claim.replay_seed or 0]) for claim in repeats], scratch, settings)
        findings = [judge(claim, scratch, number, first.get(claim.digest)) for claim in claims]
        for claim in claims:
            _keep(claim, scratch, store)
    for finding in findings:
        standing.append(store, finding)
    return findings


def _run(rows: Sequence[plan.Row], scratch: Store, settings: Settings) -> None:
    """Run the rows over the pipe, whatever records there are."""
    from bench.running import sweep

    settings = msgspec.structs.replace(settings, reuse="none", transport="pipe")
    if rows and sweep.run(plan.Plan([*rows]), scratch, settings).interrupted:
        raise KeyboardInterrupt


def _keep(claim: Claim, scratch: Store, store: Store) -> None:
    """Copy the records of fresh seeds into the store, with their curves."""
    for cell in claim.fresh.cells() if claim.fresh is not None else ():
        if (record := scratch.get(cell.key)) is not None:
            curves = scratch.local / cell.key[:2] / f"{cell.key}.{record.attempt}.npz"
            store.put(record, curves.read_bytes() if curves.is_file() else b"")


def _read(claim: Claim, scratch: Store) -> tuple[Metric, list[list[float]]]:
    """(the metric that ranks, its values over the claimed and over the fresh seeds); failed cells count as their penalty."""
    from bench.tables.seed_values import Joined, Reader

    task = config.task_spec(claim.row.task).cls
    rows = [Joined(claim.row, {seed: [*records] for seed, records in claim.records.items()})]
    if claim.fresh is not None:
        cells = {seed: [scratch.get(cell.key) for cell in group] for seed, group in claim.fresh.planned.items()}
        rows.append(Joined(claim.fresh, cells))
    reader = Reader(task(task.Params(**next(claim.row.cells()).params)), rows)
    return reader.metric, [[reader.read(seed, group).value for seed, group in row.cells.items()] for row in rows]


def _centre(scaled: Sequence[float], scale: Any) -> float | None:
    """The mean of the finite values, taken on the metric's scale; None without any."""
    from bench.tables import statistics

    finite = [value for value in scaled if math.isfinite(value)]
    return float(statistics.inverse(sum(finite) / len(finite), scale)) if finite else None


def judge(claim: Claim, scratch: Store, number: str, first: list[Record | None] | None) -> Verification:
    """The verification of a claim by the records in `scratch`. first: see `replay.outcome`."""
    from bench.tables import statistics

    row = claim.row
    cells = [] if claim.fresh is None else [*claim.fresh.cells()]
    records = [record for cell in cells if (record := scratch.get(cell.key)) is not None]
    origin = records[0].provenance if records else None
    metric, values = _read(claim, scratch)
    scaled = [list(map(float, statistics.transform(group, metric.scale))) for group in values]
    line = Verification(
        entry=row.entry, task=row.task, version=config.task_spec(row.task).cls.version, preset=row.preset,
        params=dict(row.params), set=config.changed_parameters(row.task, row.preset, row.params), metric=metric.name,
        verdict="not comparable", reason=claim.why_not, fresh=None, p=None, replayed=None, entry_digest=claim.digest,
        drawn=number, repeated=bool(repeated()),
        claimed=Claimed(
            mean=_centre(scaled[0], metric.scale), seeds=sorted(claim.records),
            keys=sorted(r.key for group in claim.records.values() for r in group),
        ),
        isolation=origin.isolation if origin else None, commit=origin.commit if origin else None,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    if claim.fresh is None:
        return line
    p = p_better(scaled[0], scaled[1], metric.better)
    line.p = None if math.isnan(p) else p
    line.fresh = Fresh(
        mean=_centre(scaled[1], metric.scale), seeds=list(claim.fresh.planned),
        values=[value if math.isfinite(value) else None for value in values[1]],
    )  # fmt: skip
    line.replayed, complaint = replay.outcome(claim, scratch, first)
    lacking = [f"{record.status}: {record.reason}" for record in records if record.status in replay.LACKING]
    if lacking or len(records) < len(cells):
        line.reason = f"a fresh seed has no result here ({lacking[0] if lacking else 'no record'})"
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


def table(findings: Sequence[Verification], form: str = "text") -> str:
    """Verifications as an aligned text table, or in Markdown."""
    rows = [("task", "entry", "verdict", "claimed", "fresh", "p", "replay", "reason")]
    for line in findings:
        replayed, claimed, fresh = line.replayed, line.claimed, line.fresh
        equality = "" if replayed is None else "equal" if replayed.equal else replayed.note or "differs"
        rows.append((
            line.task, line.entry, line.verdict, f"{_short(claimed.mean)} (n {len(claimed.seeds)})",
            f"{_short(fresh.mean)} (n {len(fresh.seeds)})" if fresh else "", _short(line.p), equality, line.reason,
        ))  # fmt: skip
    return (grid.markdown if form == "markdown" else grid.text)(rows)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
