"""A submission's folder, `submissions/NAME/`: reads its manifest, lists its problems, and opens it without executing anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.checking import contract_suite
from bench.contract import BenchError
from bench.planning import config, plan, typed
from bench.planning.files import ManifestFile, TunedFile, Values
from bench.records.identity import key_maker
from bench.records.record import Cell, Record, decode
from bench.records.spelling import SHOWN, blake, canonical_json
from bench.records.store import Store
from bench.submissions.package import Package, enter, problems, read

MANIFEST = "manifest.json"
LIMIT = 50_000_000  # bytes of a whole folder; the records of the largest published entry are 1.5 MB
COMMON = ("doc", "authors", "licence", "paper", "declared_trials")  # fields of both the manifest and the YAML
ORIGIN = ("cpu", "packages", "started", "transport")  # fields of a record's provenance that have to be there
ROUNDED = 1e-3  # relative: `bench tune` writes four digits of a value


def digest(files: Mapping[str, bytes]) -> str:
    """One digest of a submission's files, by their paths inside it."""
    return blake(canonical_json({path: blake(data) for path, data in sorted(files.items())}))


def manifest(folder: Path) -> ManifestFile:
    """The manifest of a submission's folder. BenchError if there is none, or it is no manifest."""
    path = folder / MANIFEST
    try:
        content = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError as error:
        raise BenchError(f"{folder} holds no {MANIFEST}; `bench submit PATH` writes a submission") from error
    except (msgspec.DecodeError, OSError) as error:
        raise BenchError(f"{path} is no manifest: {error}; run `bench submit` again") from error
    if content.get("format") != 1:
        raise BenchError(f"{path} is no manifest of format 1; run `bench submit` again")
    return typed.convert(content, ManifestFile, path)


def contents(folder: Path) -> dict[str, bytes]:
    """Path inside the folder -> bytes of all its files but the manifest."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def folder_problems(folder: Path) -> list[str]:
    """Problems of a submission's folder, found without running anything: manifest, digests, files, code, records."""
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if total > LIMIT:
        return [f"the folder holds {total:,} bytes, at most {LIMIT:,} are taken; submit fewer tasks at once"]
    try:
        about = manifest(folder)
        package = read(folder)
        wrong = problems(package)
    except BenchError as error:
        return [str(error)]
    name, files, again = about.entry, contents(folder), "run `bench submit` again"
    if name != package.name or name != folder.name:
        wrong.append(f"{MANIFEST} is of entry {name!r}, the folder of {folder.name!r}, the YAML of {package.name!r}")
    digests = {path: blake(data) for path, data in files.items()}
    if digests != about.files or digest(files) != about.digest:
        differ = sorted(path for path in {*digests, *about.files} if digests.get(path) != about.files.get(path))
        wrong.append(f"files differ from the manifest: {', '.join(differ) or 'digest'}; {again}")
    unequal = [field for field in COMMON if getattr(about, field) != getattr(package.content, field)]
    wrong += [f"{MANIFEST} and {package.yaml.name} disagree on `{field}`; {again}" for field in unequal]
    own = {path.relative_to(folder).as_posix() for path in package.files}
    ledger = {f"results/ledger/{row.task}/{name}.jsonl" for row in about.rows}
    tuned = {f"configs/tuned/{row.task}/{name}.yaml" for row in about.rows}
    holds = "a submission holds one entry, its tuning and its records"
    for path, data in files.items():
        if path in ledger:
            wrong += record_problems(path, data, name)
        elif path in tuned:
            wrong += tuned_problems(path, data, package)
        elif path not in own:
            wrong.append(f"{path}: not a file of entry {name}; {holds}")
    return wrong + [f"{path}: no records, the file is missing; {again}" for path in sorted(ledger - {*files})]


def tuned_problems(path: str, data: bytes, package: Package) -> Iterator[str]:
    """Problems of a file of `bench tune`, which may set only arguments and values that the entry's `search` holds."""
    again = f"run `bench tune` for {package.name} again"
    try:
        tuned = typed.load(Path(path), TunedFile, data)
    except BenchError as error:
        yield f"{error}; {again}"
        return
    search = package.content.search
    if foreign := sorted(name for name, value in tuned.values.items() if not _searched(value, search.get(name))):
        yield f"{path}: sets {', '.join(foreign)} to what `search` does not hold; {again}"


def _searched(value: Any, space: tuple[float, float] | Values | None) -> bool:
    """Whether a value lies in its `search`: it is one of a list, or a number between bounds."""
    if isinstance(space, Values):
        return value in space.values
    if space is None or not isinstance(value, int | float):
        return False
    return bool(min(space) * (1 - ROUNDED) <= value <= max(space) * (1 + ROUNDED))


def record_problems(path: str, data: bytes, name: str) -> Iterator[str]:
    """Problems of the form of a file of ledger lines."""
    seen: set[str] = set()
    for number, line in enumerate(data.splitlines(), 1):
        where = f"{path}:{number}"
        try:
            record = decode(line, older=False)
        except ValueError as error:
            yield f"{where}: no record that a sweep makes ({error})"
            continue
        if record.entry != name or path != f"results/ledger/{record.task}/{name}.jsonl":
            yield f"{where}: a record of {record.entry} on {record.task} does not belong here"
        if record.key in seen:
            yield f"{where}: a second record of key {record.key[:SHOWN]}"
        seen.add(record.key)
        if lacking := [field for field in ORIGIN if not getattr(record.provenance, field)]:
            yield f"{where}: provenance lacks {', '.join(lacking)}"


def open_folder(folder: Path) -> None:
    """Make a submission's folder the current one, unless the same files are in this project already.

    BenchError, with all problems, if the folder has any, or if the name stands for other files here.
    """
    if wrong := folder_problems(folder):
        raise BenchError(f"{folder} cannot be checked:\n" + bullets(wrong))
    known = config.names("entry").get(folder.name)
    if known is None:
        return enter(folder)
    home = known.parents[2]
    for path, data in contents(folder).items():
        if not path.startswith("results/") and (not (home / path).is_file() or (home / path).read_bytes() != data):
            raise BenchError(f"entry {folder.name} is in {home} with another {path}; check it in a clean clone")


def bullets(lines: Iterable[str]) -> str:
    """A bulleted list, a line each."""
    return "\n".join(f"  - {line}" for line in lines)


def contradictions(folder: Path) -> Iterator[str]:
    """Contradictions between a submission's records and the keys, seeds and versions of its entry's files and this code.

    The entry must be known here (`open_folder`). Absent data and other versions of packages contradict nothing.
    """
    about = manifest(folder)
    records, planned = list(Store(folder / "results").published()), set()
    for record in records:
        if record.key != key_maker(record.identity)(record.seed):
            yield f"record {record.key[:SHOWN]}: its key is not that of its content; submit again"
    for row in about.rows:
        task = row.task
        if task not in config.names("task"):
            yield f"{task}: there is no such task"
            continue
        cls = config.task_spec(task).cls
        if row.version != cls.version:
            yield f"{task}: made with version {row.version}, here is {cls.version}; update, then submit again"
            continue
        if row.seeds != tuple(range(len(row.seeds))) or len(row.seeds) < 3:
            yield f"{task}: seeds {[*row.seeds]}; the suite's are 0, 1, 2, … and at least 3"
        settings = config.parse([f"preset={row.preset}"]).settings
        planner = plan.Planner(Store(Path(settings.results)), settings)  # the folder itself is only read
        changed = config.changed_parameters(task, row.preset, row.params)
        for cell in planner.row(task, about.entry, row.seeds, changed, {}).cells():
            own = next((record for record in records if _same(record, cell)), None)
            if own is None:
                yield f"{cell.name}: no record of this code, configuration and seed; update, then submit again"
                continue
            planned.add(own.key)
            if own.preset != cell.preset:
                yield f"{cell.name}: its record is of preset {own.preset}; submit again"
            elif not own.settled:
                yield f"{cell.name}: {own.status}; mend it, then submit again"
            else:
                yield from (f"{cell.name}: {flaw}; submit again" for flaw in contract_suite.metrics_wrong(cls, own))
    if extra := {record.key for record in records} - planned:
        yield f"{len(extra)} records that the manifest's rows do not plan; submit again"


def _same(record: Record, cell: Cell) -> bool:
    """Whether a record is of a cell's task, parameters, configuration, code and seed; data and packages may differ."""
    fields = (record.task, record.version, record.params, record.config, record.components.code, record.seed)
    return fields == (cell.task, cell.version, dict(cell.params), dict(cell.parts), cell.components.code, cell.seed)
