"""The command line: parses the words, calls the verb, and turns errors into messages and exit codes."""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys

from bench.contract import BenchError
from bench.parts import locate, python_path
from bench.planning import config
from bench.planning.files import VerbFile
from bench.verbs import planned, reading, run, sweeps


def _parser(word: str) -> argparse.ArgumentParser:
    """word: the verb that is called; others' verbs (`configs/verb/`) are looked for only where it is none of the harness's."""
    parser = argparse.ArgumentParser(prog="bench", description="Sweepstakes: compare how networks learn, honestly.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    reading.add_parser(verbs)
    sweeps.add_parser(verbs)
    if word not in verbs.choices:
        for name in config.names("verb"):
            locate(config.load("verb", name, VerbFile).target)(verbs)
    return parser


def _run_with_hydra(words: list[str]) -> int:
    """Hydra's own front door: `python -m bench task=… entry=… seed=0,1 -m [hydra/launcher=…]`; returns the exit code.

    Each Hydra job runs one cell through the same plan and store as `bench run`, so anybody's Hydra launcher may be used: a cell
    is idempotent. Tasks and entries are handed to Hydra as strings, since a composition `a+b` is no file of a group.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig

    def opened(word: str) -> str:
        """`task=glob(pde/*)` as `+cell.task=pde/advection_1d,pde/burgers_1d`, `task.nu=1` as `++cell.set_task.nu=1`."""
        name, equals, _ = word.partition("=")
        if equals and name in ("task", "entry"):
            request = config.parse([word])
            return f"+cell.{name}={','.join(request.tasks or request.entries)}"
        return f"++cell.set_{word}" if equals and name.startswith(("task.", "entry.")) else word

    sys.argv[1:] = [opened(word) for word in words]
    codes = [0]

    @hydra.main(version_base="1.3", config_path=str(config.PROJECT / "configs"), config_name="config")
    def job(_: object) -> None:
        words = [re.sub(r"^\++cell\.(set_)?", "", word) for word in HydraConfig.get().overrides.task]
        request, store, plan = planned(words)
        summary = run(plan, store, request.settings)
        cell = next(plan.cells())
        print(f"{cell.task} {request.entries[0]} seed {cell.seed}: {summary.statuses or 'fresh'}")
        codes.append(int(not summary.ok))

    job()
    return max(codes)


def main(arguments: list[str] | None = None) -> None:
    """Exit code 0: all ok; 1: a cell or check failed; 2: usage; 130: interrupted."""
    # Plans make lasting objects and little garbage: collecting at the default rate costs a tenth of a short command.
    gc.set_threshold(50_000)
    sys.path[:] = python_path()
    given = sys.argv[1:] if arguments is None else arguments
    # Options and overrides may be mixed, but argparse wants positional words together.
    overrides = [word for word in given[1:] if "=" in word and not word.startswith("-")]
    try:
        if given and "=" in given[0] or {"-m", "--multirun"} & {*given}:
            sys.exit(_run_with_hydra(given))
        parser = _parser(given[0] if given else "")
        options, left = parser.parse_known_args([word for word in given if word not in overrides] + overrides)
        if left and (not hasattr(options, "words") or any(word.startswith("-") for word in left)):
            parser.error(f"unrecognized arguments: {' '.join(left)}")
        if left:  # bare words behind an option
            options.words += left
        sys.exit(options.do(options) or 0)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
