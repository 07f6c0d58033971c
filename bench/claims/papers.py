"""The papers whose problems the project runs, each with the tally of its claims and what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.claims import report
from bench.claims.verdicts import Finding
from bench.contract import BenchError
from bench.planning import config
from bench.planning.files import PaperFile

MEASURED = ("reproduced", "not reproduced", "mixed", "inconclusive")  # verdicts that rest on records


def tally(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Of every file `configs/paper/*.yaml`, by arXiv number: its fields, and the verdicts of its claims in both runs.

    `measured` counts claims whose first run has its records; `rests_on` is the claim that the finding rests on, as
    `report.as_dict` has it. BenchError for a finding that rests on a claim of another paper, or of none.
    """
    rows = []
    for number in sorted(config.names("paper")):
        file = config.load("paper", number, PaperFile)
        own = {finding.claim.id: finding for finding in findings if finding.claim.file.arxiv == number}
        if file.claim not in own:
            raise BenchError(
                f"paper {number}: its finding rests on {file.claim}; claims of the paper: {', '.join(sorted(own)) or 'none'}"
            )
        rows.append({
            "arxiv": number, "title": file.title, "authors": file.authors, "families": file.families,
            "claims": len(own), "measured": sum(finding.verdict in MEASURED for finding in own.values()),
            "exploratory": Counter(finding.verdict for finding in own.values()),
            "confirmatory": Counter(finding.confirmation for finding in own.values()),
            "finding": file.finding, "rests_on": report.as_dict(own[file.claim]),
        })  # fmt: skip
    return rows
