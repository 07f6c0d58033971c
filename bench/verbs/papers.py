"""`bench claims`, `figures`, `cite` and `datasheet`: papers' statements from records, and the papers behind tables and tasks."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.board import citation
from bench.verbs import PLAIN, exit_code, planned, print_json, print_reports, run, split, verb


def do_claims(options: argparse.Namespace) -> int:
    """Papers' statements, measured again from records: `bench claims`, `bench claims 'pde/*' 2309.14322 --run`."""
    from bench.claims import claim, report, verdicts

    patterns, settings = split(options.words)
    claims, wrong = claim.select(patterns)
    survey = verdicts.Survey([*claims.values()], settings)
    summary = run(survey.merged, survey.store, survey.settings) if options.run else None
    findings = survey.evaluate()
    print(report.RENDERERS[options.format](findings))
    print_reports(survey.store)
    for error in wrong.values():
        print(f"bench: {error}", file=sys.stderr)
    return exit_code(summary, bool(wrong) or any(finding.verdict == "error" for finding in findings))


def do_figures(options: argparse.Namespace) -> int:
    """Figures from records, as SVG files: `bench figures`, `bench figures grokking --run --out docs/figures`."""
    from bench.figures import gallery as figures
    from bench.figures.drawing import alone
    from bench.records.files import write_atomically

    patterns, settings = split(options.words)
    specs, wrong = figures.of_ids(figures.select(patterns))
    gallery = figures.Gallery(specs, settings)
    summary = run(gallery.merged, gallery.store, gallery.settings) if options.run else None
    rows = []
    for drawing in sorted([*gallery.draw(), *wrong], key=lambda drawing: drawing.id):
        path = Path(options.out) / f"{drawing.id.replace('/', '-')}.svg"
        text = (
            f"{drawing.missing} of {drawing.cells} cells have no record; `bench figures {drawing.id} --run` makes them"
        )
        if drawing.svg:
            write_atomically(path, (alone(drawing.svg) + "\n").encode())
            text = f"{path}: {'; '.join(drawing.notes)}"
        state = "error" if drawing.error else "drawn" if drawing.svg else "missing"
        fields = {name: getattr(drawing, name) for name in ("cells", "missing", "notes", "error")}
        rows.append({"id": drawing.id, "state": state, "path": str(path) if drawing.svg else None} | fields)
        if options.format != "json":
            print(f"{state:8} {drawing.id:36} {drawing.error or text}")
    if options.format == "json":
        print_json(rows)
    print_reports(gallery.store)
    return exit_code(summary, any(row["state"] == "error" for row in rows))


def do_cite(options: argparse.Namespace) -> int:
    """How to cite a table: `bench cite suite=core task=grokking/modular_addition`.

    Prints the harness with version, commit and a digest of the table's records, then the papers of its tasks and entries, as
    their configurations name them. `bench table` of the same records prints the same digest.
    """
    from bench.tables import join

    _, store, plan = planned(options.overrides)
    words = [word for word in options.overrides if not word.startswith("results=")]
    citation_of_table = citation.cite(join.build_all(plan, store), " ".join(["bench table", *words]))
    print(citation.RENDERERS[options.format](citation_of_table))
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
    figures = verb(verbs, "figures", do_figures, sweeps=False)
    for parser, names in ((claims, "ids, patterns of ids, or arXiv numbers"), (figures, "ids or patterns of ids")):
        parser.add_argument(
            "words", nargs="*", metavar="PATTERN|key=value", help=f"{names}; settings such as workers=2"
        )
        parser.add_argument("--run", action="store_true", help="first run the cells that have no record")
    figures.add_argument("--out", default="results/figures", help="folder of the SVG files")
    verb(verbs, "cite", do_cite, tuple(citation.RENDERERS))
    datasheet = verb(verbs, "datasheet", do_datasheet, ("markdown", "json"), sweeps=False)
    datasheet.add_argument("task", nargs="?", help="its name; all tasks if left out")
    datasheet.add_argument("--out", help="write into this folder")
