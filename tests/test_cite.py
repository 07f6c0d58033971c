"""Citations: what `paper` strings say and nothing more; a digest that finds the table's records again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import yaml

import bench
from bench.board import citation
from bench.planning import config
from bench.planning.files import ClaimFile, EntryFile
from tests.conftest import ROOT


def test_a_paper_is_found_by_its_number_or_its_key():
    found = citation.papers(
        "Liu et al. 2023, Omnigrok (arXiv 2210.01117); Jordan et al. 2024 [jordan2024]; none", "muon"
    )
    assert [one.key for one in found] == ["liu2023omnigrok", "jordan2024"]
    assert found[0].fields["title"] == "{Omnigrok}: Grokking Beyond Algorithmic Data" and found[0].cited_for == (
        "muon",
    )
    assert found[1].fields == {"author": "Jordan and others", "year": "2024"}, "what is not known is left out"


def test_a_paper_that_is_not_in_the_list_is_cited_by_its_text():
    new, post = citation.papers("Somebody 2026, An idea, arXiv 2601.00001; a blog post [unheard]")
    assert new.fields == {"eprint": "2601.00001", "archiveprefix": "arXiv"} and new.text.startswith("Somebody")
    assert post.fields == {} and post.key != new.key and post.kind == "misc"
    made = citation.Citation("0", "", False, "d", 0, 0, "c", papers=(new, post))
    assert "note = {a blog post [unheard]}" in citation.bibtex(made)
    assert [one["authors"] for one in yaml.safe_load(citation.cff(made))["references"]] == [[{"name": "unnamed"}]] * 2


def shipped() -> list[str]:
    texts = [config.task_spec(name).sheet.paper for name in config.names("task")]
    return texts + [config.load("entry", name, EntryFile).paper for name in config.names("entry")]


def test_every_shipped_paper_is_in_the_list():
    found = [one for text in shipped() for one in citation.papers(text)]
    assert len(found) > 60
    for one in found:
        assert one.key in citation.bibliography(), one.text
        first = one.fields["author"].split(" and ")[0].strip("{}")
        assert one.text.startswith(first) and one.fields["year"] in (*_years(one.text), "2017"), (one.text, one.fields)
    claims = [config.load("claim", name, ClaimFile) for name in config.names("claim")]
    assert {claim.arxiv for claim in claims if claim.arxiv} <= citation.bibliography().keys()


def _years(text: str) -> list[str]:
    return re.findall(r"\b(?:19|20)\d\d\b", text)


def test_nothing_in_the_list_is_made_up_or_left_over():
    """Every author stands in a text that names the paper; a title stands there or in a claim of the paper."""
    texts = shipped()
    claims = [config.load("claim", name, ClaimFile) for name in config.names("claim")]
    texts += [f"{claim.paper} (arXiv {claim.arxiv})" for claim in claims]
    said: dict[str, str] = {}
    for text in texts:
        for one in citation.papers(text):
            said[one.key] = said.get(one.key, "") + " " + one.text.lower()
    assert said.keys() == {one.key for one in citation.bibliography().values()}
    for key, text in said.items():
        paper = citation.bibliography()[key]
        for author in paper.fields["author"].split(" and "):
            assert author == "others" or author.strip("{}").lower() in text, (key, author)
        assert paper.fields.get("title", "").replace("{", "").replace("}", "").lower() in text, key


def test_one_paper_under_two_texts_is_one():
    found = citation.merged(
        [*citation.papers("Takamoto et al. 2022, PDEBench, arXiv 2210.07182; Tian 2025 (arXiv 2509.21519)", "a"),
         *citation.papers("Takamoto et al. 2022 (arXiv 2210.07182)", "b"), *citation.papers("none", "c")]
    )  # fmt: skip
    assert [(one.key, one.cited_for) for one in found] == [("takamoto2022", ("a", "b")), ("tian2025", ("a",))]


def table(*rows: tuple[str, tuple[str, ...]]):
    made = [SimpleNamespace(entry=entry, keys=keys, missing=1) for entry, keys in rows]
    return SimpleNamespace(task="grokking/modular_addition", version=3, rows=made)


def test_the_digest_is_of_the_records_whatever_their_order():
    one = citation.digest([table(("adam", ("k1", "k2"))), table(("muon", ("k3",)))])
    assert one == citation.digest([table(("muon", ("k3", "k2")), ("adam", ("k1",)))]) and len(one) == 12
    assert one != citation.digest([table(("adam", ("k1", "k2", "k4"))), table(("muon", ("k3",)))])


def test_every_format_names_the_harness_the_papers_and_the_digest():
    made = citation.cite([table(("adam", ("k1", "k2")), ("muon+qk_layernorm", ("k3",)))], "bench table suite=core")
    assert (made.records, made.missing, made.tasks) == (3, 2, ("grokking/modular_addition@3",))
    text = {name: render(made) for name, render in citation.RENDERERS.items()}
    for found in text.values():
        assert made.digest in found and "2201.02177" in found and "2302.05442" in found and bench.__version__ in found
        assert "bench table suite=core" in found.replace("\n  ", " ")
    assert "author = {Power and others}" in text["bibtex"] and r"grokking/modular\_addition" in text["bibtex"]
    ids = [line for line in text["bibtex"].splitlines() if line.startswith("@")]
    assert len(ids) == len(set(ids)) and text["bibtex"].count("{") == text["bibtex"].count("}")
    cff = yaml.safe_load(text["cff"])
    assert cff["cff-version"] == "1.2.0" and cff["identifiers"][0]["value"] == made.digest
    assert all(reference["title"] and reference["authors"] and reference["type"] for reference in cff["references"])
    assert json.loads(text["json"])["papers"][0]["fields"]["eprint"] == "2201.02177"


def test_cite_and_table_tell_the_same_digest(bench, tmp_path):
    words = ["task=toy/line", "entry=line_sgd", "preset=smoke", "seed=range(2)"]
    bench("run", *words)
    done = bench("cite", *words, "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["records"] == 2 and told["command"] == "bench table " + " ".join(words)
    assert f"records {told['digest']}" in bench("table", *words).stderr
    bench("run", *words[:3], "seed=7")
    assert json.loads(bench("cite", *words[:3], "seed=0,1,7", "--format", "json").stdout)["digest"] != told["digest"]


def test_what_is_said_of_the_project_itself_agrees_everywhere():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    zenodo = json.loads((ROOT / ".zenodo.json").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    names = [author["name"] for author in cff["authors"]]
    assert cff["title"] == zenodo["title"] == citation.TITLE
    assert cff["version"] == zenodo["version"] == bench.__version__
    assert cff["license"] == zenodo["license"] == citation.LICENCE and f'license = "{citation.LICENCE}"' in project
    assert names == [creator["name"] for creator in zenodo["creators"]] == [citation.AUTHORS]
    assert zenodo["upload_type"] == cff["type"] == "software"
    assert zenodo["description"].startswith(_description(project))
    assert f"## {bench.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def _description(project: str) -> str:
    return next(line.split('"')[1] for line in project.splitlines() if line.startswith("description"))


def test_the_changelog_labels_every_change():
    lines = Path(ROOT / "CHANGELOG.md").read_text().splitlines()
    changes = [line for line in lines if line.startswith("- ")]
    assert changes and all(line.startswith(("- [Code]", "- [Task]", "- [Rules]", "- [Board]")) for line in changes)
