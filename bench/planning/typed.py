"""Values in their declared types: a file's content as its typed model, and single parameters of a task. A model's field `FREE`
gathers every field of the file that the model does not name, such as an entry's slots."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Struct

from bench.contract import BenchError
from bench.planning.yaml_files import leaves, quoted, read, shown, unknown
from bench.records.modules import moved
from bench.records.spelling import whole

Model = TypeVar("Model", bound=Struct)

NAMED = re.compile(r"Object (?P<how>missing required|contains unknown) field `(?P<name>.*)`")


def load(path: Path, model: type[Model], data: bytes | None = None) -> Model:
    """The YAML file at `path` as its model, with moved names replaced by the new ones; data: its content, if already read."""
    return convert(current(read(path, data), str(path)), model, path)


def convert(content: Mapping[str, Any], model: type[Model], path: Path) -> Model:
    """A mapping as its model; an empty field (`paper:` and nothing after it) counts as absent. BenchError names the field."""
    given = {name: value for name, value in content.items() if value is not None}
    if free := getattr(model, "FREE", ""):
        own = {*model.__struct_encode_fields__} - {free}
        rest = {name: given.pop(name) for name in [*given] if name not in own}
        _check_free(rest, model, free, own, path)
        given[free] = rest
    try:
        return msgspec.convert(given, model)
    except msgspec.ValidationError as error:
        raise BenchError(f"{path}{_explained(str(error), given, model)}") from error


def schema(model: type[Struct]) -> dict[str, Any]:
    """The JSON schema of a model's file; the fields gathered by `FREE` are additional properties."""
    schema = msgspec.json.schema(model)
    if free := getattr(model, "FREE", ""):
        own = schema["$defs"][model.__name__]
        own["additionalProperties"] = own["properties"].pop(free).get("additionalProperties", True)
    return schema


@cache
def types(params: type) -> Mapping[str, Any]:
    """parameter -> type, for a dataclass of parameters."""
    hints = get_type_hints(params)
    return {field.name: hints[field.name] for field in dataclasses.fields(params)}


def defaults(params: type) -> dict[str, Any]:
    """parameter -> default, where it has one."""
    fields, missing = dataclasses.fields(params), dataclasses.MISSING
    made = {field.name: field.default_factory() for field in fields if field.default_factory is not missing}
    return {field.name: field.default for field in fields if field.default is not missing} | made


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
    for place, number in leaves(value, where):
        if isinstance(number, float) and not math.isfinite(number):
            raise BenchError(f"{place}={number!r} is not a finite number; give one, or leave an optional one out")


def current(node: Any, where: str) -> Any:
    """`node` with moved dotted names replaced by the new ones; a note asks the user, once a place, to write those."""
    renamed = moved(node)
    pairs = zip(leaves(node), leaves(renamed), strict=True)
    if renames := {old: new for (_, old), (_, new) in pairs if isinstance(old, str) and old != new}:
        _note(f"{where}: {', '.join(f'{old} is now {new}' for old, new in renames.items())}; write the new names")
    return renamed


@cache
def _note(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)


def _check_free(rest: Mapping[str, Any], model: type[Struct], free: str, own: set[str], path: Path) -> None:
    """BenchError for a gathered field that is no mapping where the model wants such; it may be a misspelt field."""
    kind = get_args(get_type_hints(model)[free])[1]
    for name, value in rest.items():
        if kind is not Any and not isinstance(value, dict):
            near = difflib.get_close_matches(name, own, n=1)
            hint = f"did you mean {near[0]}?" if near else f"its own are {', '.join(sorted(own))}"
            expected = "expected a mapping, as in every field that is not the file's own"
            raise BenchError(f"{path}: `{name}: {shown(value)}`: {expected}; {hint}")


def _wanted(model: type[Struct], name: str) -> str:
    """A field's description with its example: a list of packages, as in `needs: [einops]`. Empty if it has none."""
    field = msgspec.json.schema(model)["$defs"][model.__name__]["properties"][name]
    for kind in (field, *field.get("anyOf", ())):  # a field, or a member of its union type
        if description := kind.get("description"):
            examples = kind.get("examples")
            return f"{description}, as in `{name}: {shown(examples[0])}`" if examples else str(description)
    return ""


def _explained(message: str, given: Mapping[str, Any], model: type[Struct]) -> str:
    """The part of the error after the file's name, from msgspec's message."""
    what, _, place = message.partition(" - at `$")
    place = place.removeprefix(".").removesuffix("`")
    if not place and (named := NAMED.fullmatch(what)):
        name = named["name"]
        if named["how"] == "missing required":
            wanted = _wanted(model, name)
            return f": lacks `{name}`" + (f": expected {wanted}" if wanted else "")
        return f": {unknown('field', name, model.__struct_encode_fields__)}"
    if not what.startswith(("Expected", "Invalid", "Object")):  # a model's own check
        return f": {f'`{place}`: ' if place else ''}{what}"
    field = re.split(r"[.\[]", place)[0]
    value = given.get(field)
    inside = "" if place == field else f" ({what} at {place})"
    return f": `{field}: {shown(value)}`: {quoted(value)}expected {_wanted(model, field) or what}{inside}"
