"""From claims and records to verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.claims import preregistration
from bench.claims.claim import FIXING, Claim, Setting, Verdict
from bench.contract import BenchError
from bench.planning import config, plan
from bench.planning.plan import Plan
from bench.records.record import Record
from bench.records.store import Store

NAN = math.nan


@dataclass(frozen=True)
class Outcome:
    """What one setting says. measured, lo, hi: centre and interval over seeds, NaN where there is none.

    values: seed -> measure. missing: cells of the plan without a record, or whose data or packages are not here. older:
    records of older code. error: of the measure, with the seed.
    """

    setting: Setting
    verdict: Verdict
    measured: float = NAN
    lo: float = NAN
    hi: float = NAN
    values: Mapping[int, float] = field(default_factory=dict)
    missing: int = 0
    older: int = 0
    error: str = ""
    records: tuple[Record, ...] = ()

    @property
    def n(self) -> int:
        """Seeds measured."""
        return len(self.values)


@dataclass(frozen=True)
class Finding:
    """A claim with its outcomes. threshold: "before" or "after", as declared and as the history of the file allows."""

    claim: Claim
    outcomes: tuple[Outcome, ...]
    threshold: str

    @property
    def verdict(self) -> Verdict:
        """Of all settings."""
        return combine([outcome.verdict for outcome in self.outcomes])

    @property
    def hardest(self) -> Outcome | None:
        """The tested setting whose centre lies least far inside the predicate: the number shown for the claim."""
        tested = [outcome for outcome in self.outcomes if outcome.n]
        return min(tested, key=lambda o: self.claim.predicate.margin(o.measured), default=None)

    @property
    def records(self) -> list[Record]:
        """Every record behind the claim, once."""
        return list({record.key: record for outcome in self.outcomes for record in outcome.records}.values())

    @property
    def cpu_seconds(self) -> float:
        """What those cells cost."""
        return sum(record.costs.cpu_total for record in self.records)


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """An error first; else the verdict that all tested settings share, or `mixed`. Settings without cells have no say."""
    if "error" in verdicts:
        return "error"
    tested = set(verdicts) - {"not tested"}
    if not tested:
        return "not tested"
    return tested.pop() if len(tested) == 1 else "mixed"


def interval(claim: Claim, values: Sequence[float]) -> tuple[float, float, float]:
    """(centre, lo, hi) over seeds: Student's t on the claim's scale, or for an exact measure the mean and the range.

    NaN bounds with fewer than three seeds (see bench.tables.statistics.t_interval), so that no verdict rests on a guess.
    """
    if claim.exact:
        return sum(values) / len(values), min(values), max(values)
    from bench.tables.statistics import t_interval

    return t_interval(values, scale=claim.scale)


def judge(claim: Claim, setting: Setting, seeds: Mapping[int, Mapping[str, Sequence[Record | None]]]) -> Outcome:
    """The outcome of one setting from seed -> entry -> records in plan order, None for a cell without one. Pure.

    A setting counts once all its cells are there: whoever stops at a seed of choice also chooses the verdict.
    """
    cells = [record for entries in seeds.values() for records in entries.values() for record in records]
    there = [record for record in cells if record is not None and record.status != "unavailable"]
    kept = tuple({record.key: record for record in there}.values())
    if len(there) < len(cells):
        return Outcome(setting, "not tested", missing=len(cells) - len(there), records=kept)
    values: dict[int, float] = {}
    for seed, entries in sorted(seeds.items()):
        given = {entry: [record for record in records if record is not None] for entry, records in entries.items()}
        try:
            values[seed] = _checked(claim, claim.measure(given))
        except Exception as error:  # a measure is anybody's code; what it raises is the outcome
            text = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
            return Outcome(setting, "error", error=f"seed {seed}: {text}", records=kept)
    centre, lo, hi = interval(claim, list(values.values()))
    return Outcome(setting, claim.predicate.verdict(lo, hi), centre, lo, hi, values, records=kept)


def _checked(claim: Claim, value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or (claim.scale == "log" and number <= 0):
        wants = "above 0, as its scale is log" if claim.scale == "log" else "finite"
        raise BenchError(f"the measure is {number}; it has to be {wants}")
    return number


class Survey:
    """Claims, the cells they need, and the records there are. `words` are settings of the run, such as `workers=2`.

    Published records count as done unless `reuse=` says otherwise. BenchError if a plan does not resolve.
    """

    def __init__(self, claims: Sequence[Claim], words: Iterable[str] = ()) -> None:
        self.claims = claims
        self.words = ["reuse=ledger", *words]
        for word in self.words:
            if word.split("=")[0].split(".")[0] not in config.RUN_WORDS:
                raise BenchError(f"{word}: a claim's cells are its own; here may be set {', '.join(config.RUN_WORDS)}")
        self.settings = config.parse(self.words).settings
        self.store = Store(Path(self.settings.results))
        self.plans: dict[tuple[str, ...], Plan] = {}
        for claim in claims:
            for setting in claim.settings:
                if setting.plan not in self.plans:
                    self.plans[setting.plan] = self._plan(claim, setting)

    def _plan(self, claim: Claim, setting: Setting) -> Plan:
        try:
            return plan.make(config.parse([*self.words, *setting.plan]), self.store)
        except BenchError as error:
            raise BenchError(f"claim {claim.id}, setting {setting.name}: {error}") from error

    @property
    def merged(self) -> Plan:
        """The cells of all claims as one plan."""
        return Plan([row for one in self.plans.values() for row in one.rows])

    def run(self) -> Any:
        """Run what is missing, with progress; returns the runner's summary."""
        from bench.running import sweep

        sink = None
        if self.settings.wandb != "off":
            from bench.running.sinks import wandb_sink

            sink = wandb_sink(self.settings.wandb, self.store)
        return sweep.run(self.merged, self.store, self.settings, sink)

    def evaluate(self) -> list[Finding]:
        """Join the plans with the store, as tables do, and judge."""
        from bench.tables.join import join

        joined = {id(one.row): one for _, rows in join(self.merged, self.store) for one in rows}
        found = []
        for claim in self.claims:
            outcomes = []
            for setting in claim.settings:
                seeds: dict[int, dict[str, list[Record | None]]] = {}
                rows = [joined[id(row)] for row in self.plans[setting.plan].rows]
                for row in rows:
                    for seed, records in row.cells.items():
                        seeds.setdefault(seed, {}).setdefault(row.entry, []).extend(records)
                outcome = judge(claim, setting, seeds)
                outcomes.append(Outcome(**{**vars(outcome), "older": sum(row.older for row in rows)}))
            found.append(Finding(claim, tuple(outcomes), threshold(claim, outcomes)))
        return found


def threshold(claim: Claim, outcomes: Iterable[Outcome]) -> str:
    """The declared word, checked against the history of the claim's file if it says "before"."""
    if claim.threshold == "after":
        return "after"
    records = [record for outcome in outcomes for record in outcome.records]
    made = {(r.provenance.commit, r.provenance.started) for r in records}
    told = preregistration.check(claim.source, FIXING, made)
    return {"before": "before", "after": "after (declared before)"}.get(told, f"before ({told})")
