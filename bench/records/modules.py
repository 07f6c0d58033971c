"""Finding modules without importing them, and telling first-party code, which may be edited here, from installed code.

A module or `_target_` that moved is one line of moves.json, old name: new name. A name that lies under a new name is never
replaced: `bench.claims` was a module and is a room now, so `bench.claims.Claim` moved and `bench.claims.verdicts` did not.
"""

from __future__ import annotations

import json
import os
import re
import site
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

OURS = {"bench", "tasks", "baselines"}  # first-party even when installed as a wheel
PLUGINS = "sweepstakes.configs"  # entry-point group of the packages that add tasks and entries
INSTALLED = {"site-packages", "dist-packages"}  # folder names that pip, conda and Debian install into
PROSE = {".md", ".rst"}  # suffixes of package files that change no result
MOVES: Mapping[str, str] = json.loads(Path(__file__).with_name("moves.json").read_bytes())
NEW = frozenset(MOVES.values())
ROOTS = frozenset(name.partition(".")[0] for name in MOVES)


@cache
def plugins() -> dict[str, str]:
    """Folder of configurations, as a dotted name -> the installed distribution that announces it."""
    from importlib.metadata import entry_points  # takes 20 ms, which a reader of records need not spend

    return {point.value: point.dist.name if point.dist else "" for point in entry_points(group=PLUGINS)}


def _plugin_tops() -> set[str]:
    return {name.split(".")[0] for name in plugins()}


@cache
def _installed_roots() -> tuple[str, ...]:
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple({place + os.sep for path in paths if path for place in (path, os.path.realpath(path))})


@cache
def _top(name: str) -> tuple[str, ...]:
    """The folders of a top-level package, or the file of a top-level module; empty if it is built in or absent."""
    try:
        spec = PathFinder.find_spec(name) or find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        return tuple(spec.submodule_search_locations)
    return (spec.origin,) if spec is not None and spec.has_location and spec.origin else ()


@cache
def first_party(top: str) -> bool:
    """Whether a top-level name is first-party. The project and its plugins are, even when they are installed as wheels."""
    if top in OURS:
        return True
    places = _top(top)
    if not places or not os.path.exists(places[0]):  # built in, absent, or inside a zip or egg file
        return False
    return not _installed(places[0], top) or top in _plugin_tops()


def _installed(path: str, top: str) -> bool:
    """Whether pip, conda or the system installed a top-level package: into a site folder, or by `pip install --target`."""
    places = {os.path.abspath(path), os.path.realpath(path)}
    if any(place.startswith(_installed_roots()) or INSTALLED & {*place.split(os.sep)} for place in places):
        return True
    return any(top in _provided(os.path.dirname(place)) for place in places)


@cache
def _provided(folder: str) -> frozenset[str]:
    """Top-level names of the distributions that are installed in a folder."""
    records = (path.read_text(encoding="utf-8", errors="replace") for path in Path(folder).glob("*.dist-info/RECORD"))
    files = (line.strip('"') for record in records for line in record.splitlines())
    return frozenset(re.split("[/.,]", file, maxsplit=1)[0] for file in files)


def installed_in(folder: Path) -> list[Path]:
    """The installed part of a folder on `sys.path`, without plugins: the folder itself, or files and folders in it."""
    if INSTALLED & {*folder.parts, *folder.resolve().parts}:
        return [folder]
    names = _provided(str(folder)) - _plugin_tops()
    return [child for child in folder.iterdir() if child.name.split(".")[0] in names]


def forget() -> None:
    """Clear the caches, after `sys.path` or the current folder has changed."""
    for cached in (plugins, _installed_roots, _top, first_party, _provided):
        cached.cache_clear()


def module_files(name: str) -> list[tuple[str, Path]]:
    """(module, file) of a dotted name and its parents, as far as these are modules: `a.b.f` -> a, a.b."""
    top, *rest = name.split(".")
    places = [Path(place) for place in _top(top)]
    if not places or places[0].is_file():
        return [(top, place) for place in places]

    def first(folders: list[Path], name: str) -> list[Path]:
        return [folder / name for folder in folders if (folder / name).is_file()][:1]

    module, folders = top, places
    files = [(top, path) for path in first(folders, "__init__.py")]
    for step in rest:
        module = f"{module}.{step}"
        if plain := first(folders, f"{step}.py"):
            return [*files, (module, plain[0])]
        folders = [folder / step for folder in folders if (folder / step).is_dir()]
        files += [(module, path) for path in first(folders, "__init__.py")]
    return files


def package_files(folder: Path) -> Iterator[Path]:
    """The data files in a package's folder: every file but `.py` modules, hidden files and prose."""
    for path in sorted(folder.iterdir()):
        if path.suffix != ".py" and path.suffix not in PROSE and not path.name.startswith(".") and path.is_file():
            yield path


def moved(node: Any) -> Any:
    """A copy of nested mappings and lists in which old dotted names, and names under them, are the new ones; keys stay."""
    if isinstance(node, str) and node.partition(".")[0] in ROOTS:
        parts = node.split(".")
        prefixes = [".".join(parts[:cut]) for cut in range(len(parts), 0, -1)]
        old = next((prefix for prefix in prefixes if prefix in MOVES), None) if NEW.isdisjoint(prefixes) else None
        return node if old is None else MOVES[old] + node.removeprefix(old)
    if isinstance(node, Mapping):
        return {key: moved(value) for key, value in node.items()}
    return [moved(value) for value in node] if isinstance(node, (list, tuple)) else node
