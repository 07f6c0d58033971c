"""Converting a file's content to its typed model, with errors that name file, field and what was expected.

A model is a `msgspec.Struct` whose fields carry a description and an example. A model may name one field as `FREE`: it gathers
every field of the file that the model does not name, such as an entry's slots.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from bench.contract import BenchError
from bench.planning.values import current
from bench.planning.yaml_file import quoted, read, shown

Model = TypeVar("Model", bound=Struct)

PLACED = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
NAMED = re.compile(r"Object (?P<how>missing required|contains unknown) field `(?P<name>.*)`")


def load(path: Path, model: type[Model], data: bytes | None = None) -> Model:
    """The YAML file at `path` as its model; data: its content, if already read. Moved names are replaced by the new ones.

    BenchError names the file, the field and an example.
    """
    return convert(current(read(path, data), str(path)), model, path)


def convert(content: Mapping[str, Any], model: type[Model], path: Path) -> Model:
    """A mapping as its model; an empty field (`paper:` and nothing after it) counts as absent."""
    given = {name: value for name, value in content.items() if value is not None}
    free: str | None = getattr(model, "FREE", None)
    if free is not None:
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
    free: str | None = getattr(model, "FREE", None)
    if free is not None:
        own = schema["$defs"][model.__name__]
        own["additionalProperties"] = own["properties"].pop(free).get("additionalProperties", True)
    return schema


def _check_free(rest: Mapping[str, Any], model: type[Struct], free: str, own: set[str], path: Path) -> None:
    """BenchError for a gathered field of another type than the model's mapping holds; it may be a misspelt field."""
    kind = get_args(get_type_hints(model)[free])[1]
    for name, value in rest.items():
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            near = difflib.get_close_matches(name, own, n=1)
            hint = f"did you mean {near[0]}?" if near else f"its own are {', '.join(sorted(own))}"
            expected = "expected a mapping, as in every field that is not the file's own"
            raise BenchError(f"{path}: `{name}: {shown(value)}`: {expected}; {hint}") from error


def _meta(hint: Any) -> Meta | None:
    """The description of a field, or of a member of its union type; None if there is none."""
    described = [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta) and meta.description]
    if described:
        return described[-1]
    return next((meta for part in get_args(hint) if (meta := _meta(part)) is not None), None)


def _wanted(model: type[Struct], name: str) -> str:
    """A field's description with its example: a list of packages, as in `needs: [einops]`. Empty if it has none."""
    fields = dict(zip(model.__struct_encode_fields__, model.__struct_fields__, strict=True))
    meta = _meta(get_type_hints(model, include_extras=True)[fields[name]])
    if meta is None:
        return ""
    example = f", as in `{name}: {shown(meta.examples[0])}`" if meta.examples else ""
    return f"{meta.description}{example}"


def _explained(message: str, given: Mapping[str, Any], model: type[Struct]) -> str:
    """The part of the error after the file's name, from msgspec's message."""
    match = PLACED.fullmatch(message)
    assert match is not None
    what, place = match["what"], match["place"] or ""
    named, known = NAMED.fullmatch(what), model.__struct_encode_fields__
    if named and not place and named["how"] == "missing required":
        wanted = _wanted(model, named["name"])
        return f": lacks `{named['name']}`" + (f": expected {wanted}" if wanted else "")
    if named and not place:
        near = difflib.get_close_matches(named["name"], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
        return f": no field {named['name']!r}; {hint}"
    if not what.startswith(("Expected", "Invalid", "Object")):  # a model's own check
        return f": {f'`{place}`: ' if place else ''}{what}"
    field = re.split(r"[.\[]", place)[0]
    value = given.get(field)
    inside = "" if place == field else f" ({what} at {place})"
    wanted = _wanted(model, field)
    return f": `{field}: {shown(value)}`: {quoted(value)}expected {wanted or what}{inside}"
