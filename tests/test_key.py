"""Identities: what makes a cell stale, and what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.records import identity


def test_the_canonical_tree_ignores_comments_docstrings_and_layout():
    a = 'def f(x):\n    """Doc."""\n    return x + 1  # why\n'
    b = "def f(x):\n\n    return (x +\n            1)\n"
    assert identity.code_hash(a) == identity.code_hash(b) != identity.code_hash("def f(x):\n    return x + 2\n")


def test_the_code_hash_is_the_same_on_every_supported_python():
    source = (Path(__file__).parent / "golden" / "syntax.py.txt").read_text()
    assert identity.code_hash(source) == "6b695a5ee1e2944514d4d4e2389fe195"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose part reaches helpers in every way a module can."""
    files = {
        "part.py": "from pkg.one import f\n\ndef build(model, steps):\n    import lazy_helper\n    return f(model)\n",
        "pkg/__init__.py": "from .reexported import g\n",
        "pkg/one.py": "from . import two\n\ndef f(model):\n    return two.h\n",
        "pkg/two.py": "import pkg.three\nh = 1\n",
        "pkg/three.py": "value = 3\n",
        "pkg/reexported.py": "g = 1\n",
        "pkg/table.json": "[1, 2]",
        "lazy_helper.py": "x = 1\n",
        "by_target.py": "def part(model):\n    return 1\n",
        "spelled.py": "y = 1\n",
        "uses_string.py": 'PATH = "spelled.y"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for cached in (identity._top, identity.first_party):
        cached.cache_clear()
    yield tmp_path
    for cached in (identity._top, identity.first_party):
        cached.cache_clear()


PARTS = {
    "optimizer": {"_target_": "part.build", "inner": {"_target_": "by_target.part"}},
    "extra": {"_target_": "uses_string.PATH"},
}


def digest(project: Path) -> dict[str, str]:
    return identity.Digests().closure(identity.targets(PARTS))


@pytest.mark.parametrize(
    "name",
    ["part.py", "pkg/one.py", "pkg/two.py", "pkg/three.py", "pkg/__init__.py", "pkg/reexported.py", "lazy_helper.py",
     "by_target.py", "spelled.py", "pkg/table.json"],
)  # fmt: skip
def test_an_edit_anywhere_the_part_reaches_changes_the_digest_and_names_the_file(project, name):
    before = digest(project)
    path = project / name
    path.write_text(path.read_text() + ("extra_name = 2\n" if name.endswith(".py") else " "))
    changed = [component for component, _, _ in identity.difference(before, digest(project))]
    module = (
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if name.endswith(".py")
        else "pkg/table.json"
    )
    assert changed == [module]


@pytest.mark.parametrize("name", ["part.py", "pkg/three.py", "by_target.py"])
def test_a_comment_changes_nothing(project, name):
    before = digest(project)
    (project / name).write_text("# a comment\n\n" + (project / name).read_text())
    assert digest(project) == before


def test_digests_are_remembered_until_a_file_changes(project, tmp_path):
    store = tmp_path / "cache" / "digests.json"
    first = identity.Digests(store)
    before = first.closure(["part.build"])
    first.save()
    known = json.loads(store.read_text())
    assert any("part.py" in name for name in known)
    (project / "part.py").write_text("def build(model, steps):\n    return 0\n")
    assert identity.Digests(store).closure(["part.build"]) != before


def test_third_party_code_counts_by_its_version_only():
    assert identity.Digests().closure(["torch.optim.SGD"]) == {}
    assert identity.distribution("torch").startswith("torch 2.")


def test_bench_why_names_the_edited_file(bench, tmp_path):
    (tmp_path / "configs" / "entry").mkdir(parents=True)
    (tmp_path / "configs" / "entry" / "mine.yaml").write_text("optimizer: {_target_: my_parts.build}\n")
    (tmp_path / "my_parts.py").write_text("from my_helper import rate\nimport torch\n\ndef build(model, steps):\n"
                                          "    return torch.optim.SGD(model.parameters(), rate)\n")  # fmt: skip
    (tmp_path / "my_helper.py").write_text("rate = 0.1\n")
    words = ["task=toy/line", "entry=mine", "preset=smoke"]
    assert bench("run", *words).returncode == 0
    assert bench("why", *words).stdout.startswith("fresh")
    (tmp_path / "my_helper.py").write_text("rate = 0.2\n")
    told = bench("why", *words).stdout
    assert told.startswith("stale") and "code.my_helper:" in told and "code.my_parts" not in told
    assert json.loads(bench("run", *words, "--format", "json").stdout)["ran"] == 1
