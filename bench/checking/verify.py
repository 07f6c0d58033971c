"""`bench verify`: is a published row as good as its author says?

Two questions. *Replay*: does a claimed cell, drawn at random, give the same numbers again? *Fresh seeds*: are the claimed
seeds better than seeds nobody could choose? The digest of everything the row depends on is fixed and printed first, then
a number is drawn from the system's entropy, and the seeds are a hash of both. Whoever kept the best of many seeds is
caught, since a fresh seed is as good as an honest one on average.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from bench.checking import replay
from bench.checking.published_rows import Claim, Record, reseeded, settings_of
from bench.contract import BenchError, Metric
from bench.planning import config, plan
from bench.records import identity
from bench.records.store import Store

Verdict = Literal["verified", "disputed", "not comparable"]

ALPHA = 0.01  # of honest rows, this many are disputed by chance
FEWEST = 3  # fresh seeds
USUAL = 5
FRESH_FROM = 1 << 51  # fresh seeds lie in [2^51, 2^52): beyond reported and tuning seeds, exact in JSON everywhere


def repeated() -> str:
    """The number of an earlier verification that is to be repeated, from the environment; empty if there is none."""
    return os.environ.get("SWEEPSTAKES_DRAWN", "")


def drawn() -> str:
    """A number from the system's entropy, or the one that is to be repeated."""
    return repeated() or os.urandom(16).hex()


def fresh_seeds(digest: str, number: str, count: int) -> list[int]:
    """`count` seeds from what was fixed (`digest`) and what was drawn afterwards (`number`)."""
    found = []
    for i in range(count):
        hashed = hashlib.blake2b(f"{digest}/{number}/{i}".encode(), digest_size=8).digest()
        found.append(FRESH_FROM | (int.from_bytes(hashed, "big") >> 13))
    return found


def p_better(claimed: Sequence[float], fresh: Sequence[float], better: str) -> float:
    """One-sided p of "the claimed seeds are better than fresh ones": Student's t with pooled variance.

    Values are on the metric's scale. An honest claim and the fresh seeds are draws of one distribution, so the variances
    are one and the pooled test is exact for normal values; Welch's would lose power for a condition that holds. NaN if
    there are fewer than two values in all; without any spread the sign of the difference decides.
    """
    import numpy as np
    from scipy.special import stdtr

    from bench.tables.statistics import ROUNDING

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


@dataclass
class Finding:
    """What verifying one row gave: the line of `results/verified/<entry>.jsonl`, and the verdict."""

    line: dict[str, Any]
    records: Sequence[Record] = ()

    @property
    def verdict(self) -> Verdict:
        verdict: Verdict = self.line["verdict"]
        return verdict


def verify(
    found: Sequence[Claim],
    store: Store,
    settings: Any,
    count: int = USUAL,
    say: Callable[[str], None] = lambda line: None,
    draw: Callable[[], str] = drawn,
) -> list[Finding]:
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
        claim.replay_seed = reported[int(identity.blake(f"{claim.digest}/{number}/replay"), 16) % len(reported)]
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
        append(store, finding.line)
    return findings


def _run(rows: Sequence[plan.Row], scratch: Store, settings: Any) -> None:
    from bench.running import sweep

    if not rows:
        return
    own = settings.copy()
    own.reuse, own.transport = "none", "pipe"
    if sweep.run(plan.Plan(list(rows)), scratch, own).interrupted:
        raise KeyboardInterrupt


def _keep(claim: Claim, scratch: Store, store: Store) -> None:
    """Fresh seeds' records move into the store, with their curves."""
    for cells in claim.fresh.planned.values() if claim.fresh is not None else ():
        for cell in cells:
            record = scratch.get(cell.key)
            if record is not None:
                curves = scratch.local / cell.key[:2] / f"{cell.key}.{record['attempt']}.npz"
                store.put(record, curves.read_bytes() if curves.is_file() else b"")


def _read(claim: Claim, scratch: Store) -> tuple[Metric, list[list[float]]]:
    """The ranking metric, and its values over the claimed and over the fresh seeds, penalties for failures included."""
    from bench.tables.join import Joined
    from bench.tables.seed_values import Reader

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


def judge(claim: Claim, scratch: Store, number: str, first: list[Record | None] | None) -> Finding:
    """The line of one claim from the records in `scratch`. first: the replay's first run, where it was run twice."""
    from bench.tables import statistics

    row = claim.row
    planned = claim.fresh.planned if claim.fresh is not None else {}
    made = [scratch.get(cell.key) for cells in planned.values() for cell in cells]
    records = [record for record in made if record is not None]
    provenance = records[0]["provenance"] if records else {}
    metric, values = _read(claim, scratch)
    scaled = [list(map(float, statistics.transform(group, metric.scale))) for group in values]
    line: dict[str, Any] = {
        "entry": row.entry, "task": row.task, "version": config.task_spec(row.task).cls.version, "preset": row.preset,
        "params": dict(row.params), "set": settings_of(row), "metric": metric.name, "verdict": "not comparable",
        "reason": claim.why_not, "fresh": None, "p": None, "replayed": None, "entry_digest": claim.digest, "drawn": number,
        "repeated": bool(repeated()),
        "claimed": {
            "mean": _centre(scaled[0], metric.scale), "seeds": sorted(claim.records),
            "keys": sorted(r["key"] for group in claim.records.values() for r in group),
        },
        "isolation": provenance.get("isolation"), "commit": provenance.get("commit"),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    if claim.why_not:
        return Finding(line, records)
    p = p_better(scaled[0], scaled[1], metric.better)
    line["p"] = None if math.isnan(p) else p
    line["fresh"] = {"mean": _centre(scaled[1], metric.scale), "seeds": list(planned),
                     "values": [value if math.isfinite(value) else None for value in values[1]]}  # fmt: skip
    line["replayed"], complaint = replay.outcome(claim, scratch, first)
    short = [f"{r['status']}: {r.get('reason', '')}" for r in records if r["status"] in replay.LACKING]
    if short or len(records) < len(made):
        line["reason"] = f"a fresh seed has no result here ({short[0] if short else 'no record'})"
    elif complaint:
        line |= {"verdict": "disputed", "reason": complaint}
    elif math.isnan(p):
        line["reason"] = f"{metric.name} is undefined for some seed"
    elif p < ALPHA:
        reason = f"the claimed seeds are better than fresh ones (one-sided p = {p:.2g}, below {ALPHA:g})"
        line |= {"verdict": "disputed", "reason": reason}
    else:
        line["verdict"] = "verified"
    return Finding(line, records)


def table(found: Sequence[Mapping[str, Any]], form: str = "text") -> str:
    """Verdicts as an aligned text table, or in Markdown."""
    rows = [("task", "entry", "verdict", "claimed", "fresh", "p", "replay", "reason")]
    for line in found:
        replay = line["replayed"]
        said = "" if replay is None else "equal" if replay["equal"] else replay.get("note", "differs")
        claimed, fresh = line["claimed"], line["fresh"]
        rows.append((
            line["task"], line["entry"], line["verdict"], f"{_short(claimed['mean'])} (n {len(claimed['seeds'])})",
            f"{_short(fresh['mean'])} (n {len(fresh['seeds'])})" if fresh else "", _short(line["p"]), said, line["reason"],
        ))  # fmt: skip
    if form == "markdown":
        body = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
        return "\n".join(f"| {row} |" for row in [body[0], " | ".join([":--"] * len(rows[0])), *body[1:]])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


# ---------------------------------------------------------------- lines: results/verified/<entry>.jsonl


def path_of(store: Store, entry: str) -> Path:
    """Where an entry's verifications are."""
    return store.root / "verified" / f"{entry.replace('/', '_')}.jsonl"


def append(store: Store, line: Mapping[str, Any]) -> None:
    """Add a line; nothing written before is changed."""
    path = path_of(store, line["entry"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, sort_keys=True, allow_nan=False) + "\n")


def lines(store: Store) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """(task, preset, entry, parameters as canonical JSON) -> the latest line about that row.

    Lines that repeat a draw are left out: whoever chooses the number chooses the seeds.
    """
    found: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for path in sorted((store.root / "verified").glob("*.jsonl")):
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                line = json.loads(text)
                where = (line["task"], line["preset"], line["entry"], identity.canonical_json(line["params"]))
            except (ValueError, KeyError, TypeError) as error:
                store.reports.append(f"{path}:{number} cannot be read ({error!r}); skipped")
                continue
            if not line.get("repeated") and (where not in found or line["when"] >= found[where]["when"]):
                found[where] = line
    return found


def standing(store: Store) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(task, preset, entry) -> the latest line about that row; with the preset's own parameters, where there is one."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for line in sorted(lines(store).values(), key=lambda line: (not line.get("set"), line["when"])):
        found[line["task"], line["preset"], line["entry"]] = line
    return found


def badge(line: Mapping[str, Any] | None, keys: Iterable[str]) -> str:
    """ "verified" or "disputed" if `line` speaks of a row's records, else "claimed". keys: of those records.

    A verification covers the records it saw: one more seed or newer code, and the row is a claim again. A dispute stays
    with every row that still shows one of the disputed records.
    """
    shown, seen = set(keys), set((line or {}).get("claimed", {}).get("keys", ()))
    if line is None or not shown:
        return "claimed"
    if line["verdict"] == "disputed" and shown & seen:
        return "disputed"
    return "verified" if line["verdict"] == "verified" and shown <= seen else "claimed"
