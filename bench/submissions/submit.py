"""`bench submit`: checks an entry as a reviewer would, runs its cells, and writes one folder for a pull request.

All problems are listed together: of the files (bench.submissions.package), the name, contract and smoke cells, and the suite's
cells. Cells are cached as always, so a second call runs only the missing ones.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.checking import published_rows, speedrun
from bench.contract import BenchError, Misfit
from bench.data import cache_dir
from bench.planning import config, plan
from bench.planning.files import ManifestFile, ManifestRow
from bench.records import standing
from bench.records.files import write_atomically
from bench.records.modules import module_files
from bench.records.provenance import here
from bench.records.record import decode
from bench.records.spelling import blake
from bench.records.store import Store
from bench.submissions import folder as submitted
from bench.submissions import package as submission

SEEDS = 5
BAD = ("failed", "timeout", "oom", "crashed")
QUIET = {".git", ".venv", "__pycache__", ".cache", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}


@dataclass
class Submission:
    """How a submission ended. problems: reasons for refusal. notes: for its author. folder: None if none was written."""

    entry: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    folder: Path | None = None


def submit(
    package: submission.Package, request: config.Request, store: Store, out: Path, smoke_only: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Submission:  # fmt: skip
    """Check `package`, run it, and write `out/NAME/`. The package's home must be the current folder (submission.enter).

    say: takes a line at the start of each part. BenchError for a request that chooses more than tasks or a suite.
    """
    outcome = Submission(package.name, [*submission.problems(package), *taken(package, store, out)])
    try:
        request = _request(request, package.name)
        planned = plan.make(request, store)
    except Misfit as error:
        raise BenchError(f"{error}\nname the tasks it is for: task=…") from error
    outcome.tasks = sorted({row.task for row in planned.rows})
    apart = (store.root, out, cache_dir())
    before = _listing(package.home, apart)
    say(f"contract suite on {', '.join(outcome.tasks)}")
    _contract(package.name, store, outcome)
    others = [] if request.tasks else [t for t in fitting(package.name) if t not in outcome.tasks]
    if others:
        say(f"smoke on {len(others)} other tasks whose slots fit")
        _smoke(package.name, others, request, store, outcome)
    if changed := sorted({*_listing(package.home, apart).items()} - {*before.items()}):
        names = ", ".join(str(path) for path, _ in changed[:5])
        outcome.problems.append(f"files appeared or changed while it ran: {names}; an entry writes nothing")
    if outcome.problems or smoke_only:
        return outcome
    say(f"{len([*planned.cells()])} cells at preset {request.settings.preset}")
    _run(planned, request, store, outcome)
    if not outcome.problems:
        outcome.folder = _write(package, planned, request, store, out, outcome)
        outcome.problems = submitted.folder_problems(outcome.folder)
    return outcome


def _request(request: config.Request, name: str) -> config.Request:
    """The request to submit: the entry on the suite's tasks where it fits, or on the named tasks.

    BenchError for other entries, overrides or chosen seeds, and if the entry fits no task of the suite.
    """
    if request.entries or request.extra or request.entry_overrides or request.task_overrides:
        raise BenchError("submit runs the entry by its YAML: no entry=, extra=, entry.… or task.…, only task=, suite=")
    if request.seeds and request.seeds != list(range(max(3, len(request.seeds)))):
        raise BenchError("submit takes the suite's seeds: chosen ones prove nothing; leave out seed=, or seed=range(n)")
    request.entries, request.extra = [name], []
    if request.suite is None and request.tasks:
        request.seeds = request.seeds or list(range(SEEDS))
        return request
    request.suite = request.suite or "core"
    request.extra = [name]
    if not config.suite(request.suite).tasks.intersection(fitting(name)):
        raise BenchError(f"{name} fits no task of suite {request.suite}; name others with task=… or suite=…")
    return request


def fitting(name: str) -> list[str]:
    """The tasks that have every slot the entry fills."""
    parts = set(config.entry(name).parts)
    specs, _ = config.sound("task", config.task_spec)
    return [task for task, spec in specs.items() if parts <= {slot.name for slot in spec.cls.slots}]


def taken(package: submission.Package, store: Store, out: Path) -> list[str]:
    """A problem if the name belongs to another entry: in the ledger, among the published files, or in another folder."""
    name, where = package.name, ""
    known = config.names("entry").get(name)
    if known is not None and known.resolve() != package.yaml:
        where = str(known)
    elif any(not place.local for place in store.index.of_entry(name)):
        where = "the ledger"
    elif _git("cat-file", "-e", f"{_upstream()}:configs/entry/{name}.yaml", at=package.home) is not None:
        where = f"{_upstream()}, the published branch"
    theirs = out / name / submitted.MANIFEST
    if not where and theirs.is_file():
        authors = submitted.manifest(theirs.parent).authors
        if authors != package.content().authors:
            where = f"{theirs.parent}, by {', '.join(authors or ['somebody else'])}"
    return [f"name {name!r} is taken: it is in {where}; choose another"] if where else []


def _upstream() -> str:
    return os.environ.get("SWEEPSTAKES_UPSTREAM", "origin/HEAD")


def _git(*words: str, at: Path) -> str | None:
    """The output of a git command; None if it fails or git is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(at), *words], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _listing(home: Path, apart: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """path -> (size, time) of every file under `home`; folders of tools and those in `apart` are left out."""
    stamps = {}
    for folder, names, files in os.walk(home):
        here = Path(folder)
        names[:] = [n for n in names if n not in QUIET and here / n not in apart and not (here / n).is_symlink()]
        for name in files:
            try:
                stat = (here / name).lstat()
            except OSError:
                continue  # the file was removed in the meantime
            stamps[(here / name).relative_to(home)] = (stat.st_size, stat.st_mtime_ns)
    return stamps


def _contract(name: str, store: Store, outcome: Submission) -> None:
    """Run the contract suite on the tasks that are to be submitted."""
    from bench.checking import contract_suite

    if absent := plan.absent_of(config.entry(name).needs):
        outcome.problems.append(f"it needs {', '.join(absent)}, not installed here; install, then submit again")
        return
    for task, cell, flaws in contract_suite.check_all(outcome.tasks, name, [store.root, cache_dir()]):
        outcome.problems += flaws
        if cell.status == "unavailable":
            outcome.problems.append(f"{task}: {cell.reason}")
        elif cell.status == "diverged":
            outcome.notes.append(f"{task}: diverges at smoke ({cell.reason})")


def _smoke(name: str, tasks: Sequence[str], request: config.Request, store: Store, outcome: Submission) -> None:
    """Run a smoke cell on every other task whose slots fit. Another signature of a slot is a note, a failure a problem."""
    from bench.running import sweep

    settings = msgspec.structs.replace(request.settings, preset="smoke")
    planner = plan.Planner(store, settings)
    rows = [planner.row(task, name, [0], {}, {}) for task in tasks]
    planner.digests.save()
    planned = plan.Plan(rows)
    if sweep.run(planned, store, settings).interrupted:
        raise KeyboardInterrupt
    for cell in planned.cells():
        record = store.get(cell.key)
        status, reason = (record.status, record.reason) if record else ("missing", "")
        if status in BAD and "does not fit slot" in reason:
            outcome.notes.append(f"{cell.task}: not for this task ({reason.splitlines()[0]})")
        elif status in BAD:
            outcome.problems.append(f"{cell.task}: {status} at smoke: {reason}")
        elif status == "diverged":
            outcome.notes.append(f"{cell.task}: diverges at smoke ({reason})")


def _run(planned: plan.Plan, request: config.Request, store: Store, outcome: Submission) -> None:
    """Run the cells to be submitted, and list their problems and notes."""
    from bench.running import sweep

    if sweep.run(planned, store, request.settings).interrupted:
        raise KeyboardInterrupt
    for row in planned.rows:
        if row.trials is None:
            outcome.notes.append(
                f"{row.task}: untuned, so the row is shown and not ranked; "
                f"`bench tune task={row.task} entry={row.entry}`, then submit again"
            )
    records = {cell.key: store.get(cell.key) for cell in planned.cells()}
    for cell in planned.cells():
        record = records[cell.key]
        status, reason = (record.status, record.reason) if record else ("missing", "no record")
        if status in (*BAD, "unavailable", "missing"):
            outcome.problems.append(f"{cell.name}: {status}: {reason}; mend it, then submit again with retry=true")
        elif status == "diverged":
            outcome.notes.append(f"{cell.name}: diverged; it counts as the task's value for that")
    for row in planned.rows:
        group = [record for cell in row.cells() if (record := records[cell.key])]
        if note := speedrun.forecast(store, row.task, row.entry, group, row.preset):
            outcome.notes.append(note)
    if changed := changed_code(planned):
        outcome.problems.append(
            f"not as committed, and your records depend on it: {', '.join(changed)}; undo or commit it"
        )


def changed_code(planned: plan.Plan) -> list[str]:
    """Tracked files with uncommitted changes that some cell's code digest covers."""
    changed = _git("diff", "--name-only", "HEAD", at=config.PROJECT)
    if not changed:
        return []
    modules = {module.partition("/")[0] for cell in planned.cells() for module in cell.components.code}
    used = {path.resolve() for module in modules for name, path in module_files(module) if name == module}
    return sorted(line for line in changed.splitlines() if (config.PROJECT / line).resolve() in used)


def _write(
    package: submission.Package, planned: plan.Plan, request: config.Request, store: Store, out: Path,
    outcome: Submission,
) -> Path:  # fmt: skip
    """Write `out/NAME/`: the entry's files, its tuning, its records as ledger lines, the manifest."""
    from bench.records import ledger

    folder = out / package.name
    if folder.exists():
        submitted.manifest(folder)  # only a submission is ever replaced
        shutil.rmtree(folder)
    tuned = [package.home / "configs" / "tuned" / task / f"{package.name}.yaml" for task in outcome.tasks]
    for path in (*package.files, *(p for p in tuned if p.is_file())):
        write_atomically(folder / path.relative_to(package.home), path.read_bytes())
    records = [record for cell in planned.cells() if (record := store.get(cell.key)) is not None]
    target = Store(store.root)  # curves come from the store, lines go into the folder
    target.ledger = folder / "results" / "ledger"
    ledger.publish(target, records)
    files = submitted.contents(folder)
    content = package.content()
    about = msgspec.structs.asdict(here())
    manifest = ManifestFile(
        **{field: getattr(content, field) for field in submitted.COMMON},
        format=1, entry=package.name, digest=submitted.digest(files), suite=request.suite,
        files={path: blake(data) for path, data in files.items()},
        rows=tuple(
            ManifestRow(
                task=row.task, version=config.task_spec(row.task).cls.version, preset=row.preset, params=dict(row.params),
                seeds=tuple(sorted(row.planned)), trials=row.trials, entry_digest=published_rows.digest_of(row),
            )
            for row in planned.rows
        ),
        records=len(records), cpu_seconds=round(sum(record.costs.cpu_total for record in records), 1),
        notes=tuple(outcome.notes), command=" ".join(["bench", *sys.argv[1:]]), commit=about["commit"],
        environment={name: about[name] for name in ("packages", "python", "system", "cpu", "cores", "threads")},
    )  # fmt: skip
    text = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1)
    write_atomically(folder / submitted.MANIFEST, text + b"\n")
    return folder


def accept(folder: Path, root: Path, store: Store) -> list[str]:
    """Copy a verified submission into the project at `root`; returns the paths written.

    BenchError, with all reasons, if the folder has problems, a row is not verified, a file would be overwritten, or a
    record is not of this code.
    """
    from bench.submissions import record_checks

    reasons = submitted.folder_problems(folder)
    name = folder.name
    lines = standing.lines(store)
    files: Mapping[str, bytes] = submitted.contents(folder)
    for path, data in files.items():
        if path.startswith("results/"):
            keys = [decode(line).key for line in data.splitlines()]
            task = path.removeprefix("results/ledger/").removesuffix(f"/{name}.jsonl")
            badges = {standing.badge(line, keys) for line in lines if (line.entry, line.task) == (name, task)}
            if "verified" not in badges:
                reasons.append(f"{task} is not verified by seeds drawn here; run `bench verify {folder}`")
        target = root / path
        if target.is_file() and target.read_bytes() != data:
            reasons.append(f"{path} exists with other content; an accepted entry changes no file")
    if not reasons:
        submitted.open_folder(folder)
        reasons = record_checks.contradictions(folder)
    if reasons:
        raise BenchError(f"{folder} is not accepted:\n" + bullets(reasons))
    for path, data in files.items():
        write_atomically(root / path, data)
    return sorted(files)


def bullets(lines: Iterable[str]) -> str:
    """A bulleted list, a line each."""
    return "\n".join(f"  - {line}" for line in lines)
