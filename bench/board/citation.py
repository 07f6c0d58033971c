"""How to cite a table: the harness, the papers behind its rows, and a digest by which the same records are found again.

A `paper` text of a task or an entry names papers by their arXiv number or by their key in `papers.bib` ("Jordan et al. 2024
[jordan2024]"), several with semicolons. A paper that is not in it is cited by its text alone: no author or title is made up.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
    """A paper as a `paper` text names it. key, kind, fields: of its entry in `papers.bib`; of a paper that is not there, a key
    made of its text, `misc`, and what the text tells a program: its arXiv number. cited_for: tasks and entries."""

    text: str
    key: str
    kind: str
    fields: Mapping[str, str]
    cited_for: tuple[str, ...] = ()


@cache
def bibliography() -> dict[str, Paper]:
    """Key -> paper, and arXiv number -> paper, of `papers.bib`."""
    import bibtexparser

    library = bibtexparser.parse_file(str(PAPERS))
    found: dict[str, Paper] = {}
    for entry in library.entries:
        fields = {name: str(one.value) for name, one in entry.fields_dict.items()}
        paper = Paper("", entry.key, entry.entry_type, fields)
        found |= {entry.key: paper} | ({fields["eprint"]: paper} if "eprint" in fields else {})
    return found


def papers(text: str, cited_for: str = "") -> list[Paper]:
    """The papers in one `paper` text; "none" and "" name none."""
    parts = [part.strip() for part in text.split(";")]
    return [_paper(part, cited_for) for part in parts if part and part.lower() != "none"]


def _paper(text: str, cited_for: str) -> Paper:
    number, key, named = ARXIV.search(text), KEY.search(text), (cited_for,) if cited_for else ()
    known = bibliography().get(number[1] if number else key[1] if key else "")
    if known is not None:
        return Paper(text, known.key, known.kind, known.fields, named)
    fields = {"eprint": number[1], "archiveprefix": "arXiv"} if number else {}
    return Paper(text, f"paper{blake(text)[:SHOWN]}", "misc", fields, named)


def merged(found: Iterable[Paper]) -> list[Paper]:
    """Each paper once, with everything it is cited for."""
    groups: dict[str, list[Paper]] = {}
    for one in found:
        groups.setdefault(one.key, []).append(one)
    return [
        Paper(**{**vars(group[0]), "cited_for": tuple(dict.fromkeys(n for one in group for n in one.cited_for))})
        for group in groups.values()
    ]


def digest(tables: Iterable[Table]) -> str:
    """Of the records that tables are made of, whatever their order: 12 characters."""
    keys = sorted({key for one in tables for row in one.rows for key in row.keys})
    return blake(canonical_json(keys))[:SHOWN]


@dataclass(frozen=True)
class Citation:
    """A table's citation. records: how many; command: what shows the table again."""

    version: str
    commit: str
    dirty: bool
    digest: str
    records: int
    missing: int
    command: str
    tasks: tuple[str, ...] = ()
    papers: tuple[Paper, ...] = field(default=())


def cite(tables: Sequence[Table], command: str) -> Citation:
    """The citation of tables: their tasks' papers, then their entries', in order of the tables."""
    from bench.planning import config
    from bench.planning.files import EntryFile
    from bench.records.provenance import here

    found: list[Paper] = []
    for one in tables:
        found += papers(config.task_spec(one.task).sheet.paper, one.task)
    for name in dict.fromkeys(part for one in tables for row in one.rows for part in row.entry.split("+")):
        found += papers(config.load("entry", name, EntryFile).paper, name)
    origin = here()
    return Citation(
        version=__version__,
        commit=origin.commit or "",
        dirty=bool(origin.dirty),
        digest=digest(tables),
        records=len({key for one in tables for row in one.rows for key in row.keys}),
        missing=sum(row.missing for one in tables for row in one.rows),
        command=command,
        tasks=tuple(dict.fromkeys(f"{one.task}@{one.version}" for one in tables)),
        papers=tuple(merged(found)),
    )


def _told(citation: Citation) -> str:
    """What identifies the table, in words."""
    commit = f", commit {citation.commit[:SHOWN]}" if citation.commit else ""
    return (
        f"version {citation.version}{commit}{' with uncommitted changes' if citation.dirty and commit else ''}; "
        f"{citation.records} records, digest {citation.digest}; {citation.command}"
    )


def bibtex(citation: Citation) -> str:
    """BibTeX: the harness with the table's digest, then the papers."""
    import bibtexparser
    from bibtexparser.model import Entry, Field

    harness = {
        "author": f"{{{AUTHORS}}}", "title": f"{{{TITLE}}}", "version": citation.version, "license": LICENCE,
        "note": _escaped(_told(citation)),
    }  # fmt: skip
    blocks = [("software", "sweepstakes", harness)]
    for one in citation.papers:
        listed = "author" in one.fields
        note = "; ".join(filter(None, ("" if listed else one.text, _for(one))))
        blocks.append((one.kind, one.key, {**one.fields, "note": _escaped(note)}))
    library = bibtexparser.Library()
    for kind, key, fields in blocks:
        library.add(Entry(kind, key, [Field(*pair) for pair in fields.items()]))
    layout = bibtexparser.BibtexFormat()
    layout.indent, layout.block_separator = "  ", "\n\n"
    return str(bibtexparser.write_string(library, bibtex_format=layout)).strip()


def _for(one: Paper) -> str:
    return f"cited for {', '.join(one.cited_for)}" if one.cited_for else ""


def _escaped(text: str) -> str:
    """Characters that TeX would read as commands."""
    return re.sub(r"([&%$#_{}])", r"\\\1", text)


def _plain(one: Paper, name: str) -> str:
    """A field without the braces that keep capitals."""
    return one.fields.get(name, "").replace("{", "").replace("}", "")


def cff(citation: Citation) -> str:
    """Citation File Format 1.2.0; a reference without a title is titled by its text, as the format wants one."""
    import yaml

    content: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": f"This table: {_told(citation)}",
        "title": TITLE, "type": "software", "license": LICENCE, "version": citation.version,
        "authors": [{"name": AUTHORS}],
        "identifiers": [{"type": "other", "value": citation.digest, "description": "digest of the table's record keys"}],
        "references": [],
    }  # fmt: skip
    if citation.commit:
        content["commit"] = citation.commit
    for one in citation.papers:
        authors = [
            {"name": "et al." if name == "others" else name} for name in _plain(one, "author").split(" and ") if name
        ]
        reference: dict[str, Any] = {
            "type": "article",
            "title": _plain(one, "title") or one.text,
            "authors": authors or [{"name": "unnamed"}],
            "notes": "; ".join(filter(None, (one.text, _for(one)))),
        }
        if year := _plain(one, "year"):
            reference["year"] = int(year)
        if number := _plain(one, "eprint"):
            reference["identifiers"] = [{"type": "other", "value": f"arXiv:{number}"}]
        content["references"].append(reference)
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)).rstrip()


def text(citation: Citation) -> str:
    """Plain lines."""
    lines = [f"{AUTHORS}. {TITLE}. {_told(citation)}"]
    return "\n".join([*lines, *(f"{one.text}  [{', '.join(one.cited_for)}]" for one in citation.papers)])


def as_json(citation: Citation) -> str:
    """Every field."""
    return json.dumps(asdict(citation), indent=1, ensure_ascii=False)


RENDERERS = {"bibtex": bibtex, "cff": cff, "text": text, "json": as_json}


def do_cite(options: argparse.Namespace) -> int:
    """How to cite a table: `bench cite suite=core task=grokking/modular_addition`.

    Prints the harness with version, commit and a digest of the table's records, then the papers of its tasks and entries, as
    their configurations name them. `bench table` of the same records says the same digest.
    """
    from pathlib import Path

    from bench.planning import config, plan
    from bench.records.store import Store
    from bench.tables import join

    request = config.parse(options.overrides)
    store = Store(Path(request.settings.results))
    shown = [word for word in options.overrides if not word.startswith("results=")]
    citation = cite(join.build_all(plan.make(request, store), store), " ".join(["bench table", *shown]))
    print(RENDERERS[options.format](citation))
    return 0


def add_parser(verbs: Any, formats: Sequence[str] = tuple(RENDERERS)) -> None:
    """Add `cite` to the subparsers `verbs`; it sets `do`."""
    one = verbs.add_parser(
        "cite", help=(do_cite.__doc__ or "").splitlines()[0], description=do_cite.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    one.set_defaults(do=do_cite)
    one.add_argument("--format", choices=formats, default=formats[0])
    one.add_argument("overrides", nargs="*", metavar="key=value", help="those of `bench table`")
