"""The workflows' own lines, run as GitHub would run them, on pull requests good and bad."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_submission_check import ROOT, commit, git, put, sound  # noqa: F401  (sound is a fixture)

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
LINE = "results/ledger/grokking/modular_addition/adam.jsonl"


def workflow(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def filled(values: Mapping[str, str], context: Mapping[str, str]) -> dict[str, str]:
    return {name: EXPRESSION.sub(lambda found: context[found.group(1)], str(text)) for name, text in values.items()}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_expression_is_pasted_into_a_script_and_no_secret_is_named(path):
    text, about = path.read_text(encoding="utf-8"), yaml.safe_load(path.read_text(encoding="utf-8"))
    assert "secrets." not in text and "pull_request_target" not in text
    for job in about["jobs"].values():
        scripts = [step["run"] for step in job["steps"] if "run" in step]
        assert scripts and not any(EXPRESSION.search(script) for script in scripts)
        writes = "write" in str([about.get("permissions"), job.get("permissions")])
        takes_code = any("checkout" in step.get("uses", "") for step in job["steps"])
        assert not (writes and takes_code), "whoever may write runs no code of a pull request"


@pytest.fixture(scope="module")
def origin(toy, tmp_path_factory):
    """(bare repository, clone, base commit) of the project as far as a submission needs it, its environment made."""
    home = tmp_path_factory.mktemp("hub")
    clone, bare = home / "clone", home / "origin.git"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("bench", "tasks", "baselines", "configs", ".github"):
        shutil.copytree(ROOT / name, clone / name, ignore=ignored)
    for name in ("Makefile", "requirements.lock", "pyproject.toml", LINE):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clone / name)
    python = clone / ".venv" / "bin" / "python"  # what `make setup` would make, of this interpreter
    paths = os.pathsep.join([str(clone), str(toy)])
    put(clone, ".venv/bin/python", f'#!/bin/sh\nPYTHONPATH="{paths}" exec "{sys.executable}" -P "$@"\n')
    python.chmod(0o755)
    put(clone, ".gitignore", ".venv/\nreport/\n__pycache__/\nresults/local/\n")
    git(clone, "init", "-q", "-b", "main")
    base = commit(clone)
    git(home, "clone", "-q", "--bare", str(clone), str(bare))
    git(clone, "remote", "add", "origin", str(bare))
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(clone / name, (0, 0))
    put(clone, ".venv/.installed", "")
    return bare, clone, base


def run(name: str, at: Path, context: Mapping[str, str], more: Mapping[str, str]) -> list[tuple[str, int]]:
    """(script, exit code) of a job's steps in order, up to the first that fails."""
    (job,) = workflow(name)["jobs"].values()
    ran = []
    for step in job["steps"]:
        if "run" in step:
            own = filled({**job.get("env", {}), **step.get("env", {})}, context)
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]], cwd=at, env={**os.environ, **more, **own}, timeout=300
            )
            ran.append((step["run"], done.returncode))
            if done.returncode:
                break
    return ran


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "| toy/line | mine | verified |"),
        (lambda clone: (clone / LINE).unlink(), f"{LINE}: the change removes a file that is there"),
        (
            lambda clone: put(clone, "bench/train.py", "x = 1\n"),
            "bench/train.py: the change changes a file that is there",
        ),
    ],
    ids=["good", "removes a record", "changes the harness"],
)
def test_a_pull_request_is_checked(origin, sound, tmp_path, change, said):  # noqa: F811
    bare, clone, base = origin
    git(clone, "checkout", "-q", "-f", "--detach", base)
    shutil.copytree(sound, clone / "submissions" / "mine", dirs_exist_ok=True)
    if change is not None:
        change(clone)
    commit(clone)
    git(clone, "push", "-q", "-f", "origin", "HEAD:refs/pull/7/head")
    # a fresh runner, as actions/checkout leaves it
    git(clone, "checkout", "-q", "-f", base)
    git(clone, "update-ref", "-d", "refs/submission/head")
    shutil.rmtree(clone / "report", ignore_errors=True)
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(clone / name, (0, 0))
    context = {"github.event.pull_request.number": "7", "github.event.pull_request.base.sha": base}
    drawn = {"SWEEPSTAKES_DRAWN": "1"}  # an honest row is disputed once in a hundred draws
    ran = run("submission", clone, context, {"SWEEPSTAKES_DATA": str(tmp_path), **drawn})
    report = (clone / "report" / "report.md").read_text(encoding="utf-8")
    assert said in report and ("**Refused**" in report) == (change is not None), report
    assert [code for _, code in ran] == ([0, 0, 0, 0] if change is None else [0, 0, 1]), ran


GH = """#!/bin/sh
# stands for GitHub: the artefact, the open pull requests, the files of one, and posting
case "$*" in
  "run download 3 --repo a/b --name submission-report --dir report") mkdir report && cp "$STUB/report.md" report/ ;;
  *pulls?state=open*) printf '7\\n8\\n' ;;
  *pulls/7/files*) cat "$STUB/outside" ;;
  "pr comment 7 --repo a/b --body-file body.md") cp body.md "$STUB/posted" ;;
  *) exit 9 ;;
esac
"""


@pytest.mark.parametrize("outside", ["", ".github/workflows/submission.yml\n"])
def test_a_report_is_posted_as_plain_text_of_submissions_only(tmp_path, outside):
    put(tmp_path, "bin/gh", GH)
    (tmp_path / "bin" / "gh").chmod(0o755)
    put(tmp_path, "outside", outside)
    put(tmp_path, "report.md", "<img> @everybody " + "x" * 59_982 + "é and more")  # cut within a character
    context = {"github.token": "t", "github.repository": "a/b", "github.event.workflow_run.id": "3",
               "github.event.workflow_run.head_sha": "abc"}  # fmt: skip
    more = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "STUB": str(tmp_path)}
    (tmp_path / "work").mkdir()
    ((_, code),) = run("submission-comment", tmp_path / "work", context, more)
    posted = (tmp_path / "posted").read_text(encoding="utf-8")
    assert code == 0
    if outside:
        assert "outside submissions/NAME/" in posted and "img" not in posted
    else:
        assert posted.startswith("&lt;img> @\u200beverybody xxx") and posted.rstrip().endswith("x")
