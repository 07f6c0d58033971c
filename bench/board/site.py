"""The static board: one folder that opens from `file://`, without server or network.

    index.html  static/*.js *.css  vendor/…      the page
    data/index.js                                lists of suites, tables, entries, claims and figures
    data/suite-N.js  table-N.js  entry-N.js      one chunk a page, loaded when it is opened
    data/curves-N.js  figures-FAMILY.js  claims.js  records/PREFIX.js

A page from `file://` may not fetch, so data are scripts that pass a value to `Board.put`. Everything is inserted as text,
never as HTML, except the project's own drawings and documents.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

import bench
from bench.board import curves, model, record_page
from bench.board.model import Built, Known
from bench.outcome import plain
from bench.records.record import Record
from bench.tables.seed_values import Joined
from bench.tables.table import CPU_ENTRY

HERE = Path(__file__).parent
SCRIPTS = ("core", "glyph", "table", "chart", "suite", "task", "entry", "more", "board")
BUCKET = 64  # records in a chunk, about
POLICY = (  # the page loads scripts of this folder only and sends nothing anywhere
    "default-src 'none'; script-src 'self' file:; style-src 'self' file: 'unsafe-inline'; img-src data:; "
    "connect-src 'none'; form-action 'none'; base-uri 'none'"
)


@dataclass
class Content:
    """The content of the board. suites: (name, doc, tables); a table that two suites share is one object.

    curves: of a record, name -> (steps, values). drawings: family -> figures as values. claims, speedruns: as values.
    behind: records of the claims, which may be in no table. entries: name -> (configuration, tuning by task). submit: the
    document on submitting, as HTML.
    """

    suites: Sequence[tuple[str, str, Sequence[Built]]]
    curves: Callable[[Record], Mapping[str, Any]]
    known: Known = field(default_factory=Known)
    entries: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)
    baselines: frozenset[str] = frozenset()
    drawings: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    claims: Sequence[Mapping[str, Any]] = ()
    behind: Sequence[Record] = ()
    speedruns: Sequence[Mapping[str, Any]] = ()
    submit: str = ""


def _json(value: Any) -> str:
    """Compact JSON, with null for numbers that are not finite. numpy's floats, which msgspec refuses, become floats."""
    return msgspec.json.encode(value, enc_hook=float).decode()


class _Folder:
    """The data folder being written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "records").mkdir(parents=True)

    def put(self, name: str, value: Any) -> None:
        """Write data/<name>.js. A line separator may stand inside a string since ES2019."""
        (self.root / f"{name}.js").write_text(f"Board.put({json.dumps(name)},{_json(value)})\n", encoding="utf-8")


def write(content: Content, out: Path) -> Path:
    """Write the folder `out`, replacing an older board there, and return the path of its index.html."""
    for name in ("data", "static", "vendor"):
        shutil.rmtree(out / name, ignore_errors=True)
    folder = _Folder(out / "data")
    shutil.copytree(HERE / "static", out / "static")
    shutil.copytree(HERE / "vendor", out / "vendor")
    tables = list({id(table): table for _, _, built in content.suites for table in built}.values())
    index = {
        "version": bench.__version__,
        "suites": _suites(folder, content),
        "tables": _tables(folder, content, tables),
        "entries": _entries(folder, content, tables),
        "figures": list(content.drawings),
        "claims": [[claim["id"], claim["verdict"]] for claim in content.claims],
        "speedruns": len(content.speedruns),
        "digits": _records(folder, content, tables),
        "columns": model.COLUMNS,
        "alike": model.ALIKE,
        "costs": model.COSTS,
        "cpu": CPU_ENTRY,
    }
    for family, drawings in content.drawings.items():
        folder.put(f"figures-{family}", drawings)
    folder.put("claims", content.claims)
    folder.put("speedruns", content.speedruns)
    folder.put("submit", content.submit)
    folder.put("index", index)
    path = out / "index.html"
    path.write_text(_page(), encoding="utf-8")
    return path


def _suites(folder: _Folder, content: Content) -> list[dict[str, Any]]:
    """Writes a chunk for each suite; returns the index's list of them."""
    for place, (name, doc, built) in enumerate(content.suites):
        folder.put(f"suite-{place}", model.suite_model(name, doc, built, content.known))
    return [{"name": name, "doc": doc, "tables": [table.id for table in built]} for name, doc, built in content.suites]


def _tables(folder: _Folder, content: Content, tables: Sequence[Built]) -> list[list[Any]]:
    """Writes a chunk for each table and one for its curves; returns [id, entries, curves] of each."""
    index: list[list[Any]] = []
    for place, table in enumerate(tables):
        suites = [name for name, _, built in content.suites if any(other is table for other in built)]
        folder.put(f"table-{place}", model.table_model(table, suites, content.known))
        order = {row.entry: i for i, row in enumerate(table.table.rows)}
        axis = table.task.derived[0].axis if table.task.derived else None
        lines = curves.of_table(table.rows, order, axis, content.curves)
        folder.put(f"curves-{place}", lines)
        index.append([table.id, len(table.rows), len(lines["lines"])])
    return index


def _entries(folder: _Folder, content: Content, tables: Sequence[Built]) -> list[list[Any]]:
    """Writes a chunk for each entry; returns [name, first line of its doc, places of its tables] of each."""
    places: dict[str, list[int]] = {}
    for place, table in enumerate(tables):
        for row in table.rows:
            places.setdefault(row.entry, []).append(place)
    index: list[list[Any]] = []
    for place, name in enumerate(sorted(places)):
        about, tuning = content.entries.get(name, ({}, {}))
        verified = [plain(line) for (_, _, entry), line in content.known.verified.items() if entry == name]
        folder.put(f"entry-{place}", {"entry": name, "about": about, "tuning": tuning, "verified": verified})
        index.append([name, str(about.get("doc") or "").split("\n")[0], places[name]])
    return index


def _records(folder: _Folder, content: Content, tables: Sequence[Built]) -> int:
    """Writes all records, in chunks by the first digits of their keys; returns the number of these digits."""
    records: dict[str, tuple[Record, int | None, Any]] = {}  # key -> record, place of its table, nearest baseline
    for place, table in enumerate(tables):
        configs = {row.entry: _config(row) for row in table.rows}
        baselines = {name: parts for name, parts in configs.items() if name in content.baselines}
        for row in table.rows:
            near = record_page.nearest(row.entry, configs[row.entry], baselines)
            for record in (r for cell in row.cells.values() for r in cell or () if r is not None):
                records.setdefault(record.key, (record, place, near))
    for record in content.behind:
        records.setdefault(record.key, (record, None, None))
    digits = next(n for n in range(1, 9) if len(records) <= BUCKET * 16**n)
    chunks: dict[str, list[str]] = {}
    for key in sorted(records):
        chunks.setdefault(key[:digits], []).append(key)
    for prefix, keys in chunks.items():
        shared: dict[str, int] = {}  # values that several records of a chunk have, as JSON, each with its index
        details = []
        for record, home, near in (records[key] for key in keys):
            detail = record_page.detail(record) | {"table": home, "near": near, "again": record_page.command(record)}
            detail["packages"] = detail["provenance"].pop("packages", {})
            for name in ("config", "params", "limits", "near", "packages"):
                detail[name] = shared.setdefault(_json(detail.get(name)), len(shared))
            details.append(detail)
        folder.put(f"records/{prefix}", {"shared": [json.loads(text) for text in shared], "records": details})
    return digits


def _config(row: Joined) -> Mapping[str, Any]:
    """The configuration of a row, from its first record; all its cells share it."""
    return next((r.config for cell in row.cells.values() for r in cell or () if r is not None), {})


def _page() -> str:
    scripts = ["vendor/tabulator.min.js", *(f"static/{name}.js" for name in SCRIPTS), "data/index.js"]
    # deferred scripts load in parallel and run in order; the page's policy disables the browser's own preloading
    tags = "\n".join(f'<script defer src="{path}"></script>' for path in scripts)
    text = (HERE / "static" / "index.html").read_text(encoding="utf-8")
    return text.replace("{{policy}}", POLICY).replace("{{scripts}}", tags)
