"""The claims that ship: each resolves, and each measure runs on made-up records."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from bench.claims import claim, verdicts
from bench.contract import BenchError
from bench.outcome import Costs
from bench.planning import config
from bench.planning.plan import TUNING_FROM
from bench.records.record import Record
from tests.conftest import ROOT
from tests.test_claims import record


def made_up(cell: Any) -> Record:
    cls = config.task_spec(cell.task).cls
    metrics = {metric.name: 0.5 + 0.01 * cell.seed for metric in cls.metrics}
    made = record(cell.entry, cell.seed, key=cell.key, **metrics, initial_val_loss=4.0)
    made.task, made.params, made.config = cell.task, dict(cell.params), dict(cell.parts)
    made.costs = Costs(cpu={"setup": 0.1, "train": 1.0, "predict": 0.1 + 0.01 * len(cell.entry)})
    return made


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> verdicts.Survey:
    return verdicts.Survey([*claim.select([])[0].values()], [f"results={tmp_path_factory.mktemp('results')}"])


def test_shipped_claims_resolve_and_measure(survey):
    assert survey.claims and all(one.verdict == "not tested" for one in survey.evaluate())
    for one in survey.claims:
        for setting in (*one.file.settings, *(one.second.file.settings if one.second else ())):
            cells: dict[int, dict[str, list[Any]]] = {}
            for row in survey.plans[setting.plan].rows:
                for seed, planned in row.planned.items():
                    cells.setdefault(seed, {}).setdefault(row.entry, []).extend(map(made_up, planned))
            outcome = verdicts.judge(one, setting, cells)
            assert not outcome.error and outcome.n == len(cells) >= 3, f"{one.id} {setting.name}: {outcome.error}"


# What a statement with a bound of no difference (0, or a ratio of 1) says of its direction.
DIRECTIONS = re.compile(
    r"\b(peaks|worst|most|least|higher|lower|more|fewer|less|better|worse|earlier|faster|nearer|purer|harder|lazier|richer|smaller"
    r"|falls|rises|lowers|raises?|lengthen|narrows|adds)\b"
)
UNCHANGED = ("do not", "does not", "as well", "nearly", "the same as", "exactly")


def limits_of(file: Any) -> list[float]:
    return [x for limit in file.limits.values() for x in (limit if isinstance(limit, tuple | list) else (limit,))]


def names_its_bound(statement: str, limit: float) -> bool:
    """Whether the number stands there, as it is or in percent; a sign is left to the words around it."""
    spellings = (f"{abs(limit):.10g}", f"{abs(100 * limit):.10g} %")
    return any(re.search(rf"(?<![\d.]){re.escape(text)}(?!\.?\d)", statement) for text in spellings)


def agrees_with_its_bound(statement: str, file: Any, unit: str) -> bool:
    """A statement names its bound, or, where that is of no difference, a direction and nothing of a thing unchanged."""
    limits = limits_of(file)
    if limits == [0] or (limits == [1] and re.search("over|ratio", unit)):
        return bool(DIRECTIONS.search(statement)) and not any(word in statement for word in UNCHANGED)
    return all(names_its_bound(statement, limit) for limit in limits)


def test_a_statement_cannot_contradict_its_bound(survey):
    for one in survey.claims:
        for file in filter(None, (one.file, one.file.confirmatory)):
            assert agrees_with_its_bound(one.file.statement, file, one.file.unit), (one.id, file.limits)


@pytest.mark.parametrize(
    ("statement", "bounds", "holds"),
    [
        ("The steps to learn do not grow with depth.", {"below": 2.5}, False),  # measured 1.42
        ("Eight times the depth needs less than 2.5 times the steps.", {"below": 2.5}, True),
        ("It stays within 3 % of the best.", {"below": 0.03}, True),
        ("It stays within 13 % of the best.", {"below": 0.03}, False),
        ("From -1.2 to -0.8.", {"between": (-1.2, -0.8)}, True),
        ("About -1.", {"between": (-1.2, -0.8)}, False),
        ("It is lower.", {"below": 0}, True),
        ("It is no different.", {"below": 0}, False),
        ("It does not become lower.", {"above": 0}, False),
    ],
)
def test_what_agrees_with_a_bound(statement, bounds, holds):
    assert agrees_with_its_bound(statement, SimpleNamespace(limits=bounds), "x over y") is holds


def what_runs(cells: Iterable[Any]) -> set[str]:
    """Every cell but for its seed."""
    return {repr((cell.task, sorted(cell.params.items()), cell.entry, cell.parts)) for cell in cells}


def test_every_claim_has_a_second_run_that_is_fresh_new_and_no_dearer(survey):
    plans = {True: [], False: []}
    for one in survey.claims:
        assert one.second, one.id
        for setting in one.second.file.settings:
            plans[True].append((one, survey.plans[setting.plan]))
        plans[False] += [(one, survey.plans[setting.plan]) for setting in one.file.settings]
    first = {cell.seed for _, plan in plans[False] for cell in plan.cells()}
    first |= {seed for one, _ in plans[False] for seed in spelled(one.file.tried.seeds)} | {
        *range(TUNING_FROM, 2 * TUNING_FROM)
    }
    known = what_runs(cell for _, plan in plans[False] for cell in plan.cells())
    for one, plan in plans[True]:
        new = what_runs(plan.cells()) - known
        assert new and not {cell.seed for cell in plan.cells()} & first, one.id
        before = sum(len([*old.cells()]) for other, old in plans[False] if other is one)
        assert len([*plan.cells()]) <= 1.5 * before, one.id


def spelled(seeds: str | int) -> set[int]:
    """The seeds of `0-4, 100-101` or `0-3 and 100`."""
    ranges = [[int(n) for n in part.split("-")] for part in re.findall(r"\d+(?:-\d+)?", str(seeds))]
    return {seed for ends in ranges for seed in range(ends[0], ends[-1] + 1)}


def test_nothing_is_called_the_papers_that_a_note_denies(survey):
    for one in survey.claims:
        denies = ("project's", "does not state", "not in the paper", "PDEBench does not", "wider than the paper")
        if any(words in one.file.note for words in denies):
            assert one.file.kind in ("reading", "check"), one.id


def test_sensitivities_count_divergence_and_refuse_unknown_losses():
    from tasks.instability.claims import sensitivity_drop

    def rows(entry: str, *losses: float | None) -> list[Record]:
        base = {"bar": 1.5, "initial_val_loss": 4.0}
        found = []
        for lr, loss in zip((0.01, 0.1), losses, strict=True):
            one = record(entry, status="ok" if loss is not None else "diverged", **base)
            one.params, one.metrics = {"lr": lr}, base | ({"final_loss": loss} if loss is not None else {})
            found.append(one)
        return found

    records = {"steady": rows("steady", 1.0, 1.2), "wild": rows("wild", 1.0, None)}
    assert sensitivity_drop(records, of="steady", under="wild") == pytest.approx((0 + 3) / 2 - (0 + 0.2) / 2)
    records["wild"][1].status = "timeout"
    with pytest.raises(BenchError, match="wild at lr 0.1: timeout"):
        sensitivity_drop(records, of="steady", under="wild")


def test_importing_claims_is_light():
    measures = {one.measure.func.__module__ for one in claim.select([])[0].values()}
    modules = ", ".join(sorted({"bench.claims.claim", "bench.claims.verdicts", "bench.claims.report", *measures}))
    code = f"import sys, {modules}; print({{'torch', 'pandas'}} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert told.stdout.strip() == "set()"
