"""The board at 200 entries × 30 tasks: what it weighs before curves, and how long a page takes to open in headless Chromium.

python -m benchmarks.board           # the figures
python -m benchmarks.board FOLDER    # leave the synthetic board there, to look at
"""

from __future__ import annotations

import hashlib
import math
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.board import site
from bench.board.model import Built
from bench.contract import Budget, Datasheet, Metric
from bench.planning.plan import Row
from bench.records.record import Record, migrate
from bench.tables import table
from bench.tables.seed_values import Joined

ERROR = Metric("error", "", "min", "Relative error on held-back data.", scale="log", diverged=1.0)
OTHERS = tuple(Metric(f"other_{i}", "", "min", "Another number.", scale="log") for i in range(8))
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


SHEET = Datasheet("Nobody 2020 (arXiv 2001.00001)", *["Made up."] * 5)


def planned(entry: str, cells: dict[int, Any], trials: int | None = 7, older: int = 0, **more: Any) -> Joined:
    """A row as the plan joins it with the store. more: slots, division."""
    about: dict[str, Any] = {"slots": ("optimizer",), "division": "closed"} | more
    return Joined(Row("fake/task", "small", {}, entry, trials=trials, **about), cells, older)


def fake_task(name: str) -> Any:
    """A task with what a page asks of one."""
    return SimpleNamespace(
        name=name, version=1, metrics=(ERROR, *OTHERS), derived=(), rank="error", slots=(), floors=("floor",),
        reference="reference", unanchored="", outgrows_floor=False, figures=(), budget=Budget("steps", 1000),
        presets={"smoke": {"width": 2}, "small": {"width": 8}}, params=SimpleNamespace(width=8),
    )  # fmt: skip


def fake_record(task: str, entry: str, seed: int, error: float, status: str = "ok") -> Record:
    """A record of the usual size, with three short curves."""
    key = hashlib.blake2b(f"{task}/{entry}/{seed}".encode(), digest_size=16).hexdigest()
    steps = [float(step) for step in range(0, 1000, 50)]
    curve = [error + math.exp(-step / 200) for step in steps]
    return migrate({
        "key": key, "task": task, "version": 1, "params": {"width": 8}, "preset": "small", "entry": entry, "seed": seed,
        "config": {"optimizer": {"_target_": f"somewhere.{entry}", "lr": 0.01, "betas": [0.9, 0.99]}}, "status": status,
        "metrics": {"error": error, **{m.name: error * (i + 2) for i, m in enumerate(OTHERS)}} if status == "ok" else {},
        "censored": [], "trials": 7, "attempt": 1, "absent": [], "limits": {"seconds": 600.0, "memory_mb": 4000},
        "costs": {"cpu": {"setup": 0.1, "train": 4.0 + seed + 0.1 / error, "predict": 0.2}, "cpu_entry": 4.5 + seed + 0.1 / error,
                  "cpu_total": 5.0 + seed + 0.1 / error, "wall": 6.5, "rss_mb": 250.3, "steps": 1000, "samples": 32000,
                  "parameters": 42957},
        "curves": {name: [steps, curve] for name in ("loss", "val_error", "rate")},
        "provenance": {"commit": "0" * 40, "ended": "2026-01-02T03:04:05+00:00", "packages": {"torch": "2.0"}, "cpu": "fake"},
        "traceback": "Traceback: <it broke>" if status == "failed" else "",
    })  # fmt: skip


def synthetic(entries: int, tasks: int, seeds: int = 5) -> site.Content:
    """A suite of `tasks` fake tasks with floor, reference and `entries` - 2 others; some failed, untuned or incomplete."""
    draw = random.Random(0)
    names = ["floor", "reference", *(f"entry_{i:03d}" for i in range(entries - 2))]
    strength = {name: 10 ** draw.uniform(-1.8, -0.3) for name in names} | {"floor": 1.0, "reference": 0.01}
    built = []
    for t in range(tasks):
        rows = []
        for place, name in enumerate(names):
            fixed = place < 2
            cells: dict[int, Any] = {}
            for seed in range(seeds):
                value = strength[name] * math.exp(draw.gauss(0, 0.02 if fixed else 0.25))
                failed = not fixed and place % 17 == 3 and seed == t % seeds
                cells[seed] = [fake_record(f"fake/task_{t:02d}", name, seed, value, "failed" if failed else "ok")]
                if place % 23 == 5 and t == 0 and seed == 0:
                    cells[seed] = [None]
            rows.append(planned(name, cells, None if place % 29 == 7 else 7, older=int(place % 11 == 4)))
        task = fake_task(f"fake/task_{t:02d}")
        built.append(Built(task.name, table.build(task, rows, suite="fake"), task, rows, SHEET))
    configuration = {"search": {"optimizer.lr": [1e-4, 1.0]}, "config": "optimizer: {lr: 0.01}"}
    about: dict[str, Any] = {name: {"about": {"doc": f"What {name} is.", **configuration}} for name in names}
    return site.Content([("fake", "made up", built)], curves=lambda record: record.curves, entries=about,
                        baselines=frozenset(names[:12]))  # fmt: skip


def chromium() -> str | None:
    """The system's Chromium, or None."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


def opening(page: Path, route: str, times: int = 3) -> float:
    """Seconds from the start of navigation until a frame with the table is painted; the median of several fresh pages.

    What lies below the table or beyond its right edge is drawn after that frame. The start of the browser does not count,
    that of the page's own process does.
    """
    from playwright.sync_api import sync_playwright

    taken = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=list(CHROMIUM))
        for _ in range(times):
            tab = browser.new_page(viewport={"width": 1440, "height": 900})
            tab.goto(f"{page.resolve().as_uri()}#/{route}")
            ready = "performance.getEntriesByName('board ready')"
            tab.wait_for_function(f"{ready}.length", polling=50)  # now and then: asking takes the page's own time
            assert tab.locator(".tabulator-row").count()
            taken.append(tab.evaluate(f"{ready}[0].startTime") / 1000)
            tab.close()
        browser.close()
    return statistics.median(taken)


def weight(out: Path) -> float:
    """Megabytes of the board without curves and records, which are loaded one chunk at a time when they are looked at."""
    own = [path for path in out.rglob("*") if path.is_file() and path.parent.name != "records"]
    return sum(path.stat().st_size for path in own if not path.name.startswith("curves-")) / 1e6


def rows(keep: Path | None = None) -> list[tuple[str, float, str, float, Callable[[float, float], bool]]]:
    """(what, figure, unit, limit, how it must compare) of each measurement."""
    below = float.__le__
    out = keep or Path(tempfile.mkdtemp(prefix="sweepstakes-board-"))
    content = synthetic(200, 30)
    start = time.process_time()
    page = site.write(content, out)
    figures = [
        ("board of 200 entries x 30 tasks, writing it", time.process_time() - start, "CPU s", 60.0, below),
        ("the same, before curves and records", weight(out), "MB", 3.0, below),
    ]
    if chromium():
        figures += [
            ("its first page in headless Chromium", opening(page, ""), "s", 1.0, below),
            ("a task's page", opening(page, "task/fake/task_00"), "s", 1.0, below),
        ]
    if keep is None:
        shutil.rmtree(out)
    return figures


if __name__ == "__main__":
    for what, value, unit, limit, _ in rows(Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        print(f"{what:60} {value:10.2f} {unit}  (limit {limit:g})")
