"""`bench verify`: whether a published row is as good as its author says.

*Replay*: does a claimed cell, drawn at random, give the same numbers again? *Fresh seeds*: are the claimed seeds better than
seeds that nobody could choose? The digest of everything the row depends on is fixed and printed first, then a number is
drawn from the system's entropy, and the seeds are a hash of both. Fresh seeds are as good as honest ones on average, so a
row that keeps the best of many seeds is disputed. A row that stays undecided gets more fresh seeds (bench/checking/selection.py).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import msgspec

from bench.checking import selection
from bench.checking.published_rows import FEWEST, Claim, Say, drawn, fresh_seeds, repeated, reseeded
from bench.checking.selection import Look
from bench.contract import BenchError, Metric
from bench.planning import config, plan
from bench.planning.settings import Settings
from bench.records import standing
from bench.records.record import Record
from bench.records.spelling import blake
from bench.records.standing import Claimed, Fresh, Replayed, Verification
from bench.records.store import Store
from bench.running import sweep
from bench.tables import grid, statistics
from bench.tables.seed_values import Joined, Reader

LACKING = ("unavailable", "timeout", "oom")  # statuses for want of this machine, neither for nor against a claim
TOLERANCE = 1e-4  # relative, of a replay where arithmetic, packages or code differ


def verify(
    claims: Sequence[Claim], store: Store, settings: Settings, count: int | None, say: Say
) -> list[Verification]:
    """Verify every claim: fix digests, draw, run fresh seeds and one replay a row in one sweep, judge, append lines.

    count: fresh seeds of a row; None for five, then ten and twenty while the row is undecided. say: takes the lines that tell
    digests, draw and further seeds. The records of fresh seeds go into the store as any others, those of replays do not.
    BenchError for fewer than three fresh seeds.
    """
    looks = selection.looks(count)
    if count is not None and count < FEWEST:
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
        claim.fresh = reseeded(planner, claim.row, fresh_seeds(claim.digest, number, looks[-1].seeds))
    rows = [claim.fresh for claim in sound]  # of all seeds that may be needed; `claim.fresh` holds those that were
    with tempfile.TemporaryDirectory(prefix="sweepstakes-verify-") as folder:
        scratch = Store(Path(folder))
        (store.root / ".cache").mkdir(parents=True, exist_ok=True)  # it keeps digests and the machine's speed
        (scratch.root / ".cache").symlink_to((store.root / ".cache").absolute())
        for claim in sound:
            claim.fresh = _part(claim.fresh, 0, looks[0].seeds)
        _run(sound, [claim.fresh for claim in sound], scratch, settings)
        # Where a replay differs, it is run a second time: the difference counts only if this machine agrees with itself.
        _run([claim for claim in sound if replayed(claim)[1]], [], scratch, settings)
        undecided = [(claim, row) for claim, row in zip(sound, rows, strict=True) if not replayed(claim)[1]]
        for look, more in pairwise(looks):
            undecided = [
                (claim, row) for claim, row in undecided if look.level < _p_of(claim, scratch) <= selection.CLEAR
            ]
            for claim, row in undecided:
                say(f"undecided after {look.seeds} fresh seeds, {more.seeds} follow  {row.task} {row.entry}")
                claim.fresh = _part(row, 0, more.seeds)
            _run([], [_part(row, look.seeds, more.seeds) for _, row in undecided], scratch, settings)
        findings = [judge(claim, scratch, number, looks) for claim in claims]
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


def _part(row: plan.Row, start: int, stop: int) -> plan.Row:
    """The row over some of its seeds."""
    return replace(row, planned=dict(islice(row.planned.items(), start, stop)))


def difference(old: Record, new: Record) -> float:
    """The largest relative difference between two records' metrics; infinite if status, names or censoring differ."""
    if (old.status, {*old.metrics}, sorted(old.censored)) != (new.status, {*new.metrics}, sorted(new.censored)):
        return math.inf
    pairs = [(value, new.metrics[name]) for name, value in old.metrics.items()]
    return max((abs(a - b) / max(abs(a), abs(b)) for a, b in pairs if a != b), default=0.0)


def replayed(claim: Claim) -> tuple[Replayed, str]:
    """(how the claim's latest replay ended, why it speaks against the claim, empty if it does not).

    Bits must be equal where the numerics fingerprint and the packages are; elsewhere rounding differs, which training amplifies,
    so the fresh seeds alone judge.
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
    if not same_code or any(sweep.other_arithmetic(old, record) for old, record in pairs):
        what = "other arithmetic or packages" if same_code else "other code"
        line.note = f"within {TOLERANCE:g}" if gap <= TOLERANCE else f"not comparable ({what}): fresh seeds judge"
        return line, ""
    first, *second = claim.replays
    if not second or not all(a and difference(a, b) == 0 for a, b in zip(first, new, strict=True)):
        line.note = "not repeatable"
        return line, "the same cell gives other numbers each time; seed every random draw"
    size = f"by {gap:.2g}" if math.isfinite(gap) else "in status or names"
    return line, f"the replay of seed {seed} differs {size} under the same arithmetic and packages"


def _centre(scaled: Sequence[float], scale: Any) -> float | None:
    """The mean of the finite values, taken on the metric's scale; None without any."""
    finite = [value for value in scaled if math.isfinite(value)]
    return float(statistics.inverse(sum(finite) / len(finite), scale)) if finite else None


def _values(claim: Claim, scratch: Store) -> tuple[Metric, list[list[float]], list[list[float]]]:
    """(the ranking metric, its values, these on its scale) of claimed and fresh seeds. Failed cells count as their penalty."""
    row, planned = claim.row, claim.fresh.planned
    claimed = Joined(row, {seed: [*records] for seed, records in claim.records.items()})
    fresh = Joined(claim.fresh, {seed: [scratch.get(cell.key) for cell in cells] for seed, cells in planned.items()})
    reader = Reader(row.cls(row.cls.Params(**next(row.cells()).params)), [claimed, fresh])
    values = [[reader.read(cell).value for cell in joined.cells.values()] for joined in (claimed, fresh)]
    scaled = [list(map(float, statistics.transform(group, reader.metric.scale))) for group in values]
    return reader.metric, values, scaled


def _p_of(claim: Claim, scratch: Store) -> float:
    """The p of the claim by the fresh seeds that have run; NaN where one has no value."""
    metric, _, scaled = _values(claim, scratch)
    return selection.p_better(scaled[0], scaled[1], metric.better)


def judge(claim: Claim, scratch: Store, number: str, looks: Sequence[Look]) -> Verification:
    """The verification of a claim by the records in `scratch`, at the last of its looks."""
    row, task, planned = claim.row, claim.row.cls, claim.fresh.planned
    records = [scratch.get(cell.key) for cell in claim.fresh.cells()]
    origin = next((record.provenance for record in records if record is not None), None)
    metric, values, scaled = _values(claim, scratch)
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
    p, look = _p_of(claim, scratch), next(look for look in looks if look.seeds == len(planned))
    line.p, line.level = None if math.isnan(p) else p, look.level
    if not math.isnan(p) and (step := selection.step_of(values[0], values[1])) is not None:
        line.power = selection.power(len(values[0]), looks, step)
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
    elif p <= look.level:
        line.verdict = "disputed"
        line.reason = f"the claimed seeds are better than fresh ones (one-sided p = {p:.2g}, at most {look.level:g})"
    elif not selection.can_dispute(len(values[0]), looks):
        few = f"{look.seeds} fresh seeds can never dispute {len(values[0])} claimed ones"
        line.reason = f"{few}; leave --seeds out, or give more"
    else:
        line.verdict = "verified"
    return line


def table(findings: Sequence[Verification], form: str = "text") -> str:
    """Verifications as an aligned text table, or in Markdown, with a line that explains the power."""
    rows = [("task", "entry", "verdict", "claimed", "fresh", "p", "power", "replay", "reason")]
    for line in findings:
        replayed, claimed, fresh = line.replayed, line.claimed, line.fresh
        equality = "" if replayed is None else "equal" if replayed.equal else replayed.note or "differs"
        rows.append((
            line.task, line.entry, line.verdict, f"{_short(claimed.mean)} (n {len(claimed.seeds)})",
            f"{_short(fresh.mean)} (n {len(fresh.seeds)})" if fresh else "", _short(line.p),
            _power(line.power), equality, line.reason,
        ))  # fmt: skip
    chance = (
        f"power: the chance to dispute the best of {selection.CHOICE} times as many seeds, such as the best 5 of 50"
    )
    noises = f"three figures are for {', '.join(selection.NOISES)} noise, which differ where values are tied"
    return (grid.markdown if form == "markdown" else grid.text)(rows) + f"\n\n{chance}; {noises}"


def _power(figures: Mapping[str, float] | None) -> str:
    """One figure, or one a noise where they differ; none where all fresh values are one, so that nothing can be selected."""
    texts = [f"{figure:.2f}" for figure in (figures or {}).values()]
    return "/".join(texts) if len(set(texts)) > 1 else "".join(texts[:1])


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
