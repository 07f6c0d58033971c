"""Identities: what a cell's result depends on, as one key and as named components.

key = blake2b(canonical JSON of {task, version, parameters, parts, seed, data, code, distributions}). The code digest
covers the syntax trees, without comments and docstrings, of the task's and the parts' modules and of every first-party
module they reach: through `__init__`, lazily, relatively, by a dotted path in a string, and the files beside a package's
modules. Nothing is imported to find out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from bench.contract import BenchError
from bench.records.modules import first_party, module_files, package_files
from bench.records.spelling import SHOWN, blake, canonical_json
from bench.records.syntax import DOTTED, FORM, meaning

HARNESS = ("bench.execute",)  # the scorer itself: what it imports decides every result
CONTENT = "content:"  # how a parameter that is a file is named: by what it holds, wherever it lies
TICK = 20_000_000  # ns; a file system's clock may stand still so long, so a younger file may change without a trace


class Digests:
    """Digests of code and files, remembered by (path, inode, size, both times) in `cache_file` between calls.

    One object serves one plan: within it, a file is looked at once.
    """

    def __init__(self, cache_file: Path | None = None) -> None:
        self._file = cache_file
        self._known: dict[str, Any] = {}
        self._dirty = False
        self._modules: dict[str, _Module] = {}
        self._located: dict[str, list[str]] = {}
        self._closures: dict[tuple[str, ...], tuple[dict[str, str], tuple[str, ...]]] = {}
        if cache_file is not None and cache_file.is_file():
            try:
                self._known = json.loads(cache_file.read_text())
            except (ValueError, OSError):
                self._known = {}  # only a cache: it is made anew

    def save(self) -> None:
        """Write the cache file if anything is new; a folder that cannot be written only costs time."""
        if self._file is None or not self._dirty:
            return
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._known))
            temporary.replace(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _remember(self, path: Path, kind: str, make: Callable[[], Any]) -> Any:
        try:
            stat = path.stat()
            stamp = [stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
            slot = f"{kind}:{path}"
            known = self._known.get(slot)
            if known is None or known[0] != stamp:
                settled = time.time_ns() - stat.st_ctime_ns > TICK
                known = self._known[slot] = [stamp if settled else None, make()]
                self._dirty = True
        except OSError as error:
            raise BenchError(
                f"{path}: cannot be read ({error.strerror}), and its content is part of a cell's identity; make it readable"
            ) from error
        return known[1]

    def file(self, path: Path) -> str:
        """Content hash of a file, "absent" if there is none."""
        if not path.is_file():
            return "absent"

        def content() -> str:
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()

        return str(self._remember(path, "file", content))

    def by_content(self, path: str) -> str:
        """The name of a file by its content, in keys and records; a path that leads to none stays what it is."""
        place = Path(path).expanduser()
        return f"{CONTENT}{self.file(place)[:SHOWN]}" if place.is_file() else path

    def _module(self, module: str, path: Path) -> _Module:
        """What is known of a module; a package's data files with it."""
        package = path.name == "__init__.py"

        def read() -> tuple[str, list[str]]:
            _drop_stale_bytecode(path)
            return meaning(path.read_bytes(), module, package)

        if path.suffix == ".py":
            digest, references = self._remember(path, f"code{FORM}:{module}", read)
        else:  # a compiled module, which counts by its content
            digest, references = self.file(path), []
        digests, files = {module: digest}, [str(path.resolve())]
        for beside in package_files(path.parent) if package else ():
            digests[f"{module}/{beside.name}"] = self.file(beside)
            files.append(str(beside.resolve()))
        return _Module(digests, files, references)

    def _locate(self, name: str) -> list[str]:
        """The modules that a dotted name reaches by itself, read."""
        if name not in self._located:
            found = module_files(name) if first_party(name.partition(".")[0]) else []
            for module, path in found:
                if module not in self._modules:
                    self._modules[module] = self._module(module, path)
            self._located[name] = [module for module, _ in found]
        return self._located[name]

    def _closure(self, roots: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
        wanted = tuple(sorted(set(roots)))
        if wanted not in self._closures:
            reached: set[str] = set()
            queue, seen = list(wanted), set(wanted)
            while queue:
                for module in self._locate(queue.pop()):
                    if module not in reached:
                        reached.add(module)
                        new = [name for name in self._modules[module].references if name not in seen]
                        seen.update(new)
                        queue += new
            modules = [self._modules[module] for module in sorted(reached)]
            digests = {name: digest for one in modules for name, digest in one.digests.items()}
            files = {file for one in modules for file in one.files}
            self._closures[wanted] = (dict(sorted(digests.items())), tuple(sorted(files)))
        return self._closures[wanted]

    def closure(self, roots: Iterable[str]) -> dict[str, str]:
        """module or file name -> digest, of everything first-party that the dotted names in `roots` reach."""
        return self._closure(roots)[0]

    def files(self, roots: Iterable[str]) -> tuple[str, ...]:
        """The files behind `closure(roots)`, absolute and with links resolved."""
        return self._closure(roots)[1]


@dataclass(frozen=True)
class _Module:
    """A module's digest and its package files' ones by name, all their paths, and the dotted names it may reach."""

    digests: dict[str, str]
    files: list[str]
    references: list[str]


def _drop_stale_bytecode(source: Path) -> None:
    """Remove the compiled module if it is older than its source's last change, which Python would not notice where
    size and modification time stayed the same.
    """
    with contextlib.suppress(OSError):
        compiled = Path(cache_from_source(str(source)))
        if compiled.stat().st_mtime_ns <= source.stat().st_ctime_ns:
            compiled.unlink()


@cache
def distribution(top: str) -> str:
    """`name version` of the installed distribution behind a top-level package, "absent" if there is none."""
    # importing this takes 20 ms, which who only reads records can save
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    try:
        return f"{top} {version(top)}"
    except PackageNotFoundError:
        pass
    for name in packages_distributions().get(top, ()):
        return f"{name} {version(name)}"
    return "absent"


def targets(node: Any) -> list[str]:
    """Every dotted path a part's configuration names: `_target_`s, and optimizers by name."""
    if isinstance(node, Mapping):
        found = [target for value in node.values() for target in targets(value)]
        if isinstance(node.get("_target_"), str):
            found.append(node["_target_"])
            if node["_target_"] == "bench.optim.named" and isinstance(node.get("name"), str):
                from bench.optim import resolve

                found.append(resolve(node["name"]))
        return found
    if isinstance(node, (list, tuple)):
        return [target for value in node for target in targets(value)]
    if isinstance(node, str) and DOTTED.fullmatch(node) and first_party(node.split(".")[0]):
        return [node]
    return []


def roots(target: str, parts: Mapping[str, Any]) -> list[str]:
    """Where a cell's code starts: the harness, the task's target and the parts' targets."""
    return [*HARNESS, target, *targets(parts)]


def components(digests: Digests, target: str, parts: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, Any]:
    """What a cell's result depends on beside its task, parameters, parts and seed, as fields of `record.Components`.

    target: dotted path of the Task class. files: that the data come from.
    """
    named = roots(target, parts)
    return {
        "form": FORM,
        "data": {name: digests.file(path) for name, path in sorted(files.items())},
        "code": digests.closure(named),
        "distributions": sorted(
            {distribution(name.split(".")[0]) for name in named if not first_party(name.split(".")[0])}
        ),
    }


def key_maker(found: Mapping[str, Any]) -> Callable[[int], str]:
    """seed -> key. found: task, version, params, parts, and `components`. They are spelled once; only the seed differs."""
    head, tail = canonical_json({**found, "seed": "@seed@"}).split('"@seed@"')
    return lambda seed: blake(f"{head}{seed}{tail}")


def difference(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """(component, old, new) wherever two components differ; lists of files become one line a file."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        rows: list[tuple[str, Any, Any]] = []
        for name in sorted({*old, *new}):
            rows += difference(old.get(name), new.get(name), f"{path}.{name}" if path else str(name))
        return rows
    return [] if old == new else [(path, old, new)]
