"""`bench verify`: whether a published row is as good as its author says.

*Replay*: does a claimed cell, drawn at random, give the same numbers again? *Fresh seeds*: are the claimed seeds better than
seeds that nobody could choose? The digest of everything the row depends on is fixed and printed first, then a number is
drawn from the system's entropy, and the seeds are a hash of both. Fresh seeds are as good as honest ones on average, so a
row that keeps the best of many seeds is disputed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.contract import BenchError
from bench.planning import config, plan
from bench.planning.seeds import FRESH_FROM, TUNING_FROM
from bench.planning.settings import Settings
from bench.records import standing
from bench.records.cell import Cell
from bench.records.record import Record
from bench.records.spelling import blake, canonical_json
from bench.records.standing import Claimed, Fresh, Replayed, Verification
from bench.records.store import Store
from bench.running import sweep
from bench.tables import grid, statistics
from bench.tables.seed_values import Joined, Reader
from bench.tables.statistics import MIN_SEEDS, ROUNDING
from bench.upkeep.recertify import other_machine

ALPHA = 0.01  # the share of honest rows that are disputed by chance
FEWEST = 3  # fresh seeds of a row
USUAL = 5  # fresh seeds of a row by default
LACKING = ("unavailable", "timeout", "oom")  # statuses for want of this machine, neither for nor against a claim
TOLERANCE = 1e-4  # relative, of a replay where machine or packages differ

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
    """`count` seeds, hashes of the row's digest, fixed first, and of the number drawn afterwards."""
    hashes = (hashlib.blake2b(f"{digest}/{number}/{i}".encode(), digest_size=8).digest() for i in range(count))
    return [FRESH_FROM | (int.from_bytes(hashed, "big") >> 13) for hashed in hashes]


def p_better(claimed: Sequence[float], fresh: Sequence[float], better: str) -> float:
    """One-sided p of "the claimed seeds are better than fresh ones": Student's t with pooled variance.

    Values are on the metric's scale. An honest claim and the fresh seeds are draws of one distribution with one variance, so
    the pooled test is exact for normal values, and Welch's would lose power. NaN for an empty side, for fewer than three
    values in all, and for a value that is not finite; without any spread the sign of the difference decides.
    """
    from scipy.special import stdtr  # takes a tenth of a second, which a reader of speed-runs need not spend

    x, y = np.asarray(claimed, dtype=float), np.asarray(fresh, dtype=float)
    df = len(x) + len(y) - 2
    if not len(x) or not len(y) or df < 1 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return math.nan
    gain = float(y.mean() - x.mean()) if better == "min" else float(x.mean() - y.mean())
    spread = math.sqrt((((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum()) / df)
    tiny = ROUNDING * max(float(np.abs(np.concatenate([x, y])).max()), 1e-300)
    if abs(gain) <= tiny:
        return 1.0
    if spread <= tiny:
        return 0.0 if gain > 0 else 1.0
    return float(stdtr(df, -gain / (spread * math.sqrt(1 / len(x) + 1 / len(y)))))


def verify(claims: Sequence[Claim], store: Store, settings: Settings, count: int, say: Say) -> list[Verification]:
    """Verify every claim: fix digests, draw, run `count` fresh seeds and one replay a row in one sweep, judge, append lines.

    say: takes the lines that tell digests and draw. The records of fresh seeds go into the store as any others, those of
    replays do not. BenchError for fewer than three fresh seeds.
    """
    if count < FEWEST:
        raise BenchError(f"--seeds {count}: verifying takes at least {FEWEST} fresh seeds")
    for claim in claims:
        say(f"digest {claim.digest}  {claim.row.task} {claim.row.entry}")
    number = drawn()  # after every digest is fixed
    say(f"drawn  {number}")
    planner = plan.Planner(store, settings)
    sound = [claim for claim in claims if not claim.why_not]
    for claim in sound:
        seeds = sorted(claim.records)
        replay_seed = seeds[int(blake(f"{claim.digest}/{number}/replay"), 16) % len(seeds)]
        claim.replay = reseeded(planner, claim.row, [replay_seed])
        claim.fresh = reseeded(planner, claim.row, fresh_seeds(claim.digest, number, count))
    with tempfile.TemporaryDirectory(prefix="sweepstakes-verify-") as folder:
        scratch = Store(Path(folder))
        (store.root / ".cache").mkdir(parents=True, exist_ok=True)  # it keeps digests and the machine's speed
        (scratch.root / ".cache").symlink_to((store.root / ".cache").absolute())
        _run(sound, [claim.fresh for claim in sound], scratch, settings)
        # Where a replay differs, it is run a second time: the difference counts only if this machine agrees with itself.
        _run([claim for claim in sound if replayed(claim)[1]], [], scratch, settings)
        findings = [judge(claim, scratch, number) for claim in claims]
        for cell in (cell for claim in claims for cell in claim.fresh.cells()):
            if (record := scratch.get(cell.key)) is not None:
                curves = scratch.local / cell.key[:2] / f"{cell.key}.{record.attempt}.npz"
                store.put(record, curves.read_bytes() if curves.is_file() else b"")
    for finding in findings:
        standing.append(store, finding)
    return findings


def _run(claims: Sequence[Claim], rows: Sequence[plan.Row], scratch: Store, settings: Settings) -> None:
    """Run the replays of `claims`, and `rows` in the same sweep, over the pipe and whatever records there are."""
    planned = plan.Plan([*rows, *(claim.replay for claim in claims)])
    settings = msgspec.structs.replace(settings, reuse="none", transport="pipe")
    if planned.rows and sweep.run(planned, scratch, settings).interrupted:
        raise KeyboardInterrupt
    for claim in claims:
        claim.replays.append([scratch.get(cell.key) for cell in claim.replay.cells()])


def difference(old: Record, new: Record) -> float:
    """The largest relative difference between two records' metrics; infinite if status, names or censoring differ."""
    if (old.status, {*old.metrics}, sorted(old.censored)) != (new.status, {*new.metrics}, sorted(new.censored)):
        return math.inf
    pairs = [(value, new.metrics[name]) for name, value in old.metrics.items()]
    return max((abs(a - b) / max(abs(a), abs(b)) for a, b in pairs if a != b), default=0.0)


def replayed(claim: Claim) -> tuple[Replayed, str]:
    """(how the claim's latest replay ended, why it speaks against the claim, empty if it does not).

    On the same processor and packages the bits must be equal; elsewhere rounding differs, so only a tolerance can be asked for.
    """
    (seed,) = claim.replay.planned
    claimed, new = claim.records[seed], [record for record in claim.replays[-1] if record is not None]
    gaps = [(difference(old, record), old.key) for old, record in zip(claimed, new, strict=False)]
    gap, key = max(gaps, default=(math.inf, claimed[0].key))
    line = Replayed(key=key, seed=seed, equal=gap == 0, difference=gap if math.isfinite(gap) else None)
    if gap == 0 or len(new) < len(claimed):
        return line, ""
    if lacking := [record.status for record in new if record.status in LACKING]:
        line.note = f"not comparable ({lacking[0]})"
        return line, ""
    pairs = list(zip(claimed, new, strict=True))
    same_code = all(old.key == record.key for old, record in pairs)
    if not same_code or any(other_machine(old, record) for old, record in pairs):
        what = "machine or packages" if same_code else "code"
        line.note = f"within {TOLERANCE:g}" if gap <= TOLERANCE else f"not comparable ({what})"
        return line, ""
    first, *second = claim.replays
    if not second or not all(a and difference(a, b) == 0 for a, b in zip(first, new, strict=True)):
        line.note = "not repeatable"
        return line, "the same cell gives other numbers each time; seed every random draw"
    size = f"by {gap:.2g}" if math.isfinite(gap) else "in status or names"
    return line, f"the replay of seed {seed} differs {size} on the same machine and packages"


def _centre(scaled: Sequence[float], scale: Any) -> float | None:
    """The mean of the finite values, taken on the metric's scale; None without any."""
    finite = [value for value in scaled if math.isfinite(value)]
    return float(statistics.inverse(sum(finite) / len(finite), scale)) if finite else None


def judge(claim: Claim, scratch: Store, number: str) -> Verification:
    """The verification of a claim by the records in `scratch`. Failed cells count as their penalty."""
    row, task = claim.row, claim.row.cls
    planned = claim.fresh.planned
    claimed = Joined(row, {seed: [*records] for seed, records in claim.records.items()})
    fresh = Joined(claim.fresh, {seed: [scratch.get(cell.key) for cell in cells] for seed, cells in planned.items()})
    records = [record for group in fresh.cells.values() for record in group]
    origin = next((record.provenance for record in records if record is not None), None)
    reader = Reader(task(task.Params(**next(row.cells()).params)), [claimed, fresh])
    metric = reader.metric
    values = [[reader.read(*cell).value for cell in joined.cells.items()] for joined in (claimed, fresh)]
    scaled = [list(map(float, statistics.transform(group, metric.scale))) for group in values]
    line = Verification(
        entry=row.entry, task=row.task, version=task.version, preset=row.preset, params=dict(row.params),
        set=config.changed_parameters(row.task, row.preset, row.params), metric=metric.name,
        verdict="not comparable", reason=claim.why_not, fresh=None, p=None, replayed=None, entry_digest=claim.digest,
        drawn=number, repeated=bool(repeated()),
        claimed=Claimed(
            mean=_centre(scaled[0], metric.scale), seeds=sorted(claim.records),
            keys=sorted(record.key for group in claim.records.values() for record in group),
        ),
        isolation=origin.isolation if origin else None, commit=origin.commit if origin else None,
        when=sweep.now(),
    )  # fmt: skip
    if claim.why_not:
        return line
    p = p_better(scaled[0], scaled[1], metric.better)
    line.p = None if math.isnan(p) else p
    finite = [value if math.isfinite(value) else None for value in values[1]]
    line.fresh = Fresh(mean=_centre(scaled[1], metric.scale), seeds=list(planned), values=finite)
    line.replayed, complaint = replayed(claim)
    lacking = [f"{record.status}: {record.reason}" for record in records if record and record.status in LACKING]
    if lacking or None in records:
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
