"""`bench plan`, `run`, `tune` and `publish`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from bench.contract import BenchError
from bench.verbs import asked, requested, run, say, verb


def do_plan(options: argparse.Namespace) -> int:
    """What a run would do: cells by state, and what it should cost."""
    from bench.planning import states

    request, store, made = asked(options.overrides)
    found = states.states(made, store, request.settings, look_for_stale=True)
    cost, unknown = states.estimate(made, found, store)
    cells = list(made.cells())
    if options.format == "json":
        rows = [
            {"key": c.key, "task": c.task, "entry": c.entry, "seed": c.seed, "preset": c.preset, "state": found[c.key].word,
             "runs": found[c.key].rerun} for c in cells
        ]  # fmt: skip
        print(json.dumps({"cells": rows, "cpu_seconds": round(cost, 1), "without_estimate": unknown}, indent=1))
        return 0
    for row in made.rows:
        words = Counter(found[c.key].word for group in row.planned.values() for c in group)
        counts = ", ".join(f"{n} {word}" for word, n in sorted(words.items()))
        mark = "" if row.trials is not None else "  untuned: shown, not ranked"
        print(f"{row.task:28} {row.entry:26} {len(row.planned)} seeds: {counts}{mark}")
    todo = sum(found[c.key].rerun for c in cells)
    wall = cost / request.settings.workers
    print(f"{len(cells)} cells, {todo} to run; by stored costs {cost:.0f} CPU s, about {wall / 60:.1f} min on "
          f"{request.settings.workers} workers" + (f" (no stored cost for {unknown} of them)" if unknown else ""))  # fmt: skip
    say(store)
    return 0


def do_run(options: argparse.Namespace) -> int:
    """Run a plan: fresh cells are skipped, every other one ends in a record."""
    request, store, made = asked(options.overrides)
    summary = run(made, store, request.settings)
    if options.format == "json":
        keys = [cell.key for cell in made.cells()]
        print(json.dumps({"ran": summary.ran, "fresh": summary.fresh, "statuses": summary.statuses, "keys": keys}))
    else:
        text = ", ".join(f"{n} {word}" for word, n in sorted(summary.statuses.items()))
        also = f", {summary.elsewhere} taken by another sweep" if summary.elsewhere else ""
        print(f"{summary.ran} cells run ({text or 'nothing to do'}), {summary.fresh} were there{also}; "
              f"`bench table {' '.join(options.overrides)}` compares them")  # fmt: skip
    say(store)
    return 0 if summary.ok else (130 if summary.interrupted else 1)


def do_tune(options: argparse.Namespace) -> int:
    """Equal trials for every entry, on tuning seeds, chosen on validation; writes configs/tuned/.

    An entry's `search` says what is tried: bounds, `{optimizer.lr: [0.001, 1.0]}`, or a list, `{optimizer.lr: {values: [1, 2]}}`.
    Trials that have a record are not run again, so the same command continues an interrupted one. `--show` runs nothing:
    it compares what is tuned, at equal numbers of trials.
    """
    from bench.records.store import Store
    from bench.tuning import search

    request = requested(options.overrides)
    store = Store(Path(request.settings.results))
    if options.show:
        from bench.planning import plan
        from bench.tuning import trials as tuning

        chosen = bool(options.overrides) and (request.suite is not None or bool(request.tasks or request.entries))
        pairs = [(task, entry) for task, entry, _, _ in plan.pairs_of(request)] if chosen else tuning.everywhere()
        found, wrong = [], []
        for pair in dict.fromkeys(pairs):
            try:
                if (one := tuning.summary(*pair, store.root)) is not None:
                    found.append(one)
            except BenchError as error:
                wrong.append(str(error))
        print((tuning.as_json if options.format == "json" else tuning.as_text)(found))
        for line in wrong:
            print(f"bench: {line}", file=sys.stderr)
        return int(bool(wrong))
    done = search.tune(request, store, options.trials, options.seeds, options.space, options.budget)
    paths = [str(p.relative_to(Path.cwd()) if p.is_relative_to(Path.cwd()) else p) for p in done.paths]
    if options.format == "json":
        left = [list(pair) for pair in done.unfinished]
        print(
            json.dumps(
                {"ran": done.ran, "fresh": done.fresh, "trials": done.trials, "files": paths, "unfinished": left}
            )
        )
    else:
        print("\n".join([*paths, f"{done.ran} cells run, {done.fresh} were there"]))
        for task, entry in done.unfinished:
            print(f"note: {entry} on {task}: trials without a result, nothing is chosen; `bench tune` again goes on",
                  file=sys.stderr)  # fmt: skip
    say(store)
    return done.code


def do_publish(options: argparse.Namespace) -> int:
    """Fold a plan's fresh records into the ledger.

    `--recertify` publishes nothing new: it runs a random sample of the plan's rows of older code again, and marks all of them
    as being of this code if every bit agrees.
    """
    from bench.planning import states
    from bench.records import ledger

    request, store, made = asked(options.overrides)
    if options.recertify:
        from bench.upkeep import recertify

        outcome = recertify.recertify(made, store, request.settings)
        print(json.dumps(vars(outcome), indent=1) if options.format == "json" else "\n".join(recertify.report(outcome)))
        say(store)
        return 130 if outcome.interrupted else 1 if outcome.reasons else 0
    found = states.states(made, store, request.settings)
    there = [s.record for s in found.values() if s.record is not None]
    records = [r for r in there if r.provenance.transport != "call"]
    dirty = sum(bool(r.provenance.dirty) for r in records)
    changed = ledger.publish(store, records)
    told = {"records": len(records), "changed": changed}
    lines = [f"{len(records)} records, {changed} lines new or changed in {store.ledger}"]
    if options.trials:
        from bench.tuning import trials as tuning

        trials, new = tuning.publish(store, {(row.task, row.entry) for row in made.rows})
        told |= {"trials": trials, "changed_trials": new}
        lines.append(f"{trials} trials, {new} lines new or changed in {store.root / 'trials'}")
    print(json.dumps(told) if options.format == "json" else "\n".join(lines))
    say(store)
    if dirty:
        print(f"note: {dirty} of them were made with uncommitted changes, and say so", file=sys.stderr)
    if len(there) > len(records):
        print(f"note: {len(there) - len(records)} records of transport=call, which isolates nothing, were left out; "
              "run them again without it (reuse=none)", file=sys.stderr)  # fmt: skip
    lacking = [cell for cell in made.cells() if found[cell.key].record is None]
    published = ledger.Published(store, lacking)
    missing = sum(published.get(cell)[0] is None for cell in lacking)
    if missing:
        print(
            f"note: {missing} cells of the plan have no record, here or there; `bench run` makes them", file=sys.stderr
        )
    return 0


def add_parser(verbs: Any) -> None:
    """Add the verbs to the subparsers `verbs`; each sets `do`."""
    verb(verbs, "plan", do_plan)
    verb(verbs, "run", do_run)
    tuning = verb(verbs, "tune", do_tune)
    amount = tuning.add_mutually_exclusive_group()
    amount.add_argument("--trials", type=int, default=7, help="trials for every entry (default 7)")
    amount.add_argument("--budget", type=float, metavar="CPU_SECONDS",
                        help="as many trials as this pays on each task by stored costs, equal for its entries")  # fmt: skip
    tuning.add_argument("--seeds", type=int, default=2, help="tuning seeds for every trial (default 2)")
    tuning.add_argument("--space", choices=("lattice", "random", "given"), default="lattice",
                        help="lattice: walk the bounds evenly (default); random: draw log-uniformly, more trials later add to "
                             "these; given: the combinations of listed values")  # fmt: skip
    tuning.add_argument(
        "--show", action="store_true", help="what is tuned: trials, expected best at equal trials, sensitivity"
    )
    publishing = verb(verbs, "publish", do_publish)
    publishing.add_argument(
        "--recertify", action="store_true", help="run a sample of older-code rows again; mark all if every bit agrees"
    )
    publishing.add_argument(
        "--trials", action="store_true", help="also the tuning trials of the plan's rows, into trials/"
    )
