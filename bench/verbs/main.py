"""The command line: every verb's parser, and what becomes of an error."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path
from typing import Any

from bench.contract import BenchError
from bench.verbs import verb


def do_new(options: argparse.Namespace) -> int:
    """A working entry or task from a template: `bench new entry my_idea --kind optimizer`, `bench new task family/name`."""
    from bench.submissions import new

    if options.what == "task":
        lines = new.task(options.name, Path.cwd(), options.doc or new.NO_DOC)
    else:
        lines = new.entry(options.name, options.kind, Path.cwd(), options.doc or new.NOT_YET, options.author)
    print("\n".join(lines))
    return 0


def _brought(verbs: Any) -> None:
    """The verbs that families of tasks and packages bring (`configs/verb/`)."""
    from bench.parts import locate
    from bench.planning import config
    from bench.planning.files import VerbFile

    for name in config.names("verb"):
        locate(config.load("verb", name, VerbFile).target)(verbs)


def _parser(word: str) -> argparse.ArgumentParser:
    """word: the verb that is called; those that others bring are looked for only where it is none of ours."""
    from bench.verbs import papers, reading, submission, sweeps

    parser = argparse.ArgumentParser(prog="bench", description="Sweepstakes: compare how networks learn, honestly.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for family in (reading, sweeps, papers, submission):
        family.add_parser(verbs)
    new = verb(verbs, "new", do_new, (), sweeps=False)
    new.add_argument("what", choices=["entry", "task"])
    new.add_argument("name")
    new.add_argument("--kind", choices=["optimizer", "model", "surrogate", "procedure"], default="optimizer")
    new.add_argument("--doc", help="what is new about it, or what the task asks, in one line")
    new.add_argument("--author", action="append", default=[], help="an author; may be given several times")
    if word not in verbs.choices:
        _brought(verbs)
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Exit code 0: all ok; 1: a cell or check failed; 2: usage; 130: interrupted."""
    from bench.parts import python_path

    gc.set_threshold(50_000)  # imports and plans make objects that last and little garbage: a tenth of a short command
    sys.path[:] = python_path()
    given = sys.argv[1:] if arguments is None else arguments
    if given and "=" in given[0] or "-m" in given or "--multirun" in given:
        from bench.verbs.hydra_door import run_with_hydra

        run_with_hydra()
    # options and overrides may be mixed; argparse wants the overrides together
    overrides = [word for word in given[1:] if "=" in word and not word.startswith("-")]
    try:
        parser = _parser(given[0] if given else "")
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
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
