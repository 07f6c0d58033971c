"""How to cite a table: the harness, the papers behind its rows, and a digest that identifies its records.

A `paper` text of a task or an entry names papers by their arXiv number or by their key in `papers.bib` ("Jordan et al. 2024
[jordan2024]"), several with semicolons. A paper that is not in that file is cited by its text alone, without author or title.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.records.spelling import SHOWN, blake, canonical_json

if TYPE_CHECKING:
    from bench.tables.table import Table

TITLE = "Sweepstakes: a benchmark harness and leaderboard for learning dynamics"
AUTHORS = "The Sweepstakes authors"
LICENCE = "Apache-2.0"

PAPERS = Path(__file__).parent / "papers.bib"
ARXIV = re.compile(r"arXiv[ :](\d{4}\.\d{4,5})")
KEY = re.compile(r"\[(\w+)\]")


@dataclass(frozen=True)
class Paper:
    """A paper as a `paper` text names it. cited_for: names of tasks and entries.

    key, kind, fields: of its entry in `papers.bib`; without one a key made of the text, `misc`, and its arXiv number if any.
    """

    text: str
    key: str
    kind: str
    fields: Mapping[str, str]
    cited_for: tuple[str, ...] = ()


@cache
def bibliography() -> dict[str, Paper]:
    """The papers of `papers.bib` by key and by arXiv number."""
    import bibtexparser

    known: dict[str, Paper] = {}
    for entry in bibtexparser.parse_file(str(PAPERS)).entries:
        fields = {name: str(field.value) for name, field in entry.fields_dict.items()}
        known[entry.key] = known[fields.get("eprint", entry.key)] = Paper("", entry.key, entry.entry_type, fields)
    return known


def papers(text: str, cited_for: str = "") -> list[Paper]:
    """The papers in one `paper` text; "none" and "" name none."""
    found = []
    for part in (part.strip() for part in text.split(";")):
        if part.lower() not in ("", "none"):
            number, key = ARXIV.search(part), KEY.search(part)
            fields = {"eprint": number[1], "archiveprefix": "arXiv"} if number else {}
            unknown = Paper(part, f"paper{blake(part)[:SHOWN]}", "misc", fields)
            paper = bibliography().get(number[1] if number else key[1] if key else "", unknown)
            found.append(replace(paper, text=part, cited_for=(cited_for,) if cited_for else ()))
    return found


def merged(papers: Iterable[Paper]) -> list[Paper]:
    """Each paper once, with everything it is cited for."""
    by_key: dict[str, Paper] = {}
    for paper in papers:
        first = by_key.setdefault(paper.key, paper)
        by_key[paper.key] = replace(first, cited_for=tuple(dict.fromkeys((*first.cited_for, *paper.cited_for))))
    return [*by_key.values()]


def digest(tables: Iterable[Table]) -> str:
    """A digest of the keys of the tables' records, independent of their order: 12 characters."""
    return blake(canonical_json(sorted({key for table in tables for row in table.rows for key in row.keys})))[:SHOWN]


@dataclass(frozen=True)
class Citation:
    """A table's citation. records: how many it has; missing: planned cells without one; command: it shows the table again."""

    version: str
    commit: str
    dirty: bool
    digest: str
    records: int
    missing: int
    command: str
    tasks: tuple[str, ...] = ()
    papers: tuple[Paper, ...] = ()


def cite(tables: Sequence[Table], command: str) -> Citation:
    """The citation of tables: their tasks' papers, then their entries', in order of the tables."""
    from bench.planning import config
    from bench.planning.files import EntryFile
    from bench.records.provenance import here

    cited: list[Paper] = []
    for table in tables:
        cited += papers(config.task_spec(table.task).sheet.paper, table.task)
    for name in dict.fromkeys(part for table in tables for row in table.rows for part in row.entry.split("+")):
        cited += papers(config.load("entry", name, EntryFile).paper, name)
    origin = here()
    return Citation(
        version=__version__, commit=origin.commit or "", dirty=bool(origin.dirty), digest=digest(tables),
        records=len({key for table in tables for row in table.rows for key in row.keys}),
        missing=sum(row.missing for table in tables for row in table.rows), command=command,
        tasks=tuple(dict.fromkeys(f"{table.task}@{table.version}" for table in tables)), papers=tuple(merged(cited)),
    )  # fmt: skip


def _identity(citation: Citation) -> str:
    """Version, commit, records, digest and command in a line."""
    changed = " with uncommitted changes" if citation.dirty else ""
    origin = f"version {citation.version}" + (f", commit {citation.commit[:SHOWN]}{changed}" if citation.commit else "")
    return f"{origin}; {citation.records} records, digest {citation.digest}; {citation.command}"


def bibtex(citation: Citation) -> str:
    """BibTeX: the harness with the table's digest, then the papers."""
    import bibtexparser
    from bibtexparser.model import Block, Entry, Field

    harness = {
        "author": f"{{{AUTHORS}}}", "title": f"{{{TITLE}}}", "version": citation.version, "license": LICENCE,
        "note": _escaped(_identity(citation)),
    }  # fmt: skip
    blocks = [("software", "sweepstakes", harness)]
    for paper in citation.papers:
        text = "" if "author" in paper.fields else paper.text
        blocks.append((paper.kind, paper.key, {**paper.fields, "note": _escaped(_note(text, paper))}))
    entries: list[Block] = [Entry(kind, key, [Field(*pair) for pair in f.items()]) for kind, key, f in blocks]
    layout = bibtexparser.BibtexFormat()
    layout.indent, layout.block_separator = "  ", "\n\n"
    return str(bibtexparser.write_string(bibtexparser.Library(entries), bibtex_format=layout)).strip()


def _note(text: str, paper: Paper) -> str:
    """The text with the names that the paper is cited for."""
    return "; ".join(filter(None, (text, f"cited for {', '.join(paper.cited_for)}" if paper.cited_for else "")))


def _escaped(text: str) -> str:
    """The text with a backslash before each character that TeX reads as a command."""
    return re.sub(r"([&%$#_{}])", r"\\\1", text)


def cff(citation: Citation) -> str:
    """Citation File Format 1.2.0, where a title is mandatory: a reference without one has its text as title."""
    import yaml

    references = []
    for paper in citation.papers:
        fields = {name: re.sub("[{}]", "", field) for name, field in paper.fields.items()}  # braces protect capitals
        authors = fields.get("author", "unnamed").split(" and ")
        reference: dict[str, Any] = {
            "type": "article", "title": fields.get("title", paper.text),
            "authors": [{"name": "et al." if name == "others" else name} for name in authors],
            "notes": _note(paper.text, paper),
        }  # fmt: skip
        if "year" in fields:
            reference["year"] = int(fields["year"])
        if "eprint" in fields:
            reference["identifiers"] = [{"type": "other", "value": f"arXiv:{fields['eprint']}"}]
        references.append(reference)
    commit = {"commit": citation.commit} if citation.commit else {}
    content = {
        "cff-version": "1.2.0",
        "message": f"This table: {_identity(citation)}",
        "title": TITLE, "type": "software", "license": LICENCE, "version": citation.version,
        "authors": [{"name": AUTHORS}],
        "identifiers": [{"type": "other", "value": citation.digest, "description": "digest of the table's record keys"}],
        "references": references, **commit,
    }  # fmt: skip
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)).rstrip()


def text(citation: Citation) -> str:
    """The harness in a line, then a line for each paper."""
    lines = [f"{paper.text}  [{', '.join(paper.cited_for)}]" for paper in citation.papers]
    return "\n".join([f"{AUTHORS}. {TITLE}. {_identity(citation)}", *lines])


def as_json(citation: Citation) -> str:
    """Every field of the citation."""
    return json.dumps(asdict(citation), indent=1, ensure_ascii=False)


RENDERERS = {"bibtex": bibtex, "cff": cff, "text": text, "json": as_json}
