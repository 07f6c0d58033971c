"""What a submission is refused for, and what it becomes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.contract import BenchError
from bench.records.ledger import publish
from bench.records.store import Store
from bench.submissions import folder as submitted
from bench.submissions import package as submission
from bench.submissions import submit
from tests import rows

GOOD = """doc: momentum by its sign
authors: [Ada Lovelace]
licence: Apache-2.0
declared_trials: 3
optimizer: {_target_: bench.optim.named, name: entries.mine.Mine, lr: 0.05}
"""
CODE = '''"""mine: momentum by its sign."""

import torch


class Mine(torch.optim.SGD):
    """Plain steps."""
'''


def write(home: Path, yaml: str = GOOD, code: str = CODE, name: str = "mine") -> submission.Package:
    for path, text in ((f"configs/entry/{name}.yaml", yaml), (f"entries/{name}.py", code)):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text, encoding="utf-8")
    return submission.read(home / "configs" / "entry" / f"{name}.yaml")


def test_a_good_entry_has_no_problems(tmp_path):
    assert submission.problems(write(tmp_path)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("doc: momentum by its sign", "doc: say in one line what is new about it", "`doc`"),
        ("doc: momentum by its sign\n", "", "`doc`"),
        ("authors: [Ada Lovelace]", "authors: []", "`authors`"),
        ("licence: Apache-2.0", "licence: my own", "SPDX"),
        ("licence: Apache-2.0\n", "", "SPDX"),
        ("declared_trials: 3\n", "", "`declared_trials`"),
        ("bench.optim.named", "tasks.grokking.network.Quadratic", "belongs to a task"),
        ("bench.optim.named", "unheard_of.Thing", "needs: [unheard_of]"),
    ],
)
def test_a_configuration_is_refused_for(tmp_path, old, new, said):
    assert old in GOOD
    found = submission.problems(write(tmp_path, GOOD.replace(old, new)))
    assert len(found) == 1 and said in found[0], found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import unheard_of", "needs: [unheard_of]"),
        ("import importlib\nimportlib.import_module('unheard_of.x')", "needs: [unheard_of]"),
        ("def f():\n    from tasks.grokking import arithmetic", "never imports a task"),
        (f"TABLE = {list(range(600))}", "600 items"),
        (f"BLOB = {'x' * 11000!r}", "11,000 characters"),
        ("def (", "invalid syntax"),
    ],
)
def test_code_is_refused_for(tmp_path, line, said):
    found = submission.problems(write(tmp_path, code=f"{CODE}\n\n{line}\n"))
    assert len(found) == 1 and said in found[0] and "entries/mine.py" in found[0], found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("needs: unheard_of", "`needs: unheard_of`: expected a list of packages, or cuda, as in `needs: [einops"),
        ("search: [0.1, 1.0]", "`search: [0.1, 1.0]`: expected a mapping of arguments to two bounds"),
        ("paper: {arXiv: 1}", "`paper: {arXiv: 1}`: expected a text, as in"),
        ("a: [b", "mine.yaml, line 7: did not find expected"),
        ('model: {path: "${oc.env:HOME}"}', "`model.path: ${oc.env:HOME}` reads other settings"),
    ],
)
def test_a_configuration_that_cannot_be_loaded_says_how_it_can(tmp_path, line, said):
    with pytest.raises(BenchError) as raised:
        write(tmp_path, f"{GOOD}{line}\n")
    assert said in str(raised.value) and "mine.yaml" in str(raised.value)


def test_a_link_is_named_as_it_was_given(tmp_path):
    write(tmp_path)
    elsewhere = tmp_path / "elsewhere.py"
    (tmp_path / "entries" / "mine.py").rename(elsewhere)
    (tmp_path / "entries" / "mine.py").symlink_to(elsewhere)
    with pytest.raises(BenchError, match="entries/mine.py is a link to .*elsewhere.py; put the file itself there"):
        submission.read(tmp_path / "entries" / "mine.py")


def test_declared_needs_and_own_modules_may_be_imported(tmp_path):
    package = write(tmp_path, GOOD + "needs: [unheard_of]\n", CODE + "\nimport unheard_of\nimport json\n")
    assert submission.problems(package) == []


def test_all_reasons_are_told_at_once(tmp_path):
    yaml = GOOD.replace("licence: Apache-2.0\n", "").replace("[Ada Lovelace]", "[]")
    package = write(tmp_path, yaml, CODE + f"import unheard_of\nX = {'y' * 1_100_000!r}\n")
    found = "\n".join(submission.problems(package))
    for said in ("SPDX", "`authors`", "unheard_of", "at most 1,000,000", "characters"):
        assert said in found


def test_a_package_may_hold_text_only(tmp_path):
    write(tmp_path, GOOD.replace("entries.mine.Mine", "entries.mine.core.Mine"))
    (tmp_path / "entries" / "mine.py").unlink()
    folder = tmp_path / "entries" / "mine"
    folder.mkdir()
    (folder / "core.py").write_text(CODE + "from .extra import helper\n")
    (folder / "extra.py").write_text("import os\n\nhelper = os.getcwd\n")
    package = submission.read(folder)
    assert {path.name for path in package.code} == {"core.py", "extra.py"} and submission.problems(package) == []
    (folder / "__init__.py").write_text("")
    (folder / "core.py").write_text(CODE + "import entries.mine\n")
    (folder / "weights.pt").write_bytes(b"\x80\x02weights")
    (folder / "weights.txt").write_bytes(b"\x00\x01")
    (folder / "data.txt").symlink_to("/etc/hostname")
    found = "\n".join(submission.problems(submission.read(tmp_path)))
    assert (
        "weights.pt: only .py" in found and "weights.txt: it is binary" in found and "data.txt: it points out" in found
    )


def test_code_of_another_name_is_refused(tmp_path):
    write(tmp_path, code=CODE + "from entries.yours import thing\n")
    (tmp_path / "entries" / "yours.py").write_text("thing = 1\n")
    found = submission.problems(submission.read(tmp_path))
    assert found == ["entries/yours.py: code of another name; put what is needed into entries/mine.py or entries/mine/"]


def test_the_same_entry_by_any_of_its_paths(tmp_path):
    package = write(tmp_path)
    for path in (tmp_path, tmp_path / "entries" / "mine.py", package.yaml):
        assert submission.read(path) == package
    write(tmp_path, name="other")
    with pytest.raises(BenchError, match="found mine, other"):
        submission.read(tmp_path)
    with pytest.raises(BenchError, match="does not exist"):
        submission.read(tmp_path / "nothing.py")


def test_a_name_in_the_ledger_is_taken(tmp_path):
    package, store = write(tmp_path), Store(tmp_path / "results")
    assert submit.taken(package, store, tmp_path / "submissions") == []
    publish(store, [rows.record("mine", 0)])
    assert "taken" in submit.taken(package, store, tmp_path / "submissions")[0]


SUBMIT = ("submit", "entries/mine.py", "task=toy/line", "--format", "json")


def test_from_submission_to_acceptance(bench, environment, tmp_path):
    environment["SWEEPSTAKES_DRAWN"] = "1"  # an honest row is disputed once in a hundred draws
    write(tmp_path, GOOD + "search: {optimizer.lr: [1.0e-2, 0.5]}\n")
    done = bench(*SUBMIT)
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["problems"] == [], done.stderr
    assert "untuned" in told["notes"][0] and "bench tune task=toy/line entry=mine" in told["notes"][0]
    folder = tmp_path / "submissions" / "mine"
    about = submitted.manifest(folder)
    assert about.licence == "Apache-2.0" and about.declared_trials == 3 and about.records == 5
    assert about.rows[0].seeds == (0, 1, 2, 3, 4) and about.rows[0].trials is None
    lines = (folder / "results" / "ledger" / "toy" / "line" / "mine.jsonl").read_text().splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [0, 1, 2, 3, 4] and json.loads(lines[0])["curves"]

    refused = bench("submit", "--accept", "submissions/mine")
    assert refused.returncode == 2 and "toy/line is not verified" in refused.stderr
    assert bench("verify", "submissions/mine", "--seeds", "5").returncode == 0
    refused = bench("submit", "--accept", "submissions/mine")
    assert refused.returncode == 2 and "not verified by seeds drawn here" in refused.stderr, (
        "a chosen number gives no badge"
    )
    verified = tmp_path / "results" / "verified" / "mine.jsonl"
    verified.write_text(verified.read_text().replace('"repeated":true', '"repeated":false'))
    main = tmp_path / "main"
    main.mkdir()
    shutil.copytree(folder, main / "submissions" / "mine")
    accepted = bench("submit", "--accept", "submissions/mine", f"results={tmp_path / 'results'}", cwd=main)
    assert accepted.returncode == 0, accepted.stderr
    assert (main / "entries" / "mine.py").read_text() == CODE
    assert (main / "results" / "ledger" / "toy" / "line" / "mine.jsonl").read_text().splitlines() == lines
    (main / "entries" / "mine.py").write_text("changed")
    clash = bench("submit", "--accept", "submissions/mine", f"results={tmp_path / 'results'}", cwd=main)
    assert "entries/mine.py exists with other content" in clash.stderr

    # whatever is altered afterwards no longer matches its digest
    (folder / "entries" / "mine.py").write_text(CODE + "# altered\n")
    assert "files differ from the manifest: entries/mine.py" in submitted.folder_problems(folder)[0]
    (folder / "entries" / "mine.py").write_text(CODE)
    (folder / "configs" / "entry" / "adam.yaml").write_text(GOOD)
    assert any("one entry is wanted" in line for line in submitted.folder_problems(folder))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os\n\nclass Mine(torch.optim.SGD):\n    def step(self, closure=None):\n"
         "        for g in self.param_groups:\n            for p in g['params']:\n"
         "                p.data += int.from_bytes(os.urandom(2), 'big') * 1e-6\n", "the same seed gave another result"),
        ("class Mine(torch.optim.SGD):\n    def step(self, closure=None):\n        raise ValueError('no way')\n",
         "toy/line: failed at smoke: ValueError: no way"),
    ],
)  # fmt: skip
def test_what_running_shows_is_refused_too(bench, tmp_path, code, said):
    write(tmp_path, GOOD.replace("licence: Apache-2.0\n", ""), f"import torch\n\n{code}")
    done = bench("submit", "entries/mine.py", "task=toy/line", "--smoke-only")
    assert done.returncode == 1 and said in done.stdout and "SPDX" in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "submissions").exists()


def test_chosen_seeds_and_settings_are_refused(bench, tmp_path):
    write(tmp_path)
    for words, said in (
        (["seed=3,7,9"], "chosen ones prove nothing"),
        (["entry.optimizer.lr=1.0"], "by its YAML"),
    ):
        done = bench("submit", "entries/mine.py", "task=toy/line", *words)
        assert done.returncode == 2 and said in done.stderr, done.stderr


def test_files_an_entry_leaves_behind_are_seen(tmp_path):
    (tmp_path / "kept.txt").write_text("a")
    (tmp_path / "results").mkdir()
    before = submit._listing(tmp_path, (tmp_path / "results",))
    (tmp_path / "results" / "record").write_text("b")
    assert submit._listing(tmp_path, (tmp_path / "results",)) == before
    (tmp_path / "left.txt").write_text("c")
    assert set(submit._listing(tmp_path, (tmp_path / "results",))) - set(before) == {Path("left.txt")}
