"""What is there, and what the records say."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.board import citation, record_page
from bench.checking import oddities, task_check
from bench.contract import BenchError
from bench.outcome import plain
from bench.planning import config, plan, states, typed
from bench.planning.files import MODELS
from bench.records import standing
from bench.records.files import write_atomically
from bench.records.record import schema
from bench.records.store import Store
from bench.verbs import PLAIN, answer, exit_code, note, planned, requested, run, split, verb

OLDER = " (a record of an older format, whose code digests cannot be compared with the current ones)"


def do_list(options: argparse.Namespace) -> int:
    """Tasks, entries with the slots they fill, suites, claims and figures.

    A file that cannot be read, or a task that lacks something, costs only itself: the rest is listed, what is wrong stands at the
    end, and the exit code is 1.
    """
    readers: dict[str, Callable[[str], Any]] = {"task": task_check.whole, "entry": config.entry}
    wrong: dict[str, str] = {}

    def sound(group: str) -> Any:
        contents, errors = config.sound(group, readers.get(group, lambda name: config.load(group, name, MODELS[group])))
        wrong.update({f"{group} {name}": error for name, error in errors.items()})
        return contents.items()

    tasks = [
        {"name": name, "doc": spec.doc, "slots": [slot.name for slot in spec.cls.slots], "ranks": spec.cls.rank,
         "presets": [*spec.cls.presets]} for name, spec in sound("task")
    ]  # fmt: skip
    entries = [
        {"name": name, "slots": sorted(entry.parts), "doc": entry.doc,
         "tasks": [task["name"] for task in tasks if config.required(entry) <= {*task["slots"]}]}
        for name, entry in sound("entry")
    ]  # fmt: skip
    suites = [{"name": name, "doc": suite.doc} for name, suite in sound("suite")]
    statements = ((name, claim.arxiv, claim.statement.split()) for name, claim in sound("claim"))
    claims = [{"name": name, "arxiv": arxiv, "doc": " ".join(words)} for name, arxiv, words in statements]
    figures = [{"name": name, "doc": figure.title} for name, figure in sound("figure")]
    content = {"tasks": tasks, "entries": entries, "suites": suites, "claims": claims, "figures": figures}
    answer(options, content | {"wrong": [{"file": name, "error": error} for name, error in wrong.items()]}, [
        *(f"task   {row['name']:30} {row['doc']} Ranked by {row['ranks']}; slots {', '.join(row['slots'])}" for row in tasks),
        *(f"entry  {row['name']:30} fills {', '.join(row['slots']) or 'nothing (defaults)'}: {row['doc']}" for row in entries),
        *(f"{group[:-1]:6} {row['name']:36} {row['doc']}" for group in ("suites", "claims", "figures") for row in content[group]),
    ])  # fmt: skip
    for name, error in wrong.items() if options.format != "json" else ():
        print(f"bench: {name} is left out: {error}", file=sys.stderr)
    return int(bool(wrong))


def do_table(options: argparse.Namespace) -> None:
    """A plan joined with the store: one table a task, then the means over a suite's tasks."""
    from bench.tables import join, overview, printers

    _, store, plan = planned(options.words)
    tables = join.build_all(plan, store)
    text = printers.RENDERERS[options.format](tables)
    if options.format in overview.RENDERERS:
        text = "\n".join(filter(None, [text, overview.RENDERERS[options.format](tables)]))
    if options.out:
        Path(options.out).write_text(text, encoding="utf-8")
    answer(options, None, [text] if not options.out else [], store)
    note(f"records {citation.digest(tables)}; `bench cite` with the same words cites them")


def do_browse(options: argparse.Namespace) -> None:
    """Build the static board of a plan, or of every suite with records, and open it in a browser."""
    import webbrowser

    from bench.board import collect, site

    request, store = requested(options.words)
    whole = not (request.suite or request.tasks or request.entries or request.extra)
    plans = collect.of_suites(store) if whole else [plan.make(request, store)]
    page = site.write(collect.content(plans, store, whole), Path(options.out))
    answer(options, None, [str(page)], store)
    if not options.no_open:
        webbrowser.open(page.resolve().as_uri())


def do_show(options: argparse.Namespace) -> None:
    """A whole record, with the command that makes it again."""
    store = Store(Path(options.results))
    record = store.find(options.key)
    fields = plain(record)
    if options.format == "json":
        print(json.dumps(fields, indent=1, sort_keys=True))
        return
    print(f"{record.task}@{record.version} {record.preset}  {record.entry}  seed {record.seed}")
    print(f"key      {record.key}\nstatus   {record.status}  {record.reason}")
    for mark in standing.lines(store):
        if (badge := standing.badge(mark, [record.key])) != "claimed":
            print(f"standing {badge} on {mark.when[:10]} by {len(mark.fresh.seeds) if mark.fresh else 0} fresh seeds")
    for name, value in sorted(record.metrics.items()):
        print(f"  {name:28} {value:.6g}" + ("  (censored at the budget)" if name in record.censored else ""))
    for name in ("params", "config", "costs", "provenance"):
        print(f"{name:8} {json.dumps(fields[name], sort_keys=True)}")
    for name in ("traceback", "output"):
        if fields[name]:
            print(f"{name}\n{fields[name]}")
    for line in oddities.of(record):
        print(f"look     {line} (docs/rules.md)")
    print(f"again    {record_page.command(record)}")


def do_why(options: argparse.Namespace) -> None:
    """Why a cell is fresh, stale or missing: the components that changed, with old and new value."""
    words = options.words
    if len(words) == 1 and "=" not in words[0]:
        record = Store(Path(options.results)).find(words[0])
        words = [word for word in shlex.split(record_page.command(record))[2:] if not word.startswith("reuse=")]
        if file := next((word for word in words if word.endswith(f"={record_page.PATH}")), None):
            command = f"bench why {shlex.join(words)}"
            raise BenchError(f"{record.label} has a file of its own: {command}, with the path for {file}")
    request, store, plan = planned(words)
    by_key = states.states(plan, store, request.settings, look_for_stale=True)
    rows, lines = [], []
    for cell in plan.cells():
        state = by_key[cell.key]
        changes = states.changes(cell, state.record) if state.word == "stale" and state.record is not None else []
        rows.append({"key": cell.key, "cell": cell.name, "state": state.word, "runs": state.rerun,
                     "changed": [{"component": name, "old": old, "new": new} for name, old, new in changes]})  # fmt: skip
        runs = "" if state.word in ("fresh", "missing") else f"  runs: {state.rerun}"
        lines.append(f"{state.word:10} {cell.name}{runs}")
        for name, old, new in changes:
            lines.append(f"           {name}: {_short(old)} -> {_short(new)}" + (OLDER if name == "form" else ""))
        if state.record is not None and state.record.reason:
            lines.append(f"           {state.record.reason}")
    answer(options, rows, lines)


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "…"


def do_schema(options: argparse.Namespace) -> None:
    """The JSON schema of a record (a line of the ledger), or of a kind of file: `bench schema claim`."""
    if options.kind not in ("record", *MODELS):
        raise config.unknown("kind of file", options.kind, ["record", *MODELS])
    print(json.dumps(typed.schema(MODELS[options.kind]) if options.kind in MODELS else schema(), indent=1))


def do_claims(options: argparse.Namespace) -> int:
    """Papers' statements, measured again from records: `bench claims`, `bench claims 'pde/*' 2309.14322 --run`."""
    from bench.claims import claim, report, verdicts

    patterns, settings = split(options.words)
    claims, wrong = claim.select(patterns)
    survey = verdicts.Survey([*claims.values()], settings)
    summary = run(survey.merged, survey.store, survey.settings) if options.run else None
    findings = survey.evaluate()
    answer(options, None, [report.RENDERERS[options.format](findings)], survey.store)
    for error in wrong.values():
        print(f"bench: {error}", file=sys.stderr)
    return exit_code(summary, bool(wrong) or any(finding.verdict == "error" for finding in findings))


def do_figures(options: argparse.Namespace) -> int:
    """Figures from records, as SVG files: `bench figures`, `bench figures grokking --run --out docs/figures`."""
    from bench.claims.claim import matching
    from bench.figures import gallery as figures
    from bench.figures.drawing import alone

    patterns, settings = split(options.words)
    specs, unread = config.sound("figure", figures.load, matching("figure", patterns))
    gallery = figures.Gallery([*specs.values()], settings, unread)
    summary = run(gallery.merged, gallery.store, gallery.settings) if options.run else None
    rows, lines = [], []
    for drawing in sorted(gallery.draw(), key=lambda drawing: drawing.id):
        path = Path(options.out) / f"{drawing.id.replace('/', '-')}.svg"
        command = f"`bench figures {drawing.id} --run`"
        text = f"{drawing.missing} of {drawing.cells} cells have no record; {command} makes them"
        if drawing.svg:
            write_atomically(path, (alone(drawing.svg) + "\n").encode())
            text = f"{path}: {'; '.join(drawing.notes)}"
        state = "error" if drawing.error else "drawn" if drawing.svg else "missing"
        fields = {name: getattr(drawing, name) for name in ("cells", "missing", "notes", "error")}
        rows.append({"id": drawing.id, "state": state, "path": str(path) if drawing.svg else None} | fields)
        lines.append(f"{state:8} {drawing.id:36} {drawing.error or text}")
    answer(options, rows, lines, gallery.store)
    return exit_code(summary, any(row["state"] == "error" for row in rows))


def do_cite(options: argparse.Namespace) -> None:
    """How to cite a table: `bench cite suite=core task=grokking/modular_addition`.

    Prints the harness with version, commit and a digest of the table's records, then the papers of its tasks and entries, as
    their configurations name them. `bench table` of the same records prints the same digest.
    """
    from bench.tables import join

    _, store, plan = planned(options.words)
    command = " ".join(["bench table", *(word for word in options.words if not word.startswith("results="))])
    print(citation.RENDERERS[options.format](citation.cite(join.build_all(plan, store), command)))


def do_datasheet(options: argparse.Namespace) -> None:
    """The datasheet of a task, or of every task: `bench datasheet pde/burgers_1d`, `bench datasheet --out FOLDER`.

    One Markdown page for each task: source and licence of the data, intended use, known limits, error of the reference,
    sizes by preset, metrics, version. With --out each page is written to a file, otherwise printed.
    """
    from bench.board import datasheet

    names = [options.task] if options.task else sorted(config.names("task"))
    pages = {f"{name.replace('/', '.')}.md": datasheet.page(name) for name in names if options.format != "json"}
    if options.format == "json":
        sheets = [datasheet.fields(name) for name in names]
        text = json.dumps(sheets[0] if options.task else sheets, indent=1, ensure_ascii=False, default=str)
        pages = {f"{options.task.replace('/', '.') if options.task else 'datasheets'}.json": text + "\n"}
    for name, text in pages.items():
        if options.out:
            write_atomically(Path(options.out) / name, text.encode())
        print(Path(options.out) / name if options.out else text)


def add_parser(verbs: Any) -> None:
    """Add the verbs to the subparsers `verbs`; each sets `do`."""
    verb(verbs, do_list, words=())
    table = verb(verbs, do_table, ("terminal", "markdown", "csv", "latex", "json"))
    table.add_argument("--out", help="write to this file")
    show, why = verb(verbs, do_show, words=()), verb(verbs, do_why)
    show.add_argument("key", help="the first characters of a record's key")
    for parser in (show, why):
        parser.add_argument("--results", default="results", help="the results folder")
    kinds = verb(verbs, do_schema, (), ())
    kinds.add_argument("kind", nargs="?", default="record",
                       help="record (default), entry, task, suite, claim, figure, tuned or manifest")  # fmt: skip
    browse = verb(verbs, do_browse, ())
    browse.add_argument("--out", default="results/board", help="folder of the page")
    browse.add_argument("--no-open", action="store_true", help="only write it")
    words = ("PATTERN|key=value", "ids, patterns of ids, or arXiv numbers; settings such as workers=2")
    claims = verb(verbs, do_claims, (*PLAIN, "markdown"), words)
    figures = verb(verbs, do_figures, words=(words[0], "ids or patterns of ids; settings such as workers=2"))
    for parser in (claims, figures):
        parser.add_argument("--run", action="store_true", help="first run the cells that have no record")
    figures.add_argument("--out", default="results/figures", help="folder of the SVG files")
    verb(verbs, do_cite, tuple(citation.RENDERERS))
    datasheet = verb(verbs, do_datasheet, ("markdown", "json"), ())
    datasheet.add_argument("task", nargs="?", help="its name; all tasks if left out")
    datasheet.add_argument("--out", help="write into this folder")
