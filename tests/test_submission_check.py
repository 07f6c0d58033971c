"""What a pull request is refused for, on repositories of the test's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.planning.files import Values
from bench.records.spelling import blake
from bench.submissions import folder as submitted
from bench.submissions import pull_request
from tests import rows
from tests.conftest import command_in, made_once, variables

ROOT = Path(__file__).resolve().parent.parent
YAML = """doc: the default part with another rate
authors: [Ada Lovelace]
licence: MIT
declared_trials: 0
optimizer: {lr: 0.1}
"""
RECORD = msgspec.to_builtins(
    rows.record(
        "mine", 0, key="k", task="toy/line", version=1, params={}, metrics={"error": 0.5}, curves={},
        provenance={"cpu": "any", "packages": {"torch": "1"}, "started": "2030-01-01", "transport": "pipe"},
    )
)  # fmt: skip
ROW = {"task": "toy/line", "version": 1, "preset": "small", "params": {}, "seeds": [0]}
TUNED = """preset: small
trials: 1
seeds: [1000]
objective: error
value: 0.5
values: {optimizer.lr: 0.1}
at_the_edge: []
table: [{optimizer.lr: 0.1, objective: 0.5}]
"""
LEDGER = "results/ledger/toy/line/mine.jsonl"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "change")
    return git(folder, "rev-parse", "HEAD")


def put(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, encoding="utf-8")


def seal(folder: Path, **changes) -> None:
    """Write the manifest that fits what lies in the folder."""
    files = submitted.contents(folder)
    about = {"format": 1, "entry": folder.name, "doc": "the default part with another rate", "authors": ["Ada Lovelace"],
             "licence": "MIT", "declared_trials": 0, "rows": [ROW], "digest": submitted.digest(files),
             "files": {path: blake(data) for path, data in files.items()}}  # fmt: skip
    put(folder, "manifest.json", json.dumps(about | changes))


def submission(repository: Path, name: str = "mine", records=(RECORD,)) -> Path:
    """A sound submission in `repository`."""
    folder = repository / "submissions" / name
    put(folder, f"configs/entry/{name}.yaml", YAML)
    put(folder, LEDGER.replace("mine", name), "".join(json.dumps(r | {"entry": name}) + "\n" for r in records))
    seal(folder)
    return folder


@pytest.fixture
def repository(tmp_path):
    """(folder, base commit) of a project with one published record and one accepted submission."""
    git(tmp_path, "init", "-q", "-b", "main")
    put(tmp_path, "results/ledger/toy/line/adam.jsonl", json.dumps(RECORD | {"entry": "adam"}) + "\n")
    put(tmp_path, "configs/entry/adam.yaml", "optimizer: {lr: 0.3}\n")
    submission(tmp_path, "theirs")
    return tmp_path, commit(tmp_path)


def checked(repository) -> str:
    folder, base = repository
    passes, report = pull_request.check(folder, base, commit(folder))
    assert passes == ("**Passes**" in report or "No submission" in report)
    return report


def test_a_change_elsewhere_is_no_submission(repository):
    put(repository[0], "bench/x.py", "")
    assert "No submission in this change" in checked(repository)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda r: (r / "results/ledger/toy/line/adam.jsonl").unlink(), "adam.jsonl: the change removes"),
        (lambda r: put(r, "results/ledger/toy/line/adam.jsonl", "{}\n"), "adam.jsonl: the change changes"),
        (lambda r: put(r, "configs/entry/adam.yaml", "optimizer: {lr: 9}\n"), "adam.yaml: the change changes"),
        (lambda r: put(r, "bench/train.py", "x = 1\n"), "bench/train.py: outside submissions/NAME/"),
        (lambda r: put(r, ".github/workflows/own.yml", "on: push\n"), "own.yml: outside submissions/NAME/"),
        (lambda r: put(r, "submissions/theirs/more.txt", "x"), "several submissions at once (mine, theirs)"),
        (lambda r: put(r, "submissions/loose.txt", "x"), "submissions/loose.txt: outside"),
    ],
)
def test_what_touches_anything_else_is_refused(repository, spoil, said):
    submission(repository[0])
    spoil(repository[0])
    assert said in checked(repository)


def line(**changes) -> str:
    return json.dumps(RECORD | changes) + "\n"


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        (LEDGER, "{ half\n", "mine.jsonl:1: no record that a sweep makes"),
        (LEDGER, line(metrics={"error": float("nan")}), "mine.jsonl:1: no record"),
        (LEDGER, line(status="splendid"), "`$.status`"),
        (LEDGER, line(entry="adam"), "a record of adam on toy/line does not belong here"),
        (LEDGER, line() + line(), "a second record of key k"),
        (LEDGER, json.dumps({"key": "k"}) + "\n", "missing required field `format`"),
        (LEDGER, line(metrics=[0.5]), "`$.metrics`"),
        (LEDGER, line(costs={"cpu": {"train": "none"}}), "`$.costs.cpu[...]`"),
        (LEDGER, line(provenance={"cpu": "any"}), "provenance lacks packages"),
        (LEDGER, line(recertified={"code": ["any"]}), "unknown field `recertified`"),
        (
            "configs/tuned/toy/line/mine.yaml",
            "trials: 7\n",
            "mine.yaml: lacks `preset`; run `bench tune` for mine again",
        ),
        ("configs/tuned/toy/line/mine.yaml", TUNED.replace("trials: 1", "trials: 7"), "7 trials and a table of 1"),
        ("configs/tuned/toy/line/mine.yaml", TUNED, "sets optimizer.lr to what `search` does not hold"),
        ("entries/__pycache__/mine.cpython-311.pyc", "x", "mine.cpython-311.pyc: not a file of entry mine"),
        ("entries/manifest.json", "{}", "entries/manifest.json: not a file of entry mine"),
        ("results/verified/mine.jsonl", "{}\n", "not a file of entry mine"),
        ("results/ledger/toy/line/adam.jsonl", line(entry="adam"), "not a file of entry mine"),
        ("configs/tuned/toy/line/adam.yaml", "trials: 3\n", "not a file of entry mine"),
        ("weights.bin", "x", "weights.bin: not a file of entry mine"),
        ("configs/entry/mine.yaml", YAML.replace("MIT", "none"), "SPDX"),
        ("configs/entry/mine.yaml", YAML.replace("Ada Lovelace", "Someone Else"), "disagree on `authors`"),
    ],
)
def test_a_submission_that_is_not_sound_is_refused(repository, path, text, said):
    folder = submission(repository[0])
    put(folder, path, text)
    seal(folder)
    assert said in checked(repository)


def test_files_altered_after_the_manifest_are_seen(repository):
    folder = submission(repository[0])
    put(folder, LEDGER, line(metrics={"error": 0.4}))
    assert f"files differ from the manifest: {LEDGER}" in checked(repository)


@pytest.mark.parametrize("rows", [[], {}, ["toy/line"], [ROW | {"seeds": 5}], [ROW | {"params": None}]])
def test_a_manifest_of_another_form_is_refused(repository, rows):
    seal(submission(repository[0]), rows=rows)
    assert "manifest.json: `rows: " in checked(repository)


def test_a_folder_of_any_size_is_not_read(repository, monkeypatch):
    monkeypatch.setattr(submitted, "LIMIT", 100)
    submission(repository[0])
    assert "at most 100 are taken" in checked(repository)


def test_a_submission_without_records_or_manifest_is_refused(repository):
    folder = submission(repository[0])
    (folder / LEDGER).unlink()
    seal(folder)
    assert "no records" in checked(repository)
    (folder / "manifest.json").unlink()
    assert "holds no manifest.json" in checked(repository)


def test_links_lead_nowhere(repository):
    folder = submission(repository[0])
    (folder / "configs" / "entry" / "mine.yaml").unlink()
    (folder / "configs" / "entry" / "mine.yaml").symlink_to("/etc/passwd")
    assert "a link or a submodule" in checked(repository)


def test_a_name_that_is_there_is_taken(repository):
    submission(repository[0], "adam")
    assert "name 'adam' is taken" in checked(repository)


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def alter(change):
    """Change every record, under a manifest that fits them."""

    def spoil(folder: Path) -> None:
        records = [json.loads(text) for text in (folder / LEDGER).read_text().splitlines()]
        put(folder, LEDGER, "".join(json.dumps(r | change(r)) + "\n" for r in records))
        seal(folder, **{name: manifest(folder)[name] for name in ("doc", "rows")})

    return spoil


def in_manifest(**changes):
    """Change the manifest's row."""

    def spoil(folder: Path) -> None:
        (row,) = manifest(folder)["rows"]
        seal(folder, rows=[row | changes])

    return spoil


@pytest.fixture(scope="session")
def sound(toy, tmp_path_factory):
    """What `bench submit` wrote for the entry of YAML on the toy task: the folder `mine`."""

    def submit(author: Path) -> None:
        put(author, "configs/entry/mine.yaml", YAML)
        git(author, "init", "-q", "-b", "main")
        done = command_in(author, variables(toy, author))("submit", "configs/entry/mine.yaml", "task=toy/line")
        assert done.returncode == 0, done.stdout + done.stderr

    return made_once(tmp_path_factory, "submission", submit) / "submissions" / "mine"


@pytest.mark.parametrize(
    ("spoil", "words", "said"),
    [
        (None, ["--run"], ["| toy/line | mine | verified |"]),
        # numbers under a manifest that fits them show when the cell runs again
        (alter(lambda r: {"metrics": {n: v / 9 for n, v in r["metrics"].items()}}), ["--run"], ["differs by 0.89"]),
        # what follows shows before anything runs
        (
            alter(lambda r: {"metrics": {"charm": 1.0}}),
            [],
            ["does not declare: charm", "error, which ranks, is undefined"],
        ),
        (alter(lambda r: {"version": 0}), [], ["its key is not that of its content"]),
        (in_manifest(version=7), [], ["toy/line: made with version 7, here is 1"]),
        (
            in_manifest(seeds=[1, 0, 3]),
            [],
            ["the suite's are 0, 1, 2", "2 records that the manifest's rows do not plan"],
        ),
        (in_manifest(preset="huge"), [], ["It cannot be checked: no preset of toy/line 'huge'"]),
    ],
)
def test_records_are_made_again_and_fresh_seeds_drawn(environment, sound, tmp_path, spoil, words, said):
    environment["SWEEPSTAKES_DRAWN"] = "1"  # an honest row is disputed once in a hundred draws
    project = tmp_path / "project"
    put(project, "README.md", "a project\n")
    git(project, "init", "-q", "-b", "main")
    base = commit(project)
    folder = project / "submissions" / "mine"
    shutil.copytree(sound, folder)
    if spoil is not None:
        spoil(folder)
    check = [
        sys.executable,
        "-P",
        "-m",
        "bench.submissions.pull_request",
        base,
        commit(project),
        "--out",
        "report.md",
        *words,
    ]
    done = subprocess.run(check, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    report = (project / "report.md").read_text()
    assert all(text in report for text in said), report + done.stderr
    assert (done.returncode == 0) == (spoil is None)
    assert ("### toy/line" in report) == (words == ["--run"])


def test_a_tuned_value_comes_from_what_is_searched():
    bounds, given = (0.01, 3.0), Values((1, 2))
    assert all(submitted._searched(value, bounds) for value in (0.01, 0.1732, 3.0, 3.0004))
    assert not any(submitted._searched(value, bounds) for value in (0.009, 3.1, "0.1", None))
    assert submitted._searched(2, given) and not submitted._searched(1.5, given)
    assert not submitted._searched(1.0, None), "what is not searched is not tuned"
