"""The static board: one folder that opens from `file://`, without server or network.

    index.html  static/*.js *.css  vendor/…      the page
    data/index.js                                lists of suites, tables, entries, claims and figures
    data/suite-N.js  table-N.js  entry-N.js      one chunk a page, loaded when it is opened
    data/curves-N.js  figures-FAMILY.js  claims.js  papers.js  records/PREFIX.js

A page from `file://` may not fetch, so data are scripts that pass a value to `Board.put`. Everything is inserted as text,
never as HTML, except the project's own drawings and documents.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

import bench
from bench.board import model, record_page
from bench.board.model import Built
from bench.checking import oddities
from bench.outcome import plain
from bench.records.record import Record
from bench.tables.table import CPU_ENTRY

HERE = Path(__file__).parent
SCRIPTS = ("core", "glyph", "table", "chart", "suite", "task", "entry", "more", "papers", "board")
BUCKET = 64  # records in a chunk, about
LEFT_OUT = ("components", "curves")  # digests, which `bench why` compares, and points, which are in the task's chunk
POLICY = (  # the page loads scripts of this folder only and sends nothing anywhere
    "default-src 'none'; script-src 'self' file:; style-src 'self' file: 'unsafe-inline'; img-src data:; "
    "connect-src 'none'; form-action 'none'; base-uri 'none'"
)


@dataclass
class Content:
    """The content of the board. suites: (name, doc, tables); a table that two suites share is one object.

    curves: of a record, name -> (steps, values), none empty. entries: name -> about (its files), tuning (by task), verified.
    drawings: family -> figures as values. claims, papers, speedruns: as values. behind: records of the claims, which may be in no
    table. submit: the document on submitting, as HTML.
    """

    suites: Sequence[tuple[str, str, Sequence[Built]]]
    curves: Callable[[Record], Mapping[str, Any]]
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baselines: frozenset[str] = frozenset()
    drawings: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    claims: Sequence[Mapping[str, Any]] = ()
    papers: Sequence[Mapping[str, Any]] = ()
    behind: Sequence[Record] = ()
    speedruns: Sequence[Mapping[str, Any]] = ()
    submit: str = ""


def write(content: Content, out: Path) -> Path:
    """Write the folder `out`, replacing an older board there, and return the path of its index.html."""
    for name in ("data", "static", "vendor"):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in ("static", "vendor"):
        shutil.copytree(HERE / name, out / name)
    (out / "data" / "records").mkdir(parents=True)
    for name, value in _chunks(content):
        text = f"Board.put({json.dumps(name)},{_json(value)})\n"
        (out / "data" / f"{name}.js").write_text(text, encoding="utf-8")
    scripts = ["vendor/tabulator.min.js", *(f"static/{name}.js" for name in SCRIPTS), "data/index.js"]
    # deferred scripts load in parallel and run in order; the page's policy disables the browser's own preloading
    tags = "\n".join(f'<script defer src="{script}"></script>' for script in scripts)
    page = (HERE / "static" / "index.html").read_text(encoding="utf-8")
    path = out / "index.html"
    path.write_text(page.replace("{{policy}}", POLICY).replace("{{scripts}}", tags), encoding="utf-8")
    return path


def _json(value: Any) -> str:
    """Compact JSON, with null for numbers that are not finite; a line separator may stand inside a string since ES2019."""
    return msgspec.json.encode(value, enc_hook=float).decode()  # msgspec refuses numpy's floats


def _chunks(content: Content) -> Iterator[tuple[str, Any]]:
    """(name, value) of every data file. The index lists [id, entries, curves] of tables, and of entries [name, first line of
    the doc, places of tables]; digits: of a key, in the name of the file that holds its record."""
    tables = list({id(table): table for _, _, built in content.suites for table in built}.values())
    records = _records(content, tables)
    digits = next(n for n in range(1, 9) if len(records) <= BUCKET * 16**n)
    index: dict[str, Any] = {
        "version": bench.__version__, "suites": [], "tables": [], "entries": [], "figures": list(content.drawings),
        "claims": [[claim["id"], claim["verdict"]] for claim in content.claims],
        "papers": len(content.papers), "speedruns": len(content.speedruns), "digits": digits,
        "columns": model.COLUMNS, "alike": model.ALIKE, "costs": model.COSTS, "cpu": CPU_ENTRY,
    }  # fmt: skip
    for place, (name, doc, built) in enumerate(content.suites):
        yield f"suite-{place}", model.suite_model(name, doc, built)
        index["suites"].append({"name": name, "doc": doc, "tables": [table.id for table in built]})
    for place, table in enumerate(tables):
        suites = [name for name, _, built in content.suites if any(other is table for other in built)]
        curves = model.curves_model(table, content.curves)
        yield f"table-{place}", model.table_model(table, suites)
        yield f"curves-{place}", curves
        index["tables"].append([table.id, len(table.rows), len(curves["lines"])])
    for place, name in enumerate(sorted({row.entry for table in tables for row in table.rows})):
        entry = {"entry": name, "about": {}, "tuning": {}, "verified": [], **content.entries.get(name, {})}
        places = [i for i, table in enumerate(tables) if any(row.entry == name for row in table.rows)]
        yield f"entry-{place}", entry
        index["entries"].append([name, entry["about"].get("doc", "").split("\n")[0], places])
    for family, drawings in content.drawings.items():
        yield f"figures-{family}", drawings
    for name in ("claims", "papers", "speedruns", "submit"):
        yield name, getattr(content, name)
    for prefix, keys in groupby(sorted(records), key=lambda key: key[:digits]):
        yield f"records/{prefix}", _record_chunk([records[key] for key in keys])
    yield "index", index


def _records(content: Content, tables: Sequence[Built]) -> dict[str, tuple[Record, int | None, Any]]:
    """key -> record, place of its table, nearest baseline. A record of a claim may be in no table."""
    records: dict[str, tuple[Record, int | None, Any]] = {}
    for place, table in enumerate(tables):
        # all cells of a row share its configuration
        configs = {row.entry: next((r.config for r in row.records), {}) for row in table.rows}
        baselines = {name: parts for name, parts in configs.items() if name in content.baselines}
        for row in table.rows:
            near = record_page.nearest(row.entry, configs[row.entry], baselines)
            for record in row.records:
                records.setdefault(record.key, (record, place, near))
    return {record.key: (record, None, None) for record in content.behind} | records


def _record_chunk(records: Iterable[tuple[Record, int | None, Any]]) -> dict[str, Any]:
    """Records as values; `shared` holds those that several of them have, and each its place there."""
    shared: dict[str, int] = {}  # by the value's JSON
    details = []
    for record, home, near in records:
        detail = {name: value for name, value in plain(record).items() if name not in LEFT_OUT}
        detail |= {"look": oddities.of(record), "table": home, "near": near, "again": record_page.command(record)}
        detail["packages"] = detail["provenance"].pop("packages", {})
        for name in ("config", "params", "limits", "near", "packages"):
            detail[name] = shared.setdefault(_json(detail.get(name)), len(shared))
        details.append(detail)
    return {"shared": [json.loads(text) for text in shared], "records": details}
