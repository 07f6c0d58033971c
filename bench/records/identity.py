"""Identities: what a cell's result depends on, as one key and as named components.

key = blake2b(canonical JSON of {task, version, parameters, parts, seed, data, code, distributions}). The code digest
covers the syntax trees, without comments and docstrings, of the task's and the parts' modules and of every first-party
module they reach: through `__init__`, lazily, relatively, by a dotted path in a string, and data files beside them.
Nothing is imported to find out.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import re
import site
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HARNESS = ("bench.execute",)  # the scorer itself: what it imports decides every result
OURS = {"bench", "tasks", "baselines"}  # first-party even when installed as a wheel
DATA_SUFFIXES = {".json", ".csv", ".txt", ".yaml", ".npy", ".npz", ".h5", ".hdf5", ".jsonl"}
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
SHOWN = 12  # characters of a key that are shown


def canonical_json(value: Any) -> str:
    """One spelling for equal values: sorted keys, no spaces, shortest floats."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def blake(text: str | bytes) -> str:
    """32 hexadecimal characters of BLAKE2b."""
    return hashlib.blake2b(text.encode() if isinstance(text, str) else text, digest_size=16).hexdigest()


def canonical_tree(node: Any) -> Any:
    """A syntax tree as nested lists that are equal on Python 3.11 to 3.13.

    Left out: positions, contexts, docstrings, and fields that are empty (newer versions add such fields).
    """
    if isinstance(node, ast.AST):
        fields = []
        for name in sorted(node._fields):
            if name in ("ctx", "type_comment", "kind"):
                continue
            value = getattr(node, name, None)
            documented = isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            if name == "body" and documented and ast.get_docstring(node, clean=False) is not None:  # type: ignore[arg-type]
                value = value[1:] if value else value
            if value is None or value == []:
                continue
            fields.append([name, canonical_tree(value)])
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [canonical_tree(item) for item in node]
    if isinstance(node, (bool, int, str)) or node is None:
        return [type(node).__name__, str(node)]
    return [type(node).__name__, repr(node)]


def code_hash(source: str) -> str:
    """Digest of a module's meaning: comments, docstrings and layout do not count."""
    return blake(canonical_json(canonical_tree(ast.parse(source))))


def references(source: str, module: str, is_package: bool) -> list[str]:
    """Dotted names that a module may reach: imports anywhere in it, and dotted paths in strings."""
    package = module if is_package else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                kept = parents[: len(parents) - node.level + 1]
                base = ".".join([*kept, base] if base else kept)
            found.update(f"{base}.{alias.name}" for alias in node.names)
            found.add(base)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            found.add(node.value)
    return sorted(found)


@cache
def _foreign_roots() -> tuple[str, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths.update(site.getsitepackages())
    return tuple(os.path.realpath(path) + os.sep for path in paths if path)


@cache
def _top(name: str) -> tuple[str, ...] | str | None:
    """Where a top-level package (its folders) or module (its file) is, or None if built in or absent."""
    try:
        spec = PathFinder.find_spec(name) or find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return tuple(spec.submodule_search_locations)
    return spec.origin if spec.origin and spec.origin.endswith(".py") else None


@cache
def first_party(top: str) -> bool:
    """Whether a top-level name is code that may be edited here, rather than an installed distribution."""
    if top in OURS:
        return True
    where = _top(top)
    if where is None:
        return False
    path = os.path.realpath(where if isinstance(where, str) else where[0])
    return not path.startswith(_foreign_roots())


def module_files(name: str) -> list[tuple[str, Path]]:
    """(module, file) of a dotted name and its parents, as far as they are modules: `a.b.f` -> a, a.b."""
    top, *rest = name.split(".")
    where = _top(top)
    if where is None:
        return []
    if isinstance(where, str):
        return [(top, Path(where))]
    found, folders, module = [], [Path(p) for p in where], top
    for step in [None, *rest]:
        if step is not None:
            module = f"{module}.{step}"
            plain = next((f / f"{step}.py" for f in folders if (f / f"{step}.py").is_file()), None)
            if plain is not None:
                found.append((module, plain))
                break
            folders = [f / step for f in folders if (f / step).is_dir()]
            if not folders:
                break
        found += [(module, f / "__init__.py") for f in folders if (f / "__init__.py").is_file()][:1]
    return found


class Digests:
    """Digests of code and files, remembered by (path, size, time) in `cache_file` between calls."""

    def __init__(self, cache_file: Path | None = None) -> None:
        self._file = cache_file
        self._known: dict[str, Any] = {}
        self._dirty = False
        self._closures: dict[tuple[str, ...], dict[str, str]] = {}
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

    def _remember(self, path: Path, kind: str, make: Any) -> Any:
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns]
        slot = f"{kind}:{path}"
        if slot not in self._known or self._known[slot][0] != stamp:
            self._known[slot] = [stamp, make()]
            self._dirty = True
        return self._known[slot][1]

    def file(self, path: Path) -> str:
        """Content hash of a file, "absent" if there is none."""
        if not path.is_file():
            return "absent"

        def content() -> str:
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()

        return str(self._remember(path, "file", content))

    def _module(self, module: str, path: Path) -> tuple[str, list[str]]:
        def parse() -> list[Any]:
            source = path.read_text(encoding="utf-8")
            return [code_hash(source), references(source, module, path.name == "__init__.py")]

        try:
            digest, reached = self._remember(path, f"code:{module}", parse)
        except SyntaxError:  # it fails when it runs, with a record; here it is just text
            return self.file(path), []
        return digest, reached

    def closure(self, roots: Iterable[str]) -> dict[str, str]:
        """module or file name -> digest, of everything first-party that the dotted names in `roots` reach."""
        wanted = tuple(sorted(set(roots)))
        if wanted in self._closures:
            return self._closures[wanted]
        digests: dict[str, str] = {}
        queue, seen = list(wanted), set()
        while queue:
            name = queue.pop()
            if name in seen or not first_party(name.split(".")[0]):
                continue
            seen.add(name)
            for module, path in module_files(name):
                if module in digests:
                    continue
                digests[module], references = self._module(module, path)
                queue.extend(references)
                if path.name == "__init__.py":
                    for beside in sorted(path.parent.iterdir()):
                        if beside.suffix in DATA_SUFFIXES and beside.is_file():
                            digests[f"{module}/{beside.name}"] = self.file(beside)
        self._closures[wanted] = dict(sorted(digests.items()))
        return self._closures[wanted]


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


def components(digests: Digests, target: str, parts: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, Any]:
    """What a cell's result depends on beside its task, parameters, parts and seed, as fields of `record.Components`.

    target: dotted path of the Task class. files: that the data come from.
    """
    named = targets(parts)
    return {
        "data": {name: digests.file(path) for name, path in sorted(files.items())},
        "code": digests.closure([*HARNESS, target, *named]),
        "distributions": sorted(
            {distribution(name.split(".")[0]) for name in named if not first_party(name.split(".")[0])}
        ),
    }


def key_maker(found: Mapping[str, Any]) -> Callable[[int], str]:
    """seed -> key. found: task, version, params, parts, and `components`. They are spelled once; only the seed differs."""
    head, tail = canonical_json({**found, "seed": "@seed@"}).split('"@seed@"')
    return lambda seed: blake(f"{head}{seed}{tail}")


def row_of(task: str, version: int, params: Any, config: Any, seed: int) -> int:
    """What makes two published records the same row of a table, as 63 bits; equal bits are looked at again."""
    return _short([task, version, params, config, seed])


def same_of(task: str, preset: str, entry: str, seed: int, params: Any) -> int:
    """What stays the same of a cell when code, data or tuning change, as 63 bits."""
    return _short([task, preset, entry, seed, params])


def _short(value: Any) -> int:
    return int(blake(canonical_json(value))[:16], 16) >> 1


def difference(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """(component, old, new) wherever two components differ; lists of files become one line a file."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        rows: list[tuple[str, Any, Any]] = []
        for name in sorted({*old, *new}):
            rows += difference(old.get(name), new.get(name), f"{path}.{name}" if path else str(name))
        return rows
    return [] if old == new else [(path, old, new)]


def files_of(roots: Iterable[str]) -> tuple[str, ...]:
    """TEMP: the files behind a closure."""
    found = []
    for name in Digests().closure(roots):
        if "/" in name:
            module, _, beside = name.partition("/")
            found.append(str(module_files(module)[-1][1].parent / beside))
        else:
            found.append(str(dict(module_files(name))[name]))
    return tuple(found)
