"""Citations: what `paper` strings say and nothing more; a digest that finds the table's records again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import bench
from bench.board import citation
from bench.planning import config
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("text", "authors", "others", "year", "title", "note", "arxiv"),
    [
        ("Power et al. 2022 (arXiv 2201.02177)", ("Power",), True, "2022", "", "", "2201.02177"),
        ("Hoffer, Hubara, Soudry 2017 (arXiv 1705.08741)", ("Hoffer", "Hubara", "Soudry"), False, "2017", "", "", "1705.08741"),
        ("Loshchilov & Hutter 2019 (arXiv 1711.05101)", ("Loshchilov", "Hutter"), False, "2019", "", "", "1711.05101"),
        ("Brandstetter, Worrall and Welling 2022, Message Passing Neural PDE Solvers, arXiv 2202.03376",
         ("Brandstetter", "Worrall", "Welling"), False, "2022", "Message Passing Neural PDE Solvers", "", "2202.03376"),
        ("Liu et al. 2023, Omnigrok (arXiv 2210.01117)", ("Liu",), True, "2023", "Omnigrok", "", "2210.01117"),
        ("Gemma Team 2024, Gemma 2, arXiv 2408.00118", ("Gemma Team",), False, "2024", "Gemma 2", "", "2408.00118"),
        ("Raissi, Perdikaris and Karniadakis 2019, Physics-informed neural networks, J. Comput. Phys. 378",
         ("Raissi", "Perdikaris", "Karniadakis"), False, "2019", "Physics-informed neural networks", "J. Comput. Phys. 378", ""),
        ("Takamoto et al. 2022, PDEBench (arXiv 2210.07182), section on inverse problems",
         ("Takamoto",), True, "2022", "PDEBench", "section on inverse problems", "2210.07182"),
        ("Krizhevsky 2009 for the data", ("Krizhevsky",), False, "2009", "", "for the data", ""),
        ("Jordan et al. 2024", ("Jordan",), True, "2024", "", "", ""),
        ("a blog post", (), False, "", "", "", ""),
    ],
)  # fmt: skip
def test_a_paper_string_is_read(text, authors, others, year, title, note, arxiv):
    (one,) = citation.papers(text)
    assert (one.authors, one.others, one.year, one.title, one.note, one.arxiv) == (
        authors,
        others,
        year,
        title,
        note,
        arxiv,
    )


def test_every_shipped_paper_string_gives_an_author_and_a_year():
    strings = [config.task_spec(name).sheet.paper for name in config.names("task")]
    strings += [str(config.load("entry", name).get("paper") or "") for name in config.names("entry")]
    found = [one for text in strings for one in citation.papers(text)]
    assert len(found) > 60
    for one in found:
        assert one.authors and one.year, one.text
        assert one.arxiv or "arxiv" not in one.text.lower(), one.text
        assert all(name in one.text for name in (*one.authors, one.title, one.note)), "nothing is invented"


def test_one_paper_under_two_strings_is_one_with_its_title():
    found = citation.merged(
        [*citation.papers("Takamoto et al. 2022, PDEBench, arXiv 2210.07182; Tian 2025 (arXiv 2509.21519)", "a"),
         *citation.papers("Takamoto et al. 2022 (arXiv 2210.07182)", "b"), *citation.papers("none", "c")]
    )  # fmt: skip
    assert [(one.title, one.cited_for) for one in found] == [("PDEBench", ("a", "b")), ("", ("a",))]


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
    assert json.loads(text["json"])["papers"][0]["arxiv"] == "2201.02177"


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
    assert zenodo["description"].startswith(config.base and _description(project))
    assert f"## {bench.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def _description(project: str) -> str:
    return next(line.split('"')[1] for line in project.splitlines() if line.startswith("description"))


def test_the_changelog_labels_every_change():
    lines = Path(ROOT / "CHANGELOG.md").read_text().splitlines()
    changes = [line for line in lines if line.startswith("- ")]
    assert changes and all(line.startswith(("- [Code]", "- [Task]", "- [Rules]", "- [Board]")) for line in changes)
