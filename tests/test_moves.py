"""Where things live: the table of moves, and that tasks and entries know nothing of each other."""

from __future__ import annotations

import ast
from importlib.util import find_spec

import pytest

from bench.parts import locate
from bench.records.modules import MOVES, moved
from tests.conftest import ROOT


@pytest.mark.parametrize("name", sorted(set(MOVES.values())))
def test_every_new_name_is_a_module_or_an_object(name):
    try:
        assert find_spec(name) is not None
    except ModuleNotFoundError:
        assert locate(name) is not None


def test_the_entries_of_before_the_moves_are_found():
    old = (
        "baselines.connectivity.ranks.aligned",
        "baselines.tops.ridge.ridge",
        "tasks.pde.fno.FNO",
        "bench.golden.golden",
    )
    for name in old:
        assert locate(moved(name)).__name__ == name.rpartition(".")[2]


def test_names_are_replaced_wherever_they_stand_and_nothing_else_is():
    config = {
        "surrogate": {"_target_": "tasks.pde.fno.FNO", "modes": 12, "names": ["tasks.pde.fno", "tasks.pde.fnone"]},
        "tasks.pde.fno": None,
        "doc": "see tasks.pde.fno.FNO",
    }
    assert moved(config) == {
        "surrogate": {
            "_target_": "baselines.surrogates.fno.FNO", "modes": 12, "names": ["baselines.surrogates.fno", "tasks.pde.fnone"],
        },
        "tasks.pde.fno": None,
        "doc": "see tasks.pde.fno.FNO",
    }  # fmt: skip
    assert config["surrogate"]["_target_"] == "tasks.pde.fno.FNO", "the original stays as it was"


def test_a_module_that_became_a_room_keeps_what_is_in_the_room():
    assert moved("bench.claims.Claim") == "bench.claims.claim.Claim"
    assert moved("bench.claims.verdicts.verdict") == "bench.claims.verdicts.verdict"
    assert moved("bench.verdicts.verdict") == "bench.claims.verdicts.verdict"


def test_moving_twice_is_moving_once():
    for old in (*MOVES, *(f"{name}.Thing" for name in MOVES)):
        assert moved(moved(old)) == moved(old) != old


@pytest.mark.parametrize(("home", "other"), [("tasks", "baselines"), ("baselines", "tasks")])
def test_a_task_imports_no_entry_and_an_entry_no_task(home, other):
    paths = sorted((ROOT / home).rglob("*.py"))
    assert len(paths) > 20
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == other], path
