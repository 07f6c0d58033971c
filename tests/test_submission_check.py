"""What a pull request is refused for, on repositories of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import key, submission_check, submitted

YAML = """doc: the default part with another rate
authors: [Ada Lovelace]
licence: MIT
declared_trials: 0
optimizer: {lr: 0.1}
"""
RECORD = {"key": "k", "task": "toy/line", "version": 1, "params": {}, "preset": "small", "entry": "mine", "config": {},
          "seed": 0, "status": "ok", "metrics": {"error": 0.5}, "costs": {}}  # fmt: skip
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
             "licence": "MIT", "declared_trials": 0, "rows": [], "digest": submitted.digest(files),
             "files": {path: key.blake(data) for path, data in files.items()}}  # fmt: skip
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
    passes, report = submission_check.check(folder, base, commit(folder))
    assert passes == ("**Passes**" in report or "No submission" in report)
    return report


def test_a_sound_submission_passes_and_a_change_elsewhere_is_none(repository):
    submission(repository[0])
    assert "**Passes**" in checked(repository)
    git(repository[0], "reset", "-q", "--hard", repository[1])
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
        (LEDGER, "{ half\n", "mine.jsonl:1: not JSON"),
        (LEDGER, line(metrics={"error": float("nan")}), "not JSON (NaN is no number)"),
        (LEDGER, line(status="splendid"), "no status 'splendid'"),
        (LEDGER, line(entry="adam"), "a record of adam on toy/line does not belong here"),
        (LEDGER, line() + line(), "a second record of key k"),
        (LEDGER, json.dumps({"key": "k"}) + "\n", "lacks task, version"),
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


@pytest.mark.parametrize("break_it", [False, True])
def test_with_run_records_are_made_again_and_fresh_seeds_drawn(bench, environment, tmp_path, break_it):
    environment["SWEEPSTAKES_DRAWN"] = "1"  # an honest row is disputed once in a hundred draws
    author, project = tmp_path / "author", tmp_path / "project"
    for folder in (author, project):
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
    put(author, "configs/entry/mine.yaml", YAML)
    done = bench("submit", "configs/entry/mine.yaml", "task=toy/line", cwd=author)
    assert done.returncode == 0, done.stdout + done.stderr
    put(project, "README.md", "a project\n")
    base = commit(project)
    (author / "submissions").rename(project / "submissions")
    if break_it:  # better numbers under a manifest that fits them
        folder = project / "submissions" / "mine"
        records = [json.loads(text) for text in (folder / LEDGER).read_text().splitlines()]
        better = [r | {"metrics": {name: value / 9 for name, value in r["metrics"].items()}} for r in records]
        put(folder, LEDGER, "".join(json.dumps(r) + "\n" for r in better))
        about = submitted.manifest(folder)
        files = submitted.contents(folder)
        about |= {"digest": submitted.digest(files), "files": {p: key.blake(data) for p, data in files.items()}}
        put(folder, "manifest.json", json.dumps(about))
    head = commit(project)
    command = [sys.executable, "-P", "-m", "bench.submission_check", base, head, "--run", "--out", "report.md"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    report = (project / "report.md").read_text()
    if break_it:
        assert done.returncode == 1 and "disputed" in report and "differs by 0.89" in report, report + done.stderr
    else:
        assert done.returncode == 0, report + done.stderr
        assert "| toy/line | mine | verified |" in report and "### toy/line" in report
