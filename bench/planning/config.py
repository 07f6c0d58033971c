"""Configuration: from the words of a run to resolved (task, entry) pairs, whose files are merged here, since a Hydra
composition for every cell takes longer than many a cell."""

from __future__ import annotations

import copy
import dataclasses
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any, TypeVar

import msgspec

from bench.contract import BenchError, Datasheet, Entry, Misfit, Task
from bench.parts import locate, slot_list
from bench.planning import overrides, settings, typed
from bench.planning.files import EntryFile, SuiteFile, TaskFile, TunedFile
from bench.planning.settings import Settings
from bench.planning.typed import Model
from bench.planning.yaml_files import PROJECT as PROJECT
from bench.planning.yaml_files import folders, names, places, unknown

RUN_WORDS = ("results", "workers", "reuse", "retry", "transport", "limits", "wandb")  # settings that change no cell
Read = TypeVar("Read")


def load(group: str, name: str, model: type[Model]) -> Model:
    """A configuration file as its model. BenchError if no file has that name, or two have it, or its content is wrong."""
    known = names(group)
    if name not in known:
        more = "" if group == "suite" else f" (`bench list` shows every {group})"
        raise unknown(group, name, known, more)
    if others := places(group).get(name, ())[1:]:
        raise BenchError(f"{group} {name!r} is defined twice: {known[name]} and {others[0]}; rename one")
    return typed.load(known[name], model)


def suite(name: str) -> SuiteFile:
    """The suite `name`."""
    return load("suite", name, SuiteFile)


def sound(
    group: str, read: Callable[[str], Read], chosen: Iterable[str] | None = None
) -> tuple[dict[str, Read], dict[str, str]]:
    """(name -> what `read` returns, name -> error message) for the chosen names of a group, by default all."""
    results, errors = {}, {}
    for name in names(group) if chosen is None else chosen:
        try:
            results[name] = read(name)
        except BenchError as error:
            errors[name] = str(error)
    return results, errors


def forget() -> None:
    """Clear the caches of folders and files, after the current folder has changed."""
    for cached in (folders, places, names, task_spec, entry, tuned):
        cached.cache_clear()


@dataclass(frozen=True)
class TaskSpec:
    """A task's name and class, and from its configuration file: parameters, a line about it, its datasheet."""

    name: str
    target: str
    cls: type[Task]
    params: Mapping[str, Any]
    doc: str
    sheet: Datasheet


@cache
def task_spec(name: str) -> TaskSpec:
    """The task `name`; imports its (light) module."""
    file = load("task", name, TaskFile)
    try:
        cls = locate(file.target)
    except Exception as error:  # a module that is being written may raise anything
        foreign = f"{file.target} cannot be imported: {type(error).__name__}: {error}"
        raise BenchError(f"{names('task')[name]}: {error if isinstance(error, BenchError) else foreign}") from error
    if not (isinstance(cls, type) and issubclass(cls, Task)):
        raise BenchError(f"{file.target} is not a subclass of bench.contract.Task")
    return TaskSpec(name, file.target, cls, file.parameters, file.doc, file.datasheet)


def canonical(name: str) -> str:
    """The canonical name of a composition: its entries sorted and joined by `+`."""
    return "+".join(sorted(part for part in name.split("+") if part))


@cache
def entry(name: str) -> Entry:
    """The entry `name`, or the composition `a+b`: entries that fill different slots (or add to a `many` slot)."""
    files = [load("entry", part, EntryFile) for part in canonical(name).split("+")]
    parts: dict[str, Any] = {}
    for slot, part in (item for file in files for item in file.slots.items()):
        if slot in parts and ("_target_" in part or "_target_" in parts[slot]):
            raise Misfit(f"entry {name!r}: two of its parts fill slot {slot!r}; compose entries of different slots")
        parts[slot] = {**parts.get(slot, {}), **part}
    search = {path: space for file in files for path, space in msgspec.to_builtins(file.search).items()}
    needs = tuple(need for file in files for need in file.needs)
    return Entry(canonical(name), parts, search, needs, " + ".join(file.doc for file in files if file.doc))


OPTIONAL = "_optional_"  # a part so marked is left out on tasks without its slot


def required(chosen: Entry) -> set[str]:
    """The slots that a task needs for the entry to fit."""
    return {slot for slot, part in chosen.parts.items() if not part.get(OPTIONAL)}


def fitted(spec: TaskSpec, chosen: Entry) -> Entry:
    """The entry as it stands on a task: without optional parts whose slot the task lacks."""
    has = {slot.name for slot in spec.cls.slots} | required(chosen)
    parts = {
        slot: {k: v for k, v in part.items() if k != OPTIONAL} for slot, part in chosen.parts.items() if slot in has
    }
    return dataclasses.replace(chosen, parts=parts)


def parameters(spec: TaskSpec, preset: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The task's parameters, of checked types: the class's defaults, then its file's, the preset's and the overrides."""
    if preset not in spec.cls.presets:
        raise unknown(f"preset of {spec.name}", preset, spec.cls.presets)
    types = typed.types(spec.cls.Params)
    chosen = typed.defaults(spec.cls.Params)
    for source in (spec.params, spec.cls.presets[preset], overrides):
        for key, value in source.items():
            if key not in types:
                raise unknown(f"parameter of {spec.name}", key, types)
            chosen[key] = typed.of_type(value, types[key], f"task.{key}", spec.name)
    if missing := [key for key in types if key not in chosen]:
        raise BenchError(f"{spec.name}: parameter {missing[0]!r} has no value; set task.{missing[0]}=…, or its default")
    return {key: chosen[key] for key in types}


def changed_parameters(task: str, preset: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are not the preset's."""
    usual = parameters(task_spec(task), preset, {})
    return {name: value for name, value in params.items() if usual.get(name) != value}


def resolve_parts(spec: TaskSpec, chosen: Entry, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """slot -> resolved part: the task's defaults, then the entry's parts, then the `slot.argument` overrides. Misfit, naming
    the slots and their signatures, if the entry fills a slot that the task lacks."""
    slots, chosen = {slot.name: slot for slot in spec.cls.slots}, fitted(spec, chosen)
    for name in (*chosen.parts, *(path.split(".")[0] for path in overrides)):
        if name not in slots:
            hint = "".join(f" (did you mean {near}?)" for near in difflib.get_close_matches(name, slots, n=1))
            misfit = f"entry {chosen.name!r} does not fit task {spec.name}: it has no slot {name!r}{hint}"
            raise Misfit(f"{misfit}; its slots are\n{slot_list(spec.cls.slots)}")
    excluded = {name for filled in chosen.parts for name in slots[filled].excludes}
    if clash := sorted(excluded & set(chosen.parts)):
        raise Misfit(f"entry {chosen.name!r} on {spec.name}: slot {clash[0]!r} makes no sense beside its other parts")
    parts: dict[str, Any] = {}
    for slot in spec.cls.slots:
        own = chosen.parts.get(slot.name, {})
        part = {**(slot.default or {}), **own} if slot.many or "_target_" not in own else dict(own)
        if part and slot.name not in excluded:
            parts[slot.name] = part
    for path, value in overrides.items():
        slot_name, *rest = path.split(".")
        if slot_name not in parts:
            raise BenchError(f"entry.{path}: {chosen.name} on {spec.name} leaves slot {slot_name!r} empty")
        if not rest:
            raise BenchError(f"entry.{path}={value!r}: name an argument, such as entry.{slot_name}.lr=0.1")
        node = parts[slot_name] = copy.deepcopy(parts[slot_name])
        for key in rest[:-1]:
            node = node.setdefault(key, {})
        node[rest[-1]] = typed.current(value, f"entry.{path}={value!r}")
    typed.finite(parts, "entry")
    return parts


@cache
def tuned(task: str, name: str) -> TunedFile | None:
    """The values that `bench tune` chose for this pair; None if it was not tuned."""
    path = names("tuned").get(f"{task}/{name.replace('/', '_')}")
    return typed.load(path, TunedFile) if path else None


@dataclass
class Request:
    """The parsed words of a run: its settings, and lists to be crossed. extra: entries beside a suite's own, on the tasks
    where they fit. seeds: empty if none were given."""

    settings: Settings
    tasks: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    suite: str | None = None
    task_overrides: dict[str, list[Any]] = field(default_factory=dict)
    entry_overrides: dict[str, list[Any]] = field(default_factory=dict)

    def crossed(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(task overrides, entry overrides) for every combination of swept values."""

        def combinations(swept: dict[str, list[Any]]) -> list[dict[str, Any]]:
            return [dict(zip(swept, chosen, strict=True)) for chosen in product(*swept.values())]

        return product(combinations(self.task_overrides), combinations(self.entry_overrides))


def parse(words: Iterable[str]) -> Request:
    """Words in Hydra's override grammar -> Request. BenchError for a word outside the grammar or an unknown name."""
    request = Request(settings.defaults())
    for override in overrides.read(words):
        key = override.key
        if key in ("task", "entry", "extra"):
            group = "task" if key == "task" else "entry"
            listed = map(str, override.listed(names(group), group))
            {"task": request.tasks, "entry": request.entries, "extra": request.extra}[key].extend(listed)
        elif key == "suite":
            request.suite = str(override.value)
            suite(request.suite)
        elif key.startswith("task."):
            request.task_overrides[key[5:]] = override.listed()
        elif key.startswith("entry."):
            request.entry_overrides[key[6:]] = override.listed()
        elif key == "seed":
            request.seeds = override.listed()
            for seed in request.seeds:
                if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                    raise BenchError(f"seed={seed!r}: a seed is an integer from 0 up; seed=range(5) for five of them")
        else:
            request.settings = settings.changed(request.settings, key, override.value)
    return request
