"""What runs cells and publishes them, and what brings an entry from its template to a verified row."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bench.contract import BenchError
from bench.planning import config, plan, states
from bench.records import ledger, standing
from bench.records.store import Store
from bench.submissions import new
from bench.verbs import PLAIN, answer, exit_code, note, planned, requested, run, split, verb


def do_plan(options: argparse.Namespace) -> None:
    """The cells of a plan by state, and the estimated cost of running it."""
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
    workers, lack = request.settings.workers, f" (no stored cost for {unknown} of them)" if unknown else ""
    spend = f"by stored costs {cost:.0f} CPU s, about {cost / workers / 60:.1f} min on {workers} workers"
    lines.append(f"{len(rows)} cells, {sum(row['runs'] for row in rows)} to run; {spend}{lack}")
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
    here, sweep = Path.cwd(), outcome.sweep
    paths = [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in outcome.paths]
    content = {"ran": sweep.ran, "fresh": sweep.fresh, "trials": outcome.trials, "files": paths}
    lines = [*paths, f"{sweep.ran} cells run, {sweep.fresh} had records"]
    answer(options, content | {"unfinished": outcome.unfinished}, lines, store)
    for task, entry in outcome.unfinished if options.format != "json" else ():
        note(f"{entry} on {task}: trials without a result, nothing is chosen; the same command continues")
    return 130 if sweep.interrupted else int(bool(outcome.unfinished))


def _show_tuning(options: argparse.Namespace) -> int:
    """Print the tuning of the request's pairs, or of every tuned pair where it names none."""
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
    from bench.tuning import trials as tuning
    from bench.upkeep import recertify

    request, store, plan = planned(options.words)
    if options.recertify:
        outcome = recertify.recertify(plan, store, request.settings)
        answer(options, vars(outcome), recertify.report(outcome), store)
        return 130 if outcome.interrupted else int(bool(outcome.reasons))
    by_key = states.states(plan, store, request.settings)
    own = [state.record for state in by_key.values() if state.record is not None]
    records = [record for record in own if record.provenance.transport != "call"]
    counts = {"records": len(records), "changed": ledger.publish(store, records)}
    lines = [f"{len(records)} records, {counts['changed']} lines new or changed in {store.ledger}"]
    if options.trials:
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


def do_new(options: argparse.Namespace) -> None:
    """A working entry or task from a template: `bench new entry my_idea --kind optimizer`, `bench new task family/name`."""
    words = (options.name, options.doc)
    print("\n".join(new.task(*words) if options.what == "task" else new.entry(*words, options.kind, options.author)))


def _settings(words: Sequence[str]) -> tuple[list[str], Any, Any]:
    """(bare words, request, store) of mixed words; the results folder is made absolute, since `submit` changes the folder."""
    bare, settings = split(words)
    request = config.parse(settings)
    results = Path(request.settings.results).absolute()
    request.settings = msgspec.structs.replace(request.settings, results=str(results))
    return bare, request, Store(results)


def do_verify(options: argparse.Namespace) -> int:
    """Check published rows: replay a claimed cell, and compare the claim with seeds drawn now.

      bench verify my_idea                               all its rows at preset small
      bench verify my_idea task=grokking/modular_addition --seeds 10
      bench verify submissions/my_idea                   the rows of a submission

    The digest of all that a row depends on is printed first; then a number is drawn, and the seeds follow from both. A row is
    disputed if its claimed seeds are better than the fresh ones (an exact rank test, which disputes at most one honest
    row in a hundred) or if a claimed cell gives other numbers under the same arithmetic and packages. A row has five fresh
    seeds, and ten or twenty while it is undecided; with --seeds as many as that. The power is the chance that the best
    5 of 50 seeds would have been disputed. Verdicts are appended to results/verified/<entry>.jsonl.
    Exit code: 0 nothing disputed, 1 disputed.
    """
    from bench.checking import published_rows, verify
    from bench.submissions import folder as submitted

    words, request, store = _settings(options.words)
    if (count := len(words)) != 1:
        raise BenchError(f"verify takes one entry or one submission folder, not {count}; `bench list` shows entries")
    name, source = words[0], store
    if (Path(name) / submitted.MANIFEST).is_file():
        folder = Path(name).resolve()
        submitted.open_folder(folder)
        name, source = folder.name, Store(folder / "results")
    name = config.entry(name).name
    claims = published_rows.claims(source, name, request)
    if not claims:
        preset, other = request.settings.preset, f"`bench verify {name} preset=smoke` looks at another preset"
        lacks = f"nothing to verify: {source.root} has no record of {name} as it is configured now at preset={preset}"
        raise BenchError(f"{lacks}; `bench run task=… entry={name}` makes them, {other}")
    say = partial(print, file=sys.stderr if options.format == "json" else sys.stdout, flush=True)
    findings = verify.verify(claims, store, request.settings, options.seeds, say)
    table, file = verify.table(findings, options.format), standing.path_of(store, name)
    answer(options, findings, [table, f"{len(findings)} lines added to {file}"], store)
    if published_rows.repeated():
        note("SWEEPSTAKES_DRAWN repeats a draw, which gives no badge; unset it to draw anew")
    return int(any(finding.verdict == "disputed" for finding in findings))


def do_submit(options: argparse.Namespace) -> int:
    """Check an entry as a reviewer would, run it, and write a folder for a pull request.

      bench submit configs/entry/my_idea.yaml                    suite=core, where it fits
      bench submit entries/my_idea.py task=grokking/modular_addition
      bench submit configs/entry/my_idea.yaml --smoke-only       checks, contract suite and smoke cells; writes nothing
      bench submit --accept submissions/my_idea                  for maintainers: fold a verified submission in

    PATH is the entry's YAML, its Python file or package, or a folder with both, at most 1 MB of text. All reasons for a
    refusal are listed at once. Cells are cached: the same command continues. Tune first (`bench tune`), or the row
    stands untuned and unranked. Exit code: 0 written or accepted, 1 refused.
    """
    from bench.submissions import package as files
    from bench.submissions import submit
    from bench.submissions.folder import bullets

    words, request, store = _settings(options.words)
    if len(words) != 1:
        raise BenchError(f"submit takes one path, not {len(words)}; give the entry's YAML, configs/entry/NAME.yaml")
    path, out = Path(words[0]).absolute(), Path(options.out).absolute()
    if options.accept:
        path = path.resolve()
        lines = [f"wrote {name}" for name in submit.accept(path, store)]
        shows = f"a suite shows {path.name} once its `entries` in configs/suite/ name it"
        print("\n".join([*lines, f"`make readme` counts its records; {shows}"]))
        return 0
    package = files.read(path)
    files.enter(package.home)
    submission, name = submit.Submission(package, request, store, out), package.name
    folder = submit.submit(submission, options.smoke_only, partial(print, file=sys.stderr))
    lines = ["to know:", bullets(submission.notes)] if submission.notes else []
    if submission.problems:
        lines += [f"{name} would be refused:", bullets(submission.problems)]
    elif folder is None:
        lines += [f"{name} passes; `bench submit {words[0]}` without --smoke-only runs its cells and writes the folder"]
    else:
        lines += [f"wrote {folder}: open a pull request that adds this folder and nothing else",
                  f"`bench verify {name}` does what its reviewer will do"]  # fmt: skip
    content = {field: getattr(submission, field) for field in ("problems", "notes", "tasks")}
    answer(options, {"entry": name, **content, "folder": folder and str(folder)}, lines)
    return int(bool(submission.problems))


def do_speedrun(options: argparse.Namespace) -> int:
    """Records to a task's target, with their progression; and proposing a new one.

      bench speedrun                                               every task that has a target
      bench speedrun grokking/modular_addition --propose muon      over fresh seeds, beside the standing record
      bench speedrun grokking/modular_addition --propose muon --by cpu --seeds 12

    A new record needs one-sided p < 0.01 over seeds drawn after its digest is fixed. CPU seconds are the entry's own, times
    the machine's calibration score. Exit code: 0 shown or accepted, 1 not accepted.
    """
    from bench.checking import speedrun

    words, request, store = _settings(options.words)
    for word in words:
        config.task_spec(word)  # an unknown task is an error that lists the known ones
    if options.propose is None:
        tables = speedrun.tables(store, words, request.settings.preset)
        print(speedrun.render(tables, options.format) or "no records yet: a task with a target wants a published row")
        return 0
    if len(words) != 1:
        raise BenchError("--propose wants one task: bench speedrun TASK --propose ENTRY")
    say = partial(print, file=sys.stderr)
    proposal = speedrun.propose(store, words[0], options.propose, request.settings, options.by, options.seeds, say)
    if options.format == "json":
        print(msgspec.json.format(msgspec.json.encode(proposal), indent=1).decode())
    elif proposal.accepted:
        p = "" if proposal.p is None else f", p = {proposal.p:.2g} over {proposal.against}"
        print(f"a record: {proposal.entry} reaches the target of {words[0]} in {proposal.steps:.4g} steps{p}")
    else:
        print(f"no record: {proposal.reason}")
    return int(not proposal.accepted)


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
    new = verb(verbs, do_new, (), ())
    new.add_argument("what", choices=["entry", "task"])
    new.add_argument("name")
    new.add_argument("--kind", choices=["optimizer", "model", "surrogate", "procedure"], default="optimizer")
    new.add_argument("--doc", help="what is new about it, or what the task asks, in one line")
    new.add_argument("--author", action="append", default=[], help="an author; may be given several times")
    submit = verb(verbs, do_submit, words=("PATH|key=value", "the entry; suite=, task=, preset=, workers="))
    submit.add_argument("--out", default="submissions", help="where the folder goes (default submissions)")
    submit.add_argument("--smoke-only", action="store_true", help="check and run smoke cells; write nothing")
    submit.add_argument("--accept", action="store_true", help="fold the verified submission PATH into this project")
    words = ("ENTRY|FOLDER|key=value", "an entry, or a submission's folder; task=, preset=, workers=, results=")
    verify = verb(verbs, do_verify, (*PLAIN, "markdown"), words)
    verify.add_argument(
        "--seeds", type=int, help="fresh seeds a row, at least 3 (default: 5, then 10 and 20 while undecided)"
    )
    speedrun = verb(verbs, do_speedrun, (*PLAIN, "markdown"), ("TASK|key=value", "tasks; preset=, workers=, results="))
    speedrun.add_argument("--propose", metavar="ENTRY", help="check a new record over fresh seeds")
    speedrun.add_argument("--by", choices=["steps", "cpu"], default="steps", help="what is to be least")
    speedrun.add_argument("--seeds", type=int, help="fresh seeds (default: as many as seem needed, at least 5)")
