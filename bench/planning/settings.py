"""Settings of a run, common to all its cells. `configs/config.yaml` holds the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from bench.contract import BenchError
from bench.planning.yaml_files import PROJECT, read, unknown
from bench.records.record import Limits
from bench.records.spelling import whole


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """preset: smoke, small or paper. seed: used where no seeds are swept. tuned: whether tuned values are used. probes:
    whether they run. transport: pipe (the entry in its own process) or call (in this one). workers: cells at a time.
    numerics: whether results are to be the same on many processors (`bench.running.numerics`). reuse: whose records let a
    cell be skipped. retry: whether `failed` cells run again. results: the store's folder."""

    preset: str
    seed: int
    tuned: bool
    probes: bool
    transport: Literal["pipe", "call"]
    workers: int
    numerics: Literal["portable", "native"]
    reuse: Literal["local", "ledger", "none"]
    retry: bool
    wandb: Literal["off", "offline", "online"]
    results: str
    limits: Limits


@cache
def defaults() -> Settings:
    """The settings in `configs/config.yaml`; its other fields are for Hydra's own main."""
    content = read(PROJECT / "configs" / "config.yaml")
    return of({name: content[name] for name in Settings.__struct_fields__})


def of(content: Mapping[str, Any]) -> Settings:
    """Settings from a mapping. BenchError for one that is missing, unknown or of a wrong type."""
    try:
        return msgspec.convert(content, Settings)
    except msgspec.ValidationError as error:
        raise BenchError(f"settings of the run: {error}; configs/config.yaml shows them all") from error


def changed(settings: Settings, path: str, value: Any) -> Settings:
    """`settings` with a new value at a path such as `workers` or `limits.seconds`; numbers have to be above 0. BenchError for
    an unknown path or a value of a wrong type."""
    name = path.removeprefix("limits.")
    group: Settings | Limits = settings if name == path else settings.limits
    if path == "limits" or name not in group.__struct_fields__:
        known = {*Settings.__struct_fields__, *(f"limits.{limit}" for limit in Limits.__struct_fields__)} - {"limits"}
        raise unknown("setting", path, [*known, "task", "entry", "suite", "extra"])
    old, kind = getattr(group, name), get_type_hints(type(group))[name]
    if get_origin(kind) is Literal and isinstance(value, str) and value not in get_args(kind):
        raise unknown(f"choice of {path}", value, get_args(kind))
    number = isinstance(old, int | float) and not isinstance(old, bool)
    try:
        converted = msgspec.convert(whole(value), kind)
    except msgspec.ValidationError:
        converted = None
    if converted is None or (number and not 0 < converted < float("inf")):
        wanted = ("a whole number above 0" if kind is int else "a number above 0") if number else type(old).__name__
        raise BenchError(f"{path}={value!r}: expected {wanted} like {old!r}")
    new = msgspec.structs.replace(group, **{name: converted})
    return new if isinstance(new, Settings) else msgspec.structs.replace(settings, limits=new)
