"""The YAML files of the configuration: their folders and names, and reading one strictly.

A file has to be a mapping, in UTF-8. Two rules of YAML 1.1 are changed: `1e-4` is a number, and a date stays text.
Interpolation (`${…}`) is refused, since the file's values would then depend on other settings. Hidden files are left out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from glob import glob
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from bench.contract import BenchError
from bench.records.modules import plugins

PROJECT = Path(__file__).resolve().parents[2]
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster than the Python parser
NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?[\d_]*|\.[\d_]+)[eE][-+]?\d+")
TIMESTAMP = "tag:yaml.org,2002:timestamp"


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


class _Reader(_Parser):
    """YAML's safe loader with the two changes. A repeated key is an error."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != TIMESTAMP]
        for first, known in _Parser.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if isinstance(key, str) and key != "<<" and key in seen:
                problem = f"{key!r} stands twice; keep one"
                raise yaml.constructor.ConstructorError(problem=problem, problem_mark=key_node.start_mark)
            seen.add(key if isinstance(key, str) else id(key))
        return dict(super().construct_mapping(node, deep))


_Reader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))


def read(path: Path, data: bytes | None = None) -> dict[str, Any]:
    """The mapping in the file at `path`; data: its content, if already read. BenchError, naming the file, the line if known
    and the remedy, for anything but a mapping with texts as keys."""
    try:
        text = (path.read_bytes() if data is None else data).decode("utf-8-sig")
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BenchError(f"{path} is not UTF-8 ({error}); save it as UTF-8") from error
    try:
        content = yaml.load(text, Loader=_Reader)
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a forbidden character
        raise BenchError(_explained(path, text, error)) from error
    if content is None:
        raise BenchError(f"{path} is empty; write `name: value` lines into it, or delete it")
    if not isinstance(content, dict):
        raise BenchError(f"{path} holds {shown(content)}; it must be a mapping, `name: value` lines")
    for key in (key for key in content if not isinstance(key, str)):
        raise BenchError(f"{path}: the key {shown(key)} is no text; {quoted(key)}put it in quotes")
    for place, value in leaves(content):
        if isinstance(value, str) and "${" in value:
            raise BenchError(f"{path}: `{place}: {value}` reads other settings; write the value itself")
    return content


def shown(value: Any) -> str:
    """A value as YAML on one line, cut after 120 characters."""
    dumped = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    text = " ".join(dumped.split()).removesuffix(" ...")
    return text if len(text) <= 120 else text[:117] + "…"


def quoted(value: Any) -> str:
    """The reason why a word became a boolean, for the start of a hint; empty for other values."""
    return "YAML reads no, off, yes and on as false and true; " if isinstance(value, bool) else ""


def leaves(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """(place, value) of every value in nested mappings and lists, such as ("optimizer.betas[1]", 0.9)."""
    if isinstance(node, Mapping):
        for name, item in node.items():
            yield from leaves(item, f"{place}.{name}" if place else str(name))
    elif isinstance(node, list | tuple):
        for number, item in enumerate(node):
            yield from leaves(item, f"{place}[{number}]")
    else:
        yield place, node


def _explained(path: Path, text: str, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return f"{path} is not YAML: {error}"
    line = [*text.split("\n"), ""][mark.line]
    tab = re.match(r"\s*\t", line) and "a tab; YAML is indented with spaces"
    return f"{path}, line {mark.line + 1}: {tab or getattr(error, 'problem', None) or 'not YAML'}"
