"""Everything the board shows, gathered from plans, the store and the other parts of the project."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec
import yaml

from bench.board.model import Built, Known
from bench.board.site import Content
from bench.checking import speedrun
from bench.claims import claim, verdicts
from bench.claims import report as claims_shown
from bench.figures import gallery
from bench.planning import config, plan
from bench.planning.files import EntryFile
from bench.planning.plan import Plan
from bench.records import standing
from bench.records.ledger import thin
from bench.records.spelling import canonical_json
from bench.records.store import Store
from bench.tables import join, trial_words
from bench.tuning import trials as tuning

FIRST = "core"
SUBMITTING = config.PROJECT / "docs" / "submitting.md"


def of_suites(store: Store) -> list[Plan]:
    """The plans of all suites there are, the one that `make bench` runs first. What is wrong with one is a report of the
    store and leaves the others alone."""
    names = sorted(config.names("suite"), key=lambda name: (name != FIRST, name))
    made, wrong = config.sound(
        "suite", lambda name: plan.make(config.parse([f"suite={name}", f"results={store.root}"]), store), names
    )
    store.reports += wrong.values()
    return [*made.values()]


def built(plans: Sequence[Plan], store: Store) -> list[tuple[str, list[Built]]]:
    """(name, tables) of each plan; a table that two plans share, with the same cells, is one and the same."""
    known: dict[str, Built] = {}
    taken: dict[str, int] = {}
    found = []
    for made in plans:
        own = []
        for table, task, rows in join.built(made, store):
            keys = sorted(cell.key for row in rows for cells in row.row.planned.values() for cell in cells)
            same = canonical_json([table.task, keys])
            if same not in known:
                count = taken[table.task] = taken.get(table.task, 0) + 1
                name = table.task if count == 1 else f"{table.task}~{count}"
                known[same] = Built(name, table, task, rows, config.task_spec(table.task).sheet)
            own.append(known[same])
        found.append((made.suite or "selection", own))
    return found


def content(plans: Sequence[Plan], store: Store, whole: bool) -> Content:
    """What `site.write` shows of the plans. whole: of every suite that has records, with all claims and figures; else of
    the plans as they are, with the claims and figures of their families."""
    suites = [(name, own) for name, own in built(plans, store) if not whole or any(one.records for one in own)]
    tables_ = list({id(one): one for _, own in suites for one in own}.values())
    families = None if whole else {one.table.task.split("/")[0] for one in tables_}
    pairs = [(one.table.task, row.entry) for one in tables_ for row in one.table.rows]
    tried = {pair: found for pair in pairs if (found := tuning.summary(*pair, results=store.root)) is not None}
    names = sorted({entry for _, entry in pairs})
    findings = _findings(families, store)
    return Content(
        suites=[(name, _doc(name), own) for name, own in suites],
        curves=lambda record: {n: kept for n, points in store.curves(record).items() if (kept := thin(points))[0]},
        known=Known(
            standing.standing(store),
            {name: number for name in names if (number := trial_words.declared(name)) is not None},
            {pair: one.cpu_seconds for pair, one in tried.items() if not math.isnan(one.cpu_seconds)},
            {
                (task, one.preset, name): (one.objective, one.best_of, one.sensitivity)
                for (task, name), one in tried.items()
            },
        ),
        entries={
            name: (about(name), {t: _tuned(t, name, one) for (t, e), one in tried.items() if e == name})
            for name in names
        },
        baselines=frozenset(name for name in names if _own(name)),
        drawings=_drawings(families, store),
        claims=[claims_shown.as_dict(finding) for finding in findings],
        behind=[record for finding in findings for record in finding.records],
        speedruns=_speedruns(families, store),
        submit=document(),
    )


def _doc(suite: str) -> str:
    return config.suite(suite).doc if suite in config.names("suite") else "what was asked for"


def _files(name: str) -> list[str]:
    """The configuration files behind an entry, which may be a composition."""
    return [one for one in name.split("+") if one in config.names("entry")]


def _own(name: str) -> bool:
    """Whether the project ships the entry, so that others are compared with it."""
    return all(config.names("entry")[one].is_relative_to(config.PROJECT) for one in _files(name))


def about(name: str) -> dict[str, Any]:
    """What an entry's files say: doc, paper, authors, licence, search space, and the rest as it stands."""
    loaded = [config.load("entry", one, EntryFile) for one in _files(name)]

    def words(key: str) -> str:
        return "; ".join(dict.fromkeys(text for one in loaded if (text := getattr(one, key).strip())))

    search = {path: space for one in loaded for path, space in msgspec.to_builtins(one.search).items()}
    shown = "\n".join(yaml.safe_dump(one.slots, sort_keys=False).strip() for one in loaded if one.slots)
    authors = [author for one in loaded for author in one.authors]
    return {"doc": words("doc"), "paper": words("paper"), "licence": words("licence"), "authors": authors, "search": search,
            "config": shown}  # fmt: skip


def _tuned(task: str, entry: str, one: tuning.Tuning) -> dict[str, Any]:
    """The tuning of a row: what was tried, and what it says."""
    file = config.tuned(task, entry)
    trials = [{k: v for k, v in row.items() if k != "seeds"} for row in (file.table if file else ())]
    told = ("trials", "tried", "declared", "best_of", "space", "sensitivity", "objective", "at_the_edge", "values")
    return {name: getattr(one, name) for name in told} | {"table": trials}


def _drawings(families: set[str] | None, store: Store) -> dict[str, list[dict[str, Any]]]:
    """family -> its figures, drawn or with the reason why not."""
    wanted = families if families is not None else {name.split("/")[0] for name in config.names("figure")}
    found: dict[str, list[dict[str, Any]]] = {}
    for one in gallery.of_families(wanted, [f"results={store.root}"]):
        reason = one.error or f"{one.missing} of {one.cells} cells have no record"
        again = f"bench figures {one.id}" + ("" if one.svg else " --run")
        shown = {
            "id": one.id,
            "title": one.title,
            "caption": one.caption,
            "notes": "; ".join(one.notes),
            "command": again,
        }
        found.setdefault(one.family, []).append(shown | ({"svg": one.svg} if one.svg else {"reason": reason}))
    return found


def _findings(families: set[str] | None, store: Store) -> list[verdicts.Finding]:
    """Of the families' claims."""
    names = [name for name in config.names("claim") if families is None or name.split("/")[0] in families]
    claims, wrong = config.sound("claim", claim.load, names)
    store.reports += wrong.values()
    return verdicts.Survey([*claims.values()], [f"results={store.root}"]).evaluate() if claims else []


def _speedruns(families: set[str] | None, store: Store) -> list[dict[str, Any]]:
    """Tables with a record, as values; a row's seeds are in its records."""
    found = speedrun.tables(store)
    found = [one for one in found if families is None or one.task.split("/")[0] in families]
    return [asdict(one) for one in found]


def document() -> str:
    """How to submit, from the documentation, as HTML; raw HTML in it stays text."""
    from markdown_it import MarkdownIt

    if not SUBMITTING.is_file():
        return "<h1>How to submit</h1><p><code>bench submit --help</code> says how.</p>"
    text = SUBMITTING.read_text(encoding="utf-8")
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
