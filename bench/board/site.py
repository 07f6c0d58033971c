"""The static board: one folder that opens from `file://`, without server or network.

    index.html  static/*.js *.css  vendor/…      the page
    data/index.js                                what there is: suites, tasks, entries
    data/suite-N.js  table-N.js  entry-N.js      one chunk a page, loaded when it is opened
    data/curves-N.js  figures-FAMILY.js  claims.js  records/PREFIX.js

A page from `file://` may not fetch, so data are scripts that hand a value to `Board.put`; everything is put on the page
as text, never as HTML, but for the project's own drawings and documents.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bench
from bench.board import curves, model, record_page
from bench.board.model import Built, Known
from bench.outcome import plain
from bench.records.record import Record
from bench.tables.table import CPU_ENTRY

HERE = Path(__file__).parent
SCRIPTS = ("core", "glyph", "table", "chart", "suite", "task", "entry", "more", "board")
BUCKET = 64  # records in a chunk, about
POLICY = (  # scripts of this folder only, and nothing leaves it
    "default-src 'none'; script-src 'self' file:; style-src 'self' file: 'unsafe-inline'; img-src data:; "
    "connect-src 'none'; form-action 'none'; base-uri 'none'"
)


@dataclass
class Content:
    """What the board shows. suites: (name, doc, tables), the same table of two suites once, by identity.

    tables: each with the suites it is in. curves: of a record. drawings: family -> figures as values. claims, speedruns:
    as values. behind: records of the claims, which may be in no table. entries: name -> (configuration, tuning by task).
    submit: a document as HTML of the project's own.
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
    """Compact; what is not finite is null, since a script has to be read by every browser."""

    def clean(node: Any) -> Any:
        if isinstance(node, float):
            return node if math.isfinite(node) else None
        if isinstance(node, Mapping):
            return {str(name): clean(part) for name, part in node.items()}
        return [clean(part) for part in node] if isinstance(node, list | tuple) else node

    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(clean(value), ensure_ascii=False, separators=(",", ":"))


class _Folder:
    """The data folder being written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "records").mkdir(parents=True)

    def put(self, name: str, value: Any) -> None:
        """data/<name>.js; a line separator inside a string is no end of it since ES2019."""
        (self.root / f"{name}.js").write_text(f"Board.put({json.dumps(name)},{_json(value)})\n", encoding="utf-8")


def write(content: Content, out: Path) -> Path:
    """Write the folder `out`, replacing an older board there, and return the path of its index.html."""
    for name in ("data", "static", "vendor"):
        shutil.rmtree(out / name, ignore_errors=True)
    folder = _Folder(out / "data")
    shutil.copytree(HERE / "static", out / "static")
    shutil.copytree(HERE / "vendor", out / "vendor")
    tables = list({id(one): one for _, _, built in content.suites for one in built}.values())
    index = {
        "version": bench.__version__,
        "suites": _suites(folder, content),
        "tables": _tables(folder, content, tables),
        "entries": _entries(folder, content, tables),
        "figures": list(content.drawings),
        "claims": [[one["id"], one["verdict"]] for one in content.claims],
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
    found = []
    for place, (name, doc, built) in enumerate(content.suites):
        one = model.suite_model(name, doc, built, content.known)
        folder.put(f"suite-{place}", one)
        found.append({"name": name, "doc": doc, "tables": [b.id for b in built]})
    return found


def _tables(folder: _Folder, content: Content, tables: Sequence[Built]) -> list[list[Any]]:
    """Writes a chunk for each table and one for its curves; [id, entries, whether it has curves] of each."""
    found = []
    for place, one in enumerate(tables):
        suites = [name for name, _, built in content.suites if any(b is one for b in built)]
        folder.put(f"table-{place}", model.table_model(one, suites, content.known))
        order = {row.entry: i for i, row in enumerate(one.table.rows)}
        axis = one.task.derived[0].axis if one.task.derived else None
        drawn = curves.of_table(one.rows, order, axis, content.curves)
        folder.put(f"curves-{place}", drawn)
        found.append([one.id, len(one.rows), len(drawn["lines"])])
    return found


def _entries(folder: _Folder, content: Content, tables: Sequence[Built]) -> list[list[Any]]:
    """Writes a chunk for each entry; [name, first line of its doc, places of its tables] of each."""
    where: dict[str, list[int]] = {}
    for place, one in enumerate(tables):
        for row in one.rows:
            where.setdefault(row.entry, []).append(place)
    found = []
    for place, name in enumerate(sorted(where)):
        about, tuning = content.entries.get(name, ({}, {}))
        marks = [plain(mark) for (_, _, entry), mark in content.known.verified.items()
                 if entry == name]  # fmt: skip
        folder.put(f"entry-{place}", {"entry": name, "about": about, "tuning": tuning, "verified": marks})
        found.append([name, str(about.get("doc") or "").split("\n")[0], where[name]])
    return found


def _records(folder: _Folder, content: Content, tables: Sequence[Built]) -> int:
    """Writes all records, in chunks by the first digits of their keys; returns how many digits."""
    found: dict[str, tuple[Record, Any]] = {}
    for place, one in enumerate(tables):
        configs = {row.entry: _config(row) for row in one.rows}
        own = {name: parts for name, parts in configs.items() if name in content.baselines}
        for row in one.rows:
            near = record_page.nearest(row.entry, configs[row.entry], own)
            for cell in row.cells.values():
                found |= {r.key: (r, [place, near]) for r in cell or () if r is not None and r.key not in found}
    found |= {r.key: (r, (None, None)) for r in content.behind if r.key not in found}
    digits = next(n for n in range(1, 9) if len(found) <= BUCKET * 16**n)
    buckets: dict[str, list[str]] = {}
    for key in found:
        buckets.setdefault(key[:digits], []).append(key)
    for prefix, keys in buckets.items():
        shared: dict[str, int] = {}  # what seeds have in common is written once a chunk
        lines = []
        for key in sorted(keys):
            record, (place, near) = found[key]
            shown = record_page.detail(record) | {"table": place, "near": near, "again": record_page.command(record)}
            shown["provenance"] = {k: v for k, v in plain(record.provenance).items() if k != "packages"}
            shown["packages"] = record.provenance.packages
            for name in ("config", "params", "limits", "near", "packages"):
                shown[name] = shared.setdefault(_json(shown.get(name)), len(shared))
            lines.append(shown)
        folder.put(f"records/{prefix}", {"shared": [json.loads(text) for text in shared], "records": lines})
    return digits


def _config(row: Any) -> Mapping[str, Any]:
    """The configuration of a row, from its first record; all its cells share it."""
    return next((r.config for cell in row.cells.values() for r in cell or () if r is not None), {})


def _page() -> str:
    scripts = ["vendor/tabulator.min.js", *(f"static/{name}.js" for name in SCRIPTS), "data/index.js"]
    # deferred: asked for at once and run in order; the policy in the page keeps a browser from looking ahead itself
    tags = "\n".join(f'<script defer src="{path}"></script>' for path in scripts)
    text = (HERE / "static" / "index.html").read_text(encoding="utf-8")
    return text.replace("{{policy}}", POLICY).replace("{{scripts}}", tags)
