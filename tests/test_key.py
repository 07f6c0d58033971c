"""Identities: what makes a cell stale, and what does not."""

from __future__ import annotations

import importlib.machinery
import json
import os
import time
from pathlib import Path

import pytest

from bench.contract import BenchError
from bench.records import identity, modules, syntax
from bench.records.spelling import blake


def meant(source: str | bytes) -> str:
    return syntax.meaning(source.encode() if isinstance(source, str) else source, "m", False)[0]


def test_the_canonical_tree_ignores_comments_docstrings_and_layout():
    a = 'def f(x):\n    """Doc."""\n    return x + 1  # why\n'
    b = "def f(x):\n\n    return (x +\n            1)\n"
    assert meant(a) == meant(b) != meant("def f(x):\n    return x + 2\n")


def test_the_canonical_tree_ignores_statements_that_are_a_string():
    assert meant("x = 1\n'about x'\ny = 2\n") == meant("x = 1\ny = 2\n") != meant("x = 1\ny = 'about x'\n")


CONTRACT = "from bench.contract import Metric, Exhibit as Shown\n"


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('Metric("loss", "1", "min", "one", "log")', 'Metric("loss", "1", "min", f"{2}", "log")', True),
        ('Metric("loss", "1", "min", "one", "log")', 'Metric("loss", "1", "min", "one", "linear")', False),
        ('Metric("loss", "1", "min", "one")', 'Metric("loss", "1", "max", "one")', False),
        ('Shown("field", doc="one")', 'Shown("field", doc="two")', True),
        ('Shown("field", doc="one")', 'Shown("field", unit="two")', False),
        ('mine(1, 2, 3, 4, doc="one")', 'mine(1, 2, 3, 4, doc="two")', False),  # not of the contract: it may read it
    ],
)
def test_the_canonical_tree_ignores_the_doc_of_what_the_contract_declares(old, new, same):
    assert (meant(CONTRACT + old) == meant(CONTRACT + new)) is same


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("x = '1'", "x = 1"), ("x = 1", "x = 1.0"), ("x = 1", "x = True"), ("x = b'a'", "x = 'a'"), ("f(a, b)", "f(a)(b)"),
        ("x = [1, [2]]", "x = [[1], 2]"), ("x = ''", "x = None"), ("x = 'a\\nb'", "x = 'a'\nb"), ("del x", "x"),
    ],
)  # fmt: skip
def test_different_code_has_different_trees(a, b):
    assert meant(a) != meant(b)


def test_the_code_hash_is_the_same_on_every_supported_python():
    assert (
        meant((Path(__file__).parent / "golden" / "syntax.py.txt").read_bytes()) == "8d056592adb1677e6d1cf8eb45c06a2d"
    )


def test_a_source_is_read_in_its_own_encoding():
    plain = "x = 'é'\n"
    latin = b"# -*- coding: latin-1 -*-\nx = '\xe9'\n"
    assert meant(plain) == meant(latin) == meant(b"\xef\xbb\xbf" + plain.encode()) != meant("x = 'e'\n")


@pytest.mark.parametrize(
    "source",
    [
        b"x = (", b"x = '\xe9'\n", b"# coding: nonsense\n", b"x = 1\0", b"x = " + b"-" * 100_000 + b"1",
        b"x = " + b"1 + " * 20_000 + b"1",
    ],
    ids=["syntax", "no utf-8", "no such encoding", "zero byte", "signs", "sum"],
)  # fmt: skip
def test_a_source_that_cannot_be_parsed_counts_by_its_content(source):
    assert syntax.meaning(source, "m", False) == (blake(source), [])


def test_a_deep_expression_and_a_huge_number_are_digested():
    deep = "x = " + "1 + " * 900 + "1"
    assert meant(deep) != meant(deep + "0") != blake(deep)
    assert meant("x = 0x" + "f" * 10_000) != meant("x = 0x" + "f" * 10_001)


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
    modules.forget()
    yield tmp_path
    modules.forget()


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


def test_digests_are_cached_until_a_file_changes(project, tmp_path):
    store = tmp_path / "cache" / "digests.json"
    first = identity.Digests(store)
    before = first.closure(["part.build"])
    first.save()
    known = json.loads(store.read_text())
    assert any("part.py" in name for name in known)
    (project / "part.py").write_text("def build(model, steps):\n    return 0\n")
    assert identity.Digests(store).closure(["part.build"]) != before


def test_an_edit_of_equal_size_and_time_is_seen_and_its_bytecode_goes(project, tmp_path):
    import importlib.util
    import py_compile

    part, store = project / "by_target.py", tmp_path / "cache" / "digests.json"
    part.write_text("value = 1\n")
    os.utime(part, ns=(10**18, 10**18))
    time.sleep(0.05)  # so that the digest is remembered: a file that just changed may change again unseen
    compiled = Path(py_compile.compile(str(part)))
    digests = identity.Digests(store)
    before = digests.closure(["by_target.part"])
    digests.save()
    assert identity.Digests(store).closure(["by_target.part"]) == before and compiled.exists()
    part.write_text("value = 2\n")
    os.utime(part, ns=(10**18, 10**18))
    assert identity.Digests(store).closure(["by_target.part"]) != before
    assert str(compiled) == importlib.util.cache_from_source(str(part)) and not compiled.exists()


def test_a_cached_digest_is_not_computed_again(project, tmp_path, monkeypatch):
    store = tmp_path / "cache" / "digests.json"
    time.sleep(0.05)
    first = identity.Digests(store)
    before = first.closure(["part.build"])
    first.save()
    monkeypatch.setattr(identity, "meaning", None)
    assert identity.Digests(store).closure(["part.build"]) == before


def test_every_file_of_a_package_counts_but_what_is_hidden_compiled_or_prose(project):
    before = set(digest(project))
    for name in ("rates.toml", "setup.cfg", "weights", ".hidden", "README.md", "unused.py", "folder/deep.json"):
        (project / "pkg" / name).parent.mkdir(exist_ok=True)
        (project / "pkg" / name).write_text("1\n")
    (project / "pkg" / "link.bin").symlink_to(project / "spelled.py")
    os.mkfifo(project / "pkg" / "pipe")
    assert set(digest(project)) - before == {"pkg/rates.toml", "pkg/setup.cfg", "pkg/weights", "pkg/link.bin"}


def test_the_files_behind_a_closure_are_its_modules_and_package_files(project):
    (project / "real").mkdir()
    (project / "pkg" / "three.py").rename(project / "real" / "three.py")
    (project / "pkg" / "three.py").symlink_to(project / "real" / "three.py")
    found = identity.Digests().files(identity.targets(PARTS))
    names = ["by_target.py", "lazy_helper.py", "part.py", "pkg/__init__.py", "pkg/one.py", "pkg/reexported.py",
             "pkg/table.json", "pkg/two.py", "real/three.py", "spelled.py", "uses_string.py"]  # fmt: skip
    assert found == tuple(str((project / name).resolve()) for name in names)


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(project, monkeypatch):
    def refused(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(BenchError, match=r"part\.py: cannot be read \(Permission denied\)"):
        identity.Digests().closure(["part.build"])


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


def installed(folder: Path, name: str, modules_: int = 1) -> None:
    """A package as pip leaves it in a folder."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("import torch\nfrom . import m0\n")
    for i in range(modules_):
        (folder / name / f"m{i}.py").write_text(
            f"from . import m{(i + 1) % modules_}\nx = {'-' * 100_000 if i == 7 else i}1\n"
        )
    about = folder / f"{name}-3.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.1\n")
    (about / "RECORD").write_text(f"{name}/__init__.py,sha256=x,1\n{name}-3.1.dist-info/METADATA,,\n")


def test_a_distribution_on_the_python_path_counts_by_its_version_and_is_never_parsed(project, tmp_path, monkeypatch):
    target = tmp_path / "cluster_modules"
    installed(target, "heavy", 2000)
    (target / "beside_it.py").write_text("y = 1\n")  # a file of one's own in the same folder
    (project / "part.py").write_text("import heavy.m3\nimport beside_it\n")
    monkeypatch.syspath_prepend(str(target))
    started = time.process_time()
    assert set(identity.Digests().closure(["part.build", "heavy.m1.f"])) == {"part", "beside_it"}
    assert time.process_time() - started < 1
    found, _ = identity.components(identity.Digests(), "part.Task", {"optimizer": {"_target_": "heavy.m1.f"}}, {})
    assert found.distributions == ["heavy 3.1"]


@pytest.mark.parametrize("place", ["user/lib/site-packages", "conda/envs/a/lib/site-packages", "lib/dist-packages"])
def test_a_site_folder_is_not_first_party_wherever_it_lies(project, tmp_path, monkeypatch, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "bare.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / place))
    assert not modules.first_party("bare")


def test_the_user_site_is_not_first_party(project, tmp_path, monkeypatch):
    import site

    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "bare.py").write_text("x = 1\n")
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(tmp_path / "packages"))
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    modules.forget()
    assert not modules.first_party("bare")


def test_a_package_in_a_zip_file_is_not_first_party(project, tmp_path, monkeypatch):
    import zipfile

    with zipfile.ZipFile(tmp_path / "packed.egg", "w") as archive:
        archive.writestr("packed/__init__.py", "x = 1\n")
        archive.writestr("single.py", "x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "packed.egg"))
    (project / "part.py").write_text("import packed, single\n")
    assert set(identity.Digests().closure(["part.build", "packed.f"])) == {"part"}


def test_an_installed_plugin_is_first_party(project, tmp_path, monkeypatch):
    target = tmp_path / "target"
    installed(target, "plugin")
    (target / "plugin-3.1.dist-info" / "entry_points.txt").write_text(
        "[sweepstakes.configs]\nplugin = plugin.configs\n"
    )
    monkeypatch.syspath_prepend(str(target))
    modules.forget()
    assert set(identity.Digests().closure(["plugin.Task"])) == {"plugin", "plugin.m0"}


def test_a_compiled_module_counts_by_its_content(project):
    compiled = project / f"fast{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    compiled.write_bytes(b"machine code")
    (project / "part.py").write_text("import fast\n")
    assert identity.Digests().closure(["part.build"])["fast"] == blake(b"machine code")


def test_bench_why_reports_a_record_of_an_older_format(bench, tmp_path):
    words = ["task=toy/line", "entry=zero", "preset=smoke"]
    assert bench("run", *words).returncode == 0
    (path,) = (tmp_path / "results" / "local").glob("*/*.json")
    record = json.loads(path.read_text())
    record["key"] = "0" * 32
    del record["components"]["form"]
    record["components"]["code"]["bench.execute"] = "of another form"
    (tmp_path / "results" / "local" / "00").mkdir()
    (tmp_path / "results" / "local" / "00" / f"{record['key']}.1.json").write_text(json.dumps(record))
    path.unlink()
    told = bench("why", *words).stdout
    assert told.startswith("stale") and "form: 1 -> 2 (a record of an older format" in told and "code." not in told
