"""`bench plan`, `run`, `tune` and `publish`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contract import BenchError
from bench.verbs import answer, exit_code, note, planned, requested, run, verb


def do_plan(options: argparse.Namespace) -> None:
    """The cells of a plan by state, and the estimated cost of running it."""
    from bench.planning import states

    request, store, plan = planned(options.words)
    by_key = states.states(plan, store, request.settings, look_for_stale=True)
    cost, unknown = states.estimate(plan, by_key, store)
    rows = [
        {name: getattr(cell, name) for name in ("key", "task", "entry", "seed", "preset")}
        | {"state": by_key[cell.key].word, "runs": by_key[cell.key].rerun} for cell in plan.cells()
    ]  # fmt: skip
    lines = []
    for row in plan.rows:
        counts = _counts(Counter(by_key[cell.key].word for cell in row.cells()))
        mark = "" if row.trials is not None else "  untuned: shown, not ranked"
        lines.append(f"{row.task:28} {row.entry:26} {len(row.planned)} seeds: {counts}{mark}")
    workers = request.settings.workers
    lines.append(
        f"{len(rows)} cells, {sum(row['runs'] for row in rows)} to run; by stored costs {cost:.0f} CPU s, about "
        f"{cost / workers / 60:.1f} min on {workers} workers" + (f" (no stored cost for {unknown} of them)" if unknown else "")
    )  # fmt: skip
    answer(options, {"cells": rows, "cpu_seconds": round(cost, 1), "without_estimate": unknown}, lines, store)


def _counts(by_word: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(by_word.items()))


def do_run(options: argparse.Namespace) -> int:
    """Run a plan: fresh cells are skipped, every other one ends in a record."""
    request, store, plan = planned(options.words)
    summary = run(plan, store, request.settings)
    content = {"ran": summary.ran, "fresh": summary.fresh, "statuses": summary.statuses}
    line = f"{summary.ran} cells run ({_counts(summary.statuses) or 'nothing to do'}), {summary.fresh} had records"
    line += f", {summary.elsewhere} taken by another sweep" if summary.elsewhere else ""
    line += f"; `bench table {' '.join(options.words)}` compares them"
    answer(options, content | {"keys": [cell.key for cell in plan.cells()]}, [line], store)
    return exit_code(summary)


def do_tune(options: argparse.Namespace) -> int:
    """Equal trials for every entry, on tuning seeds, chosen on validation; writes configs/tuned/.

    An entry's `search` says what to try: bounds, `{optimizer.lr: [0.001, 1.0]}`, or a list, `{optimizer.lr: {values: [1, 2]}}`.
    Trials that have a record are not run again, so the same command continues an interrupted one. `--show` runs nothing:
    it compares the tuned entries at equal numbers of trials.
    """
    from bench.tuning import search

    if options.show:
        return _show_tuning(options)
    request, store = requested(options.words)
    outcome = search.tune(request, store, options.trials, options.seeds, options.space, options.budget)
    here = Path.cwd()
    paths = [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in outcome.paths]
    content = {"ran": outcome.ran, "fresh": outcome.fresh, "trials": outcome.trials, "files": paths}
    lines = [*paths, f"{outcome.ran} cells run, {outcome.fresh} had records"]
    answer(options, content | {"unfinished": outcome.unfinished}, lines, store)
    for task, entry in outcome.unfinished if options.format != "json" else ():
        note(f"{entry} on {task}: trials without a result, nothing is chosen; the same command continues")
    return outcome.code


def _show_tuning(options: argparse.Namespace) -> int:
    """Print the tuning of the request's pairs, or of every tuned pair where it names none."""
    from bench.planning import plan
    from bench.tuning import trials as tuning

    request, store = requested(options.words)
    chosen = request.suite is not None or request.tasks or request.entries
    pairs = [(task, entry) for task, entry, _, _ in plan.pairs_of(request)] if chosen else tuning.everywhere()
    tunings, errors = [], []
    for pair in dict.fromkeys(pairs):
        try:
            tunings.append(tuning.summary(*pair, store.root))
        except BenchError as error:
            errors.append(str(error))
    print((tuning.as_json if options.format == "json" else tuning.as_text)(filter(None, tunings)))
    for message in errors:
        print(f"bench: {message}", file=sys.stderr)
    return int(bool(errors))


def do_publish(options: argparse.Namespace) -> int:
    """Fold a plan's fresh records into the ledger.

    `--recertify` publishes nothing new: it runs a random sample of the plan's rows of older code again, and marks all of them
    as being of this code if every bit agrees.
    """
    from bench.planning import states
    from bench.records import ledger

    request, store, plan = planned(options.words)
    if options.recertify:
        from bench.upkeep import recertify

        outcome = recertify.recertify(plan, store, request.settings)
        answer(options, vars(outcome), recertify.report(outcome), store)
        return 130 if outcome.interrupted else int(bool(outcome.reasons))
    by_key = states.states(plan, store, request.settings)
    own = [state.record for state in by_key.values() if state.record is not None]
    records = [record for record in own if record.provenance.transport != "call"]
    counts = {"records": len(records), "changed": ledger.publish(store, records)}
    lines = [f"{len(records)} records, {counts['changed']} lines new or changed in {store.ledger}"]
    if options.trials:
        from bench.tuning import trials as tuning

        trials, changed = tuning.publish(store, {(row.task, row.entry) for row in plan.rows})
        counts |= {"trials": trials, "changed_trials": changed}
        lines.append(f"{trials} trials, {changed} lines new or changed in {store.root / 'trials'}")
    answer(options, counts, lines, store)
    if dirty := sum(bool(record.provenance.dirty) for record in records):
        note(f"{dirty} of them were made with uncommitted changes, which their provenance records")
    if calls := len(own) - len(records):
        again = "run them again without it (reuse=none)"
        note(f"{calls} records of transport=call, which isolates nothing, were left out; {again}")
    lacking = [cell for cell in plan.cells() if by_key[cell.key].record is None]
    published = ledger.Published(store, lacking)
    if missing := sum(published.get(cell)[0] is None for cell in lacking):
        note(f"{missing} cells of the plan have no record, local or published; `bench run` makes them")
    return 0


def add_parser(verbs: Any) -> None:
    """Add the verbs to the subparsers `verbs`; each sets `do`."""
    verb(verbs, do_plan)
    verb(verbs, do_run)
    tuning = verb(verbs, do_tune)
    amount = tuning.add_mutually_exclusive_group()
    amount.add_argument("--trials", type=int, default=7, help="trials for every entry (default 7)")
    amount.add_argument("--budget", type=float, metavar="CPU_SECONDS",
                        help="as many trials as this pays on each task by stored costs, equal for its entries")  # fmt: skip
    tuning.add_argument("--seeds", type=int, default=2, help="tuning seeds for every trial (default 2)")
    tuning.add_argument("--space", choices=("lattice", "random", "given"), default="lattice",
                        help="lattice: walk the bounds evenly (default); random: draw log-uniformly, more trials later add to "
                             "these; given: the combinations of listed values")  # fmt: skip
    tuning.add_argument("--show", action="store_true",
                        help="the tuned entries: trials, expected best at equal trials, sensitivity")  # fmt: skip
    publishing = verb(verbs, do_publish)
    publishing.add_argument("--recertify", action="store_true",
                            help="run a sample of older-code rows again; mark all if every bit agrees")  # fmt: skip
    publishing.add_argument("--trials", action="store_true",
                            help="also the tuning trials of the plan's rows, into trials/")  # fmt: skip
