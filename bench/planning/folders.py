"""The folders of configuration files and the files' names.

Hidden files and folders (`._x.yaml`, `.ipynb_checkpoints/`) are left by editors and file systems, and are skipped.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from glob import glob
from importlib.util import find_spec
from pathlib import Path

from bench.contract import BenchError
from bench.records.modules import plugins

PROJECT = Path(__file__).resolve().parents[2]


@cache
def folders() -> tuple[Path, ...]:
    """The project's `configs/`, the folders that installed packages announce, and `configs/` of the current folder, in order."""
    configs = [PROJECT / "configs"]
    for folder, package in plugins().items():
        spec = find_spec(folder)
        if spec is None or not spec.submodule_search_locations:
            raise BenchError(f"package {package}: no folder {folder!r} to read configs from")
        configs.append(Path(next(iter(spec.submodule_search_locations))))
    if (own := Path.cwd() / "configs").resolve() != configs[0] and own.is_dir():
        configs.append(own)
    return tuple(configs)


@cache
def places(group: str) -> dict[str, tuple[Path, ...]]:
    """name -> files of that name, for a group such as `task`, `entry` or `suite`. More than one is an error of the user."""
    files: dict[str, tuple[Path, ...]] = {}
    for folder in folders():
        for inside in sorted(glob("**/*.yaml", root_dir=folder / group, recursive=True)):  # skips hidden files
            name = Path(inside).with_suffix("").as_posix()
            files[name] = (*files.get(name, ()), folder / group / inside)
    return files


@cache
def names(group: str) -> dict[str, Path]:
    """name -> its file, the first in search order."""
    return {name: paths[0] for name, paths in places(group).items()}


def unknown(kind: str, name: str, known: Iterable[str], more: str = "") -> BenchError:
    """The error for an unknown name, with the nearest known ones."""
    options = sorted(known)
    tails = {option.rsplit("/", 1)[-1]: option for option in options}
    near = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    near += [tails[t] for t in difflib.get_close_matches(name.rsplit("/", 1)[-1], tails, n=3) if tails[t] not in near]
    hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(options) or 'none'}"
    return BenchError(f"no {kind} {name!r}; {hint}{more}")
