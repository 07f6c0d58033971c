"""A submission's folder, `submissions/NAME/`: its manifest, what is wrong with it, opening.

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
SAID = ("doc", "authors", "licence", "paper", "declared_trials")  # what manifest and YAML both say
ROUNDED = 1e-3  # relative: `bench tune` writes four digits of a value


def digest(files: Mapping[str, bytes]) -> str:
    """One digest of a submission's files, by their paths inside it."""
    return blake(canonical_json({path: blake(data) for path, data in sorted(files.items())}))


def manifest(folder: Path) -> ManifestFile:
    """The manifest of a submission's folder. BenchError if there is none, or it is no manifest."""
    path = folder / MANIFEST
    try:
        found = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise BenchError(f"{folder} holds no {MANIFEST}; `bench submit PATH` writes a submission") from error
    except (msgspec.DecodeError, OSError) as error:
        raise BenchError(f"{path} is not JSON: {error}; run `bench submit` again") from error
    if not isinstance(found, dict) or found.get("format") != 1:
        raise BenchError(f"{path} is no manifest of format 1; run `bench submit` again")
    return typed.convert(found, ManifestFile, path)


def contents(folder: Path) -> dict[str, bytes]:
    """Path inside the folder -> bytes of all its files but the manifest."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != MANIFEST}


def _lacks(node: Any, fields: Mapping[str, type]) -> list[str]:
    """The fields that a mapping lacks, or holds as another kind of value."""
    return [name for name, kind in fields.items() if not isinstance(node, dict) or type(node.get(name)) is not kind]


def folder_problems(folder: Path) -> list[str]:
    """What is wrong with a submission's folder, without running anything: manifest, digests, files, code, records."""
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if total > LIMIT:
        return [f"the folder holds {total:,} bytes, at most {LIMIT:,} are taken; submit fewer tasks at once"]
    try:
        about = manifest(folder)
        package = read(folder)
        found = problems(package)
    except BenchError as error:
        return [str(error)]
    name, files = about.entry, contents(folder)
    if name != package.name or name != folder.name:
        found.append(f"{MANIFEST} is of entry {name!r}, the folder of {folder.name!r}, the YAML of {package.name!r}")
    listed = {path: blake(data) for path, data in files.items()}
    if listed != about.files or digest(files) != about.digest:
        differ = sorted(p for p in {*listed, *about.files} if listed.get(p) != about.files.get(p))
        found.append(f"files differ from the manifest: {', '.join(differ) or 'digest'}; run `bench submit` again")
    content = package.content()
    for field in SAID:
        if getattr(about, field) != getattr(content, field):
            found.append(f"{MANIFEST} and {package.yaml.name} disagree on `{field}`; run `bench submit` again")
    mine = {path.relative_to(folder).as_posix() for path in package.files}
    tasks = sorted({row.task for row in about.rows})
    ledger = {f"results/ledger/{task}/{name}.jsonl" for task in tasks}
    tuned = {f"configs/tuned/{task}/{name}.yaml" for task in tasks}
    for path, data in files.items():
        if path in ledger:
            found += record_problems(path, data, name)
        elif path in tuned:
            found += tuned_problems(path, data, package)
        elif path not in mine:
            found.append(
                f"{path}: not a file of entry {name}; a submission holds one entry, its tuning and its records"
            )
    found += [
        f"{path}: no records, the file is missing; run `bench submit` again" for path in sorted(ledger - {*files})
    ]
    return found


def tuned_problems(path: str, data: bytes, package: Package) -> list[str]:
    """What is wrong with a file of `bench tune`: it may set what the entry's `search` names, and no more."""
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
    """Whether a value comes from what `search` says of it: one of a list, or a number between bounds."""
    if isinstance(space, Values):
        return value in space.values
    if space is None or not isinstance(value, int | float):
        return False
    low, high = min(space), max(space)
    return bool(low * (1 - ROUNDED) <= value <= high * (1 + ROUNDED))


def record_problems(path: str, data: bytes, name: str) -> list[str]:
    """What is wrong with the form of a file of ledger lines."""
    found = []
    seen: set[str] = set()
    for number, line in enumerate(data.splitlines(), 1):
        where = f"{path}:{number}"
        try:
            record = decode(line, older=False)
        except ValueError as error:
            found.append(f"{where}: no record that a sweep makes ({error})")
            continue
        if record.entry != name or path != f"results/ledger/{record.task}/{name}.jsonl":
            found.append(f"{where}: a record of {record.entry} on {record.task} does not belong here")
        if record.key in seen:
            found.append(f"{where}: a second record of key {record.key[:SHOWN]}")
        seen.add(record.key)
        origin = record.provenance
        if lacking := [name for name in ("cpu", "packages", "started", "transport") if not getattr(origin, name)]:
            found.append(f"{where}: provenance lacks {', '.join(lacking)}")
    return found


def open_folder(folder: Path) -> str:
    """Make a submission's entry known here, after a look at its files; returns its name.

    Its folder becomes the current one, unless the very same files are in this project already. BenchError, with all
    reasons, if something is wrong with the folder, or if the name stands for other files here.
    """
    if found := folder_problems(folder):
        raise BenchError(f"{folder} cannot be checked:\n" + "\n".join(f"  - {line}" for line in found))
    package = read(folder)
    if package.name not in config.names("entry"):
        enter(folder)
        return package.name
    home = config.names("entry")[package.name].parents[2]
    ours = contents(folder)
    for path, data in ours.items():
        if not path.startswith("results/") and (not (home / path).is_file() or (home / path).read_bytes() != data):
            raise BenchError(f"entry {package.name} is in {home} with another {path}; check it in a clean clone")
    return package.name
