"""The command line: parses the words, calls the verb, and turns errors into messages and exit codes."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from typing import Any

from bench.contract import BenchError


def _add_plugins(verbs: Any) -> None:
    """Add the verbs that families of tasks and packages bring (`configs/verb/`)."""
    from bench.parts import locate
    from bench.planning import config
    from bench.planning.files import VerbFile

    for name in config.names("verb"):
        locate(config.load("verb", name, VerbFile).target)(verbs)


def _parser(word: str) -> argparse.ArgumentParser:
    """word: the verb that is called; verbs of plugins are looked for only where it is none of the harness's own."""
    from bench.verbs import entries, papers, reading, sweeps

    parser = argparse.ArgumentParser(prog="bench", description="Sweepstakes: compare how networks learn, honestly.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for family in (reading, sweeps, papers, entries):
        family.add_parser(verbs)
    if word not in verbs.choices:
        _add_plugins(verbs)
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Exit code 0: all ok; 1: a cell or check failed; 2: usage; 130: interrupted."""
    from bench.parts import python_path

    # Plans make lasting objects and little garbage: collecting at the default rate costs a tenth of a short command.
    gc.set_threshold(50_000)
    sys.path[:] = python_path()
    given = sys.argv[1:] if arguments is None else arguments
    if given and "=" in given[0] or "-m" in given or "--multirun" in given:
        from bench.verbs.hydra_door import run_with_hydra

        run_with_hydra()
    # Options and overrides may be mixed, but argparse wants positional words together.
    overrides = [word for word in given[1:] if "=" in word and not word.startswith("-")]
    try:
        parser = _parser(given[0] if given else "")
        options, left = parser.parse_known_args([word for word in given if word not in overrides] + overrides)
        if left and (not hasattr(options, "words") or any(word.startswith("-") for word in left)):
            parser.error(f"unrecognized arguments: {' '.join(left)}")
        if left:  # bare words behind an option
            options.words += left
        sys.exit(options.do(options))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
