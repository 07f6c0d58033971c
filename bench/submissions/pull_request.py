"""The check of a pull request that holds a submission: `python -m bench.submissions.pull_request BASE HEAD`.

A submission adds files under `submissions/NAME/` and does nothing else. The checker is the code of BASE; of HEAD it copies
only those files, as data, into a folder of their own, and makes the records' keys again from them. With `--run` the entry runs,
over the pipe in its own process, in the contract suite and in `bench verify`; without it nothing of the pull request is
ever executed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.checking import contract_suite, published_rows, verify
from bench.contract import BenchError
from bench.data import cache_dir
from bench.planning import config, plan
from bench.records.standing import Verification
from bench.records.store import Store
from bench.submissions import folder as submitted
from bench.submissions import package
from bench.tables import join, printers

ROOT = "submissions/"
KINDS = {"D": "removes", "M": "changes", "T": "changes the kind of"}  # beside A, which adds; renames are not looked for
MOST_FILES = 2000


def git(repository: Path, *words: str) -> bytes:
    """The output of a git command; BenchError with git's message if it fails."""
    done = subprocess.run(["git", "-C", str(repository), *words], capture_output=True, check=False)
    if done.returncode:
        raise BenchError(f"git {words[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def placement(changed: Sequence[tuple[str, str]], touched: Sequence[str]) -> Iterator[str]:
    """Problems of a submission's changes: (letter, path) of every file, and the submissions that they touch."""
    if len(touched) > 1:
        yield f"several submissions at once ({', '.join(touched)}); open one pull request for each"
    if len(changed) > MOST_FILES:
        yield f"{len(changed)} files; a submission holds one entry"
    for kind, path in changed:
        if kind != "A":
            yield f"{path}: the change {KINDS.get(kind, 'alters')} a file that is there; a submission only adds"
        elif not any(path.startswith(f"{ROOT}{name}/") for name in touched):
            yield f"{path}: outside {ROOT}NAME/; put code, configuration and records in there"


def extract(repository: Path, base: str, head: str, folder: Path) -> list[str]:
    """Write the plain files of `submissions/NAME/` of head as `folder`; returns problems of other files and of the name."""
    wrong, name = [], folder.name
    if git(repository, "ls-tree", base, "--", f"configs/entry/{name}.yaml", f"{ROOT}{name}").strip():
        wrong.append(f"name {name!r} is taken; choose another, also for a new version of your own entry")
    for line in git(repository, "ls-tree", "-r", "-z", head, "--", f"{ROOT}{name}/").decode().split("\0")[:-1]:
        about, _, path = line.partition("\t")
        mode, kind, identity = about.split()
        if kind != "blob" or mode not in ("100644", "100755"):
            wrong.append(f"{path}: a link or a submodule; only plain files are taken")
        elif ".." in Path(path).parts:
            wrong.append(f"{path}: it leads out of the folder")
        else:
            place = folder.parent / path.removeprefix(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(git(repository, "cat-file", "blob", identity))
    return wrong


def tables_with(folder: Path, ledger: Path) -> str:
    """The tables of the ledger's records and the submission's together, in Markdown."""
    about, blocks = submitted.manifest(folder), []
    with tempfile.TemporaryDirectory(prefix="sweepstakes-both-") as both:
        root = Path(both) / "ledger"
        for row in about.rows:
            if (ledger / row.task).is_dir():
                shutil.copytree(ledger / row.task, root / row.task, dirs_exist_ok=True)
        shutil.copytree(folder / "results" / "ledger", root, dirs_exist_ok=True)
        store = Store(root.parent)
        for row in about.rows:
            suites = [name for name, suite in config.sound("suite", config.suite)[0].items() if row.task in suite.tasks]
            suite = about.suite if about.suite in suites else min(suites, default=None)
            seeds = f"seed=range({len(row.seeds)})"
            words = [f"task={row.task}", f"preset={row.preset}", f"results={store.root}", seeds]
            words += [f"suite={suite}", f"extra={about.entry}"] if suite else [f"entry={about.entry}"]
            tables = join.build_all(plan.make(config.parse(words), store), store)
            blocks += [printers.markdown(table).strip() for table in tables]
    return "\n\n".join(blocks)


def run(folder: Path, ledger: Path, seeds: int | None) -> tuple[list[str], list[str]]:
    """(reasons for refusal, Markdown blocks) of running an opened entry: contract suite, verification, tables."""
    about = submitted.manifest(folder)
    tasks = sorted({row.task for row in about.rows})
    checks = contract_suite.check_all(tasks, about.entry, [ledger.parent, folder / "results", cache_dir()])
    wrong = [flaw for _, _, flaws in checks for flaw in flaws]
    if wrong:
        return wrong, []
    findings: list[Verification] = []
    with tempfile.TemporaryDirectory(prefix="sweepstakes-check-") as scratch:
        for preset in sorted({row.preset for row in about.rows}):
            request = config.parse([f"preset={preset}", f"results={scratch}", "workers=2"])
            claims = published_rows.claims(Store(folder / "results"), about.entry, request)
            say = partial(print, file=sys.stderr)
            findings += verify.verify(claims, Store(Path(scratch)), request.settings, seeds, say)
    wrong = [f"{line.task}: disputed: {line.reason}" for line in findings if line.verdict == "disputed"]
    return wrong, ["### Verification\n\n" + verify.table(findings, "markdown"), tables_with(folder, ledger)]


def check(repository: Path, base: str, head: str, execute: bool = False, seeds: int | None = None) -> tuple[bool, str]:
    """(whether it passes, a report in Markdown) of the change from base to head. BenchError if git fails."""
    words = git(repository, "diff", "--name-status", "--no-renames", "-z", f"{base}...{head}").decode().split("\0")[:-1]
    changed = [(kind[:1], path) for kind, path in zip(words[::2], words[1::2], strict=True)]
    touched = sorted({path.split("/")[1] for _, path in changed if path.startswith(ROOT) and path.count("/") >= 2})
    if not touched:
        return True, f"No submission in this change: nothing under `{ROOT}NAME/`."
    wrong, blocks = [*placement(changed, touched)], list[str]()
    here, ledger = Path.cwd(), repository.resolve() / "results" / "ledger"
    with tempfile.TemporaryDirectory(prefix="sweepstakes-submission-") as scratch:
        folder = Path(scratch).resolve() / touched[0]
        if not wrong:
            wrong = [*extract(repository, base, head, folder), *submitted.folder_problems(folder)]
        if not wrong:
            try:
                submitted.open_folder(folder)
                wrong = [*submitted.contradictions(folder)]
                if execute and not wrong:
                    wrong, blocks = run(folder, ledger, seeds)
            finally:
                package.enter(here)
    checks = "files, records, contract suite and fresh seeds" if execute else "files and records (nothing was run)"
    refusal = "\n".join(["**Refused**, for these reasons:\n", *(f"- {line}" for line in wrong)])
    title, verdict = f"## Submission {', '.join(touched)}", refusal if wrong else f"**Passes**: {checks}."
    return not wrong, "\n\n".join([title, verdict, *blocks])


def main() -> int:
    """Exit code 0: it passes; 1: it does not; 2: it cannot be checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="the branch to merge into")
    parser.add_argument("head", help="the pull request's commit")
    parser.add_argument("--repository", default=".", help="a clone that has both (default: here)")
    parser.add_argument("--run", action="store_true", help="also run the entry: contract suite and verification")
    parser.add_argument("--seeds", type=int, help="fresh seeds a row (default: 5, then 10 and 20 while undecided)")
    parser.add_argument("--out", help="write the report to this file as well")
    options = parser.parse_args()
    try:
        passes, report = check(Path(options.repository), options.base, options.head, options.run, options.seeds)
        code = int(not passes)
    except Exception as error:  # a submission may provoke any error; its author has to see it in the report
        if not isinstance(error, BenchError):
            traceback.print_exc()
        code, report = 2, f"## Submission\n\nIt cannot be checked: {error or type(error).__name__}"
    print(report)
    if options.out:
        Path(options.out).write_text(report + "\n", encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
