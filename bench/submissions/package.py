"""A submission's files of one entry, and all their problems that show without running them.

    submissions/NAME/
      manifest.json                             digests, environment, command, authors, licence, trials
      configs/entry/NAME.yaml                   the entry
      configs/tuned/<family>/<task>/NAME.yaml   what `bench tune` chose
      entries/NAME.py or entries/NAME/          its code, where it has any
      results/ledger/<family>/<task>/NAME.jsonl its records

The folder mirrors the project, so accepting it is copying it. Nothing here imports the entry's code.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contract import BenchError
from bench.parts import python_path
from bench.planning import config, typed
from bench.planning.files import EntryFile
from bench.records import modules, syntax
from bench.submissions.new import NAME, NOT_YET

LIMIT = 1_000_000  # bytes of code and configuration
LONGEST = 10_000  # characters of one literal string or bytes; more is a file in disguise
NUMBERS = 500  # of one literal list; more is a table of weights
SUFFIXES = (".py", ".yaml", ".md", ".txt", ".json")
BINARY = re.compile("[\0\udc80-\udcff]")  # a zero, or a byte that is not UTF-8, as `surrogateescape` reads it
LICENCES = (
    "Apache-2.0", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "MPL-2.0", "Zlib", "BSL-1.0", "EPL-2.0",
    "EUPL-1.2", "Artistic-2.0", "PSF-2.0", "CC0-1.0", "Unlicense", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only",
    "LGPL-3.0-or-later", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "AGPL-3.0-only",
    "AGPL-3.0-or-later",
)  # fmt: skip
# import names of the packages that every installation has (pyproject.toml)
PROVIDED = {
    "bench", "baselines", "torch", "numpy", "scipy", "sklearn", "h5py", "omegaconf", "pytorch_optimizer", "schedulefree"
}  # fmt: skip


@dataclass(frozen=True)
class Package:
    """An entry's files. home: the folder that holds `configs/` and the code. content: of `yaml`. code: files, in order."""

    name: str
    home: Path
    yaml: Path
    content: EntryFile
    code: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The configuration and the code."""
        return (self.yaml, *self.code)

    @property
    def packages(self) -> set[str]:
        """Top-level names of the packages that the entry may use: the provided ones, and those that it says it needs."""
        return PROVIDED | {need.split(".")[0] for need in self.content.needs}


def _texts(node: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """(field, text) of every text in a configuration."""
    if isinstance(node, str):
        yield field, node
    elif isinstance(node, Mapping | list):
        for name, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _texts(value, str(name))


def _dotted(slots: Any) -> list[str]:
    """Every dotted name in a configuration: targets, optimizers by name, callables given as arguments."""
    return [text for _, text in _texts(slots) if syntax.DOTTED.fullmatch(text)]


def _modules(slots: Mapping[str, Any], home: Path) -> list[Path]:
    """The files under `home` that the slots' dotted names reach, directly or through imports of each other."""
    paths: list[Path] = []
    waiting = _dotted(slots)
    for dotted in waiting:  # which grows
        for path in _located(dotted.split("."), home):
            if path not in paths:
                paths.append(path)
                if path.suffix == ".py":
                    module = ".".join(path.relative_to(home).with_suffix("").parts).removesuffix(".__init__")
                    waiting += syntax.meaning(path.read_bytes(), module, path.name == "__init__.py")[1]
    return paths


def _located(steps: list[str], home: Path) -> list[Path]:
    """The module of a dotted name under `home`, or all files of the package `entries/NAME/`."""
    if steps[0] in modules.OURS or steps[0] == "configs":
        return []
    for depth in range(len(steps), 0, -1):
        stem = home.joinpath(*steps[:depth])
        if stem.with_suffix(".py").is_file():
            return [stem.with_suffix(".py")]
        if depth > 1 and stem.is_dir():
            return sorted(p for p in stem.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return []


def read(path: Path) -> Package:
    """The entry at `path`: its YAML, its Python file or package, or a folder that holds one `configs/entry/NAME.yaml`.

    Raises BenchError if there is no entry, or more than one, or its YAML cannot be read as one.
    """
    if not path.exists():
        raise BenchError(f"{path} does not exist; give an entry's YAML, its Python file, or a folder with both")
    if path.is_symlink() and not path.is_dir():
        raise BenchError(f"{path} is a link to {path.resolve()}; put the file itself there")
    path = path.resolve()
    folders = (path, *path.parents) if path.is_dir() else path.parents
    home = next((folder for folder in folders if (folder / "configs" / "entry").is_dir()), None)
    if home is None:
        hint = "`bench new entry NAME` writes code and configuration"
        raise BenchError(f"{folders[0]}: no folder above it holds configs/entry/; {hint}")
    entries, packages = sorted((home / "configs" / "entry").glob("*.yaml")), []
    for yaml in [path] if path in entries else entries:
        content = typed.load(yaml, EntryFile)
        code = tuple(_modules(content.slots, home))
        if path in (home, yaml, *code) or any(path in file.parents for file in code):
            packages.append(Package(yaml.stem, home, yaml, content, code))
    if len(packages) != 1:
        names = ", ".join(package.name for package in packages) or "none"
        raise BenchError(f"{path}: one entry is wanted, found {names}; give the entry's YAML, configs/entry/NAME.yaml")
    return packages[0]


def problems(package: Package) -> list[str]:
    """All problems of the files, each with a reason and a next step."""
    return [*_of_configuration(package), *_of_files(package), *_of_code(package)]


def _of_configuration(package: Package) -> Iterator[str]:
    """Problems of name, doc, authors, licence, trials and slots."""
    content = package.content
    wrong = {
        "`doc` must say in one line what is new about the entry": len(content.doc) < 8 or content.doc.strip() == NOT_YET,
        "`authors` must list who is to be named, as in [Your Name]": not all(map(str.strip, content.authors or [""])),
        f"`licence` must be an SPDX id such as Apache-2.0 or MIT, not {content.licence!r}": content.licence not in LICENCES,
        "`declared_trials` must count the settings tried before, anywhere; 0 is an answer": content.declared_trials is None,
        "it fills no slot; `bench list` shows every task's slots": not content.slots,
    }  # fmt: skip
    where = package.yaml.name
    if not NAME.fullmatch(package.name):
        yield f"name {package.name!r}: use lower-case letters, digits and underscores, as in my_idea"
    yield from (f"{where}: {problem}" for problem, present in wrong.items() if present)
    for target in _dotted(content.slots):
        if target.split(".")[0] in ("tasks", "tests"):
            yield f"{where}: {target} belongs to a task; an entry brings its own code"
    tops = {text.split(".")[0] for field, text in _texts(content.slots) if field == "_target_"}
    for top in sorted(tops - package.packages - {"entries", "tasks"}):
        yield f"{where}: it uses {top}; {why(top)}"


def _of_files(package: Package) -> Iterator[str]:
    """Problems of the files' sizes, places and kinds."""
    total = sum(path.stat().st_size for path in package.files)
    if total > LIMIT:
        yield f"the files hold {total:,} bytes, at most {LIMIT:,} are taken; leave out what training can make"
    places = [("configs", "entry"), ("entries", f"{package.name}.py"), ("entries", package.name)]
    for path in package.files:
        name = path.relative_to(package.home)
        if name.parts[:2] not in places:
            yield f"{name}: code of another name; put what is needed into entries/{package.name}.py or entries/{package.name}/"
        if path.is_symlink() or not path.resolve().is_relative_to(package.home.resolve()):
            yield f"{name}: it points out of the folder; put the file itself there"
        elif path.suffix not in SUFFIXES:
            yield f"{name}: only {', '.join(SUFFIXES)} are taken, no weights or data"
        elif BINARY.search(path.read_text(encoding="utf-8", errors="surrogateescape")):
            yield f"{name}: it is binary; only text is taken, no weights or data"


def _of_code(package: Package) -> Iterator[str]:
    """Problems of the Python files: syntax, imports, large literals."""
    own = {path.relative_to(package.home).parts[0].removesuffix(".py") for path in package.code}
    allowed = sys.stdlib_module_names | package.packages | own
    for path in (path for path in package.code if path.suffix == ".py"):
        name = path.relative_to(package.home)
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError) as error:
            yield f"{name}: {error}"
            continue
        yield from (f"{name}:{line}: imports {top}; {why(top)}" for top, line in _imports(tree) if top not in allowed)
        yield from (f"{name}:{line}: {what}" for line, what in _literals(tree))


def why(top: str) -> str:
    """The reason for which an import is refused, and the next step."""
    if top in ("tasks", "tests", "configs"):
        return "an entry never imports a task, whose held-back data it could make again"
    return f"add it to `needs: [{top}]` in the YAML, or do without"


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(top-level name, line) of every import, also of those by `importlib.import_module("…")` or `__import__("…")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0], node.lineno
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__", "locate") and isinstance(node.args[0].value, str):
                yield node.args[0].value.split(".")[0], node.lineno


def _literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, problem) of literals that are too large to be anything but stored weights or data."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and len(node.value) > LONGEST:
            yield node.lineno, f"a literal of {len(node.value):,} characters; no weights or data in the code"
        elif isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
            count = len(node.values if isinstance(node, ast.Dict) else node.elts)
            if count > NUMBERS:
                yield node.lineno, f"a literal of {count:,} items; no weights or data in the code"


def enter(home: Path) -> None:
    """Make `home` the current folder, so that its `configs/` and code are found; cached look-ups are dropped."""
    if home.resolve() != Path.cwd().resolve():
        os.chdir(home)
        sys.path[:] = python_path()
        config.forget()
        modules.forget()
