"""A submission's folder, `submissions/NAME/`: reads its manifest, lists its problems, and opens it.

Nothing here imports the entry's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.contract import BenchError
from bench.planning import config, typed
from bench.planning.files import ManifestFile, TunedFile, Values
from bench.records.record import decode
from bench.records.spelling import SHOWN, blake, canonical_json
from bench.submissions.package import Package, enter, problems, read

MANIFEST = "manifest.json"
LIMIT = 50_000_000  # bytes of a whole folder; the records of the largest published entry are 1.5 MB
COMMON = ("doc", "authors", "licence", "paper", "declared_trials")  # fields of both the manifest and the YAML
ROUNDED = 1e-3  # relative: `bench tune` writes four digits of a value


def digest(files: Mapping[str, bytes]) -> str:
    """One digest of a submission's files, by their paths inside it."""
    return blake(canonical_json({path: blake(data) for path, data in sorted(files.items())}))


def manifest(folder: Path) -> ManifestFile:
    """The manifest of a submission's folder. BenchError if there is none, or it is no manifest."""
    path = folder / MANIFEST
    try:
        content = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise BenchError(f"{folder} holds no {MANIFEST}; `bench submit PATH` writes a submission") from error
    except (msgspec.DecodeError, OSError) as error:
        raise BenchError(f"{path} is not JSON: {error}; run `bench submit` again") from error
    if not isinstance(content, dict) or content.get("format") != 1:
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
    name, files = about.entry, contents(folder)
    if name != package.name or name != folder.name:
        wrong.append(f"{MANIFEST} is of entry {name!r}, the folder of {folder.name!r}, the YAML of {package.name!r}")
    digests = {path: blake(data) for path, data in files.items()}
    if digests != about.files or digest(files) != about.digest:
        differ = sorted(path for path in {*digests, *about.files} if digests.get(path) != about.files.get(path))
        wrong.append(f"files differ from the manifest: {', '.join(differ) or 'digest'}; run `bench submit` again")
    content = package.content()
    for field in COMMON:
        if getattr(about, field) != getattr(content, field):
            wrong.append(f"{MANIFEST} and {package.yaml.name} disagree on `{field}`; run `bench submit` again")
    own = {path.relative_to(folder).as_posix() for path in package.files}
    tasks = sorted({row.task for row in about.rows})
    ledger = {f"results/ledger/{task}/{name}.jsonl" for task in tasks}
    tuned = {f"configs/tuned/{task}/{name}.yaml" for task in tasks}
    for path, data in files.items():
        if path in ledger:
            wrong += record_problems(path, data, name)
        elif path in tuned:
            wrong += tuned_problems(path, data, package)
        elif path not in own:
            wrong.append(
                f"{path}: not a file of entry {name}; a submission holds one entry, its tuning and its records"
            )
    for path in sorted(ledger - {*files}):
        wrong.append(f"{path}: no records, the file is missing; run `bench submit` again")
    return wrong


def tuned_problems(path: str, data: bytes, package: Package) -> list[str]:
    """Problems of a file of `bench tune`, which may set only arguments and values that the entry's `search` holds."""
    again = f"run `bench tune` for {package.name} again"
    try:
        tuned = typed.load(Path(path), TunedFile, data)
    except BenchError as error:
        return [f"{error}; {again}"]
    search = package.content().search
    if foreign := sorted(name for name, value in tuned.values.items() if not _searched(value, search.get(name))):
        return [f"{path}: sets {', '.join(foreign)} to what `search` does not hold; {again}"]
    return []


def _searched(value: Any, space: tuple[float, float] | Values | None) -> bool:
    """Whether a value lies in its `search`: it is one of a list, or a number between bounds."""
    if isinstance(space, Values):
        return value in space.values
    if space is None or not isinstance(value, int | float):
        return False
    low, high = min(space), max(space)
    return bool(low * (1 - ROUNDED) <= value <= high * (1 + ROUNDED))


def record_problems(path: str, data: bytes, name: str) -> list[str]:
    """Problems of the form of a file of ledger lines."""
    wrong = []
    seen: set[str] = set()
    for number, line in enumerate(data.splitlines(), 1):
        where = f"{path}:{number}"
        try:
            record = decode(line, older=False)
        except ValueError as error:
            wrong.append(f"{where}: no record that a sweep makes ({error})")
            continue
        if record.entry != name or path != f"results/ledger/{record.task}/{name}.jsonl":
            wrong.append(f"{where}: a record of {record.entry} on {record.task} does not belong here")
        if record.key in seen:
            wrong.append(f"{where}: a second record of key {record.key[:SHOWN]}")
        seen.add(record.key)
        fields = ("cpu", "packages", "started", "transport")
        if lacking := [field for field in fields if not getattr(record.provenance, field)]:
            wrong.append(f"{where}: provenance lacks {', '.join(lacking)}")
    return wrong


def open_folder(folder: Path) -> str:
    """Check a submission's files and make its entry known here; returns its name.

    Its folder becomes the current one, unless the same files are in this project already. BenchError, with all problems, if
    the folder has any, or if the name stands for other files here.
    """
    if wrong := folder_problems(folder):
        raise BenchError(f"{folder} cannot be checked:\n" + "\n".join(f"  - {problem}" for problem in wrong))
    package = read(folder)
    if package.name not in config.names("entry"):
        enter(folder)
        return package.name
    home = config.names("entry")[package.name].parents[2]
    for path, data in contents(folder).items():
        if not path.startswith("results/") and (not (home / path).is_file() or (home / path).read_bytes() != data):
            raise BenchError(f"entry {package.name} is in {home} with another {path}; check it in a clean clone")
    return package.name
