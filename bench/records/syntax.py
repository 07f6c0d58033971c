"""The digest of a module's syntax tree and the names it may reach, from its source. Of a file that Python cannot parse, or
that nests too deeply, the digest is of its bytes, and the reached names are unknown."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import resolve_name
from typing import Any

from bench.records.spelling import blake

FORM = 2  # version of the canonical tree; raised with it, so that cached digests of an older form are not used
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
SKIPPED = {"ctx", "type_comment", "kind"}  # fields that change nothing when the module runs
CONTRACT = "bench.contract"  # its classes take prose as `doc`
METRIC_DOC = 3  # position of Metric's `doc`


def meaning(content: bytes, module: str, is_package: bool) -> tuple[str, list[str]]:
    """(digest, dotted names that the module may reach) of a source file, in the encoding that it declares."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of odd escapes when it imports the module
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return blake(content), []
    return blake("\n".join(_tokens(tree))), _references(tree, module, is_package)


def _tokens(tree: ast.Module) -> Iterator[str]:
    """The tree in prefix order, with the fields of each node and the length of each list: equal on Python 3.11 to 3.13.

    Left out: positions, contexts, docstrings and other statements that are a string, the `doc` of declarations, and empty
    fields, which newer versions add. A stack replaces recursion, since expressions may nest a thousandfold.
    """
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == CONTRACT)
    declarations = {alias.asname or alias.name: alias.name for node in imports for alias in node.names}
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.AST):
            fields = {name: _meant(node, name, declarations) for name in sorted(node._fields) if name not in SKIPPED}
            fields = {name: value for name, value in fields.items() if value is not None and value != []}
            yield f"{type(node).__name__} {' '.join(fields)}"
            stack.extend(reversed(fields.values()))
        elif isinstance(node, list):
            yield f"list {len(node)}"
            stack.extend(reversed(node))
        else:  # hex, since a decimal of more than 4300 digits is refused; ascii, since it may be half of a surrogate pair
            yield f"{type(node).__name__} {hex(node) if type(node) is int else ascii(node)}"


def _meant(node: ast.AST, name: str, declarations: dict[str, str]) -> Any:
    """A field of a node without the prose in it. declarations: local name -> name in the contract."""
    value = getattr(node, name, None)
    if not isinstance(value, list):
        return value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (made := declarations.get(node.func.id)):
        if name == "keywords":
            return [keyword for keyword in value if keyword.arg != "doc"]
        if made == "Metric" and not any(isinstance(argument, ast.Starred) for argument in value[: METRIC_DOC + 1]):
            return value[:METRIC_DOC] + value[METRIC_DOC + 1 :]
    if isinstance(node, ast.JoinedStr):  # 3.12.1 ends some with an empty string
        return [item for item in value if not (isinstance(item, ast.Constant) and item.value == "")]
    return [item for item in value if not _is_prose(item)]


def _is_prose(item: Any) -> bool:
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)


def _references(tree: ast.Module, module: str, is_package: bool) -> list[str]:
    """The imports anywhere in a module, and the dotted paths in its strings."""
    package = module if is_package else module.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            with suppress(ImportError):  # of an import from beyond the top-level package, which fails when it runs
                base = resolve_name("." * node.level + (node.module or ""), package)
                names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            names.add(node.value)
    return sorted(names)
