"""Findings of claims as text, Markdown and JSON."""

from __future__ import annotations

import functools
import json
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bench.tables import grid

if TYPE_CHECKING:
    from bench.claims.verdicts import Finding, SettingOutcome

WIDTH = 120


def _measured(outcome: SettingOutcome) -> str:
    """`0.012 [0.010, 0.014], n 5`, or the reason why there is no number."""
    if outcome.error:
        return outcome.error
    if not outcome.n:
        return f"{outcome.missing} cells have no record"
    bounds = f" [{outcome.lo:.4g}, {outcome.hi:.4g}]" if math.isfinite(outcome.lo) else ""
    older = f", {outcome.older} records of older code" if outcome.older else ""
    return f"{outcome.measured:.4g}{bounds}, n {outcome.n}{older}"


def _source(finding: Finding) -> str:
    claim = finding.claim
    return claim.paper + (f", arXiv {claim.arxiv}" if claim.arxiv else "")


def _wanted(finding: Finding) -> str:
    """`above 0 (accuracy), fixed after; tried 2 settings`."""
    claim, settings = finding.claim, finding.claim.tried["settings"]
    tried = f"tried {settings} setting{'s' * (settings > 1)}, seeds {claim.tried['seeds']}"
    exact = ", exact" if claim.exact else ""
    return f"{claim.predicate} ({claim.unit}{exact}), fixed {finding.threshold}; {tried}"


def _summary(findings: Sequence[Finding]) -> str:
    words = Counter(finding.verdict for finding in findings)
    records = {record.key: record for finding in findings for record in finding.records}
    cost = sum(record.costs.cpu_total for record in records.values())
    counts = ", ".join(f"{count} {word}" for word, count in words.most_common())
    return f"{len(findings)} claims: {counts or 'none'}; from {len(records)} records of {cost:.0f} CPU s"


def text(findings: Sequence[Finding]) -> str:
    """For a terminal: verdict, id and statement, then what was measured in every setting."""
    wrap = functools.partial(textwrap.wrap, width=WIDTH, initial_indent="  ", subsequent_indent="  ")
    lines: list[str] = []
    for finding in findings:
        claim = finding.claim
        lines.append(f"{finding.verdict.upper():15} {claim.id}  ({finding.cpu_seconds:.0f} CPU s)")
        lines += wrap(f"{claim.statement} {_source(finding)}")
        lines.append(f"  wanted: {_wanted(finding)}")
        lines += [f"  {outcome.setting.name}: {outcome.verdict}: {_measured(outcome)}" for outcome in finding.outcomes]
        lines += [*(wrap(f"note: {claim.note}") if claim.note else ()), ""]
    if any(finding.verdict == "not tested" for finding in findings):
        lines.append("`bench claims --run` runs the cells that have no record")
    return "\n".join([*lines, _summary(findings)])


def markdown(findings: Sequence[Finding]) -> str:
    """A table with a row for every setting; the first row of a claim also names the claim."""
    rows = [("claim", "statement", "wanted", "setting", "measured", "verdict")]
    for finding in findings:
        about = (
            f"`{finding.claim.id}`: **{finding.verdict}**",
            f"{finding.claim.statement} *{_source(finding)}*",
            _wanted(finding),
        )
        for outcome in finding.outcomes:
            rows.append((*about, outcome.setting.name, _measured(outcome), outcome.verdict))
            about = ("", "", "")
    return f"{grid.markdown(rows)}\n\n{_summary(findings)}"


def _numbers(outcome: SettingOutcome | None) -> dict[str, Any]:
    if outcome is None or not outcome.n:
        return {"measured": None, "interval": None, "n": 0}
    interval = [outcome.lo, outcome.hi] if math.isfinite(outcome.lo) else None
    return {"measured": outcome.measured, "interval": interval, "n": outcome.n}


def as_dict(finding: Finding) -> dict[str, Any]:
    """The finding as plain values. measured, interval and n are those of `finding.hardest`."""
    claim = finding.claim
    limits = {"above": claim.predicate.low, "below": claim.predicate.high}
    both = [claim.predicate.low, claim.predicate.high]
    return {
        "id": claim.id,
        "paper": claim.arxiv,
        "citation": claim.paper,
        "statement": claim.statement,
        "verdict": finding.verdict,
        **_numbers(finding.hardest),
        "unit": claim.unit,
        "predicate": {claim.predicate.bound: limits.get(claim.predicate.bound, both)},
        "scale": claim.scale,
        "exact": claim.exact,
        "threshold": finding.threshold,
        "tried": dict(claim.tried),
        "note": claim.note,
        "cpu_seconds": round(finding.cpu_seconds, 3),
        "keys": [record.key for record in finding.records],
        "settings": [
            {
                "name": outcome.setting.name,
                "plan": list(outcome.setting.plan),
                "verdict": outcome.verdict,
                **_numbers(outcome),
                "values": {str(seed): value for seed, value in outcome.values.items()},
                "missing": outcome.missing,
                "older": outcome.older,
                "error": outcome.error,
                "keys": [record.key for record in outcome.records],
            }
            for outcome in finding.outcomes
        ],
    }


def as_json(findings: Sequence[Finding]) -> str:
    """A list with one object for each claim."""
    return json.dumps([as_dict(finding) for finding in findings], indent=1, ensure_ascii=False, allow_nan=False)


RENDERERS: dict[str, Callable[[Sequence[Finding]], str]] = {"text": text, "markdown": markdown, "json": as_json}
