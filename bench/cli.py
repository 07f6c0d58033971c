"""The verbs, thin: each parses, calls the module that does the work, and prints."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import cite, datasheet, verbs_submission
from bench.contract import BenchError
from bench.data import verbs as data_verbs

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


def _request(arguments: list[str]) -> tuple[Any, Any, Any]:
    """(request, store, plan) of a verb's overrides."""
    from bench import config, plan
    from bench.store import Store

    request = config.parse(arguments)
    store = Store(Path(str(request.settings.results)))
    return request, store, plan.make(request, store)


def _say(store: Any) -> None:
    for line in store.reports:
        print(f"note: {line}", file=sys.stderr)


def do_list(options: argparse.Namespace) -> int:
    """Tasks, entries with the slots they fill, suites, claims and figures."""
    from bench import config

    found: dict[str, list[dict[str, Any]]] = {"tasks": [], "entries": [], "suites": [], "claims": [], "figures": []}
    for name in config.names("task"):
        spec = config.task_spec(name)
        slots = [slot.name for slot in spec.cls.slots]
        found["tasks"].append({"name": name, "slots": slots, "ranks": spec.cls.rank, "presets": list(spec.cls.presets)})
    for name in config.names("entry"):
        entry = config.entry(name)
        fits = [t["name"] for t in found["tasks"] if set(entry.parts) <= set(t["slots"])]
        found["entries"].append({"name": name, "slots": sorted(entry.parts), "doc": entry.doc, "tasks": fits})
    for name in config.names("suite"):
        found["suites"].append({"name": name, "doc": config.load("suite", name).get("doc", "")})
    for name in config.names("claim"):
        claim = config.load("claim", name)
        found["claims"].append({"name": name, "arxiv": claim.get("arxiv"), "doc": " ".join(claim["statement"].split())})
    for name in config.names("figure"):
        found["figures"].append({"name": name, "doc": config.load("figure", name).get("title", "")})
    if options.format == "json":
        print(json.dumps(found, indent=1))
        return 0
    for task in found["tasks"]:
        print(f"task   {task['name']:30} ranked by {task['ranks']}; slots {', '.join(task['slots'])}")
    for one in found["entries"]:
        print(f"entry  {one['name']:30} fills {', '.join(one['slots']) or 'nothing (defaults)'}: {one['doc']}")
    for kind in ("suite", "claim", "figure"):
        for one in found[f"{kind}s"]:
            print(f"{kind:6} {one['name']:36} {one['doc']}")
    return 0


def do_plan(options: argparse.Namespace) -> int:
    """What a run would do: cells by state, and what it should cost."""
    from bench import plan

    request, store, made = _request(options.overrides)
    found = plan.states(made, store, request.settings, look_for_stale=True)
    cost, unknown = plan.estimate(made, found, store)
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
    wall = cost / float(request.settings.workers)
    print(f"{len(cells)} cells, {todo} to run; by stored costs {cost:.0f} CPU s, about {wall / 60:.1f} min on "
          f"{request.settings.workers} workers" + (f" (no stored cost for {unknown} of them)" if unknown else ""))  # fmt: skip
    _say(store)
    return 0


def do_run(options: argparse.Namespace) -> int:
    """Run a plan: fresh cells are skipped, every other one ends in a record."""
    from bench import runner

    request, store, made = _request(options.overrides)
    sink = None
    if request.settings.wandb != "off":
        from bench.sinks import wandb_sink

        sink = wandb_sink(str(request.settings.wandb), store)
    summary = runner.run(made, store, request.settings, sink)
    if options.format == "json":
        keys = [cell.key for cell in made.cells()]
        print(json.dumps({"ran": summary.ran, "fresh": summary.fresh, "statuses": summary.statuses, "keys": keys}))
    else:
        text = ", ".join(f"{n} {word}" for word, n in sorted(summary.statuses.items()))
        also = f", {summary.elsewhere} taken by another sweep" if summary.elsewhere else ""
        print(f"{summary.ran} cells run ({text or 'nothing to do'}), {summary.fresh} were there{also}; "
              f"`bench table {' '.join(options.overrides)}` compares them")  # fmt: skip
    _say(store)
    return 0 if summary.ok else (130 if summary.interrupted else 1)


def do_table(options: argparse.Namespace) -> int:
    """A plan joined with the store: one table a task."""
    from bench.board import tables

    request, store, made = _request(options.overrides)
    found = tables.build_all(made, store)
    text = tables.RENDERERS[options.format](found)
    if options.out:
        Path(options.out).write_text(text, encoding="utf-8")
    else:
        print(text)
    print(f"note: records {cite.digest(found)}; `bench cite` with the same words cites them", file=sys.stderr)
    _say(store)
    return 0


def do_browse(options: argparse.Namespace) -> int:
    """Build the static board, of every suite with records unless told which, and open it unless told otherwise."""
    from bench import config
    from bench.board import collect, site
    from bench.store import Store

    whole = not {word.split("=")[0] for word in options.overrides} & {"suite", "task", "entry", "extra"}
    if whole:
        store = Store(Path(str(config.parse(options.overrides).settings.results)))
        plans = collect.of_suites(store)
    else:
        _, store, made = _request(options.overrides)
        plans = [made]
    page = site.write(collect.content(plans, store, whole), Path(options.out))
    print(page)
    _say(store)
    if not options.no_open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
    return 0


def do_show(options: argparse.Namespace) -> int:
    """One record, whole, with the command that makes it again."""
    from bench import suspicions
    from bench.board import records
    from bench.store import Store

    record = Store(Path(options.results)).find(options.key)
    if options.format == "json":
        print(json.dumps(record, indent=1, sort_keys=True))
        return 0
    print(f"{record['task']}@{record['version']} {record['preset']}  {record['entry']}  seed {record['seed']}")
    print(f"key      {record['key']}\nstatus   {record['status']}  {record.get('reason', '')}")
    for name, value in sorted(record["metrics"].items()):
        print(f"  {name:28} {value:.6g}" + ("  (censored at the budget)" if name in record["censored"] else ""))
    for name in ("params", "config", "costs", "provenance"):
        print(f"{name:8} {json.dumps(record[name], sort_keys=True)}")
    for name in ("traceback", "output"):
        if record.get(name):
            print(f"{name}\n{record[name]}")
    for line in suspicions.of(record):
        print(f"look     {line} (docs/rules.md)")
    print(f"again    {records.command(record)}")
    return 0


def do_why(options: argparse.Namespace) -> int:
    """Fresh, stale or missing, and which component changed, with old and new value."""
    from bench import key, plan
    from bench.board import records
    from bench.store import Store

    if len(options.overrides) == 1 and "=" not in options.overrides[0]:
        store = Store(Path(options.results))
        record = store.find(options.overrides[0])
        options.overrides = [word for word in shlex.split(records.command(record))[2:] if not word.startswith("reuse=")]
    request, store, made = _request([*options.overrides])
    found = plan.states(made, store, request.settings, look_for_stale=True)
    rows = []
    for cell in made.cells():
        now = found[cell.key]
        changes = []
        if now.word == "stale" and now.record is not None:
            changes = key.difference(now.record["components"], dict(cell.components))
        rows.append({"key": cell.key, "cell": cell.name, "state": now.word, "runs": now.rerun,
                     "changed": [{"component": c, "old": a, "new": b} for c, a, b in changes]})  # fmt: skip
        if options.format != "json":
            print(f"{now.word:10} {cell.name}" + ("" if now.word in ("fresh", "missing") else f"  runs: {now.rerun}"))
            for name, old, new in changes:
                print(f"           {name}: {_short(old)} -> {_short(new)}")
            if now.record is not None and now.record.get("reason"):
                print(f"           {now.record['reason']}")
    if options.format == "json":
        print(json.dumps(rows, indent=1))
    return 0


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "…"


def do_publish(options: argparse.Namespace) -> int:
    """Fold a plan's fresh records into the ledger.

    `--recertify` publishes nothing new: it runs a random sample of the plan's rows of older code again, and marks all of them
    as being of this code if every bit agrees.
    """
    from bench import plan, publish

    request, store, made = _request(options.overrides)
    if options.recertify:
        from bench import recertify

        outcome = recertify.recertify(made, store, request.settings)
        print(json.dumps(vars(outcome), indent=1) if options.format == "json" else "\n".join(recertify.tell(outcome)))
        _say(store)
        return 130 if outcome.interrupted else 1 if outcome.reasons else 0
    found = plan.states(made, store, request.settings)
    records = [s.record for s in found.values() if s.record is not None]
    dirty = sum(bool(r["provenance"].get("dirty")) for r in records)
    changed = publish.publish(store, records)
    told = {"records": len(records), "changed": changed}
    lines = [f"{len(records)} records, {changed} lines new or changed in {store.ledger}"]
    if options.trials:
        from bench import tuning

        trials, new = tuning.publish(store, {(row.task, row.entry) for row in made.rows})
        told |= {"trials": trials, "changed_trials": new}
        lines.append(f"{trials} trials, {new} lines new or changed in {store.root / 'trials'}")
    print(json.dumps(told) if options.format == "json" else "\n".join(lines))
    _say(store)
    if dirty:
        print(f"note: {dirty} of them were made with uncommitted changes, and say so", file=sys.stderr)
    missing = len(found) - len(records)
    if missing:
        print(f"note: {missing} cells of the plan have no record; `bench run` makes them", file=sys.stderr)
    return 0


def do_tune(options: argparse.Namespace) -> int:
    """Equal trials for every entry, on tuning seeds, chosen on validation; writes configs/tuned/.

    An entry's `search` says what is tried: bounds, `{optimizer.lr: [0.001, 1.0]}`, or a list, `{optimizer.lr: {values: [1, 2]}}`.
    Trials that have a record are not run again, so the same command continues an interrupted one. `--show` runs nothing:
    it compares what is tuned, at equal numbers of trials.
    """
    from bench import config, tune
    from bench.store import Store

    request = config.parse(options.overrides)
    store = Store(Path(str(request.settings.results)))
    if options.show:
        from bench import plan, tuning

        asked = bool(options.overrides) and (request.suite is not None or bool(request.tasks or request.entries))
        pairs = [(task, entry) for task, entry, _, _ in plan.pairs_of(request)] if asked else tuning.everywhere()
        found = [one for pair in dict.fromkeys(pairs) if (one := tuning.summary(*pair, store.root)) is not None]
        print((tuning.as_json if options.format == "json" else tuning.as_text)(found))
        return 0
    done = tune.tune(request, store, options.trials, options.seeds, options.space, options.budget)
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
    _say(store)
    return done.code


def do_claims(options: argparse.Namespace) -> int:
    """Papers' statements, measured again from records: `bench claims`, `bench claims 'pde/*' 2309.14322 --run`."""
    from bench import claims, verdicts
    from bench.board import claims as shown

    patterns = [word for word in options.words if "=" not in word]
    survey = verdicts.Survey(claims.select(patterns), [word for word in options.words if "=" in word])
    summary = survey.run() if options.run else None
    findings = survey.evaluate()
    print(shown.RENDERERS[options.format](findings))
    _say(survey.store)
    if summary is not None and summary.interrupted:
        return 130
    failed = summary is not None and not summary.ok
    return 1 if failed or any(finding.verdict == "error" for finding in findings) else 0


def do_figures(options: argparse.Namespace) -> int:
    """Figures from records, as SVG files: `bench figures`, `bench figures grokking --run --out docs/figures`."""
    from bench import figures
    from bench.board.figures import alone
    from bench.store import write_atomically

    patterns = [word for word in options.words if "=" not in word]
    gallery = figures.Gallery(figures.select(patterns), [word for word in options.words if "=" in word])
    summary = gallery.run() if options.run else None
    found = []
    for one in gallery.draw():
        path = Path(options.out) / f"{one.id.replace('/', '-')}.svg"
        if one.svg:
            write_atomically(path, (alone(one.svg) + "\n").encode())
        state = "error" if one.error else "drawn" if one.svg else "missing"
        found.append({"id": one.id, "state": state, "path": str(path) if one.svg else None, "cells": one.cells,
                      "missing": one.missing, "notes": list(one.notes), "error": one.error})  # fmt: skip
        if options.format != "json":
            told = f"{one.missing} of {one.cells} cells have no record; `bench figures {one.id} --run` makes them"
            told = one.error or (f"{path}: {'; '.join(one.notes)}" if one.svg else told)
            print(f"{state:8} {one.id:36} {told}")
    if options.format == "json":
        print(json.dumps(found, indent=1))
    _say(gallery.store)
    if summary is not None and summary.interrupted:
        return 130
    failed = summary is not None and not summary.ok
    return 1 if failed or any(one["state"] == "error" for one in found) else 0


def do_new(options: argparse.Namespace) -> int:
    """A working entry from a template: `bench new entry my_idea --kind optimizer`."""
    from bench import new

    for line in new.entry(options.name, options.kind, Path.cwd(), options.doc or new.NOT_YET, options.author):
        print(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description="Sweepstakes: compare how networks learn, honestly.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, do: Callable[[argparse.Namespace], int], formats: tuple[str, ...], sweeps: bool = True) -> Any:
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

    plain = ("text", "json")
    verb("list", do_list, plain, sweeps=False)
    verb("plan", do_plan, plain)
    verb("run", do_run, plain)
    table = verb("table", do_table, ("terminal", "markdown", "csv", "latex", "json"))
    table.add_argument("--out", help="write to this file")
    show = verb("show", do_show, plain, sweeps=False)
    show.add_argument("key", help="the first characters of a record's key")
    why = verb("why", do_why, plain)
    for one in (show, why):
        one.add_argument("--results", default="results", help="the results folder")
    tuning = verb("tune", do_tune, plain)
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
    browse = verb("browse", do_browse, ())
    browse.add_argument("--out", default="results/board", help="folder of the page")
    browse.add_argument("--no-open", action="store_true", help="only write it")
    publishing = verb("publish", do_publish, plain)
    publishing.add_argument(
        "--recertify", action="store_true", help="run a sample of older-code rows again; mark all if every bit agrees"
    )
    publishing.add_argument(
        "--trials", action="store_true", help="also the tuning trials of the plan's rows, into trials/"
    )
    data_verbs.add_parser(verbs, plain)
    cite.add_parser(verbs)
    datasheet.add_parser(verbs)
    verbs_submission.add_parser(verbs, plain)
    claims = verb("claims", do_claims, ("text", "markdown", "json"), sweeps=False)
    claims.add_argument("words", nargs="*", metavar="PATTERN|key=value",
                        help="ids, patterns of ids, or arXiv numbers; settings such as workers=2")  # fmt: skip
    claims.add_argument("--run", action="store_true", help="first run the cells that have no record")
    figures = verb("figures", do_figures, plain, sweeps=False)
    figures.add_argument("words", nargs="*", metavar="PATTERN|key=value",
                         help="ids or patterns of ids; settings such as workers=2")  # fmt: skip
    figures.add_argument("--run", action="store_true", help="first run the cells that have no record")
    figures.add_argument("--out", default="results/figures", help="folder of the SVG files")
    new = verb("new", do_new, (), sweeps=False)
    new.add_argument("what", choices=["entry"])
    new.add_argument("name")
    new.add_argument("--kind", choices=["optimizer", "model", "procedure"], default="optimizer")
    new.add_argument("--doc", help="what is new about it, in one line")
    new.add_argument("--author", action="append", default=[], help="an author; may be given several times")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Exit code 0: all ok; 1: a cell or check failed; 2: usage; 130: interrupted."""
    from bench.pool import python_path

    sys.path[:] = python_path()
    given = sys.argv[1:] if arguments is None else arguments
    if given and "=" in given[0] or "-m" in given or "--multirun" in given:
        from bench.hydra_main import run_with_hydra

        run_with_hydra()
    # options and overrides may be mixed; argparse wants the overrides together
    overrides = [word for word in given[1:] if "=" in word and not word.startswith("-")]
    parser = _parser()
    options, left = parser.parse_known_args([word for word in given if word not in overrides] + overrides)
    if left and (not hasattr(options, "words") or any(word.startswith("-") for word in left)):
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if left:  # bare words on both sides of an option
        options.words += left
    try:
        sys.exit(options.do(options))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
