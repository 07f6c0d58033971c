"""Gathers the content of the board from plans, the store, claims, figures, speed-runs and tuning."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

from bench.board.model import Built, Known
from bench.board.site import Content
from bench.checking import speedrun
from bench.claims import claim, report, verdicts
from bench.figures import gallery
from bench.outcome import plain
from bench.planning import config, plan
from bench.planning.files import EntryFile
from bench.planning.plan import Plan
from bench.records import standing
from bench.records.ledger import thin
from bench.records.spelling import canonical_json
from bench.records.store import Store
from bench.tables import join, printers
from bench.tuning import trials

FIRST = "core"
SUBMITTING = config.PROJECT / "docs" / "submitting.md"


def of_suites(store: Store) -> list[Plan]:
    """The plans of all suites, that of `make bench` first. The error of a suite that cannot be planned goes to the store's
    reports."""

    def made(suite: str) -> Plan:
        return plan.make(config.parse([f"suite={suite}", f"results={store.root}"]), store)

    plans, wrong = config.sound("suite", made, sorted(config.names("suite"), key=lambda name: (name != FIRST, name)))
    store.reports += wrong.values()
    return [*plans.values()]


def built(plans: Sequence[Plan], store: Store) -> list[tuple[str, list[Built]]]:
    """(name, tables) of each plan; plans that have a table with the same cells share one object."""
    known: dict[str, Built] = {}
    tables_of: Counter[str] = Counter()
    built_plans = []
    for one in plans:
        own = []
        for table, task, rows in join.built(one, store):
            keys = sorted(cell.key for row in rows for cells in row.row.planned.values() for cell in cells)
            same = canonical_json([table.task, keys])
            if same not in known:
                tables_of[table.task] += 1
                count = tables_of[table.task]
                name = table.task if count == 1 else f"{table.task}~{count}"
                known[same] = Built(name, table, task, rows, config.task_spec(table.task).sheet)
            own.append(known[same])
        built_plans.append((one.suite or "selection", own))
    return built_plans


def content(plans: Sequence[Plan], store: Store, whole: bool) -> Content:
    """The content that `site.write` shows of the plans. whole: suites without records are left out and all claims and figures
    are in; else every plan is in, with the claims and figures of the plans' families."""
    suites = [(name, own) for name, own in built(plans, store) if not whole or any(table.records for table in own)]
    tables = [table.table for table in {id(table): table for _, own in suites for table in own}.values()]
    families = None if whole else {table.task.split("/")[0] for table in tables}
    pairs = [(table.task, row.entry) for table in tables for row in table.rows]
    tunings = {pair: tuning for pair in pairs if (tuning := trials.summary(*pair, results=store.root)) is not None}
    names = sorted({entry for _, entry in pairs})
    findings = _findings(families, store)
    known = Known(
        verified=standing.standing(store),
        declared={name: number for name in names if (number := printers.declared(name)) is not None},
        tuning_cpu={pair: t.cpu_seconds for pair, t in tunings.items() if not math.isnan(t.cpu_seconds)},
        tuned={(task, t.preset, n): (t.objective, t.best_of, t.sensitivity) for (task, n), t in tunings.items()},
    )
    return Content(
        suites=[(name, _doc(name), own) for name, own in suites],
        curves=lambda record: {n: kept for n, points in store.curves(record).items() if (kept := thin(points))[0]},
        known=known,
        entries={
            name: (about(name), {task: _tuned(task, name, t) for (task, entry), t in tunings.items() if entry == name})
            for name in names
        },
        baselines=frozenset(name for name in names if _shipped(name)),
        drawings=_drawings(families, store),
        claims=[report.as_dict(finding) for finding in findings],
        behind=[record for finding in findings for record in finding.records],
        speedruns=speedruns(families, store),
        submit=document(),
    )


def _doc(suite: str) -> str:
    return config.suite(suite).doc if suite in config.names("suite") else "the tasks and entries of this command"


def _files(name: str) -> list[str]:
    """The configuration files behind an entry, which may be a composition."""
    return [part for part in name.split("+") if part in config.names("entry")]


def _shipped(name: str) -> bool:
    """Whether the project ships the entry, so that others are compared with it."""
    return all(config.names("entry")[part].is_relative_to(config.PROJECT) for part in _files(name))


def about(name: str) -> dict[str, Any]:
    """The content of an entry's files: doc, paper, licence, authors, search space, and the slots as YAML."""
    files = [config.load("entry", part, EntryFile) for part in _files(name)]

    def words(key: str) -> str:
        return "; ".join(dict.fromkeys(text for file in files if (text := getattr(file, key).strip())))

    return {key: words(key) for key in ("doc", "paper", "licence")} | {
        "authors": [author for file in files for author in file.authors],
        "search": {path: space for file in files for path, space in msgspec.to_builtins(file.search).items()},
        "config": "\n".join(yaml.safe_dump(file.slots, sort_keys=False).strip() for file in files if file.slots),
    }


def _tuned(task: str, entry: str, tuning: trials.Tuning) -> dict[str, Any]:
    """The tuning of a row: its summary and its trials."""
    file = config.tuned(task, entry)
    table = [{k: v for k, v in row.items() if k != "seeds"} for row in (file.table if file else ())]
    names = ("trials", "tried", "declared", "best_of", "space", "sensitivity", "objective", "at_the_edge", "values")
    return {name: getattr(tuning, name) for name in names} | {"table": table}


def _drawings(families: set[str] | None, store: Store) -> dict[str, list[dict[str, Any]]]:
    """family -> its figures, drawn or with the reason why not."""
    by_family: dict[str, list[dict[str, Any]]] = {}
    for drawing in gallery.of_families(families, [f"results={store.root}"]):
        values = {name: getattr(drawing, name) for name in ("id", "title", "caption")}
        values |= {"notes": "; ".join(drawing.notes), "command": f"bench figures {drawing.id}"}
        if drawing.svg:
            values["svg"] = drawing.svg
        else:
            values["command"] += " --run"
            values["reason"] = drawing.error or f"{drawing.missing} of {drawing.cells} cells have no record"
        by_family.setdefault(drawing.family, []).append(values)
    return by_family


def _findings(families: set[str] | None, store: Store) -> list[verdicts.Finding]:
    """The findings of the families' claims."""
    names = [name for name in config.names("claim") if families is None or name.split("/")[0] in families]
    claims, wrong = config.sound("claim", claim.load, names)
    store.reports += wrong.values()
    return verdicts.Survey([*claims.values()], [f"results={store.root}"]).evaluate() if claims else []


def speedruns(families: set[str] | None, store: Store) -> list[dict[str, Any]]:
    """The families' speed-runs as values."""
    tables = speedrun.tables(store)
    return [plain(table) for table in tables if families is None or table.task.split("/")[0] in families]


def document() -> str:
    """The document on submitting as HTML; raw HTML in it is escaped."""
    from markdown_it import MarkdownIt

    if not SUBMITTING.is_file():
        return "<h1>How to submit</h1><p>See <code>bench submit --help</code>.</p>"
    text = SUBMITTING.read_text(encoding="utf-8")
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
