"""A submission's folder, `submissions/NAME/`: its manifest, what is wrong with it, opening, signing.

Nothing here imports the entry's code.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import config, key
from bench.contract import STATUSES, BenchError
from bench.store import NEEDED
from bench.submission import enter, problems, read

NAMESPACE = "sweepstakes"  # of signatures


def digest(files: Mapping[str, bytes]) -> str:
    """One digest of a submission's files, by their paths inside it."""
    return key.blake(key.canonical_json({path: key.blake(data) for path, data in sorted(files.items())}))


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
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
        and path.name not in ("manifest.json", "manifest.json.sig")
    }  # fmt: skip


def folder_problems(folder: Path) -> list[str]:
    """What is wrong with a submission's folder, without running anything: manifest, digests, files, code, records."""
    try:
        about = manifest(folder)
        package = read(folder)
        found = problems(package)
    except BenchError as error:
        return [str(error)]
    name, files = str(about.get("entry")), contents(folder)
    if name != package.name or name != folder.name:
        found.append(f"manifest.json is of entry {name!r}, the folder of {folder.name!r}, the YAML of {package.name!r}")
    listed = {path: key.blake(data) for path, data in files.items()}
    if listed != about["files"] or digest(files) != about.get("digest"):
        differ = sorted(p for p in {*listed, *about["files"]} if listed.get(p) != about["files"].get(p))
        found.append(f"files differ from the manifest: {', '.join(differ) or 'digest'}; run `bench submit` again")
    for field in ("doc", "authors", "licence", "declared_trials"):
        if about.get(field) != package.content().get(field):
            found.append(f"manifest.json and {package.yaml.name} disagree on `{field}`; run `bench submit` again")
    mine = {path.relative_to(folder).as_posix() for path in package.files}
    ledger = re.compile(rf"results/ledger/[a-z0-9_/]+/{re.escape(name)}\.jsonl")
    tuned = re.compile(rf"configs/tuned/[a-z0-9_/]+/{re.escape(name)}\.yaml")
    for path, data in files.items():
        if ledger.fullmatch(path):
            found += record_problems(path, data, name)
        elif path not in mine and not tuned.fullmatch(path):
            found.append(
                f"{path}: not a file of entry {name}; a submission holds one entry, its tuning and its records"
            )
    if not any(ledger.fullmatch(path) for path in files):
        found.append("no records: results/ledger/ is missing; run `bench submit` without --smoke-only")
    return found


def record_problems(path: str, data: bytes, name: str) -> list[str]:
    """What is wrong with the form of a file of ledger lines."""
    found = []
    seen: set[str] = set()
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        where = f"{path}:{number}"
        try:
            record = json.loads(line, parse_constant=_refuse)
        except ValueError as error:
            found.append(f"{where}: not JSON ({error})")
            continue
        missing = [field for field in NEEDED if field not in record] if isinstance(record, dict) else list(NEEDED)
        if missing:
            found.append(f"{where}: lacks {', '.join(missing)}")
            continue
        if record["entry"] != name or path != f"results/ledger/{record['task']}/{name}.jsonl":
            found.append(f"{where}: a record of {record['entry']} on {record['task']} does not belong here")
        if record["status"] not in STATUSES:
            found.append(f"{where}: no status {record['status']!r}; there are {', '.join(STATUSES)}")
        if record["key"] in seen:
            found.append(f"{where}: a second record of key {record['key'][: key.SHOWN]}")
        seen.add(record["key"])
        if not all(isinstance(v, int | float) for v in record["metrics"].values()):
            found.append(f"{where}: metrics must be finite numbers")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no number")


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
