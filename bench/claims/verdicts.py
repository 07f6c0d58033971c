"""From claims and the records of their cells to verdicts; `bench claims`, the board and reports print them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.claims import preregistration
from bench.claims.claim import Claim, Verdict, called
from bench.contract import BenchError
from bench.planning.files import Setting
from bench.records.record import Record
from bench.tables.join import PlanSet
from bench.tables.seed_values import Joined
from bench.tables.statistics import MIN_SEEDS, interval


@dataclass(frozen=True)
class SettingOutcome:
    """The verdict of one setting. measured, lo, hi: centre and interval over seeds, NaN where there is none.

    values: seed -> measure. missing: cells without a record, or whose data or packages are absent. error: of the measure.
    """

    setting: Setting
    verdict: Verdict
    measured: float = math.nan
    lo: float = math.nan
    hi: float = math.nan
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
    """A claim with its outcomes. threshold: "before" or "after", as declared and as the history of the file allows.

    second: the finding of its confirmatory run, None if none is planned.
    """

    claim: Claim
    outcomes: tuple[SettingOutcome, ...]
    threshold: str
    second: Finding | None = None

    @property
    def verdict(self) -> Verdict:
        """The combined verdict of all settings."""
        return combine([outcome.verdict for outcome in self.outcomes])

    @property
    def confirmation(self) -> str:
        """What the second run says: "confirmed" only if it reproduces the claim and was fixed before it was made."""
        if self.second is None:
            return "none planned"
        if self.second.verdict == "not tested":
            return "not yet run"
        if self.second.verdict == "reproduced" and self.second.threshold == "before":
            return "confirmed"
        return self.second.verdict

    @property
    def hardest(self) -> SettingOutcome | None:
        """The tested setting whose centre lies least far inside the predicate: the number shown for the claim."""
        tested = [outcome for outcome in self.outcomes if outcome.n]
        return min(tested, key=lambda outcome: self.claim.predicate.margin(outcome.measured), default=None)

    @property
    def records(self) -> list[Record]:
        """Every record behind the claim, of both runs, once."""
        own = [record for outcome in self.outcomes for record in outcome.records]
        return list({record.key: record for record in [*own, *(self.second.records if self.second else ())]}.values())

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of the cells behind the claim."""
        return sum(record.costs.cpu_total for record in self.records)


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """`error` if any setting has one; else the verdict that all tested settings share, or `mixed`."""
    tested = set(verdicts) - {"not tested"}
    if "error" in tested or len(tested) > 1:
        return "error" if "error" in tested else "mixed"
    return tested.pop() if tested else "not tested"


def judge(claim: Claim, setting: Setting, seeds: Mapping[int, Mapping[str, Sequence[Record | None]]]) -> SettingOutcome:
    """The outcome of one setting from seed -> entry -> records in plan order, None for a cell without a record. Pure.

    A setting counts only once all its cells have records: stopping at a seed of choice would choose the verdict. The interval
    is Student's t on the claim's scale, with half the measure's step at either end, or for an exact measure the range; fewer
    than three seeds have none. Where all seeds are equal they agree on the verdict, and without a step tell no interval.
    """
    cells = [record for entries in seeds.values() for records in entries.values() for record in records]
    present = [record for record in cells if record is not None and record.status != "unavailable"]
    unique = tuple({record.key: record for record in present}.values())
    if len(present) < len(cells):
        return SettingOutcome(setting, "not tested", missing=len(cells) - len(present), records=unique)
    values: dict[int, float] = {}
    for seed, entries in sorted(seeds.items()):
        given = {entry: [record for record in records if record is not None] for entry, records in entries.items()}
        try:
            values[seed] = number = called(claim.measure, f"seed {seed}", given)
            if not math.isfinite(number) or (claim.file.scale == "log" and number <= 0):
                wanted = "above 0, as its scale is log" if claim.file.scale == "log" else "finite"
                raise BenchError(f"seed {seed}: the measure is {number}; it has to be {wanted}")
        except BenchError as error:
            return SettingOutcome(setting, "error", error=str(error), records=unique)
    numbers = [*values.values()]
    spread = sum(numbers) / len(numbers), min(numbers), max(numbers)
    half = claim.file.step / 2
    centre, lo, hi = spread if claim.file.exact else interval(numbers, claim.file.scale, step=(half, half))
    edges = (centre, centre) if math.isnan(lo) and len(numbers) >= MIN_SEEDS else (lo, hi)
    return SettingOutcome(setting, claim.predicate.verdict(*edges), centre, lo, hi, values, records=unique)


class Survey(PlanSet):
    """Claims with the plans of their settings. BenchError, naming claim and setting, if a plan does not resolve."""

    def __init__(self, claims: Sequence[Claim], words: Iterable[str] = ()) -> None:
        super().__init__("claim", words)
        self.claims = claims
        self.history = preregistration.History()
        for claim in claims:
            seeds = self._seeds(claim)
            if claim.second and (seen := sorted(seeds & self._seeds(claim.second))):
                reason = f"its first run had seeds {', '.join(map(str, seen))} too; a second run wants fresh ones"
                raise BenchError(f"claim {claim.id}, confirmatory: {reason}")

    def _seeds(self, claim: Claim) -> set[int]:
        """The seeds of a claim's settings, whose plans are made."""
        seeds: set[int] = set()
        for setting in claim.file.settings:
            try:
                seeds |= {seed for row in self.plan(setting.plan).rows for seed in row.planned}
            except BenchError as error:
                raise BenchError(f"claim {claim.id}, setting {setting.name}: {error}") from error
        return seeds

    def evaluate(self) -> list[Finding]:
        """Join the plans with the store, as tables do, and judge both runs of every claim."""
        joined = self.joined()
        return [self._finding(claim, joined) for claim in self.claims]

    def _finding(self, claim: Claim, joined: Mapping[tuple[str, ...], Sequence[Joined]]) -> Finding:
        outcomes = []
        for setting in claim.file.settings:
            seeds: dict[int, dict[str, list[Record | None]]] = {}
            for row in (rows := joined[setting.plan]):
                for seed, records in row.cells.items():
                    seeds.setdefault(seed, {}).setdefault(row.entry, []).extend(records)
            outcomes.append(replace(judge(claim, setting, seeds), older=sum(row.older for row in rows)))
        second = self._finding(claim.second, joined) if claim.second else None
        return Finding(claim, tuple(outcomes), threshold(claim, outcomes, self.history), second)


def threshold(claim: Claim, outcomes: Iterable[SettingOutcome], history: preregistration.History) -> str:
    """The declared threshold, "before" or "after"; "before" is checked against the history of the claim's file."""
    if claim.file.threshold == "after":
        return "after"
    records = [record for outcome in outcomes for record in outcome.records]
    runs = {(record.provenance.commit, record.provenance.started) for record in records}
    order = history.check(claim.source, claim.fixing, runs)
    return {"before": "before", "after": "after (declared before)"}.get(order, f"before ({order})")
