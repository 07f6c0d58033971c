"""How to cite a table: the harness, the papers behind its rows, and a digest by which the same records are found again.

What a paper is comes from the `paper` strings of tasks and entries alone ("Power et al. 2022 (arXiv 2201.02177)"): nothing
is looked up and no author or title is added, so that a string without a title gives an entry without one.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.records.spelling import SHOWN, blake, canonical_json

if TYPE_CHECKING:
    from bench.tables.table import Table

TITLE = "Sweepstakes: a benchmark harness and leaderboard for learning dynamics"
AUTHORS = "The Sweepstakes authors"
LICENCE = "Apache-2.0"

ARXIV = re.compile(r"\(?arXiv[ :](\d{4}\.\d{4,5})\)?")
DATED = re.compile(r"^(?P<authors>[^\d()]+?),? (?P<year>(?:19|20)\d\d)\b,?\s*(?P<rest>.*)$")


@dataclass(frozen=True)
class Paper:
    """One paper as its `paper` string tells it; fields that the string lacks are empty. cited_for: tasks and entries."""

    text: str
    authors: tuple[str, ...] = ()
    others: bool = False  # "et al."
    year: str = ""
    title: str = ""
    note: str = ""
    arxiv: str = ""
    cited_for: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """A BibTeX key: first author, year, first word of the title or the arXiv number."""
        first = re.sub(r"[^a-z]", "", (self.authors[0] if self.authors else "anon").lower())
        word = re.sub(r"[^a-z0-9]", "", self.arxiv or self.title.split(" ")[0].lower())
        return f"{first}{self.year}{'_' if word else ''}{word}"


def papers(text: str, cited_for: str = "") -> list[Paper]:
    """The papers in one `paper` string; several are separated by semicolons. "none" and "" name none."""
    found = []
    for part in (part.strip() for part in text.split(";")):
        if part and part.lower() != "none":
            found.append(_paper(part, cited_for))
    return found


def _paper(text: str, cited_for: str) -> Paper:
    number = ARXIV.search(text)
    before, after = (text, "") if number is None else (text[: number.start()], text[number.end() :])
    dated = DATED.match(before.strip(" ,"))
    if dated is None:
        return Paper(text, arxiv=number.group(1) if number else "", cited_for=(cited_for,))
    names = dated["authors"]
    others = names.endswith(" et al.")
    authors = re.split(r", and |, | and | & ", names.removesuffix(" et al."))
    title, note = dated["rest"].strip(" ,"), after.strip(" ,")
    if title.startswith("for "):  # "Krizhevsky 2009 for the data"
        title, note = "", title
    journal = re.search(r", ([A-Z][\w.]*\. .*\d)$", title)  # ", J. Comput. Phys. 378"
    if journal:
        title, note = title[: journal.start()], journal.group(1)
    return Paper(
        text, tuple(author.strip() for author in authors), others, dated["year"], title, note,
        number.group(1) if number else "", (cited_for,),
    )  # fmt: skip


def merged(found: Iterable[Paper]) -> list[Paper]:
    """Each paper once, with everything it is cited for; the same arXiv number, else the same string, is one paper.

    Of several strings for one number the one with a title is kept.
    """
    groups: dict[str, list[Paper]] = {}
    for one in found:
        groups.setdefault(one.arxiv or one.text, []).append(one)
    kept = []
    for group in groups.values():
        best = max(group, key=lambda one: (bool(one.title), len(one.title), len(one.authors)))
        named = tuple(dict.fromkeys(name for one in group for name in one.cited_for if name))
        kept.append(Paper(**{**vars(best), "cited_for": named}))
    return kept


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
        found += papers(config.load("entry", name, EntryFile).paper or "", name)
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

    def entry(kind: str, name: str, fields: dict[str, str]) -> str:
        lines = [f"  {key} = {{{value}}}," for key, value in fields.items() if value]
        return "\n".join([f"@{kind}{{{name},", *lines, "}"])

    blocks = [
        entry("software", "sweepstakes", {
            "author": f"{{{AUTHORS}}}", "title": f"{{{TITLE}}}", "version": citation.version,
            "license": LICENCE, "note": _escaped(_told(citation)),
        })
    ]  # fmt: skip
    for one in citation.papers:
        names = [f"{{{author}}}" if " " in author else author for author in one.authors] + ["others"] * one.others
        fields = {
            "author": " and ".join(names), "title": f"{{{_escaped(one.title)}}}" if one.title else "", "year": one.year,
            "eprint": one.arxiv, "archivePrefix": "arXiv" if one.arxiv else "",
            "note": _escaped("; ".join(filter(None, (one.note if one.authors else one.text, _for(one))))),
        }  # fmt: skip
        blocks.append(entry("misc", one.id, fields))
    return "\n\n".join(blocks)


def _for(one: Paper) -> str:
    return f"cited for {', '.join(one.cited_for)}" if one.cited_for else ""


def _escaped(text: str) -> str:
    """Characters that TeX would read as commands."""
    return re.sub(r"([&%$#_{}])", r"\\\1", text)


def cff(citation: Citation) -> str:
    """Citation File Format 1.2.0; a reference without a title is titled by its string, as the format wants one."""
    import yaml

    def authors(one: Paper) -> list[dict[str, str]]:
        return [{"name": name} for name in (*one.authors, *(["et al."] if one.others else []))] or [{"name": "unnamed"}]

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
        reference: dict[str, Any] = {"type": "article", "title": one.title or one.text, "authors": authors(one)}
        if one.year:
            reference["year"] = int(one.year)
        if one.arxiv:
            reference["identifiers"] = [{"type": "other", "value": f"arXiv:{one.arxiv}"}]
        if notes := "; ".join(filter(None, (one.note, _for(one)))):
            reference["notes"] = notes
        content["references"].append(reference)
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)).rstrip()


def text(citation: Citation) -> str:
    """Plain lines."""
    lines = [f"{AUTHORS}. {TITLE}. {_told(citation)}"]
    return "\n".join([*lines, *(f"{one.text}  [{', '.join(one.cited_for)}]" for one in citation.papers)])


def as_json(citation: Citation) -> str:
    """Every field."""
    papers_ = [{**asdict(one), "id": one.id} for one in citation.papers]
    return json.dumps({**asdict(citation), "papers": papers_}, indent=1, ensure_ascii=False)


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
