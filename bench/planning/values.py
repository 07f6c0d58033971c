"""Values of parameters and arguments: of their type, finite, and the same however a number is spelled."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_type_hints

import msgspec

from bench.contract import BenchError
from bench.records.moves import moved
from bench.records.spelling import whole


@cache
def types(params: type) -> Mapping[str, Any]:
    """Parameter -> its type, of a dataclass of parameters."""
    hints = get_type_hints(params)
    return {field.name: hints[field.name] for field in dataclasses.fields(params)}


@cache
def defaults(params: type) -> Mapping[str, Any]:
    """Parameter -> its default, where it has one."""
    found = {}
    for field in dataclasses.fields(params):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def of_type(value: Any, kind: Any, where: str, owner: str) -> Any:
    """`value` as a parameter of type `kind`: 1.0 is a whole number, 1 a float. BenchError if it is none, or not finite."""
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # the override grammar reads a name of digits as a number
    try:
        found = msgspec.convert(whole(value), kind, strict=False)
    except msgspec.ValidationError as error:
        raise BenchError(f"{where}={value!r}: {owner} wants {getattr(kind, '__name__', kind)}") from error
    finite(found, where)
    return found


def finite(value: Any, where: str) -> None:
    """BenchError, naming the place, for NaN and infinity anywhere in a value: they equal nothing, or have no spelling."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            finite(item, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            finite(item, f"{where}[{number}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BenchError(
            f"{where}={value!r} is not a finite number; give one, or leave it out where it may be left out"
        )


def current(node: Any, where: str) -> Any:
    """`node` with the dotted names that moved in their new spelling; the user is told, once a place, to write those."""
    found = moved(node)
    if renames := dict(_renames(node, found)):
        _tell(f"{where}: {', '.join(f'{old} is now {new}' for old, new in renames.items())}; write the new names")
    return found


def _renames(old: Any, new: Any) -> Iterator[tuple[str, str]]:
    if isinstance(old, str) and old != new:
        yield old, new
    elif isinstance(old, Mapping):
        for name, item in old.items():
            yield from _renames(item, new[name])
    elif isinstance(old, list | tuple):
        for item, other in zip(old, new, strict=True):
            yield from _renames(item, other)


@cache
def _tell(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)
