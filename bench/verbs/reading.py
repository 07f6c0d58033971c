"""`bench list`, `table`, `browse`, `show`, `why` and `schema`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.board import citation
from bench.contract import BenchError
from bench.verbs import planned, print_json, print_reports, verb

OLDER = " (a record of an older format, whose code digests cannot be compared with the current ones)"


def do_list(options: argparse.Namespace) -> int:
    """Tasks, entries with the slots they fill, suites, claims and figures.

    A file that cannot be read, or a task that lacks something, costs only itself: the rest is listed, what is wrong stands at the
    end, and the exit code is 1.
    """
    from bench.checking import task_check
    from bench.planning import config
    from bench.planning.files import ClaimFile, FigureFile

    wrong: dict[str, str] = {}

    def rows(group: str, read: Callable[[str], Any], about: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
        good, bad = config.sound(group, read)
        wrong.update({f"{group} {name}": error for name, error in bad.items()})
        return [{"name": name, **about(content)} for name, content in good.items()]

    def of_task(spec: config.TaskSpec) -> dict[str, Any]:
        slots = [slot.name for slot in spec.cls.slots]
        return {"doc": spec.doc, "slots": slots, "ranks": spec.cls.rank, "presets": [*spec.cls.presets]}

    def of_entry(entry: Any) -> dict[str, Any]:
        fitting = [task["name"] for task in tasks if set(entry.parts) <= set(task["slots"])]
        return {"slots": sorted(entry.parts), "doc": entry.doc, "tasks": fitting}

    def of_claim(claim: ClaimFile) -> dict[str, Any]:
        return {"arxiv": claim.arxiv, "doc": " ".join(claim.statement.split())}

    tasks = rows("task", task_check.whole, of_task)
    groups = {
        "tasks": tasks,
        "entries": rows("entry", config.entry, of_entry),
        "suites": rows("suite", config.suite, lambda suite: {"doc": suite.doc}),
        "claims": rows("claim", lambda name: config.load("claim", name, ClaimFile), of_claim),
        "figures": rows(
            "figure", lambda name: config.load("figure", name, FigureFile), lambda file: {"doc": file.title}
        ),
    }
    if options.format == "json":
        print_json(groups | {"wrong": [{"file": name, "error": error} for name, error in wrong.items()]})
        return int(bool(wrong))
    for task in tasks:
        print(f"task   {task['name']:30} {task['doc']} Ranked by {task['ranks']}; slots {', '.join(task['slots'])}")
    for entry in groups["entries"]:
        print(f"entry  {entry['name']:30} fills {', '.join(entry['slots']) or 'nothing (defaults)'}: {entry['doc']}")
    for kind in ("suite", "claim", "figure"):
        for row in groups[f"{kind}s"]:
            print(f"{kind:6} {row['name']:36} {row['doc']}")
    for name, error in wrong.items():
        print(f"bench: {name} is left out: {error}", file=sys.stderr)
    return int(bool(wrong))


def do_table(options: argparse.Namespace) -> int:
    """A plan joined with the store: one table a task."""
    from bench.tables import join, printers

    _, store, plan = planned(options.overrides)
    tables = join.build_all(plan, store)
    text = printers.RENDERERS[options.format](tables)
    if options.out:
        Path(options.out).write_text(text, encoding="utf-8")
    else:
        print(text)
    print(f"note: records {citation.digest(tables)}; `bench cite` with the same words cites them", file=sys.stderr)
    print_reports(store)
    return 0


def do_browse(options: argparse.Namespace) -> int:
    """Build the static board of a plan, or of every suite with records, and open it in a browser."""
    from bench.board import collect, site
    from bench.planning import config
    from bench.records.store import Store

    whole = not {word.split("=")[0] for word in options.overrides} & {"suite", "task", "entry", "extra"}
    if whole:
        store = Store(Path(config.parse(options.overrides).settings.results))
        plans = collect.of_suites(store)
    else:
        _, store, plan = planned(options.overrides)
        plans = [plan]
    page = site.write(collect.content(plans, store, whole), Path(options.out))
    print(page)
    print_reports(store)
    if not options.no_open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
    return 0


def do_show(options: argparse.Namespace) -> int:
    """A whole record, with the command that makes it again."""
    from bench.board import record_page
    from bench.checking import oddities
    from bench.outcome import plain
    from bench.records.store import Store

    record = Store(Path(options.results)).find(options.key)
    fields = plain(record)
    if options.format == "json":
        print(json.dumps(fields, indent=1, sort_keys=True))
        return 0
    print(f"{record.task}@{record.version} {record.preset}  {record.entry}  seed {record.seed}")
    print(f"key      {record.key}\nstatus   {record.status}  {record.reason}")
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
    return 0


def do_why(options: argparse.Namespace) -> int:
    """Why a cell is fresh, stale or missing: the components that changed, with old and new value."""
    from bench.board import record_page
    from bench.planning import states
    from bench.records.store import Store

    if len(options.overrides) == 1 and "=" not in options.overrides[0]:
        store = Store(Path(options.results))
        record = store.find(options.overrides[0])
        words = [word for word in shlex.split(record_page.command(record))[2:] if not word.startswith("reuse=")]
        if file := next((word for word in words if word.endswith(f"={record_page.PATH}")), None):
            raise BenchError(
                f"{record.label} has a file of its own: bench why {shlex.join(words)}, with the path for {file}"
            )
        options.overrides = words
    request, store, plan = planned(options.overrides)
    by_key = states.states(plan, store, request.settings, look_for_stale=True)
    rows = []
    for cell in plan.cells():
        state = by_key[cell.key]
        changes = states.changes(cell, state.record) if state.word == "stale" and state.record is not None else []
        rows.append({"key": cell.key, "cell": cell.name, "state": state.word, "runs": state.rerun,
                     "changed": [{"component": name, "old": old, "new": new} for name, old, new in changes]})  # fmt: skip
        if options.format != "json":
            runs = "" if state.word in ("fresh", "missing") else f"  runs: {state.rerun}"
            print(f"{state.word:10} {cell.name}{runs}")
            for name, old, new in changes:
                print(f"           {name}: {_short(old)} -> {_short(new)}" + (OLDER if name == "form" else ""))
            if state.record is not None and state.record.reason:
                print(f"           {state.record.reason}")
    if options.format == "json":
        print_json(rows)
    return 0


def do_schema(options: argparse.Namespace) -> int:
    """The JSON schema of a record (a line of the ledger), or of a kind of file: `bench schema claim`."""
    from bench.planning import config, typed
    from bench.planning.files import MODELS
    from bench.records.record import schema

    if options.kind not in (None, "record", *MODELS):
        raise config.unknown("kind of file", options.kind, ["record", *MODELS])
    print_json(typed.schema(MODELS[options.kind]) if options.kind in MODELS else schema())
    return 0


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "…"


def add_parser(verbs: Any) -> None:
    """Add the verbs to the subparsers `verbs`; each sets `do`."""
    verb(verbs, "list", do_list, sweeps=False)
    table = verb(verbs, "table", do_table, ("terminal", "markdown", "csv", "latex", "json"))
    table.add_argument("--out", help="write to this file")
    show = verb(verbs, "show", do_show, sweeps=False)
    show.add_argument("key", help="the first characters of a record's key")
    why = verb(verbs, "why", do_why)
    for parser in (show, why):
        parser.add_argument("--results", default="results", help="the results folder")
    kinds = verb(verbs, "schema", do_schema, (), sweeps=False)
    kinds.add_argument("kind", nargs="?", help="record (default), entry, task, suite, claim, figure, tuned or manifest")
    browse = verb(verbs, "browse", do_browse, ())
    browse.add_argument("--out", default="results/board", help="folder of the page")
    browse.add_argument("--no-open", action="store_true", help="only write it")
