"""`make papers`: writes docs/papers.md from the published records: every paper, the tally of its claims, and what was found."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.claims import claim, papers, verdicts
from bench.planning import config
from bench.tables import grid

PATH = config.PROJECT / "docs" / "papers.md"
HEAD = """# The papers, and what was found

Written by `make papers` from the published records. A claim is a statement of a paper, or one on it, with a bound. The plan and
the bound of its second run, on fresh seeds and in a setting that was never run before, were committed before that run. The last
column has the claim that the sentence rests on, with its measured value and 95 % interval in both runs; `bench claims NAME` shows
it with its bound and its records.
"""


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The document of what `papers.tally` returns."""
    table: list[tuple[str, ...]] = [
        ("paper", "family", "claims, first run", "second run", "what was found", "rests on")
    ]
    for row in rows:
        name = f"{row['authors']}, *{row['title']}* ([{row['arxiv']}](https://arxiv.org/abs/{row['arxiv']}))"
        families = ", ".join(f"[{family}](../tasks/{family}/README.md)" for family in row["families"])
        rest = row["rests_on"]
        second = rest["confirmatory"]
        values = "; ".join(measured(run) for run in (rest, second) if run)
        claimed = f"`{rest['id']}`: {values}"
        table.append(
            (name, families, counted(row["exploratory"]), counted(row["confirmatory"]), row["finding"], claimed)
        )
    return f"{HEAD}\n{summary(rows)}\n\n{grid.markdown(table)}\n"


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """`22 of 22 papers have claims with records: 268 claims.`"""
    covered = sum(row["measured"] > 0 for row in rows)
    return f"{covered} of {len(rows)} papers have claims with records: {sum(row['claims'] for row in rows)} claims."


def counted(words: Mapping[str, int]) -> str:
    """`9 reproduced, 2 inconclusive`, the most frequent first."""
    return ", ".join(f"{count} {word}" for word, count in sorted(words.items(), key=lambda pair: (-pair[1], pair[0])))


def measured(run: Mapping[str, Any]) -> str:
    """`reproduced, 0.943 [0.943, 0.943]`, with three digits."""
    if run["measured"] is None:
        return str(run["verdict"])
    interval = " [{:.3g}, {:.3g}]".format(*run["interval"]) if run["interval"] else ""
    return f"{run['verdict']}, {run['measured']:.3g}{interval}"


def published() -> list[dict[str, Any]]:
    """The tally of the project's papers from its ledger alone."""
    with tempfile.TemporaryDirectory() as empty:  # without local records, which would take the place of published ones
        (Path(empty) / "ledger").symlink_to(config.PROJECT / "results" / "ledger")
        claims, _ = config.sound("claim", claim.load)
        return papers.tally(verdicts.Survey([*claims.values()], [f"results={empty}"]).evaluate())


if __name__ == "__main__":
    PATH.write_text(page(published()), encoding="utf-8")
