"""Hand-made plans and records of a task that does not exist, for the tests of tables and pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from bench.contract import Budget, Derived, Metric, Target
from bench.planning.plan import Row
from bench.records.record import Record, migrate
from bench.records.standing import Claimed, Verification
from bench.tables.seed_values import Joined
from bench.tables.table import Table
from bench.tuning.trials import Tuning

ERROR = Metric("nrmse", "", "min", "Relative error.", scale="log", diverged=1.0)
LOSS = Metric("loss", "nats", "min", "Final loss.", scale="log", diverged="first")
STEPS = Metric("steps", "", "min", "Steps to 99 %.", scale="log", target=Target("accuracy", 0.99))
ACCURACY = Metric("accuracy", "", "max", "Held back.", scale="logit", diverged=0.0)


def task(*metrics: Metric, rank: str | None = None, derived: tuple[Derived, ...] = (), limit: int = 100) -> Any:
    return SimpleNamespace(
        name="toy/task",
        version=2,
        metrics=metrics,
        derived=derived,
        rank=rank or metrics[0].name,
        floors=("floor",),
        reference="reference",
        unanchored="",
        outgrows_floor=False,
        slots=(),
        budget=Budget("steps", limit),
        params=SimpleNamespace(width=8),
    )


def joined(entry: str, cells: Mapping[int, Any], trials: int | None = 0, **more: Any) -> Joined:
    """A row of the plan with its records. more: slots, division."""
    about = {"slots": ("optimizer",), "division": "closed"} | more
    return Joined(Row("toy/task", "small", {}, entry, trials=trials, **about), dict(cells))


def record(entry: str, seed: int, status: str = "ok", **more: Any) -> Record:
    """A record of the toy task; costs may be given as in format 1, counts among them."""
    base = {
        "key": f"{entry}{seed}",
        "task": "toy/task",
        "version": 2,
        "params": {"width": 8},
        "preset": "small",
        "entry": entry,
        "config": {},
        "seed": seed,
        "status": status,
        "metrics": {},
        "censored": [],
        "costs": {"cpu": {"setup": 0.5, "train": 4.0 + seed, "predict": 0.1}, "cpu_total": 5.0, "wall": 6.0}
        | {"rss_mb": 200.0, "steps": 100, "samples": 3200, "evals": 0, "parameters": 1234},
        "provenance": {},
    }
    return migrate(base | more)


def verification(
    verdict: str = "verified", when: str = "2030-01-01", keys: Sequence[str] = ("a", "b"), **more: Any
) -> Verification:
    """What `bench verify` said of the records with these keys."""
    about = {
        "entry": "e",
        "task": "t",
        "version": 1,
        "preset": "small",
        "params": {},
        "set": {},
        "metric": "error",
        "reason": "",
    }
    about |= {"fresh": None, "p": None, "replayed": None, "entry_digest": "d", "drawn": "n", "commit": None}
    claimed = Claimed(mean=None, seeds=[], keys=[*keys])
    return Verification(**about | {"verdict": verdict, "when": when, "claimed": claimed} | more)


def tuning(entry: str, best_of: list[float], sensitivity: float, **more: Any) -> Tuning:
    """The tuning of an entry by its expected best of k trials; of unknown cost."""
    about: dict[str, Any] = dict(
        task="t", preset="small", space="", seeds=(), trials=len(best_of), tried=len(best_of), declared=None, better="min",
        objective="val_error", value=best_of[-1], values={}, at_the_edge=(), worst=best_of[-1],
        cpu_seconds=math.nan,
    )  # fmt: skip
    return Tuning(**about | {"entry": entry, "best_of": best_of, "sensitivity": sensitivity} | more)


def plan(entry: str, values: Sequence[float | str | None], metric: str = "nrmse", **more: Any) -> Joined:
    """Values by seed: a number is an ok cell, a word its status, None a missing cell."""
    cells: dict[int, Any] = {}
    for seed, value in enumerate(values):
        if value is None:
            cells[seed] = [None]
        elif isinstance(value, str):
            cells[seed] = [record(entry, seed, value)]
        else:
            cells[seed] = [record(entry, seed, metrics={metric: float(value)})]
    return joined(entry, cells, **more)


def anchors(n: int = 3, metric: str = "nrmse", floor: float = 1.0, top: float = 0.01) -> list[Joined]:
    return [plan("floor", [floor] * n, metric), plan("reference", [top] * n, metric)]


def named(table: Table) -> dict[str, Any]:
    return {row.entry: row for row in table.rows}


def times(entry: str, values: Sequence[float | str]) -> Joined:
    """A number below the budget was reached; one at the budget is censored."""
    row = plan(entry, values, "steps")
    for cell in row.cells.values():
        if cell[0].metrics.get("steps") == 100:
            cell[0].censored = ["steps"]
    return row


GRID = (0.1, 1.0, 10.0)
SPREAD = Derived(
    Metric("spread", "", "min", "Worst over best.", scale="log", diverged=1000.0),
    axis="lr",
    grid={"small": GRID},
    reduce=lambda grid, rows: max(row["loss"] for row in rows) / min(row["loss"] for row in rows) + 0 * len(grid),
)


def sweep(entry: str, table: Sequence[Sequence[float | str | None] | None]) -> Joined:
    cells: dict[int, Any] = {}
    for seed, values in enumerate(table):
        cells[seed] = [None] if values is None else []
        for lr, value in zip(GRID, values or (), strict=False):
            if value is None:
                cells[seed].append(None)
                continue
            status, loss = (value, {}) if isinstance(value, str) else ("ok", {"loss": value})
            one = record(entry, seed, status, key=f"{entry}{seed}{lr}", params={"width": 8, "lr": lr}, metrics=loss)
            one.metrics = loss | {"initial_loss": 8.0}
            cells[seed].append(one)
    return joined(entry, cells)
