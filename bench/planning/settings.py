"""Settings of a run, common to all its cells. `configs/config.yaml` holds the defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from bench.contract import BenchError
from bench.planning import yaml_file
from bench.planning.folders import PROJECT, unknown
from bench.records.record import Limits
from bench.records.spelling import whole

Group = TypeVar("Group", bound=msgspec.Struct)


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """preset: smoke, small or paper. seed: used where no seeds are swept. tuned: whether tuned values are used.

    probes: whether they run; no score depends on them. transport: pipe (the entry in its own process) or call (in this one).
    workers: cells at a time. reuse: whose records let a cell be skipped. retry: whether `failed` cells run again. results: the
    store's folder.
    """

    preset: str
    seed: int
    tuned: bool
    probes: bool
    transport: Literal["pipe", "call"]
    workers: int
    reuse: Literal["local", "ledger", "none"]
    retry: bool
    wandb: Literal["off", "offline", "online"]
    results: str
    limits: Limits


@cache
def defaults() -> Settings:
    """The settings in `configs/config.yaml`; its other fields are for Hydra's own main."""
    content = yaml_file.read(PROJECT / "configs" / "config.yaml")
    return of({name: content[name] for name in Settings.__struct_fields__})


def of(content: Mapping[str, Any]) -> Settings:
    """Settings from a mapping. BenchError for one that is missing, unknown or of a wrong type."""
    try:
        return msgspec.convert(content, Settings)
    except msgspec.ValidationError as error:
        raise BenchError(f"settings of the run: {error}; configs/config.yaml shows them all") from error


def changed(settings: Settings, path: str, value: Any) -> Settings:
    """`settings` with a new value at a dotted path. BenchError for an unknown path or a value of a wrong type."""
    if path not in (known := list(_names(settings))):
        raise unknown("setting", path, [*known, "task", "entry", "suite", "extra"])
    return _changed(settings, path.split("."), value, path)


def _names(settings: msgspec.Struct, above: str = "") -> Iterator[str]:
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        yield from _names(value, f"{above}{name}.") if isinstance(value, msgspec.Struct) else (above + name,)


def _changed(group: Group, names: list[str], value: Any, path: str) -> Group:
    name, *inner = names
    old = getattr(group, name)
    new = _changed(old, inner, value, path) if inner else _value(old, get_type_hints(type(group))[name], value, path)
    return msgspec.structs.replace(group, **{name: new})


def _value(old: Any, kind: Any, value: Any, path: str) -> Any:
    """`value` in the type of the setting at `path`; numbers have to be above 0."""
    if get_origin(kind) is Literal and isinstance(value, str) and value not in get_args(kind):
        raise unknown(f"choice of {path}", value, get_args(kind))
    number = isinstance(old, int | float) and not isinstance(old, bool)
    try:
        converted = msgspec.convert(whole(value), kind)
        if not number or 0 < converted < float("inf"):
            return converted
    except msgspec.ValidationError:
        pass  # the error below describes it
    wanted = ("a whole number above 0" if kind is int else "a number above 0") if number else type(old).__name__
    raise BenchError(f"{path}={value!r}: expected {wanted} like {old!r}")
