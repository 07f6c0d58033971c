"""A submission's folder, `submissions/NAME/`: its manifest, what is wrong with it, opening, signing.

Nothing here imports the entry's code.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.planning import config
from bench.records import identity
from bench.records.record import decode
from bench.contract import BenchError
from bench.submissions.package import Package, enter, problems, read
from bench.records.spelling import SHOWN, blake, canonical_json

NAMESPACE = "sweepstakes"  # of signatures
LIMIT = 50_000_000  # bytes of a whole folder; the records of the largest published entry are 1.5 MB
ROUNDED = 1e-3  # relative: `bench tune` writes four digits of a value
ROW: dict[str, type] = {"task": str, "version": int, "preset": str, "params": dict, "seeds": list}
TUNED: dict[str, type] = {
    "preset": str, "trials": int, "seeds": list, "objective": str, "values": dict, "at_the_edge": list, "table": list
}  # fmt: skip


def digest(files: Mapping[str, bytes]) -> str:
    """One digest of a submission's files, by their paths inside it."""
    return blake(canonical_json({path: blake(data) for path, data in sorted(files.items())}))


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a submission's folder. BenchError if there is none, or it is no manifest."""
    path = folder / "manifest.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BenchError(f"{folder} holds no manifest.json; `bench submit PATH` writes a submission") from error
    except (ValueError, OSError) as error:
        raise BenchError(f"{path} is not JSON: {error}; run `bench submit` again") from error
    if not isinstance(found, dict) or found.get("format") != 1 or not isinstance(found.get("files"), dict):
        raise BenchError(f"{path} is no manifest of format 1; run `bench submit` again")
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Path inside the folder -> bytes of all its files but the manifest and its signature."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: path.read_bytes() for name, path in found.items() if name not in ("manifest.json", "manifest.json.sig")
    }


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
    name, files = str(about.get("entry")), contents(folder)
    rows = about.get("rows")
    if not isinstance(rows, list) or not rows or any(_lacks(row, ROW) for row in rows):
        return [*found, f"manifest.json: `rows` must list rows of {', '.join(ROW)}; run `bench submit` again"]
    if name != package.name or name != folder.name:
        found.append(f"manifest.json is of entry {name!r}, the folder of {folder.name!r}, the YAML of {package.name!r}")
    listed = {path: blake(data) for path, data in files.items()}
    if listed != about["files"] or digest(files) != about.get("digest"):
        differ = sorted(p for p in {*listed, *about["files"]} if listed.get(p) != about["files"].get(p))
        found.append(f"files differ from the manifest: {', '.join(differ) or 'digest'}; run `bench submit` again")
    for field in ("doc", "authors", "licence", "paper", "declared_trials"):
        if about.get(field) != package.content().get(field):
            found.append(f"manifest.json and {package.yaml.name} disagree on `{field}`; run `bench submit` again")
    mine = {path.relative_to(folder).as_posix() for path in package.files}
    tasks = sorted({row["task"] for row in rows})
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
    """What is wrong with the form of a file of `bench tune`: it may set what the entry's `search` names, and no more."""
    import yaml

    again = f"run `bench tune` for {package.name} again"
    try:
        found = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return [f"{path}: not YAML ({error}); {again}"]
    if lacking := _lacks(found, TUNED):
        return [f"{path}: lacks {', '.join(lacking)}; {again}"]
    if found["trials"] != len(found["table"]):
        return [f"{path}: {found['trials']} trials and a table of {len(found['table'])}; {again}"]
    search = package.content().get("search") or {}
    if foreign := sorted(
        str(name) for name, value in found["values"].items() if not _searched(value, search.get(name))
    ):
        return [f"{path}: sets {', '.join(foreign)} to what `search` does not hold; {again}"]
    return []


def _searched(value: Any, space: Any) -> bool:
    """Whether a value comes from what `search` says of it: one of a list, or a number between bounds."""
    if isinstance(space, dict):
        return value in (space.get("values") or ())
    if not isinstance(space, list) or not isinstance(value, int | float):
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
            record = decode(line)
        except ValueError as error:
            found.append(f"{where}: no record that a sweep makes ({error})")
            continue
        if record.entry != name or path != f"results/ledger/{record.task}/{name}.jsonl":
            found.append(f"{where}: a record of {record.entry} on {record.task} does not belong here")
        if record.key in seen:
            found.append(f"{where}: a second record of key {record.key[: SHOWN]}")
        seen.add(record.key)
        origin = record.provenance
        if lacking := [name for name in ("cpu", "packages", "started", "transport") if not getattr(origin, name)]:
            found.append(f"{where}: provenance lacks {', '.join(lacking)}")
    return found


def open_folder(folder: Path, say: Callable[[str], None]) -> str:
    """Make a submission's entry known here, after a look at its files; returns its name.

    Its folder becomes the current one, unless the very same files are in this project already. BenchError, with all
    reasons, if something is wrong with the folder, or if the name stands for other files here.
    """
    if found := folder_problems(folder):
        raise BenchError(f"{folder} cannot be checked:\n" + "\n".join(f"  - {line}" for line in found))
    package = read(folder)
    if (folder / "manifest.json.sig").is_file():
        say(signature(folder))
    if package.name not in config.names("entry"):
        enter(folder)
        return package.name
    home = config.names("entry")[package.name].parents[2]
    ours = contents(folder)
    for path, data in ours.items():
        if not path.startswith("results/") and (not (home / path).is_file() or (home / path).read_bytes() != data):
            raise BenchError(f"entry {package.name} is in {home} with another {path}; check it in a clean clone")
    return package.name


def signature(folder: Path) -> str:
    """Who signed the manifest, as ssh-keygen tells it. BenchError if the signature does not hold."""
    command = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(folder / "manifest.json.sig")]
    try:
        done = subprocess.run(
            command, input=(folder / "manifest.json").read_bytes(), capture_output=True, timeout=60, check=False
        )
    except FileNotFoundError as error:
        raise BenchError("manifest.json.sig cannot be checked: ssh-keygen is not installed") from error
    told = (done.stdout + done.stderr).decode(errors="replace").strip()
    if done.returncode:
        raise BenchError(f"manifest.json.sig does not hold for manifest.json: {told}; sign it again with --sign")
    return told


def sign(folder: Path, key_file: Path) -> None:
    """Sign the manifest with an SSH key; writes manifest.json.sig. BenchError if ssh-keygen cannot."""
    path = folder / "manifest.json"
    path.with_name("manifest.json.sig").unlink(missing_ok=True)
    command = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key_file), str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except FileNotFoundError as error:
        raise BenchError("--sign: ssh-keygen is not installed; leave --sign out, or install OpenSSH") from error
    if done.returncode:
        raise BenchError(f"--sign {key_file}: {done.stderr.strip() or done.stdout.strip()}")
