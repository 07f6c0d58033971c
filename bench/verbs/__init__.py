"""The verbs, thin: each parses, calls the module that does the work, and prints."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.checking import task_check
from bench.outcome import plain
from bench.planning import config, plan
from bench.planning.config import Request
from bench.planning.plan import Plan
from bench.planning.settings import Settings
from bench.records.store import Store
from bench.running import sweep

Verb = Callable[[argparse.Namespace], int | None]  # returns the exit code, None for 0
PLAIN = ("text", "json")
SWEEP = ("key=value", "")
OVERRIDES = """overrides (Hydra's grammar):
  task=pde/burgers_1d              a task; task=glob(pde/*) for several
  entry=fno,unet                   entries; entry=muon+qk_layernorm composes two that fill different slots
  suite=core                       a named plan instead of task= and entry=; extra=my_entry adds yours to it
  seed=range(5)                    seeds; results of equal seeds are compared in pairs
  preset=smoke|small|paper         sizes
  task.nu=0.001                    a parameter of the task; a comma sweeps
  entry.optimizer.lr=0.1,0.3       an argument of a part
  workers=2 limits.seconds=600 limits.memory_mb=4000 reuse=local|ledger|none retry=true transport=pipe|call
  results=PATH wandb=off|offline|online numerics=portable|native
"""


def requested(arguments: list[str]) -> tuple[Request, Store]:
    """(request, store) of a verb's overrides; BenchError with all that its tasks lack, before anything is planned."""
    request = config.parse(arguments)
    task_check.require_whole(request.tasks or (config.suite(request.suite).tasks if request.suite else ()))
    return request, Store(Path(request.settings.results))


def planned(arguments: list[str]) -> tuple[Request, Store, Plan]:
    """(request, store, plan) of a verb's overrides."""
    request, store = requested(arguments)
    return request, store, plan.make(request, store)


def run(plan: Plan, store: Store, settings: Settings) -> sweep.Progress:
    """Run the cells of a plan that need it, with progress and W&B as the settings say; returns the summary."""
    sink = sweep.wandb_sink(settings.wandb, store) if settings.wandb != "off" else None
    return sweep.run(plan, store, settings, sink)


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """(bare words, settings `key=value`) of mixed words."""
    return [word for word in words if "=" not in word], [word for word in words if "=" in word]


def answer(options: argparse.Namespace, content: Any, lines: Iterable[str], store: Store | None = None) -> None:
    """Print a result: `content` with `--format json`, else, or without content, the lines; then what the store reports."""
    for line in [json.dumps(plain(content), indent=1)] if content is not None and options.format == "json" else lines:
        print(line)
    for report in store.reports if store is not None else ():
        note(report)


def note(remark: str) -> None:
    """Print a remark on standard error."""
    print(f"note: {remark}", file=sys.stderr)


def exit_code(summary: sweep.Progress | None, failed: bool = False) -> int:
    """130 for an interrupted sweep, 1 where a cell or anything else failed, else 0. summary: None where nothing ran."""
    return 130 if summary and summary.interrupted else int(failed or bool(summary and not summary.ok))


def verb(verbs: Any, do: Verb, formats: Sequence[str] = PLAIN, words: Sequence[str] = SWEEP) -> Any:
    """Add the verb NAME of a function `do_NAME` to the subparsers `verbs`, with the function's docstring as help.

    formats: choices of `--format`, the default first. words: metavar and help of its words, empty for a verb without words.
    """
    doc = (do.__doc__ or "").strip()
    parser = verbs.add_parser(
        do.__name__.removeprefix("do_"), help=doc.splitlines()[0], description=doc,
        epilog=OVERRIDES if words == SWEEP else None, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(do=do)
    if formats:
        parser.add_argument("--format", choices=formats, default=formats[0])
    if words:
        parser.add_argument("words", nargs="*", metavar=words[0], help=words[1])
    return parser
