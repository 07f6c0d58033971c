"""Where a number came from: what counts as an edited checkout."""

from __future__ import annotations

import subprocess

import pytest

from bench.records import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with a committed module and a committed ledger line, in which `bench.records.provenance` looks."""
    for name in ("bench/module.py", "results/ledger/task/entry.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("1\n")
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "-m", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "bench" / "records" / "provenance.py"))
    provenance.here.cache_clear()
    yield tmp_path
    provenance.here.cache_clear()


@pytest.mark.parametrize(
    ("edited", "dirty"),
    [(None, False), ("results/ledger/task/entry.jsonl", False), ("bench/module.py", True), ("new.txt", False)],
)
def test_only_tracked_files_beside_the_results_make_a_checkout_dirty(checkout, edited, dirty):
    if edited:
        (checkout / edited).write_text("2\n")
    found = provenance.here()
    assert found.dirty is dirty and len(found.commit or "") == 40
