"""The verbs, thin: each parses, calls the module that does the work, and prints."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.outcome import plain

if TYPE_CHECKING:
    from bench.planning.config import Request
    from bench.planning.plan import Plan
    from bench.planning.settings import Settings
    from bench.records.store import Store
    from bench.running.sweep import Summary

PLAIN = ("text", "json")
OVERRIDES = """overrides (Hydra's grammar):
  task=pde/burgers_1d              a task; task=glob(pde/*) for several
  entry=fno,unet                   entries; entry=muon+qk_layernorm composes two that fill different slots
  suite=core                       a named plan instead of task= and entry=; extra=my_entry adds yours to it
  seed=range(5)                    seeds; results of equal seeds are compared in pairs
  preset=smoke|small|paper         sizes
  task.nu=0.001                    a parameter of the task; a comma sweeps
  entry.optimizer.lr=0.1,0.3       an argument of a part
  workers=2 limits.seconds=600 limits.memory_mb=4000 reuse=local|ledger|none retry=true transport=pipe|call
  results=PATH wandb=off|offline|online
"""


def requested(arguments: list[str]) -> Request:
    """The request of a verb's overrides; BenchError with all that its tasks lack, before anything is planned."""
    from bench.checking import task_check
    from bench.planning import config

    request = config.parse(arguments)
    task_check.require_whole(request.tasks or (config.suite(request.suite).tasks if request.suite else ()))
    return request


def planned(arguments: list[str]) -> tuple[Request, Store, Plan]:
    """(request, store, plan) of a verb's overrides."""
    from bench.planning import plan
    from bench.records.store import Store

    request = requested(arguments)
    store = Store(Path(request.settings.results))
    return request, store, plan.make(request, store)


def run(plan: Plan, store: Store, settings: Settings) -> Summary:
    """Run the cells of a plan that need it, with progress and W&B as the settings say; returns the summary."""
    from bench.running import sweep

    sink = None
    if settings.wandb != "off":
        from bench.running.sinks import wandb_sink

        sink = wandb_sink(settings.wandb, store)
    return sweep.run(plan, store, settings, sink)


def split(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """(bare words, settings `key=value`) of mixed words."""
    words = list(words)
    return [word for word in words if "=" not in word], [word for word in words if "=" in word]


def print_reports(store: Store) -> None:
    """Print the store's reports on standard error: lines and files that it skipped or set aside."""
    for line in store.reports:
        print(f"note: {line}", file=sys.stderr)


def print_json(content: Any) -> None:
    """Print a result, structs included, as JSON."""
    print(json.dumps(plain(content), indent=1))


def exit_code(summary: Summary | None, failed: bool = False) -> int:
    """130 for an interrupted sweep, 1 where a cell or anything else failed, else 0. summary: None where nothing ran."""
    if summary is not None and summary.interrupted:
        return 130
    return int(failed or summary is not None and not summary.ok)


def verb(
    verbs: Any,
    name: str,
    do: Callable[[argparse.Namespace], int],
    formats: tuple[str, ...] = PLAIN,
    sweeps: bool = True,
) -> Any:
    """Add a verb to the subparsers `verbs`, with the docstring of `do` as help; with `sweeps` it takes overrides."""
    doc = (do.__doc__ or "").strip()
    parser = verbs.add_parser(
        name, help=doc.splitlines()[0], description=doc, epilog=OVERRIDES if sweeps else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(do=do)
    if formats:
        parser.add_argument("--format", choices=formats, default=formats[0])
    if sweeps:
        parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser
