"""Checking values of parameters and arguments: they have the declared type and are finite, and 1 equals 1.0."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_type_hints

import msgspec

from bench.contract import BenchError
from bench.records.modules import moved
from bench.records.spelling import whole


@cache
def types(params: type) -> Mapping[str, Any]:
    """parameter -> type, for a dataclass of parameters."""
    hints = get_type_hints(params)
    return {field.name: hints[field.name] for field in dataclasses.fields(params)}


@cache
def defaults(params: type) -> Mapping[str, Any]:
    """parameter -> default, where it has one."""
    given = {}
    for field in dataclasses.fields(params):
        if field.default is not dataclasses.MISSING:
            given[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            given[field.name] = field.default_factory()
    return given


def of_type(value: Any, kind: Any, where: str, owner: str) -> Any:
    """`value` as a parameter of type `kind`; 1.0 may be an integer and 1 a float. BenchError for another type, NaN, infinity."""
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # the override grammar reads a name of digits as a number
    try:
        converted = msgspec.convert(whole(value), kind, strict=False)
    except msgspec.ValidationError as error:
        raise BenchError(f"{where}={value!r}: {owner} takes {getattr(kind, '__name__', kind)}") from error
    finite(converted, where)
    return converted


def finite(value: Any, where: str) -> None:
    """BenchError, naming the place, for NaN or infinity anywhere in a value: JSON, and so the key, cannot hold them."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            finite(item, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            finite(item, f"{where}[{number}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BenchError(f"{where}={value!r} is not a finite number; give one, or leave an optional one out")


def current(node: Any, where: str) -> Any:
    """`node` with moved dotted names replaced by the new ones; a note asks the user, once a place, to write those."""
    renamed = moved(node)
    if renames := dict(_renames(node, renamed)):
        _note(f"{where}: {', '.join(f'{old} is now {new}' for old, new in renames.items())}; write the new names")
    return renamed


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
def _note(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)
