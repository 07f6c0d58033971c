"""The identity of a cell: all that its result depends on, as one key and as named components.

The key digests task, version, parameters, parts, seed, data, code and distributions, as canonical JSON. The code digests cover
the syntax trees of the task's and the parts' modules and of every first-party module they reach (through `__init__`, lazily,
relatively, by a dotted path in a string), and the files beside a package's modules. They are computed without an import.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from bench.contract import BenchError
from bench.records.files import write_atomically
from bench.records.modules import first_party, module_files, package_files
from bench.records.record import Components
from bench.records.spelling import SHOWN, blake, canonical_json
from bench.records.syntax import DOTTED, FORM, meaning

HARNESS = ("bench.execute",)  # where the harness's own code starts
CONTENT = "content:"  # prefix of a file parameter in keys and records, before its content hash
# in ns; a file system's clock may stand still for so long, so a younger file may change and keep its times
TICK = 20_000_000
Sources = dict[str, tuple[str, str]]  # module or package file -> its digest and path


class Digests:
    """Digests of code and files, cached in `cache_file` by (path, inode, size, modification and change time). One object
    serves one plan, within which each module is read once."""

    def __init__(self, cache_file: Path | None = None) -> None:
        self._file = cache_file
        self._known: dict[str, Any] = {}
        self._dirty = False
        self._located: dict[str, list[tuple[str, Path]]] = {}
        self._modules: dict[str, tuple[Sources, list[str]]] = {}
        self._closures: dict[frozenset[str], Sources] = {}
        if cache_file is not None:
            with suppress(ValueError, OSError):  # a cache that is absent or damaged is made anew
                self._known = json.loads(cache_file.read_text())

    def save(self) -> None:
        """Write the cache file if anything is new; where it cannot be written, the next plan takes longer."""
        if self._file is not None and self._dirty:
            with suppress(BenchError):
                write_atomically(self._file, json.dumps(self._known).encode())

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
            reason = f"{path}: cannot be read ({error.strerror}), and its content is part of a cell's identity"
            raise BenchError(f"{reason}; make it readable") from error
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
        """A file's name in keys and records, made of its content hash; a path without a file stays as it is."""
        place = Path(path).expanduser()
        return f"{CONTENT}{self.file(place)[:SHOWN]}" if place.is_file() else path

    def _module(self, module: str, path: Path) -> tuple[Sources, list[str]]:
        """A module with the data files of its folder if it is a package, and the dotted names that it may reach."""
        if module not in self._modules:
            package = path.name == "__init__.py"

            def read() -> tuple[str, list[str]]:
                _drop_stale_bytecode(path)
                return meaning(path.read_bytes(), module, package)

            compiled = path.suffix != ".py"
            kind = f"code{FORM}:{module}"
            digest, references = (self.file(path), []) if compiled else self._remember(path, kind, read)
            sources = {module: (digest, str(path.resolve()))}
            for beside in package_files(path.parent) if package else ():
                sources[f"{module}/{beside.name}"] = self.file(beside), str(beside.resolve())
            self._modules[module] = sources, references
        return self._modules[module]

    def _closure(self, roots: Iterable[str]) -> Sources:
        wanted = frozenset(roots)
        if wanted not in self._closures:
            sources: Sources = {}
            seen, queue = set(wanted), [*wanted]
            while queue:
                name = queue.pop()
                if name not in self._located:
                    self._located[name] = module_files(name) if first_party(name.partition(".")[0]) else []
                for module, path in self._located[name]:
                    if module not in sources:
                        own, references = self._module(module, path)
                        sources |= own
                        queue += {*references} - seen
                        seen.update(references)
            self._closures[wanted] = dict(sorted(sources.items()))
        return self._closures[wanted]

    def closure(self, roots: Iterable[str]) -> dict[str, str]:
        """module or package file -> digest, of all first-party code that the dotted names in `roots` reach."""
        return {name: digest for name, (digest, _) in self._closure(roots).items()}

    def files(self, roots: Iterable[str]) -> tuple[str, ...]:
        """The files behind `closure(roots)`, absolute and with links resolved."""
        return tuple(sorted({file for _, file in self._closure(roots).values()}))


def _drop_stale_bytecode(source: Path) -> None:
    """Remove a compiled module that is older than its source's last change. Python would use it if the source's size and
    modification time stayed the same."""
    with suppress(OSError):
        compiled = Path(cache_from_source(str(source)))
        if compiled.stat().st_mtime_ns <= source.stat().st_ctime_ns:
            compiled.unlink()


@cache
def distribution(top: str) -> str:
    """`name version` of the installed distribution behind a top-level package, "absent" if there is none."""
    from importlib.metadata import PackageNotFoundError, packages_distributions, version  # takes 20 ms

    with suppress(PackageNotFoundError):
        return f"{top} {version(top)}"
    names = packages_distributions().get(top)
    return f"{names[0]} {version(names[0])}" if names else "absent"


def targets(node: Any) -> list[str]:
    """Every dotted path that a part's configuration names: `_target_`s, texts, and optimizers by name."""
    if isinstance(node, Mapping):
        paths = [path for value in node.values() for path in targets(value)]
        target, name = node.get("_target_"), node.get("name")
        if isinstance(target, str):
            paths.append(target)
        if target == "bench.optim.named" and isinstance(name, str):
            from bench.optim import resolve

            paths.append(resolve(name))
        return paths
    if isinstance(node, (list, tuple)):
        return [path for value in node for path in targets(value)]
    return [node] if isinstance(node, str) and DOTTED.fullmatch(node) and first_party(node.split(".")[0]) else []


def components(
    digests: Digests, target: str, parts: Mapping[str, Any], files: Mapping[str, Path]
) -> tuple[Components, tuple[str, ...]]:
    """(what a cell's result depends on beside its task, parameters, parts and seed, the code and data files among it).

    target: dotted path of the Task class. files: the task's `data_files`. The files are absolute, with links resolved: a
    cell's processes read nothing else but installed packages.
    """
    named = [*HARNESS, target, *targets(parts)]
    data = {name: digests.file(path) for name, path in sorted(files.items())}
    foreign = sorted({distribution(top) for top in {name.split(".")[0] for name in named} if not first_party(top)})
    reads = (*digests.files(named), *sorted(str(path.resolve()) for path in files.values()))
    return Components(data=data, code=digests.closure(named), distributions=foreign, form=FORM), reads


def key_maker(identity: Mapping[str, Any]) -> Callable[[int], str]:
    """seed -> key. identity: task, version, params, parts and `components`, which are encoded once for all seeds."""
    head, tail = canonical_json({**identity, "seed": "@seed@"}).split('"@seed@"')
    return lambda seed: blake(f"{head}{seed}{tail}")


def difference(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """(component, old, new) wherever two identities differ; a nested component is named `code.<module>`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = {f"{path}.{name}" if path else str(name): name for name in sorted({*old, *new})}
        return [row for inner, name in names.items() for row in difference(old.get(name), new.get(name), inner)]
    return [] if old == new else [(path, old, new)]
