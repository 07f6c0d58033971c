"""Where modules are, and which of them are first-party: code that may be edited here, rather than an installed distribution.

Nothing is imported to find out.
"""

from __future__ import annotations

import os
import site
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

OURS = {"bench", "tasks", "baselines"}  # first-party even when installed as a wheel
PLUGINS = "sweepstakes.configs"  # entry-point group of the packages that add tasks and entries
INSTALLED = {"site-packages", "dist-packages"}  # folder names that pip, conda and Debian install into
PROSE = {".md", ".rst"}  # package files that change no number


@cache
def plugins() -> dict[str, str]:
    """Folder of configurations, as a dotted name -> the installed distribution that announces it."""
    from importlib.metadata import entry_points  # 20 ms that who only reads records can save

    return {point.value: point.dist.name if point.dist else "" for point in entry_points(group=PLUGINS)}


@cache
def _installed_roots() -> tuple[str, ...]:
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple({place + os.sep for path in paths if path for place in (path, os.path.realpath(path))})


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
    return spec.origin if spec.has_location else None


@cache
def first_party(top: str) -> bool:
    """Whether a top-level name is code that may be edited here. The project and its plugins are, however they are installed."""
    if top in OURS:
        return True
    where = _top(top)
    if where is None:
        return False
    path = where if isinstance(where, str) else where[0]
    if not os.path.exists(path):  # inside a zip or egg file
        return False
    return not _installed(path, top) or top in {name.split(".")[0] for name in plugins()}


def _installed(path: str, top: str) -> bool:
    """Whether pip, conda or the system put a top-level package there: in a site folder, or where `--target` said."""
    places = {os.path.abspath(path), os.path.realpath(path)}
    if any(place.startswith(_installed_roots()) or INSTALLED & {*place.split(os.sep)} for place in places):
        return True
    return any(top in _provided(os.path.dirname(place)) for place in places)


@cache
def _provided(folder: str) -> frozenset[str]:
    """Top-level names that the distributions in a folder list as theirs."""
    files = (
        line.split(",")[0].strip('"')
        for about in Path(folder).glob("*.dist-info")
        if (about / "RECORD").is_file()
        for line in (about / "RECORD").read_text(encoding="utf-8", errors="replace").splitlines()
    )
    return frozenset(name.partition("/")[0].split(".")[0] for name in files)


def installed_in(folder: Path) -> list[Path]:
    """What of a folder on `sys.path` is installed and no plugin: all of it, or files and folders in it."""
    if INSTALLED & {*folder.parts, *folder.resolve().parts}:
        return [folder]
    names = _provided(str(folder)) - {name.split(".")[0] for name in plugins()}
    return [child for child in folder.iterdir() if child.name.split(".")[0] in names]


def forget() -> None:
    """Look everything up anew, after `sys.path` or the current folder changed."""
    for remembered in (plugins, _installed_roots, _top, first_party, _provided):
        remembered.cache_clear()


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


def package_files(folder: Path) -> Iterator[Path]:
    """Every file in a package's folder that its modules may read: neither a `.py` module, nor hidden, nor prose."""
    for path in sorted(folder.iterdir()):
        if path.suffix != ".py" and path.suffix not in PROSE and not path.name.startswith(".") and path.is_file():
            yield path
