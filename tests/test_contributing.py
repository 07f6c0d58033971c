"""CONTRIBUTING.md's way from a paper's claim to a row on the board: its very commands, edits and files."""

from __future__ import annotations

import os
import re
import subprocess

from tests.conftest import ROOT, copy_of_project

BLOCK = re.compile(r"(?:<!-- file (?P<path>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```\n", re.DOTALL)


def test_the_way_from_a_claim_to_a_row(tmp_path):
    clone = copy_of_project(tmp_path / "clone", "results")
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walk = text.partition("<!-- walk -->")[2].partition("<!-- /walk -->")[0]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    variables["PATH"] = f"{clone}/.venv/bin:{variables['PATH']}"
    said = ""
    for block in BLOCK.finditer(walk):
        path, kind, content = block.group("path", "kind", "text")
        if path:
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_text(content, encoding="utf-8")
            continue
        words = {"sh": ["sh", "-e"], "diff": ["git", "apply", "--verbose"]}[kind]
        done = subprocess.run(
            words, input=content, cwd=clone, env=variables, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{content}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        said += done.stdout
    assert re.search("^REPRODUCED +[A-Z ]+ cheap_learning/product_smooth_units", said, re.MULTILINE), said
    rows = [line for line in said.splitlines() if line.split()[1:2] == ["adam+relu_units"]]
    assert any("10/10" in row and "untuned" not in row and "missing" not in row for row in rows), said
    assert (clone / "tests" / "golden" / "cheap_learning.product.json").is_file()
    assert list((clone / "results" / "ledger" / "cheap_learning").rglob("*.jsonl"))
    board = (path.read_text(encoding="utf-8") for path in (clone / "results" / "board" / "data").glob("*.js"))
    assert any("cheap_learning/product" in chunk for chunk in board)
