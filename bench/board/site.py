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
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

import bench
from bench.board import model, record_page
from bench.board.model import Built, records_of
from bench.checking import oddities
from bench.outcome import plain
from bench.records.record import Record
from bench.tables.table import CPU_ENTRY

HERE = Path(__file__).parent
SCRIPTS = ("core", "glyph", "table", "chart", "suite", "task", "entry", "more", "board")
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
    drawings: family -> figures as values. claims, speedruns: as values. behind: records of the claims, which may be in no
    table. submit: the document on submitting, as HTML.
    """

    suites: Sequence[tuple[str, str, Sequence[Built]]]
    curves: Callable[[Record], Mapping[str, Any]]
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baselines: frozenset[str] = frozenset()
    drawings: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    claims: Sequence[Mapping[str, Any]] = ()
    behind: Sequence[Record] = ()
    speedruns: Sequence[Mapping[str, Any]] = ()
    submit: str = ""


def _json(value: Any) -> str:
    """Compact JSON, with null for numbers that are not finite. numpy's floats, which msgspec refuses, become floats."""
    return msgspec.json.encode(value, enc_hook=float).decode()


def _put(data: Path, name: str, value: Any) -> None:
    """Write <name>.js in the data folder. A line separator may stand inside a string since ES2019."""
    (data / f"{name}.js").write_text(f"Board.put({json.dumps(name)},{_json(value)})\n", encoding="utf-8")


def write(content: Content, out: Path) -> Path:
    """Write the folder `out`, replacing an older board there, and return the path of its index.html."""
    data, path = out / "data", out / "index.html"
    for name in ("data", "static", "vendor"):
        shutil.rmtree(out / name, ignore_errors=True)
    (data / "records").mkdir(parents=True)
    for name in ("static", "vendor"):
        shutil.copytree(HERE / name, out / name)
    tables = list({id(table): table for _, _, built in content.suites for table in built}.values())
    index = {
        "version": bench.__version__,
        "suites": [
            {"name": name, "doc": doc, "tables": [one.id for one in built]} for name, doc, built in content.suites
        ],
        "tables": _tables(data, content, tables),
        "entries": _entries(data, content, tables),
        "figures": list(content.drawings),
        "claims": [[claim["id"], claim["verdict"]] for claim in content.claims],
        "speedruns": len(content.speedruns),
        "digits": _records(data, content, tables),
        "columns": model.COLUMNS,
        "alike": model.ALIKE,
        "costs": model.COSTS,
        "cpu": CPU_ENTRY,
    }
    for place, suite in enumerate(content.suites):
        _put(data, f"suite-{place}", model.suite_model(*suite))
    for family, drawings in content.drawings.items():
        _put(data, f"figures-{family}", drawings)
    for name in ("claims", "speedruns", "submit"):
        _put(data, name, getattr(content, name))
    _put(data, "index", index)
    scripts = ["vendor/tabulator.min.js", *(f"static/{name}.js" for name in SCRIPTS), "data/index.js"]
    # deferred scripts load in parallel and run in order; the page's policy disables the browser's own preloading
    tags = "\n".join(f'<script defer src="{script}"></script>' for script in scripts)
    page = (HERE / "static" / "index.html").read_text(encoding="utf-8")
    path.write_text(page.replace("{{policy}}", POLICY).replace("{{scripts}}", tags), encoding="utf-8")
    return path


def _tables(data: Path, content: Content, tables: Sequence[Built]) -> list[list[Any]]:
    """Writes a chunk for each table and one for its curves; returns [id, entries, curves] of each."""
    index: list[list[Any]] = []
    for place, table in enumerate(tables):
        suites = [name for name, _, built in content.suites if any(other is table for other in built)]
        lines = model.curves_model(table, content.curves)
        _put(data, f"table-{place}", model.table_model(table, suites))
        _put(data, f"curves-{place}", lines)
        index.append([table.id, len(table.rows), len(lines["lines"])])
    return index


def _entries(data: Path, content: Content, tables: Sequence[Built]) -> list[list[Any]]:
    """Writes a chunk for each entry; returns [name, first line of its doc, places of its tables] of each."""
    index: list[list[Any]] = []
    for place, name in enumerate(sorted({row.entry for table in tables for row in table.rows})):
        entry = {"entry": name, "about": {}, "tuning": {}, "verified": [], **content.entries.get(name, {})}
        _put(data, f"entry-{place}", entry)
        places = [i for i, table in enumerate(tables) if any(row.entry == name for row in table.rows)]
        index.append([name, entry["about"].get("doc", "").split("\n")[0], places])
    return index


def _records(data: Path, content: Content, tables: Sequence[Built]) -> int:
    """Writes all records, in chunks by the first digits of their keys; returns the number of these digits."""
    records: dict[str, tuple[Record, int | None, Any]] = {}  # key -> record, place of its table, nearest baseline
    for place, table in enumerate(tables):
        # all cells of a row share its configuration
        configs = {row.entry: next((r.config for r in records_of(row)), {}) for row in table.rows}
        baselines = {name: parts for name, parts in configs.items() if name in content.baselines}
        for row in table.rows:
            near = record_page.nearest(row.entry, configs[row.entry], baselines)
            for record in records_of(row):
                records.setdefault(record.key, (record, place, near))
    for record in content.behind:
        records.setdefault(record.key, (record, None, None))
    digits = next(n for n in range(1, 9) if len(records) <= BUCKET * 16**n)
    for prefix, keys in groupby(sorted(records), key=lambda key: key[:digits]):
        shared: dict[str, int] = {}  # values that several records of a chunk have, as JSON, each with its index
        details = []
        for record, home, near in (records[key] for key in keys):
            detail = {name: value for name, value in plain(record).items() if name not in LEFT_OUT}
            detail |= {"look": oddities.of(record), "table": home, "near": near, "again": record_page.command(record)}
            detail["packages"] = detail["provenance"].pop("packages", {})
            for name in ("config", "params", "limits", "near", "packages"):
                detail[name] = shared.setdefault(_json(detail.get(name)), len(shared))
            details.append(detail)
        _put(data, f"records/{prefix}", {"shared": [json.loads(text) for text in shared], "records": details})
    return digits
