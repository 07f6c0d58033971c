"""What the README and the ledger say of each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.board import readme
from bench.planning import config
from bench.records.store import Store

ROOT = Path(__file__).resolve().parent.parent


def test_the_readmes_table_is_what_the_ledger_gives():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = text.partition(readme.START)[2].partition(readme.END)[0].strip()
    assert shown == readme.section(Store(ROOT / "results")).strip(), "run `make readme`"


@pytest.mark.parametrize("suite", ["core", "core-data"])
def test_the_ledger_holds_every_cell_of_the_suite(suite):
    from bench.planning import plan

    made = plan.make(config.parse([f"suite={suite}", f"results={ROOT / 'results'}"]), Store(ROOT / "results"))
    published = {
        (r.task, r.version, r.entry, r.seed, json.dumps(r.params, sort_keys=True))
        for r in Store(ROOT / "results").published()
        if r.status in ("ok", "diverged")
    }
    missing = [
        cell.name
        for cell in made.cells()
        if (cell.task, cell.version, cell.entry, cell.seed, json.dumps(dict(cell.params), sort_keys=True))
        not in published
    ]
    assert not missing, f"{len(missing)} cells of {suite} are not in the ledger: {missing[:5]}"


def test_the_core_suite_is_as_large_as_promised():
    suite = config.suite("core")
    assert len({task.split("/")[0] for task in suite.tasks}) >= 4
    assert len({entry for pair in suite.pairs for entry in pair.entries}) >= 12
    assert suite.seeds == 5
