"""`bench submit`: checks an entry as a reviewer would, runs its cells, and writes one folder for a pull request.

All problems are listed together: of the files (bench.submissions.package), the name, contract and smoke cells, the suite's cells.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.checking import contract_suite, published_rows, speedrun
from bench.contract import BenchError, Misfit
from bench.data import cache_dir
from bench.outcome import Outcome
from bench.planning import config, plan
from bench.planning.files import ManifestFile, ManifestRow
from bench.records import ledger, standing
from bench.records.files import write_atomically
from bench.records.modules import module_files
from bench.records.provenance import git, here
from bench.records.record import Record, decode
from bench.records.spelling import blake
from bench.records.store import Store
from bench.running import sweep
from bench.submissions import folder as submitted
from bench.submissions.package import Package, problems

SEEDS = 5
BAD = ("failed", "timeout", "oom", "crashed")
QUIET = {".git", ".venv", "__pycache__", ".cache", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}


@dataclass
class Submission:
    """What an entry is submitted with. out: where its folder `NAME/` goes. problems: for refusal. notes: for its author."""

    package: Package
    request: config.Request
    store: Store
    out: Path
    tasks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def submit(submission: Submission, smoke_only: bool, say: published_rows.Say) -> Path | None:
    """Check the submission, run it, and write its folder; None if none was written. Its home must be the current folder."""
    package, request, store = submission.package, submission.request, submission.store
    submission.problems = [*problems(package), *taken(package, store, submission.out)]
    try:
        _complete(request, package.name)
        planned = plan.make(request, store)
    except Misfit as error:
        raise BenchError(f"{error}\nname the tasks it is for: task=…") from error
    submission.tasks = sorted({row.task for row in planned.rows})
    apart = (store.root, submission.out, cache_dir())
    before = _listing(package.home, apart)
    _smoke(submission, say)
    if changed := sorted({*_listing(package.home, apart).items()} - {*before.items()}):
        names = ", ".join(str(path) for path, _ in changed[:5])
        submission.problems.append(f"files appeared or changed while it ran: {names}; an entry writes nothing")
    if submission.problems or smoke_only:
        return None
    say(f"{len([*planned.cells()])} cells at preset {request.settings.preset}")
    records = _run(submission, planned)
    if submission.problems:
        return None
    folder = _write(submission, planned, [*records.values()])
    submission.problems = submitted.folder_problems(folder)
    return folder


def _complete(request: config.Request, name: str) -> None:
    """Add the entry to a request. BenchError if that chooses more than tasks or a suite, or the suite has no fitting task."""
    if request.entries or request.extra or request.entry_overrides or request.task_overrides:
        raise BenchError("submit runs the entry by its YAML: no entry=, extra=, entry.… or task.…, only task=, suite=")
    if request.seeds and request.seeds != list(range(max(3, len(request.seeds)))):
        raise BenchError("submit takes the suite's seeds: chosen ones prove nothing; leave out seed=, or seed=range(n)")
    request.entries = [name]
    if request.suite is None and request.tasks:
        request.seeds = request.seeds or list(range(SEEDS))
        return
    request.suite, request.extra = request.suite or "core", [name]
    if not config.suite(request.suite).tasks.intersection(fitting(name)):
        raise BenchError(f"{name} fits no task of suite {request.suite}; name others with task=… or suite=…")


def fitting(name: str) -> list[str]:
    """The tasks that have every slot the entry fills."""
    slots = config.required(config.entry(name))
    specs, _ = config.sound("task", config.task_spec)
    return [task for task, spec in specs.items() if slots <= {slot.name for slot in spec.cls.slots}]


def taken(package: Package, store: Store, out: Path) -> list[str]:
    """A problem if the name belongs to another entry: in the ledger, among the published files, or in another folder."""
    name, theirs, authors = package.name, out / package.name, package.content.authors
    known = config.names("entry").get(name)
    upstream = os.environ.get("SWEEPSTAKES_UPSTREAM", "origin/HEAD")
    if known is not None and known.resolve() != package.yaml:
        where = str(known)
    elif any(not place.local for place in store.index.of_entry(name)):
        where = "the ledger"
    elif git("cat-file", "-e", f"{upstream}:configs/entry/{name}.yaml", at=package.home) is not None:
        where = f"{upstream}, the published branch"
    elif (theirs / submitted.MANIFEST).is_file() and (by := submitted.manifest(theirs).authors) != authors:
        where = f"{theirs}, by {', '.join(by or ['somebody else'])}"
    else:
        return []
    return [f"name {name!r} is taken: it is in {where}; choose another"]


def _listing(home: Path, apart: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """path -> (size, time) of every file under `home`; folders of tools and those in `apart` are left out."""
    stamps = {}
    for folder, names, files in os.walk(home):
        here = Path(folder)
        names[:] = [n for n in names if n not in QUIET and here / n not in apart and not (here / n).is_symlink()]
        for name in files:
            with suppress(OSError):  # a file that was removed in the meantime
                stat = (here / name).lstat()
                stamps[(here / name).relative_to(home)] = (stat.st_size, stat.st_mtime_ns)
    return stamps


def _smoke(submission: Submission, say: published_rows.Say) -> None:
    """Run the contract suite on the submission's tasks, and, unless these were named, a smoke cell on every other task whose
    slots fit. There, another signature of a slot is a note, a failure a problem."""
    name, request, store = submission.package.name, submission.request, submission.store
    if absent := plan.absent_of(config.entry(name).needs):
        submission.problems.append(f"it needs {', '.join(absent)}, not installed here; install, then submit again")
        return
    ends: dict[str, Outcome | Record] = {}
    say(f"contract suite on {', '.join(submission.tasks)}")
    for task, outcome, flaws in contract_suite.check_all(submission.tasks, name, [store.root, cache_dir()]):
        ends[task] = outcome
        submission.problems += flaws if outcome.status != "unavailable" else [f"{task}: {outcome.reason}"]
    others = [] if request.tasks else [task for task in fitting(name) if task not in submission.tasks]
    if others:
        say(f"smoke on {len(others)} other tasks whose slots fit")
        settings = msgspec.structs.replace(request.settings, preset="smoke")
        planned = plan.make(config.Request(settings, others, [name], [0]), store)
        for record in _records(submission, planned).values():
            ends[record.task] = record
            if record.status in BAD and "does not fit slot" in record.reason:
                submission.notes.append(f"{record.task}: not for this task ({record.reason.splitlines()[0]})")
            elif record.status in BAD:
                submission.problems.append(f"{record.task}: {record.status} at smoke: {record.reason}")
    diverged = {task: end.reason for task, end in ends.items() if end.status == "diverged"}
    submission.notes += [f"{task}: diverges at smoke ({reason})" for task, reason in diverged.items()]


def _records(submission: Submission, planned: plan.Plan) -> dict[str, Record]:
    """Run a plan; key -> record of every cell, without those that another sweep runs."""
    if sweep.run(planned, submission.store, submission.request.settings).interrupted:
        raise KeyboardInterrupt
    return {cell.key: record for cell in planned.cells() if (record := submission.store.get(cell.key)) is not None}


def _run(submission: Submission, planned: plan.Plan) -> dict[str, Record]:
    """Run the cells to be submitted, and list their problems and notes; key -> record."""
    records = _records(submission, planned)
    for row in planned.rows:
        if row.trials is None:
            again = f"`bench tune task={row.task} entry={row.entry}`, then submit again"
            submission.notes.append(f"{row.task}: untuned, so the row is shown and not ranked; {again}")
        group = [records[cell.key] for cell in row.cells() if cell.key in records]
        if note := speedrun.forecast(submission.store, row.task, row.entry, group, row.preset):
            submission.notes.append(note)
    for cell in planned.cells():
        record = records.get(cell.key)
        status, reason = (record.status, record.reason) if record else ("missing", "no record")
        if status == "diverged":
            submission.notes.append(f"{cell.name}: diverged; it counts as the task's value for that")
        elif status != "ok":
            submission.problems.append(f"{cell.name}: {status}: {reason}; mend it, then submit again with retry=true")
    # Tracked files with uncommitted changes, as far as some cell's code digest covers them.
    lines = (git("diff", "--name-only", "HEAD") or "").splitlines()
    modules = {module.partition("/")[0] for cell in planned.cells() for module in cell.components.code} if lines else ()
    used = {path.resolve() for module in modules for name, path in module_files(module) if name == module}
    if names := ", ".join(sorted(line for line in lines if (config.PROJECT / line).resolve() in used)):
        submission.problems.append(f"not as committed, and your records depend on it: {names}; undo or commit it")
    return records


def _write(submission: Submission, planned: plan.Plan, records: list[Record]) -> Path:
    """Write `out/NAME/`: the entry's files, its tuning, its records as ledger lines, the manifest."""
    package, folder = submission.package, submission.out / submission.package.name
    if folder.exists():
        submitted.manifest(folder)  # only a submission is ever replaced
        shutil.rmtree(folder)
    tuned = [package.home / "configs" / "tuned" / task / f"{package.name}.yaml" for task in submission.tasks]
    for path in (*package.files, *(p for p in tuned if p.is_file())):
        write_atomically(folder / path.relative_to(package.home), path.read_bytes())
    target = Store(submission.store.root, folder / "results" / "ledger")  # curves come from the store
    ledger.publish(target, records)
    files, origin = submitted.contents(folder), here()
    rows = [
        ManifestRow(
            task=row.task, version=row.cls.version, preset=row.preset, params=dict(row.params), trials=row.trials,
            seeds=tuple(sorted(row.planned)), entry_digest=published_rows.digest_of(row),
        ) for row in planned.rows
    ]  # fmt: skip
    manifest = ManifestFile(
        **{field: getattr(package.content, field) for field in submitted.COMMON},
        format=1, entry=package.name, digest=submitted.digest(files), suite=submission.request.suite,
        files={path: blake(data) for path, data in files.items()},
        rows=tuple(rows),
        records=len(records), cpu_seconds=round(sum(record.costs.cpu_total for record in records), 1),
        notes=tuple(submission.notes), command=origin.command, commit=origin.commit,
        environment={name: getattr(origin, name) for name in ("packages", "python", "system", "cpu", "cores", "threads")},
    )  # fmt: skip
    text = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1)
    write_atomically(folder / submitted.MANIFEST, text + b"\n")
    return folder


def accept(folder: Path, store: Store) -> list[str]:
    """Copy a verified submission into the project in the current folder; returns the paths written.

    BenchError, with all reasons, if the folder has problems, a row is not verified, a file would be overwritten, or a
    record is not of this code.
    """
    root, name = Path.cwd(), folder.name
    reasons, files, lines = submitted.folder_problems(folder), submitted.contents(folder), standing.lines(store)
    for path, data in files.items():
        if path.startswith("results/"):
            keys = [decode(line).key for line in data.splitlines()]
            task = path.removeprefix("results/ledger/").removesuffix(f"/{name}.jsonl")
            badges = {standing.badge(line, keys) for line in lines if (line.entry, line.task) == (name, task)}
            if "verified" not in badges:
                reasons.append(f"{task} is not verified by seeds drawn here; run `bench verify {folder}`")
        if (root / path).is_file() and (root / path).read_bytes() != data:
            reasons.append(f"{path} exists with other content; an accepted entry changes no file")
    if not reasons:
        submitted.open_folder(folder)
        reasons = [*submitted.contradictions(folder)]
    if reasons:
        raise BenchError(f"{folder} is not accepted:\n" + submitted.bullets(reasons))
    for path, data in files.items():
        write_atomically(root / path, data)
    return sorted(files)
