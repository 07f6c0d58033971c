"""The verbs, thin: each parses, calls the module that does the work, and prints."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def requested(arguments: list[str]) -> Any:
    """The request of a verb's overrides; BenchError with all that its tasks lack, before anything is planned."""
    from bench.checking import task_check
    from bench.planning import config

    request = config.parse(arguments)
    task_check.require_whole(request.tasks or (config.suite(request.suite).tasks if request.suite else ()))
    return request


def asked(arguments: list[str]) -> tuple[Any, Any, Any]:
    """(request, store, plan) of a verb's overrides."""
    from bench.planning import plan
    from bench.records.store import Store

    request = requested(arguments)
    store = Store(Path(request.settings.results))
    return request, store, plan.make(request, store)


def run(plan: Any, store: Any, settings: Any) -> Any:
    """Run the cells of a plan that need it, with progress and W&B as the settings say; returns the summary."""
    from bench.running import sweep

    sink = None
    if settings.wandb != "off":
        from bench.running.sinks import wandb_sink

        sink = wandb_sink(settings.wandb, store)
    return sweep.run(plan, store, settings, sink)


def say(store: Any) -> None:
    """What the store set aside, on standard error."""
    for line in store.reports:
        print(f"note: {line}", file=sys.stderr)


def verb(
    verbs: Any,
    name: str,
    do: Callable[[argparse.Namespace], int],
    formats: tuple[str, ...] = PLAIN,
    sweeps: bool = True,
) -> Any:
    """Add a verb to the subparsers `verbs`, with its docstring as help; with `sweeps` it takes overrides."""
    doc = (do.__doc__ or "").strip()
    one = verbs.add_parser(
        name, help=doc.splitlines()[0], description=doc, epilog=OVERRIDES if sweeps else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    one.set_defaults(do=do)
    if formats:
        one.add_argument("--format", choices=formats, default=formats[0])
    if sweeps:
        one.add_argument("overrides", nargs="*", metavar="key=value")
    return one
