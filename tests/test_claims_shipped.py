"""The claims that ship: each resolves, and each measure runs on made-up records."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from bench.claims import claim, verdicts
from bench.contract import BenchError
from bench.outcome import Costs
from bench.planning import config
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
        for setting in one.file.settings:
            cells: dict[int, dict[str, list[Any]]] = {}
            for row in survey.plans[setting.plan].rows:
                for seed, planned in row.planned.items():
                    cells.setdefault(seed, {}).setdefault(row.entry, []).extend(map(made_up, planned))
            outcome = verdicts.judge(one, setting, cells)
            assert not outcome.error and outcome.n == len(cells) >= 3, f"{one.id} {setting.name}: {outcome.error}"


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
