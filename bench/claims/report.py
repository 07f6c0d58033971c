"""Findings of claims as text, Markdown and JSON."""

from __future__ import annotations

import functools
import json
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bench.claims.closeness import qualified
from bench.planning.files import ClaimFile
from bench.tables import grid

if TYPE_CHECKING:
    from bench.claims.claim import Claim
    from bench.claims.verdicts import Finding, SettingOutcome


def _measured(outcome: SettingOutcome) -> str:
    """`0.012 [0.010, 0.014], n 5`, or the reason why there is no number."""
    if outcome.error:
        return outcome.error
    if not outcome.n:
        return f"{outcome.missing} cells have no record"
    bounds = f" [{outcome.lo:.4g}, {outcome.hi:.4g}]" if math.isfinite(outcome.lo) else ", all equal" * (outcome.n > 2)
    older = f", {outcome.older} records of older code" if outcome.older else ""
    return f"{outcome.measured:.4g}{bounds}, n {outcome.n}{older}"


def _source(file: ClaimFile) -> str:
    return file.paper + (f", arXiv {file.arxiv}" if file.arxiv else "")


def _wanted(finding: Finding) -> str:
    """`above 0 (accuracy), fixed after`."""
    file = finding.claim.file
    return f"{finding.claim.predicate} ({file.unit}{', exact' * file.exact}), fixed {finding.threshold}"


def _tried(file: ClaimFile) -> str:
    return f"tried {file.tried.settings} setting{'s' * (file.tried.settings > 1)}, seeds {file.tried.seeds}"


def _runs(finding: Finding) -> list[tuple[str, Finding, str]]:
    """The runs of a claim: (name, finding, what it wants and how it was set up)."""
    file, second = finding.claim.file, finding.second
    runs = [("exploratory", finding, f"{_wanted(finding)}; {_tried(file)}")]
    if second and file.confirmatory:
        runs.append(("confirmatory", second, f"{_wanted(second)}; new {file.confirmatory.new}"))
    return runs


def _qualifier(finding: Finding) -> str:
    """Of the combined verdict; where settings disagree each has its own."""
    return qualified(finding.claim, finding.outcomes) if finding.verdict in ("reproduced", "not reproduced") else ""


def _verdict(claim: Claim, outcome: SettingOutcome) -> str:
    return ", ".join(filter(None, (outcome.verdict, qualified(claim, [outcome]))))


def _summary(findings: Sequence[Finding]) -> str:
    def counted(words: Iterable[str]) -> str:
        return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common()) or "none"

    records = {record.key: record for finding in findings for record in finding.records}
    cost = sum(record.costs.cpu_total for record in records.values())
    return (
        f"{len(findings)} claims, exploratory: {counted(finding.verdict for finding in findings)}; confirmatory: "
        f"{counted(finding.confirmation for finding in findings)}; from {len(records)} records of {cost:.0f} CPU s"
    )


def text(findings: Sequence[Finding]) -> str:
    """For a terminal: the verdicts of both runs, id and statement, then what was measured in every setting of each."""
    wrap = functools.partial(textwrap.wrap, width=120, initial_indent="  ", subsequent_indent="  ")
    lines = [f"{'exploratory':15} {'confirmatory':15} claim"] if findings else []
    for finding in findings:
        file = finding.claim.file
        about = filter(None, (file.kind, _qualifier(finding), f"{finding.cpu_seconds:.0f} CPU s"))
        words = f"{finding.verdict.upper():15} {finding.confirmation.upper():15}"
        lines.append(f"{words} {finding.claim.id}  ({'; '.join(about)})")
        lines += wrap(f"{file.statement} {_source(file)}")
        for name, run, wanted in _runs(finding):
            lines.append(f"  {name}, wanted: {wanted}")
            for outcome in run.outcomes:
                lines.append(f"    {outcome.setting.name}: {_verdict(run.claim, outcome)}: {_measured(outcome)}")
        lines += [*(wrap(f"note: {file.note}") if file.note else ()), ""]
    if any("not tested" in (finding.verdict, finding.second and finding.second.verdict) for finding in findings):
        lines.append("`bench claims --run` runs the cells that have no record")
    return "\n".join([*lines, _summary(findings)])


def markdown(findings: Sequence[Finding]) -> str:
    """A table with a row for every setting of both runs; a claim's first row also names it, and a run's first row its bound."""
    rows: list[tuple[str, ...]] = [
        ("claim", "kind", "statement", "wanted", "setting", "measured", "exploratory", "confirmatory")
    ]
    for finding in findings:
        file, words = finding.claim.file, f"**{finding.verdict}**, confirmatory: **{finding.confirmation}**"
        about: tuple[str, ...] = f"`{finding.claim.id}`: {words}", file.kind, f"{file.statement} *{_source(file)}*"
        for name, run, wanted in _runs(finding):
            for outcome in run.outcomes:
                verdict = _verdict(run.claim, outcome)
                verdicts = (verdict, "") if name == "exploratory" else ("", verdict)
                rows.append((*about, wanted, outcome.setting.name, _measured(outcome), *verdicts))
                about, wanted = ("", "", ""), ""
    return f"{grid.markdown(rows)}\n\n{_summary(findings)}"


def _numbers(outcome: SettingOutcome | None) -> dict[str, Any]:
    if outcome is None or not outcome.n:
        return {"measured": None, "interval": None, "n": 0}
    interval = [outcome.lo, outcome.hi] if math.isfinite(outcome.lo) else None
    return {"measured": outcome.measured, "interval": interval, "n": outcome.n}


def _run(finding: Finding) -> dict[str, Any]:
    """One run of a claim as plain values. measured, interval and n are those of `finding.hardest`."""
    settings = []
    for outcome in finding.outcomes:
        settings.append(msgspec.to_builtins(outcome.setting) | {"verdict": outcome.verdict} | _numbers(outcome) | {
            "qualifier": qualified(finding.claim, [outcome]),
            "values": {str(seed): value for seed, value in outcome.values.items()},
            "missing": outcome.missing, "older": outcome.older, "error": outcome.error,
            "keys": [record.key for record in outcome.records],
        })  # fmt: skip
    return {
        "verdict": finding.verdict, "qualifier": _qualifier(finding), **_numbers(finding.hardest),
        "predicate": msgspec.to_builtins(finding.claim.file.limits), "threshold": finding.threshold, "settings": settings,
    }  # fmt: skip


def as_dict(finding: Finding) -> dict[str, Any]:
    """The finding as plain values: those of the first run, and those of the second, or null, under `confirmatory`.

    `confirmation` is "confirmed" only if the second run reproduces the claim and was fixed before it was made.
    """
    file, planned = finding.claim.file, finding.claim.file.confirmatory
    return {
        "id": finding.claim.id, "paper": file.arxiv, "citation": file.paper, "statement": file.statement, "kind": file.kind,
        **_run(finding), "unit": file.unit, "scale": file.scale, "exact": file.exact,
        "tried": {"settings": file.tried.settings, "seeds": str(file.tried.seeds)},
        "note": file.note, "cpu_seconds": round(finding.cpu_seconds, 3),
        "keys": [record.key for record in finding.records], "confirmation": finding.confirmation,
        "confirmatory": {"new": planned.new, **_run(finding.second)} if planned and finding.second else None,
    }  # fmt: skip


def as_json(findings: Sequence[Finding]) -> str:
    """A list with one object for each claim."""
    return json.dumps([as_dict(finding) for finding in findings], indent=1, ensure_ascii=False, allow_nan=False)


RENDERERS: dict[str, Callable[[Sequence[Finding]], str]] = {"text": text, "markdown": markdown, "json": as_json}
