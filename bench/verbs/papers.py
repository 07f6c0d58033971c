"""`bench claims`, `figures`, `cite` and `datasheet`: papers' statements from records, and the papers behind tables and tasks."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.board import citation
from bench.verbs import PLAIN, asked, run, say, verb


def do_claims(options: argparse.Namespace) -> int:
    """Papers' statements, measured again from records: `bench claims`, `bench claims 'pde/*' 2309.14322 --run`."""
    from bench.claims import claim, verdicts
    from bench.claims import report as shown

    patterns = [word for word in options.words if "=" not in word]
    claims, wrong = claim.select(patterns)
    survey = verdicts.Survey([*claims.values()], [word for word in options.words if "=" in word])
    summary = run(survey.merged, survey.store, survey.settings) if options.run else None
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
    summary = run(gallery.merged, gallery.store, gallery.settings) if options.run else None
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


def do_cite(options: argparse.Namespace) -> int:
    """How to cite a table: `bench cite suite=core task=grokking/modular_addition`.

    Prints the harness with version, commit and a digest of the table's records, then the papers of its tasks and entries, as
    their configurations name them. `bench table` of the same records prints the same digest.
    """
    from bench.tables import join

    _, store, plan = asked(options.overrides)
    words = [word for word in options.overrides if not word.startswith("results=")]
    found = citation.cite(join.build_all(plan, store), " ".join(["bench table", *words]))
    print(citation.RENDERERS[options.format](found))
    return 0


def do_datasheet(options: argparse.Namespace) -> int:
    """The datasheet of a task, or of every task: `bench datasheet pde/burgers_1d`, `bench datasheet --out FOLDER`.

    One Markdown page for each task: source and licence of the data, intended use, known limits, error of the reference,
    sizes by preset, metrics, version. With --out each page is written to a file, otherwise printed.
    """
    from bench.board import datasheet
    from bench.planning import config
    from bench.records.files import write_atomically

    names = [options.task] if options.task else sorted(config.names("task"))
    if options.format == "json":
        sheets = [datasheet.fields(name) for name in names]
        text = json.dumps(sheets[0] if options.task else sheets, indent=1, ensure_ascii=False, default=str)
        pages = {f"{options.task.replace('/', '.')}.json" if options.task else "datasheets.json": text + "\n"}
    else:
        pages = {f"{name.replace('/', '.')}.md": datasheet.page(name) for name in names}
    for name, text in pages.items():
        if options.out:
            write_atomically(Path(options.out) / name, text.encode())
        print(Path(options.out) / name if options.out else text)
    return 0


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
    verb(verbs, "cite", do_cite, tuple(citation.RENDERERS))
    datasheet = verb(verbs, "datasheet", do_datasheet, ("markdown", "json"), sweeps=False)
    datasheet.add_argument("task", nargs="?", help="its name; all tasks if left out")
    datasheet.add_argument("--out", help="write into this folder")
