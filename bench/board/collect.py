"""Gathers the content of the board from plans, the store, claims, figures, speed-runs and tuning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from bench.board.model import Built
from bench.board.site import Content
from bench.checking import speedrun
from bench.claims import claim, papers, report, verdicts
from bench.figures import gallery
from bench.outcome import plain
from bench.planning import config, plan
from bench.planning.files import EntryFile
from bench.planning.plan import Plan
from bench.records import standing
from bench.records.ledger import thin
from bench.records.standing import Verification
from bench.records.store import Store
from bench.tables import join
from bench.tuning import trials

SUBMITTING = config.PROJECT / "docs" / "submitting.md"


def of_suites(store: Store) -> list[Plan]:
    """The plans of all suites, that of `make bench` first; the store reports a suite that cannot be planned."""
    names = sorted(config.names("suite"), key=lambda name: (name != "core", name))
    words = {name: [f"suite={name}", f"results={store.root}"] for name in names}
    plans, wrong = config.sound("suite", lambda name: plan.make(config.parse(words[name]), store), names)
    store.reports += wrong.values()
    return [*plans.values()]


def built(plans: Sequence[Plan], store: Store) -> list[tuple[str, str, list[Built]]]:
    """(name, doc, tables) of each plan; plans that have a table with the same cells share one object."""
    known: dict[tuple[str, ...], Built] = {}
    suites = []
    for suite_plan in plans:
        own = []
        for table, task, rows in join.built(suite_plan, store):
            identity = (table.task, *sorted(cell.key for row in rows for cell in row.row.cells()))
            if identity not in known:
                count = 1 + sum(other.table.task == table.task for other in known.values())
                name = table.task if count == 1 else f"{table.task}~{count}"
                tunings = {row.entry: trials.summary(table.task, row.entry, results=store.root) for row in table.rows}
                tuned = {entry: tuning for entry, tuning in tunings.items() if tuning is not None}
                known[identity] = Built(name, table, task, rows, config.task_spec(table.task).sheet, tuned)
            own.append(known[identity])
        doc = config.suite(suite_plan.suite).doc if suite_plan.suite else "the tasks and entries of this command"
        suites.append((suite_plan.suite or "selection", doc, own))
    return suites


def content(plans: Sequence[Plan], store: Store, whole: bool) -> Content:
    """The content that `site.write` shows of the plans. whole: suites without records are left out and all claims, papers and
    figures are in; else every plan is in, with the claims and figures of the plans' families."""
    suites = [suite for suite in built(plans, store) if not whole or any(page.records for page in suite[2])]
    tables = [*{id(page): page for _, _, own in suites for page in own}.values()]
    everything = [name for group in ("task", "claim", "figure") for name in config.names(group)]
    families = {name.split("/")[0] for name in (everything if whole else [page.table.task for page in tables])}
    names = sorted({row.entry for page in tables for row in page.table.rows})
    findings = _findings(families, store)
    verified = standing.standing(store).values()
    return Content(
        suites, lambda record: {n: kept for n, points in store.curves(record).items() if (kept := thin(points))[0]},
        entries={name: _entry(name, tables, verified) for name in names},
        baselines=frozenset(n for n in names if all(p.is_relative_to(config.PROJECT) for p in _files(n).values())),
        claims=[report.as_dict(finding) for finding in findings],
        papers=papers.tally(findings) if whole else (),
        behind=[record for finding in findings for record in finding.records],
        drawings=_drawings(families, store), speedruns=speedruns(families, store), submit=document(),
    )  # fmt: skip


def _files(name: str) -> dict[str, Path]:
    """The configuration files behind an entry, which may be a composition, by the names of its parts."""
    return {part: path for part in name.split("+") if (path := config.names("entry").get(part)) is not None}


def _entry(name: str, tables: Sequence[Built], verified: Iterable[Verification]) -> dict[str, Any]:
    """An entry's page: what its files say, its tuning by task, and the latest verification of each of its rows."""
    files = [config.load("entry", part, EntryFile) for part in _files(name)]
    texts = {key: dict.fromkeys(getattr(file, key).strip() for file in files) for key in ("doc", "paper", "licence")}
    about = {key: "; ".join(filter(None, sentences)) for key, sentences in texts.items()} | {
        "authors": [author for file in files for author in file.authors],
        "search": {path: space for file in files for path, space in msgspec.to_builtins(file.search).items()},
        "config": "\n".join(yaml.safe_dump(file.slots, sort_keys=False).strip() for file in files if file.slots),
    }
    tuning = {page.table.task: _tuned(page.tunings[name]) for page in tables if name in page.tunings}
    lines = [plain(line) for line in verified if line.entry == name]
    return {"about": about, "tuning": tuning, "verified": lines}


def _tuned(tuning: trials.Tuning) -> dict[str, Any]:
    """The tuning of a row: its summary and its trials."""
    file = config.tuned(tuning.task, tuning.entry)
    table = [{k: v for k, v in row.items() if k != "seeds"} for row in (file.table if file else ())]
    names = ("trials", "tried", "declared", "best_of", "space", "sensitivity", "objective", "at_the_edge", "values")
    return {name: getattr(tuning, name) for name in names} | {"table": table}


def _of_families(group: str, families: set[str]) -> list[str]:
    return [name for name in config.names(group) if name.split("/")[0] in families]


def _drawings(families: set[str], store: Store) -> dict[str, list[dict[str, Any]]]:
    """family -> its figures, drawn or with the reason why not."""
    by_family: dict[str, list[dict[str, Any]]] = {}
    figures, unread = config.sound("figure", gallery.load, _of_families("figure", families))
    for drawing in gallery.Gallery([*figures.values()], [f"results={store.root}"], unread).draw():
        values = {name: getattr(drawing, name) for name in ("id", "title", "caption")}
        values["notes"] = "; ".join(drawing.notes)
        if drawing.svg:
            values |= {"command": f"bench figures {drawing.id}", "svg": drawing.svg}
        else:
            reason = drawing.error or f"{drawing.missing} of {drawing.cells} cells have no record"
            values |= {"command": f"bench figures {drawing.id} --run", "reason": reason}
        by_family.setdefault(drawing.id.split("/")[0], []).append(values)
    return by_family


def _findings(families: set[str], store: Store) -> list[verdicts.Finding]:
    """The findings of the families' claims."""
    claims, unread = config.sound("claim", claim.load, _of_families("claim", families))
    store.reports += unread.values()
    return verdicts.Survey([*claims.values()], [f"results={store.root}"]).evaluate()


def speedruns(families: set[str], store: Store) -> list[dict[str, Any]]:
    """The families' speed-runs as values."""
    return [plain(table) for table in speedrun.tables(store) if table.task.split("/")[0] in families]


def document() -> str:
    """The document on submitting as HTML; raw HTML in it is escaped."""
    from markdown_it import MarkdownIt

    if not SUBMITTING.is_file():
        return "<h1>How to submit</h1><p>See <code>bench submit --help</code>.</p>"
    text = SUBMITTING.read_text(encoding="utf-8")
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
