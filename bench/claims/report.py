"""Claims as text, Markdown and JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bench.tables import grid

if TYPE_CHECKING:
    from bench.claims.verdicts import Finding, Outcome

WIDTH = 120


def _number(value: float) -> str:
    return f"{value:.4g}"


def _measured(outcome: Outcome | None) -> str:
    """`0.012 [0.010, 0.014], n 5`, or why there is no number."""
    if outcome is None:
        return ""
    if outcome.error:
        return outcome.error
    if not outcome.n:
        return f"{outcome.missing} cells have no record"
    bounds = f" [{_number(outcome.lo)}, {_number(outcome.hi)}]" if math.isfinite(outcome.lo) else ""
    older = f", {outcome.older} records of older code" if outcome.older else ""
    return f"{_number(outcome.measured)}{bounds}, n {outcome.n}{older}"


def _source(finding: Finding) -> str:
    claim = finding.claim
    return claim.paper + (f", arXiv {claim.arxiv}" if claim.arxiv else "")


def _wanted(finding: Finding) -> str:
    """`above 0 (accuracy), fixed after; tried 2 settings`."""
    claim = finding.claim
    tried = (
        f"tried {claim.tried['settings']} setting{'s' * (claim.tried['settings'] > 1)}, seeds {claim.tried['seeds']}"
    )
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
    lines: list[str] = []
    for finding in findings:
        claim = finding.claim
        lines.append(f"{finding.verdict.upper():15} {claim.id}  ({finding.cpu_seconds:.0f} CPU s)")
        lines += textwrap.wrap(
            f"{claim.statement} {_source(finding)}", WIDTH, initial_indent="  ", subsequent_indent="  "
        )
        lines.append(f"  wanted: {_wanted(finding)}")
        lines += [f"  {outcome.setting.name}: {outcome.verdict}: {_measured(outcome)}" for outcome in finding.outcomes]
        if claim.note:
            lines += textwrap.wrap(f"note: {claim.note}", WIDTH, initial_indent="  ", subsequent_indent="  ")
        lines.append("")
    if any(finding.verdict == "not tested" for finding in findings):
        lines.append("`bench claims --run` runs the cells that are missing")
    return "\n".join([*lines, _summary(findings)])


def markdown(findings: Sequence[Finding]) -> str:
    """A table with a row for every setting; the claim itself is named in its first."""
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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shape(outcome: Outcome | None) -> dict[str, Any]:
    if outcome is None or not outcome.n:
        return {"measured": None, "interval": None, "n": 0}
    interval = [outcome.lo, outcome.hi] if math.isfinite(outcome.lo) else None
    return {"measured": _finite(outcome.measured), "interval": interval, "n": outcome.n}


def as_dict(finding: Finding) -> dict[str, Any]:
    """Plain values. measured, interval and n are of the setting whose centre lies least far inside the predicate."""
    claim = finding.claim
    limits = {"above": claim.predicate.low, "below": claim.predicate.high}
    both = [claim.predicate.low, claim.predicate.high]
    return {
        "id": claim.id,
        "paper": claim.arxiv,
        "citation": claim.paper,
        "statement": claim.statement,
        "verdict": finding.verdict,
        **_shape(finding.hardest),
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
                **_shape(outcome),
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
    """A list with an object a claim."""
    return json.dumps([as_dict(finding) for finding in findings], indent=1, ensure_ascii=False, allow_nan=False)


RENDERERS: dict[str, Callable[[Sequence[Finding]], str]] = {"text": text, "markdown": markdown, "json": as_json}
