"""Speed-run records: who reaches a task's target in the fewest steps, and in the fewest CPU seconds, over time.

A record is a mean over seeds that all reach the target. The next one has to be better at one-sided p < 0.01: against published
seeds where both are in the ledger, and over fresh seeds, drawn after its digest is fixed, where it is proposed
(`results/speedrun/<family>/<task>.jsonl`). Published rows of one day count as one event, whose best stands: a sweep runs
its entries in some order, and that order is no history. CPU seconds are those of the entry (`cpu_entry`), times the
machine's calibration score; without a score there is no row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from bench.checking.fresh_seeds import ALPHA, FEWEST, USUAL, drawn, fresh_seeds, p_better, repeated
from bench.checking.published_rows import digest_of
from bench.contract import BenchError, Metric, Task
from bench.planning import config, plan
from bench.planning.seeds import TUNING_FROM
from bench.planning.settings import Settings
from bench.records.files import write_atomically
from bench.records.record import Record
from bench.records.spelling import canonical_json
from bench.records.store import Store
from bench.tables import grid
from bench.tables.table import CPU_ENTRY

By = Literal["steps", "cpu"]


@dataclass(frozen=True)
class Run:
    """One entry with one configuration on a task. values: seed -> what is compared; lower is better.

    steps: mean of the target metric. cpu: mean calibrated CPU seconds, None without calibration. how: "published" in the
    ledger, or "fresh" where it was proposed and accepted. p, against: the test that made it a record.
    """

    entry: str
    config: Mapping[str, Any]
    values: Mapping[int, float]
    steps: float
    cpu: float | None
    date: str
    keys: tuple[str, ...]
    how: Literal["published", "fresh"]
    p: float | None = None
    against: str = ""

    @property
    def mean(self) -> float:
        """Of the compared values."""
        return sum(self.values.values()) / len(self.values)


@dataclass(frozen=True)
class Table:
    """A task's progression by steps or by CPU seconds: every record in order of time, the standing one last."""

    task: str
    version: int
    preset: str
    metric: str
    unit: str
    budget: int
    by: By
    rows: tuple[Run, ...]


def target_metric(task: type[Task]) -> Metric | None:
    """The metric whose target is run for: the ranking one if it has a target, else the first that has; None if none."""
    timed = [metric for metric in task.metrics if metric.target is not None]
    return next((metric for metric in timed if metric.name == task.rank), timed[0] if timed else None)


def cpu_of(record: Record) -> float | None:
    """CPU seconds of the entry, as `CPU_ENTRY` says, times the machine's score; None on a machine without one."""
    score = record.provenance.calibration
    return None if score is None else record.costs.own * score


def run_of(records: Sequence[Record], metric: Metric, by: By, how: Literal["published", "fresh"]) -> Run | None:
    """The run of one entry's records, one a seed; None unless there are three and all reach the target."""
    reached = all(r.status == "ok" and metric.name not in r.censored for r in records)
    if len({r.seed for r in records}) < FEWEST or not reached:
        return None
    steps = {int(r.seed): float(r.metrics[metric.name]) for r in records}
    cpus = {int(r.seed): cpu_of(r) for r in records}
    timed = {seed: value for seed, value in cpus.items() if value is not None}
    whole = len(timed) == len(cpus)
    if by == "cpu" and not whole:
        return None
    dates = [str(r.provenance.started) for r in records]
    return Run(
        records[0].entry, records[0].config, steps if by == "steps" else timed, sum(steps.values()) / len(steps),
        sum(timed.values()) / len(timed) if whole else None, max(dates), tuple(r.key for r in records), how,
    )  # fmt: skip


def p_of(new: Run, standing: Run) -> float:
    """One-sided p of "the new run is faster": paired over common seeds where there are three, pooled otherwise."""
    common = sorted(set(new.values) & set(standing.values))
    if len(common) < FEWEST:
        return p_better(list(new.values.values()), list(standing.values.values()), "min")
    from bench.tables.comparisons import paired_difference

    difference = paired_difference([new.values[s] for s in common], [standing.values[s] for s in common])
    return difference.p / 2 if difference.mean < 0 else 1 - difference.p / 2


def progression(published: Sequence[Run], accepted: Sequence[Run]) -> tuple[Run, ...]:
    """The records in order of time. accepted: proposed ones, tested already; they stand if they are still faster."""
    found: list[Run] = []
    days = sorted({run.date[:10] for run in (*published, *accepted)})
    for day in days:
        today = sorted((run for run in published if run.date[:10] == day), key=lambda run: run.mean)
        for run in today:
            if not found:
                found.append(run)
                continue
            p = p_of(run, found[-1])
            if p < ALPHA:
                found.append(Run(**{**vars(run), "p": p, "against": found[-1].entry}))
        for run in sorted((run for run in accepted if run.date[:10] == day), key=lambda run: run.date):
            if not found or run.mean < found[-1].mean:
                found.append(run)
    return tuple(found)


def path_of(store: Store, task: str) -> Path:
    """Where a task's accepted records are."""
    return store.root / "speedrun" / f"{task}.jsonl"


def _lines(store: Store, task: str) -> Iterator[dict[str, Any]]:
    path = path_of(store, task)
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else (), 1):
        try:
            line = json.loads(text)
            if line["values"]:
                yield line
        except (ValueError, KeyError, TypeError) as error:
            store.reports.append(f"{path}:{number} cannot be read ({error!r}); skipped")


def _accepted(store: Store, task: str, version: int, preset: str, by: By) -> list[Run]:
    return [
        Run(
            line["entry"], line["config"], {int(seed): value for seed, value in line["values"].items()}, line["steps"],
            line["cpu"], line["date"], tuple(line["keys"]), "fresh", line["p"], line["against"],
        )
        for line in _lines(store, task)
        if (line["version"], line["preset"], line["by"]) == (version, preset, by)
    ]  # fmt: skip


def tables(store: Store, tasks: Sequence[str] = (), preset: str = "small") -> list[Table]:
    """A table by steps, and one by CPU seconds, for every task with a target and at least one record at `preset`.

    tasks: only these. Parameters are the preset's own; older versions of a task do not count.
    """
    specs, wrong = config.sound("task", config.task_spec, tasks or None)
    store.reports += wrong.values()
    metrics = {name: metric for name, spec in specs.items() if (metric := target_metric(spec.cls)) is not None}
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in store.published(metrics):
        if record.preset == preset:
            spec = config.task_spec(record.task)
            usual = config.parameters(spec, preset, {})
            if record.version == spec.cls.version and record.params == usual:
                group = (record.task, record.entry, canonical_json(record.config))
                groups.setdefault(group, []).append(record)
    found = []
    for name, metric in metrics.items():
        cls = config.task_spec(name).cls
        budget = cls(cls.Params(**config.parameters(config.task_spec(name), preset, {}))).budget.limit
        sides: tuple[By, By] = ("steps", "cpu")
        for by in sides:
            runs = [run_of(rs, metric, by, "published") for (task, *_), rs in groups.items() if task == name]
            rows = progression([run for run in runs if run], _accepted(store, name, cls.version, preset, by))
            if rows:
                unit = metric.unit if by == "steps" else "CPU s"
                found.append(Table(name, cls.version, preset, metric.name, unit, budget, by, rows))
    return found


def needed(new: Run, standing: Run) -> int | None:
    """Seeds that would show `new` to be faster with 80 % power, by what is known; None if it does not look faster."""
    from bench.tables.comparisons import seeds_to_separate

    common = sorted(set(new.values) & set(standing.values))
    a, b = [new.values[s] for s in common], [standing.values[s] for s in common]
    if len(common) < 2 or sum(a) >= sum(b):
        return None
    return seeds_to_separate(a, b, alpha=2 * ALPHA)  # one side of a two-sided test


def forecast(store: Store, task: str, entry: str, records: Sequence[Record], preset: str) -> str:
    """In words: how many seeds a record of `entry` on `task` would need, from its own records."""
    metric = target_metric(config.task_spec(task).cls)
    standing = next((t.rows[-1] for t in tables(store, [task], preset) if t.by == "steps"), None)
    if metric is None or standing is None or standing.entry == entry:
        return ""
    run = run_of(records, metric, "steps", "published")
    count = None if run is None else needed(run, standing)
    command = f"`bench speedrun {task} --propose {entry}`"
    if count is None:
        return f"{task}: no sign of a speed-run record ({standing.entry} stands at {standing.steps:.4g} {metric.unit})"
    return (
        f"{task}: a speed-run record over {standing.entry} needs about {count} fresh seeds: {command} --seeds {count}"
    )


def propose(
    store: Store,
    task: str,
    entry: str,
    settings: Settings,
    by: By = "steps",
    count: int | None = None,
    say: Callable[[str], None] = lambda line: None,
    draw: Callable[[], str] = drawn,
) -> dict[str, Any]:
    """Run `entry`, and the standing one beside it, on fresh seeds; a faster one becomes a line of the task's file.

    Returns the line, with "accepted" and a "reason". count: fresh seeds; by default as many as the published seeds say are
    needed, at least 5. The standing configuration is run again where the entry still has it, so that seeds are paired.
    """
    from bench.running import sweep

    spec, preset = config.task_spec(task), settings.preset
    metric = target_metric(spec.cls)
    if metric is None:
        raise BenchError(f"{task} has no target, so nobody can be first to reach it; `bench speedrun` lists the tasks")
    name = config.entry(entry).name
    standing = next((t.rows[-1] for t in tables(store, [task], preset) if t.by == by), None)
    planner = plan.Planner(store, settings)
    row = planner.row(task, name, [0], {}, {})
    cell = row.planned[0][0]
    parts, params = (json.loads(json.dumps(dict(one))) for one in (cell.parts, cell.params))
    if standing is not None and (standing.entry, standing.config) == (name, parts):
        raise BenchError(f"{name} holds the record of {task} itself, with {standing.mean:.4g}; propose another entry")
    digest = digest_of(row)
    say(f"digest {digest}  {task} {name}")
    same = (task, name, preset, parts, params)
    own = [
        r
        for r in store.of_entry(name, preset)
        if (r.task, r.entry, r.preset, r.config, r.params) == same and r.seed < TUNING_FROM
    ]
    known = run_of(list({r.seed: r for r in own}.values()), metric, by, "published")
    wants = needed(known, standing) if known and standing else None
    count = count or max(USUAL, wants or 0)
    if count < FEWEST:
        raise BenchError(f"--seeds {count}: a record takes at least {FEWEST} fresh seeds")
    number = draw()  # after the digest is fixed
    say(f"drawn  {number}\n{count} fresh seeds" + (f"; about {wants} are needed" if wants else ""))
    seeds = fresh_seeds(digest, number, count)
    rows = [planner.row(task, name, seeds, {}, {})]
    if standing is not None and standing.entry in config.names("entry"):
        other = planner.row(task, standing.entry, seeds, {}, {})
        if json.loads(json.dumps(dict(other.planned[seeds[0]][0].parts))) == standing.config:
            rows.append(other)
    if sweep.run(plan.Plan(rows), store, settings).interrupted:
        raise KeyboardInterrupt
    runs = []
    for one in rows:
        made = [store.get(cell.key) for cells in one.planned.values() for cell in cells]
        runs.append(run_of([record for record in made if record is not None], metric, by, "fresh"))
    new, rival = runs[0], runs[1] if len(runs) > 1 else standing
    line: dict[str, Any] = {
        "task": task, "version": spec.cls.version, "preset": preset, "by": by, "entry": name, "config": parts,
        "against": standing.entry if standing else "", "needed": wants, "entry_digest": digest, "drawn": number,
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "p": None, "accepted": False,
    }  # fmt: skip
    if new is None:
        told = "some seed misses the target" if by == "steps" else "some seed misses the target, or has no calibration"
        return line | {"reason": told}
    line |= {"values": {str(s): v for s, v in new.values.items()}, "steps": new.steps, "cpu": new.cpu,
             "keys": list(new.keys)}  # fmt: skip
    if standing is not None:
        # a rival that now misses the target somewhere cannot be paired; its published seeds stand for it
        line["p"] = p_of(new, rival or standing)
        if math.isnan(line["p"]) or line["p"] >= ALPHA:
            return line | {"reason": f"p = {line['p']:.2g} against {standing.entry}; below {ALPHA:g} is asked"}
        if new.mean >= standing.mean:
            return line | {"reason": f"{new.mean:.4g} does not undercut the published {standing.mean:.4g}"}
    if repeated():  # whoever chooses the number chooses the seeds
        return line | {"reason": "its number was given by SWEEPSTAKES_DRAWN; leave it unset, and one is drawn"}
    line |= {"accepted": True, "reason": ""}
    _append(store, task, line)
    return line


def _append(store: Store, task: str, line: Mapping[str, Any]) -> None:
    path = path_of(store, task)
    old = path.read_bytes() if path.is_file() else b""
    write_atomically(path, old + (json.dumps(line, sort_keys=True, allow_nan=False) + "\n").encode())


def render(found: Sequence[Table], form: str) -> str:
    """Tables as text, Markdown or JSON."""
    if form == "json":
        plain = [asdict(table) | {"standing": table.rows[-1].entry} for table in found]
        return json.dumps(plain, indent=1)
    blocks = []
    for table in found:
        title = f"{table.task} v{table.version} · {table.preset} · fewest {table.unit} ({table.metric})"
        rows = [("date", "entry", "steps", "CPU s", "seeds", "p", "over", "how")]
        for run in table.rows:
            cpu, p = "" if run.cpu is None else f"{run.cpu:.3g}", "" if run.p is None else f"{run.p:.2g}"
            rows.append(
                (run.date[:10], run.entry, f"{run.steps:.4g}", cpu, str(len(run.values)), p, run.against, run.how)
            )
        if form == "markdown":
            lines = [f"### {title}", "", grid.markdown(rows)]
        else:
            lines = [title, grid.text(rows)]
        if table.by == "cpu":
            lines += ["", f"{CPU_ENTRY}."]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
