"""What a pull request is checked for: `python -m bench.submissions.pull_request BASE HEAD`.

A submission adds files under `submissions/NAME/` and does nothing else. The checker is the code of BASE; of HEAD it takes
only those files, as data, into a folder apart, and makes the records' keys again from them. With `--run` the entry runs,
over the pipe in its own process, in the contract suite and in `bench verify`; without it nothing of the pull request is
ever executed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from bench.contract import BenchError
from bench.data import cache_dir
from bench.planning import config
from bench.records.standing import Verification
from bench.records.store import Store
from bench.submissions import folder as submitted
from bench.submissions import package, record_checks

ROOT = "submissions/"
KINDS = {
    "D": "removes",
    "M": "changes",
    "T": "changes the kind of",
    "R": "renames",
    "C": "copies",
    "U": "leaves unmerged",
}
MOST_FILES = 2000


def git(repository: Path, *words: str) -> str:
    """What git says; BenchError with its complaint if it fails."""
    done = subprocess.run(["git", "-C", str(repository), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


def changes(repository: Path, base: str, head: str) -> list[tuple[str, str]]:
    """(letter, path) of every file that differs between head and where it left base."""
    text = git(repository, "diff", "--name-status", "--no-renames", "-z", f"{base}...{head}")
    words = text.split("\0")[:-1]
    return [(kind[:1], path) for kind, path in zip(words[::2], words[1::2], strict=True)]


def names(changed: Sequence[tuple[str, str]]) -> list[str]:
    """The submissions a change touches."""
    return sorted({path.split("/")[1] for _, path in changed if path.startswith(ROOT) and path.count("/") >= 2})


def placement(changed: Sequence[tuple[str, str]], touched: Sequence[str]) -> list[str]:
    """What is wrong with where and how a submission changes files."""
    found = []
    if len(touched) > 1:
        found.append(f"several submissions at once ({', '.join(touched)}); open one pull request for each")
    if len(changed) > MOST_FILES:
        found.append(f"{len(changed)} files; a submission holds one entry")
    for kind, path in changed:
        if kind != "A":
            found.append(f"{path}: the change {KINDS.get(kind, 'alters')} a file that is there; a submission only adds")
        elif not any(path.startswith(f"{ROOT}{name}/") for name in touched):
            found.append(f"{path}: outside {ROOT}NAME/; put code, configuration and records in there")
    return found


def extract(repository: Path, base: str, head: str, name: str, target: Path) -> list[str]:
    """Write `submissions/NAME/` of head below `target`, plain files only; returns what was no plain file, or is taken."""
    found = []
    entry_there = git(repository, "ls-tree", base, "--", f"configs/entry/{name}.yaml", f"{ROOT}{name}")
    if entry_there.strip():
        found.append(f"name {name!r} is taken; choose another, also for a new version of your own entry")
    for line in git(repository, "ls-tree", "-r", "-z", head, "--", f"{ROOT}{name}/").split("\0")[:-1]:
        about, _, path = line.partition("\t")
        mode, kind, identity = about.split()
        if kind != "blob" or mode not in ("100644", "100755"):
            found.append(f"{path}: a link or a submodule; only plain files are taken")
            continue
        if ".." in Path(path).parts:
            found.append(f"{path}: it leads out of the folder")
            continue
        place = target / path.removeprefix(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        blob = subprocess.run(
            ["git", "-C", str(repository), "cat-file", "blob", identity], capture_output=True, check=True
        )
        place.write_bytes(blob.stdout)
    return found


def table_difference(folder: Path, ledger: Path) -> str:
    """The tables with the submission's rows in them, in Markdown: the ledger's records and the folder's together."""
    from bench.planning import plan
    from bench.tables import join, printers

    about, blocks = submitted.manifest(folder), []
    with tempfile.TemporaryDirectory(prefix="sweepstakes-both-") as both:
        root = Path(both) / "ledger"
        for row in about.rows:
            _copy(ledger / row.task, root / row.task)
        _copy(folder / "results" / "ledger", root)
        store = Store(root.parent)
        for row in about.rows:
            suites = [name for name, suite in config.sound("suite", config.suite)[0].items() if row.task in suite.tasks]
            suite = about.suite if about.suite in suites else next(iter(sorted(suites)), None)
            words = [f"task={row.task}", f"preset={row.preset}", f"results={store.root}"]
            words += [f"suite={suite}", f"extra={about.entry}"] if suite else [f"entry={about.entry}"]
            words += [f"seed=range({len(row.seeds)})"]
            request = config.parse(words)
            for made in join.build_all(plan.make(request, store), store):
                blocks.append(printers.markdown(made).strip())
    return "\n\n".join(blocks)


def _copy(source: Path, target: Path) -> None:
    for path in source.rglob("*.jsonl"):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())


def run(folder: Path, ledger: Path, seeds: int) -> tuple[list[str], list[str]]:
    """(reasons for refusal, Markdown blocks) of running an opened entry: contract suite, verification, tables."""
    from bench.checking import contract_suite, published_rows, verify
    from bench.running.pool import Pool

    about = submitted.manifest(folder)
    name = about.entry
    found: list[str] = []
    blocks: list[str] = []
    withheld = [ledger.parent, folder / "results", cache_dir()]
    with Pool(1, withheld) as pool, Pool(1, withheld) as second:
        for task in sorted({row.task for row in about.rows}):
            found += contract_suite.check(pool, second, task, name)[1]
    if not found:
        with tempfile.TemporaryDirectory(prefix="sweepstakes-check-") as scratch:
            lines: list[Verification] = []
            for preset in sorted({row.preset for row in about.rows}):
                request = config.parse([f"preset={preset}", f"results={scratch}", "workers=2"])
                rows = published_rows.claims(Store(folder / "results"), name, request)
                say = lambda line: print(line, file=sys.stderr)  # noqa: E731
                lines += verify.verify(rows, Store(Path(scratch)), request.settings, seeds, say)
        found += [f"{line.task}: disputed: {line.reason}" for line in lines if line.verdict == "disputed"]
        blocks = ["### Verification\n\n" + verify.table(lines, "markdown"), table_difference(folder, ledger)]
    return found, blocks


def check(repository: Path, base: str, head: str, execute: bool = False, seeds: int = 3) -> tuple[bool, str]:
    """(whether it passes, a report in Markdown) of the change from base to head. BenchError if git cannot tell."""
    changed = changes(repository, base, head)
    touched = names(changed)
    if not touched:
        return True, f"No submission in this change: nothing under `{ROOT}NAME/`."
    found = placement(changed, touched)
    blocks: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sweepstakes-submission-") as scratch:
        for name in touched if not found else ():
            found += extract(repository, base, head, name, Path(scratch))
            folder = Path(scratch).resolve() / name
            found += submitted.folder_problems(folder)
            if found:
                continue
            here, ledger = Path.cwd(), repository.resolve() / "results" / "ledger"
            try:
                submitted.open_folder(folder)
                found += record_checks.records_hold(folder)
                if execute and not found:
                    found, blocks = run(folder, ledger, seeds)
            finally:
                package.enter(here)
    title = f"## Submission {', '.join(touched)}"
    if found:
        lines = [title, "", "**Refused**, for these reasons:", "", *(f"- {line}" for line in found)]
    else:
        told = "files, records, contract suite and fresh seeds" if execute else "files and records (nothing was run)"
        lines = [title, "", f"**Passes**: {told}."]
    return not found, "\n".join([*lines, *(f"\n{block}" for block in blocks)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: it passes; 1: it does not; 2: it cannot be checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="the branch to merge into")
    parser.add_argument("head", help="the pull request's commit")
    parser.add_argument("--repository", default=".", help="a clone that has both (default: here)")
    parser.add_argument("--run", action="store_true", help="also run the entry: contract suite and verification")
    parser.add_argument("--seeds", type=int, default=3, help="fresh seeds a row (default 3)")
    parser.add_argument("--out", help="write the report to this file as well")
    options = parser.parse_args(arguments)
    out = Path(options.out).absolute() if options.out else None
    try:
        passes, report = check(Path(options.repository), options.base, options.head, options.run, options.seeds)
        code = 0 if passes else 1
    except Exception as error:  # whatever a folder provokes, its author is told
        if not isinstance(error, BenchError):
            traceback.print_exc()
        code, report = 2, f"## Submission\n\nIt cannot be checked: {error or type(error).__name__}"
    print(report)
    if out is not None:
        out.write_text(report + "\n", encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
