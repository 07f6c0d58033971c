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
from bench.verbs import asked, say, verb

OLDER = " (a record of an older format, whose code digests cannot be compared with those of now)"


def do_list(options: argparse.Namespace) -> int:
    """Tasks, entries with the slots they fill, suites, claims and figures.

    A file that cannot be read, or a task that lacks something, costs only itself: the rest is listed, what is wrong stands at the
    end, and the exit code is 1.
    """
    from bench.checking import task_check
    from bench.planning import config
    from bench.planning.files import ClaimFile, FigureFile

    wrong: dict[str, str] = {}
    found: dict[str, list[dict[str, Any]]] = {}

    def read(group: str, one: Callable[[str], Any]) -> dict[str, Any]:
        good, bad = config.sound(group, one)
        wrong.update({f"{group} {name}": error for name, error in bad.items()})
        return good

    found["tasks"] = [
        {"name": name, "doc": spec.doc, "slots": [slot.name for slot in spec.cls.slots], "ranks": spec.cls.rank,
         "presets": list(spec.cls.presets)}
        for name, spec in read("task", task_check.whole).items()
    ]  # fmt: skip
    found["entries"] = [
        {"name": name, "slots": sorted(entry.parts), "doc": entry.doc,
         "tasks": [task["name"] for task in found["tasks"] if set(entry.parts) <= set(task["slots"])]}
        for name, entry in read("entry", config.entry).items()
    ]  # fmt: skip
    found["suites"] = [{"name": name, "doc": suite.doc} for name, suite in read("suite", config.suite).items()]
    found["claims"] = [
        {"name": name, "arxiv": claim.arxiv, "doc": " ".join(claim.statement.split())}
        for name, claim in read("claim", lambda name: config.load("claim", name, ClaimFile)).items()
    ]
    found["figures"] = [
        {"name": name, "doc": figure.title}
        for name, figure in read("figure", lambda name: config.load("figure", name, FigureFile)).items()
    ]
    if options.format == "json":
        errors = [{"file": name, "error": error} for name, error in wrong.items()]
        print(json.dumps(found | {"wrong": errors}, indent=1))
        return int(bool(wrong))
    for task in found["tasks"]:
        print(f"task   {task['name']:30} {task['doc']} Ranked by {task['ranks']}; slots {', '.join(task['slots'])}")
    for one in found["entries"]:
        print(f"entry  {one['name']:30} fills {', '.join(one['slots']) or 'nothing (defaults)'}: {one['doc']}")
    for kind in ("suite", "claim", "figure"):
        for one in found[f"{kind}s"]:
            print(f"{kind:6} {one['name']:36} {one['doc']}")
    for name, error in wrong.items():
        print(f"bench: {name} is left out: {error}", file=sys.stderr)
    return int(bool(wrong))


def do_table(options: argparse.Namespace) -> int:
    """A plan joined with the store: one table a task."""
    from bench.tables import join, printers

    request, store, made = asked(options.overrides)
    found = join.build_all(made, store)
    text = printers.RENDERERS[options.format](found)
    if options.out:
        Path(options.out).write_text(text, encoding="utf-8")
    else:
        print(text)
    print(f"note: records {citation.digest(found)}; `bench cite` with the same words cites them", file=sys.stderr)
    say(store)
    return 0


def do_browse(options: argparse.Namespace) -> int:
    """Build the static board, of every suite with records unless told which, and open it unless told otherwise."""
    from bench.board import collect, site
    from bench.planning import config
    from bench.records.store import Store

    whole = not {word.split("=")[0] for word in options.overrides} & {"suite", "task", "entry", "extra"}
    if whole:
        store = Store(Path(config.parse(options.overrides).settings.results))
        plans = collect.of_suites(store)
    else:
        _, store, made = asked(options.overrides)
        plans = [made]
    page = site.write(collect.content(plans, store, whole), Path(options.out))
    print(page)
    say(store)
    if not options.no_open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
    return 0


def do_show(options: argparse.Namespace) -> int:
    """One record, whole, with the command that makes it again."""
    from bench.board import record_page
    from bench.checking import oddities
    from bench.outcome import plain
    from bench.records.store import Store

    record = Store(Path(options.results)).find(options.key)
    shown = plain(record)
    if options.format == "json":
        print(json.dumps(shown, indent=1, sort_keys=True))
        return 0
    print(f"{record.task}@{record.version} {record.preset}  {record.entry}  seed {record.seed}")
    print(f"key      {record.key}\nstatus   {record.status}  {record.reason}")
    for name, value in sorted(record.metrics.items()):
        print(f"  {name:28} {value:.6g}" + ("  (censored at the budget)" if name in record.censored else ""))
    for name in ("params", "config", "costs", "provenance"):
        print(f"{name:8} {json.dumps(shown[name], sort_keys=True)}")
    for name in ("traceback", "output"):
        if shown[name]:
            print(f"{name}\n{shown[name]}")
    for line in oddities.of(record):
        print(f"look     {line} (docs/rules.md)")
    print(f"again    {record_page.command(record)}")
    return 0


def do_why(options: argparse.Namespace) -> int:
    """Fresh, stale or missing, and which component changed, with old and new value."""
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
    request, store, made = asked([*options.overrides])
    found = states.states(made, store, request.settings, look_for_stale=True)
    rows = []
    for cell in made.cells():
        now = found[cell.key]
        changes = states.changes(cell, now.record) if now.word == "stale" and now.record is not None else []
        rows.append({"key": cell.key, "cell": cell.name, "state": now.word, "runs": now.rerun,
                     "changed": [{"component": c, "old": a, "new": b} for c, a, b in changes]})  # fmt: skip
        if options.format != "json":
            print(f"{now.word:10} {cell.name}" + ("" if now.word in ("fresh", "missing") else f"  runs: {now.rerun}"))
            for name, old, new in changes:
                print(f"           {name}: {_short(old)} -> {_short(new)}" + (OLDER if name == "form" else ""))
            if now.record is not None and now.record.reason:
                print(f"           {now.record.reason}")
    if options.format == "json":
        print(json.dumps(rows, indent=1))
    return 0


def do_schema(options: argparse.Namespace) -> int:
    """The JSON schema of a record, which a ledger line is, or of a kind of file: `bench schema claim`."""
    from bench.planning import config, typed
    from bench.planning.files import MODELS
    from bench.records.record import schema

    if options.kind not in (None, "record", *MODELS):
        raise config.unknown("kind of file", options.kind, ["record", *MODELS])
    print(json.dumps(typed.schema(MODELS[options.kind]) if options.kind in MODELS else schema(), indent=1))
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
    for one in (show, why):
        one.add_argument("--results", default="results", help="the results folder")
    kinds = verb(verbs, "schema", do_schema, (), sweeps=False)
    kinds.add_argument("kind", nargs="?", help="record (default), entry, task, suite, claim, figure, tuned or manifest")
    browse = verb(verbs, "browse", do_browse, ())
    browse.add_argument("--out", default="results/board", help="folder of the page")
    browse.add_argument("--no-open", action="store_true", help="only write it")
