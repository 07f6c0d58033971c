"""Findings of claims as text, Markdown and JSON."""

from __future__ import annotations

import functools
import json
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bench.planning.files import ClaimFile
from bench.tables import grid

if TYPE_CHECKING:
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
    """`above 0 (accuracy), fixed after; tried 2 settings, seeds 0-4`."""
    file, tried = finding.claim.file, finding.claim.file.tried
    unit = f"{file.unit}, exact" if file.exact else file.unit
    settings = f"tried {tried.settings} setting{'s' * (tried.settings > 1)}, seeds {tried.seeds}"
    return f"{finding.claim.predicate} ({unit}), fixed {finding.threshold}; {settings}"


def _summary(findings: Sequence[Finding]) -> str:
    words = Counter(finding.verdict for finding in findings)
    records = {record.key: record for finding in findings for record in finding.records}
    cost = sum(record.costs.cpu_total for record in records.values())
    counts = ", ".join(f"{count} {word}" for word, count in words.most_common())
    return f"{len(findings)} claims: {counts or 'none'}; from {len(records)} records of {cost:.0f} CPU s"


def text(findings: Sequence[Finding]) -> str:
    """For a terminal: verdict, id and statement, then what was measured in every setting."""
    wrap = functools.partial(textwrap.wrap, width=120, initial_indent="  ", subsequent_indent="  ")
    lines: list[str] = []
    for finding in findings:
        file = finding.claim.file
        lines.append(f"{finding.verdict.upper():15} {finding.claim.id}  ({finding.cpu_seconds:.0f} CPU s)")
        lines += wrap(f"{file.statement} {_source(file)}")
        lines.append(f"  wanted: {_wanted(finding)}")
        lines += [f"  {outcome.setting.name}: {outcome.verdict}: {_measured(outcome)}" for outcome in finding.outcomes]
        lines += [*(wrap(f"note: {file.note}") if file.note else ()), ""]
    if any(finding.verdict == "not tested" for finding in findings):
        lines.append("`bench claims --run` runs the cells that have no record")
    return "\n".join([*lines, _summary(findings)])


def markdown(findings: Sequence[Finding]) -> str:
    """A table with a row for every setting; the first row of a claim also names the claim."""
    rows = [("claim", "statement", "wanted", "setting", "measured", "verdict")]
    for finding in findings:
        statement = f"{finding.claim.file.statement} *{_source(finding.claim.file)}*"
        about = f"`{finding.claim.id}`: **{finding.verdict}**", statement, _wanted(finding)
        for outcome in finding.outcomes:
            rows.append((*about, outcome.setting.name, _measured(outcome), outcome.verdict))
            about = "", "", ""
    return f"{grid.markdown(rows)}\n\n{_summary(findings)}"


def _numbers(outcome: SettingOutcome | None) -> dict[str, Any]:
    if outcome is None or not outcome.n:
        return {"measured": None, "interval": None, "n": 0}
    interval = [outcome.lo, outcome.hi] if math.isfinite(outcome.lo) else None
    return {"measured": outcome.measured, "interval": interval, "n": outcome.n}


def as_dict(finding: Finding) -> dict[str, Any]:
    """The finding as plain values. measured, interval and n are those of `finding.hardest`."""
    file = finding.claim.file
    settings = []
    for outcome in finding.outcomes:
        settings.append(msgspec.to_builtins(outcome.setting) | {"verdict": outcome.verdict} | _numbers(outcome) | {
            "values": {str(seed): value for seed, value in outcome.values.items()},
            "missing": outcome.missing, "older": outcome.older, "error": outcome.error,
            "keys": [record.key for record in outcome.records],
        })  # fmt: skip
    return {
        "id": finding.claim.id, "paper": file.arxiv, "citation": file.paper, "statement": file.statement,
        "verdict": finding.verdict, **_numbers(finding.hardest), "unit": file.unit,
        "predicate": msgspec.to_builtins(file.limits), "scale": file.scale, "exact": file.exact,
        "threshold": finding.threshold, "tried": {"settings": file.tried.settings, "seeds": str(file.tried.seeds)},
        "note": file.note, "cpu_seconds": round(finding.cpu_seconds, 3),
        "keys": [record.key for record in finding.records], "settings": settings,
    }  # fmt: skip


def as_json(findings: Sequence[Finding]) -> str:
    """A list with one object for each claim."""
    return json.dumps([as_dict(finding) for finding in findings], indent=1, ensure_ascii=False, allow_nan=False)


RENDERERS: dict[str, Callable[[Sequence[Finding]], str]] = {"text": text, "markdown": markdown, "json": as_json}
