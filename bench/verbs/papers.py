"""`bench claims` and `figures`: what papers say, from records."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.verbs import PLAIN, say, verb


def do_claims(options: argparse.Namespace) -> int:
    """Papers' statements, measured again from records: `bench claims`, `bench claims 'pde/*' 2309.14322 --run`."""
    from bench.claims import claim, verdicts
    from bench.claims import report as shown

    patterns = [word for word in options.words if "=" not in word]
    claims, wrong = claim.select(patterns)
    survey = verdicts.Survey([*claims.values()], [word for word in options.words if "=" in word])
    summary = survey.run() if options.run else None
    findings = survey.evaluate()
    print(shown.RENDERERS[options.format](findings))
    say(survey.store)
    for line in wrong.values():
        print(f"bench: {line}", file=sys.stderr)
    if summary is not None and summary.interrupted:
        return 130
    failed = summary is not None and not summary.ok
    return 1 if wrong or failed or any(finding.verdict == "error" for finding in findings) else 0


def do_figures(options: argparse.Namespace) -> int:
    """Figures from records, as SVG files: `bench figures`, `bench figures grokking --run --out docs/figures`."""
    from bench.figures import gallery as figures
    from bench.figures.drawing import alone
    from bench.records.files import write_atomically

    patterns = [word for word in options.words if "=" not in word]
    specs, wrong = figures.of_ids(figures.select(patterns))
    gallery = figures.Gallery(specs, [word for word in options.words if "=" in word])
    summary = gallery.run() if options.run else None
    found = []
    for one in sorted([*gallery.draw(), *wrong], key=lambda one: one.id):
        path = Path(options.out) / f"{one.id.replace('/', '-')}.svg"
        if one.svg:
            write_atomically(path, (alone(one.svg) + "\n").encode())
        state = "error" if one.error else "drawn" if one.svg else "missing"
        found.append({"id": one.id, "state": state, "path": str(path) if one.svg else None, "cells": one.cells,
                      "missing": one.missing, "notes": list(one.notes), "error": one.error})  # fmt: skip
        if options.format != "json":
            told = f"{one.missing} of {one.cells} cells have no record; `bench figures {one.id} --run` makes them"
            told = one.error or (f"{path}: {'; '.join(one.notes)}" if one.svg else told)
            print(f"{state:8} {one.id:36} {told}")
    if options.format == "json":
        print(json.dumps(found, indent=1))
    say(gallery.store)
    if summary is not None and summary.interrupted:
        return 130
    failed = summary is not None and not summary.ok
    return 1 if failed or any(one["state"] == "error" for one in found) else 0


def add_parser(verbs: Any) -> None:
    """Add the verbs to the subparsers `verbs`; each sets `do`."""
    claims = verb(verbs, "claims", do_claims, (*PLAIN, "markdown"), sweeps=False)
    claims.add_argument("words", nargs="*", metavar="PATTERN|key=value",
                        help="ids, patterns of ids, or arXiv numbers; settings such as workers=2")  # fmt: skip
    claims.add_argument("--run", action="store_true", help="first run the cells that have no record")
    figures = verb(verbs, "figures", do_figures, sweeps=False)
    figures.add_argument("words", nargs="*", metavar="PATTERN|key=value",
                         help="ids or patterns of ids; settings such as workers=2")  # fmt: skip
    figures.add_argument("--run", action="store_true", help="first run the cells that have no record")
    figures.add_argument("--out", default="results/figures", help="folder of the SVG files")
