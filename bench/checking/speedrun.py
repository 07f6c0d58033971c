"""Speed-run records: which entry reaches a task's target in the fewest steps or CPU seconds, as a progression over time.

A speed-run record is a mean over seeds that all reach the target. The next one has to be better at one-sided p < 0.01: against
published seeds where both are in the ledger, and over fresh seeds where it is proposed (`results/speedrun/<task>.jsonl`).
Published rows of one day count as one event, whose best stands: a sweep runs its entries in some order, which is no history.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec.structs import asdict, replace

from bench.checking import published_rows
from bench.checking.published_rows import Say
from bench.contract import BenchError, Metric, Task
from bench.outcome import plain
from bench.planning import config, plan
from bench.planning.settings import Settings
from bench.records.files import read_lines, write_atomically
from bench.records.record import Record
from bench.records.spelling import canonical_json
from bench.records.store import Store
from bench.running import sweep
from bench.tables import grid
from bench.tables.comparisons import paired_difference, seeds_to_separate
from bench.tables.statistics import ROUNDING
from bench.tables.table import CPU_ENTRY

By = Literal["steps", "cpu"]

ALPHA = 0.01  # the chance of a run that is no faster to become a record
USUAL = 5  # fresh seeds of a proposal, unless more are needed


class Run(msgspec.Struct, frozen=True):
    """One entry with one configuration on a task. values: seed -> steps or CPU seconds, which are compared; lower is better.

    steps: mean of the target metric. cpu: mean calibrated CPU seconds, None without calibration. how: "published" in the
    ledger, or "fresh" for an accepted proposal. p, against: of the test that made it a record, and the entry it beat.
    """

    entry: str
    config: dict[str, Any]
    values: dict[int, float]
    steps: float
    cpu: float | None
    date: str
    keys: tuple[str, ...]
    how: Literal["published", "fresh"]
    p: float | None = None
    against: str = ""

    @property
    def mean(self) -> float:
        """The mean of `values`."""
        return sum(self.values.values()) / len(self.values)


class Proposal(Run, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a proposal ended, with its run over fresh seeds; an accepted one is a line of its task's file.

    needed: fresh seeds that the published ones say are needed. entry_digest: of all that the row depends on, fixed before the
    number `drawn` was. accepted: whether it is a speed-run record now. reason: why not. `values` is empty where `run_of` is None.
    """

    task: str
    version: int
    preset: str
    by: By
    needed: int | None
    entry_digest: str
    drawn: str
    accepted: bool
    reason: str


class Table(msgspec.Struct, frozen=True):
    """A task's progression by steps or by CPU seconds: every speed-run record in order of time, the standing one last."""

    task: str
    version: int
    preset: str
    metric: str
    unit: str
    budget: int
    by: By
    rows: tuple[Run, ...]


def target_metric(task: type[Task]) -> Metric | None:
    """The metric whose target counts: the one that ranks, else the first that has a target; None if none has."""
    timed = [metric for metric in task.metrics if metric.target is not None]
    return min(timed, key=lambda metric: metric.name != task.rank, default=None)


def cpu_of(record: Record) -> float | None:
    """CPU seconds of the entry, as `CPU_ENTRY` says, times the machine's score; None on a machine without one."""
    score = record.provenance.calibration
    return None if score is None else record.costs.own * score


def run_of(records: Sequence[Record], metric: Metric, by: By, how: Literal["published", "fresh"]) -> Run | None:
    """The run of one entry's records, one a seed.

    None if there are fewer than three seeds, if one misses the target, or if one has no calibration where CPU seconds count.
    """
    reached = all(r.status == "ok" and metric.name not in r.censored for r in records)
    if len({r.seed for r in records}) < published_rows.FEWEST or not reached:
        return None
    steps = {r.seed: float(r.metrics[metric.name]) for r in records}
    seconds = {r.seed: cpu for r in records if (cpu := cpu_of(r)) is not None}
    timed = len(seconds) == len(steps)
    if by == "cpu" and not timed:
        return None
    return Run(
        records[0].entry, records[0].config, steps if by == "steps" else seconds, sum(steps.values()) / len(steps),
        sum(seconds.values()) / len(seconds) if timed else None, max(r.provenance.started for r in records),
        tuple(r.key for r in records), how,
    )  # fmt: skip


def p_of(new: Run, standing: Run) -> float:
    """One-sided p of "the new run is faster": paired over common seeds where there are three, pooled otherwise."""
    a, b = _paired(new, standing)
    if len(a) < published_rows.FEWEST:
        return p_pooled([*new.values.values()], [*standing.values.values()])
    difference = paired_difference(a, b)
    return difference.p / 2 if difference.mean < 0 else 1 - difference.p / 2


def p_pooled(new: Sequence[float], standing: Sequence[float]) -> float:
    """One-sided p of "the new run is faster" by unpaired seeds: Student's t with pooled variance.

    NaN for an empty side, for fewer than three values in all, and for a value that is not finite; without any spread the
    sign of the difference decides.
    """
    from scipy.special import stdtr  # takes a tenth of a second, which a reader of paired runs need not spend

    x, y = np.asarray(new, dtype=float), np.asarray(standing, dtype=float)
    df = len(x) + len(y) - 2
    if not len(x) or not len(y) or df < 1 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return math.nan
    gain = float(y.mean() - x.mean())
    spread = math.sqrt((((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum()) / df)
    tiny = ROUNDING * max(float(np.abs(np.concatenate([x, y])).max()), 1e-300)
    if abs(gain) <= tiny:
        return 1.0
    if spread <= tiny:
        return 0.0 if gain > 0 else 1.0
    return float(stdtr(df, -gain / (spread * math.sqrt(1 / len(x) + 1 / len(y)))))


def _paired(new: Run, standing: Run) -> tuple[list[float], list[float]]:
    """The values of two runs over their common seeds."""
    common = sorted({*new.values} & {*standing.values})
    return [new.values[seed] for seed in common], [standing.values[seed] for seed in common]


def progression(published: Sequence[Run], accepted: Sequence[Run]) -> tuple[Run, ...]:
    """The speed-run records in order of time. accepted: proposals, which were tested; they stand if they are still faster."""
    standing: list[Run] = []
    for day in sorted({run.date[:10] for run in (*published, *accepted)}):
        for run in sorted((run for run in published if run.date[:10] == day), key=lambda run: run.mean):
            if not standing:
                standing.append(run)
            elif (p := p_of(run, standing[-1])) < ALPHA:
                standing.append(replace(run, p=p, against=standing[-1].entry))
        for run in sorted((run for run in accepted if run.date[:10] == day), key=lambda run: run.date):
            if not standing or run.mean < standing[-1].mean:
                standing.append(run)
    return tuple(standing)


def path_of(store: Store, task: str) -> Path:
    """The file of a task's accepted proposals."""
    return store.root / "speedrun" / f"{task}.jsonl"


def tables(store: Store, tasks: Sequence[str] = (), preset: str = "small") -> list[Table]:
    """A table by steps, and one by CPU seconds, for every task with a target and at least one record at `preset`.

    tasks: only these. Parameters are the preset's own; older versions of a task do not count.
    """
    specs, wrong = config.sound("task", config.task_spec, tasks or None)
    store.reports += wrong.values()
    progressions = []
    for name, spec in specs.items():
        cls, metric = spec.cls, target_metric(spec.cls)
        if metric is None:
            continue
        params, version = config.parameters(spec, preset, {}), cls.version
        groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in store.published([name]):
            if (record.preset, record.version, record.params) == (preset, version, params):
                groups[record.entry, canonical_json(record.config)].append(record)
        proposals = list(read_lines(path_of(store, name), msgspec.json.Decoder(Proposal).decode, store.reports))
        units: dict[By, str] = {"steps": metric.unit, "cpu": "CPU s"}
        for by, unit in units.items():
            runs = [run for group in groups.values() if (run := run_of(group, metric, by, "published"))]
            accepted = [old for old in proposals if (old.version, old.preset, old.by) == (version, preset, by)]
            if rows := progression(runs, accepted):
                budget = cls(cls.Params(**params)).budget.limit
                progressions.append(Table(name, version, preset, metric.name, unit, budget, by, rows))
    return progressions


def needed(new: Run, standing: Run) -> int | None:
    """Seeds that would show `new` to be faster with 80 % power, by the common seeds; None if it does not look faster."""
    a, b = _paired(new, standing)
    if len(a) < 2 or sum(a) >= sum(b):
        return None
    return seeds_to_separate(a, b, alpha=2 * ALPHA)  # one side of a two-sided test


def forecast(store: Store, task: str, entry: str, records: Sequence[Record], preset: str) -> str:
    """A sentence on how many fresh seeds a speed-run record of `entry` would need, by its records; empty without a rival."""
    metric = target_metric(config.task_spec(task).cls)
    standing = _standing(store, task, preset, "steps")
    if metric is None or standing is None or standing.entry == entry:
        return ""
    run = run_of(records, metric, "steps", "published")
    count = None if run is None else needed(run, standing)
    if count is None:
        return f"{task}: no sign of a speed-run record ({standing.entry} stands at {standing.steps:.4g} {metric.unit})"
    command = f"`bench speedrun {task} --propose {entry} --seeds {count}`"
    return f"{task}: a speed-run record over {standing.entry} needs about {count} fresh seeds: {command}"


def _standing(store: Store, task: str, preset: str, by: By) -> Run | None:
    return next((table.rows[-1] for table in tables(store, [task], preset) if table.by == by), None)


def propose(store: Store, task: str, entry: str, settings: Settings, by: By, count: int | None, say: Say) -> Proposal:
    """Run `entry`, and the standing one beside it, on fresh seeds; a faster one becomes a line of the task's file.

    count: fresh seeds; None for as many as the published ones say are needed, at least 5. The standing configuration is run again
    where its entry still has it, so that seeds are paired. BenchError if the task has no target, the entry holds the record
    itself, or `count` is below 3; KeyboardInterrupt if the sweep is interrupted.
    """
    spec, preset = config.task_spec(task), settings.preset
    metric = target_metric(spec.cls)
    if metric is None:
        raise BenchError(f"{task} has no target, so nobody can be first to reach it; `bench speedrun` lists the tasks")
    standing, planner = _standing(store, task, preset, by), plan.Planner(store, settings)
    row = planner.row(task, entry, [0], {}, {})
    name, parts = row.entry, plain(dict(row.planned[0][0].parts))  # as a record's JSON gives it back: tuples are lists
    if standing is not None and (standing.entry, standing.config) == (name, parts):
        raise BenchError(f"{name} holds the record of {task} itself, with {standing.mean:.4g}; propose another entry")
    digest = published_rows.digest_of(row)
    say(f"digest {digest}  {task} {name}")
    claims = published_rows.claims(store, name, config.Request(settings, [task]))
    groups = [group for claim in claims if claim.row.params == row.params for group in claim.records.values()]
    known = run_of([record for group in groups for record in group], metric, by, "published")
    estimate = needed(known, standing) if known and standing else None
    count = count or max(USUAL, estimate or 0)
    if count < published_rows.FEWEST:
        raise BenchError(f"--seeds {count}: a record takes at least {published_rows.FEWEST} fresh seeds")
    number = published_rows.drawn()  # after the digest is fixed
    say(f"drawn  {number}\n{count} fresh seeds" + (f"; about {estimate} are needed" if estimate else ""))
    seeds = published_rows.fresh_seeds(digest, number, count)
    rows = [planner.row(task, name, seeds, {}, {})]
    if standing is not None and standing.entry in config.names("entry"):
        other = planner.row(task, standing.entry, seeds, {}, {})
        rows += [other] if plain(dict(next(other.cells()).parts)) == standing.config else []
    if sweep.run(plan.Plan(rows), store, settings).interrupted:
        raise KeyboardInterrupt
    made = [[record for cell in row.cells() if (record := store.get(cell.key)) is not None] for row in rows]
    new, *rivals = [run_of(group, metric, by, "fresh") for group in made]
    p, reason = None, ""
    if new is None:
        reason = "some seed misses the target" + (", or has no calibration" if by == "cpu" else "")
    elif standing is not None:
        # A rival that now misses the target at some seed cannot be paired, so its published seeds stand for it.
        p = p_of(new, next(filter(None, rivals), standing))
        if math.isnan(p) or p >= ALPHA:
            reason = f"p = {p:.2g} against {standing.entry}; below {ALPHA:g} is asked"
        elif new.mean >= standing.mean:
            reason = f"{new.mean:.4g} does not undercut the published {standing.mean:.4g}"
    if not reason and published_rows.repeated():  # whoever chooses the number chooses the seeds
        reason = "its number was given by SWEEPSTAKES_DRAWN; leave it unset, and one is drawn"
    run = asdict(new or Run(name, parts, {}, math.nan, None, "", (), "fresh"))
    against = standing.entry if standing else ""
    proposal = Proposal(
        **run | {"date": sweep.now(), "p": p, "against": against}, task=task, version=spec.cls.version, preset=preset, by=by,
        needed=estimate, entry_digest=digest, drawn=number, accepted=not reason, reason=reason,
    )  # fmt: skip
    if proposal.accepted:
        path = path_of(store, task)
        old = path.read_bytes() if path.is_file() else b""
        write_atomically(path, old + msgspec.json.encode(proposal) + b"\n")
    return proposal


def render(progressions: Sequence[Table], form: str) -> str:
    """Tables as text, Markdown or JSON."""
    if form == "json":
        return json.dumps([plain(table) | {"standing": table.rows[-1].entry} for table in progressions], indent=1)
    blocks = []
    for table in progressions:
        title = f"{table.task} v{table.version} · {table.preset} · fewest {table.unit} ({table.metric})"
        rows = [("date", "entry", "steps", "CPU s", "seeds", "p", "over", "how")]
        for run in table.rows:
            cpu, p = "" if run.cpu is None else f"{run.cpu:.3g}", "" if run.p is None else f"{run.p:.2g}"
            steps, seeds = f"{run.steps:.4g}", str(len(run.values))
            rows.append((run.date[:10], run.entry, steps, cpu, seeds, p, run.against, run.how))
        lines = [f"### {title}", "", grid.markdown(rows)] if form == "markdown" else [title, grid.text(rows)]
        if table.by == "cpu":
            lines += ["", f"{CPU_ENTRY}."]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
