"""Configuration: folders, the override grammar, and resolved (task, entry) pairs.

Hydra's parser reads every override; the base is loaded once and the task's and the entry's own files are merged per pair,
since a whole Hydra composition for every cell would cost more than many a cell (`bench.verbs.hydra_door` is Hydra's own door).
Search order: the project's `configs/`, installed packages that announce a folder under the entry-point group
`sweepstakes.configs`, then `configs/` of the current folder.
"""

from __future__ import annotations

import difflib
import fnmatch
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench.contract import BenchError, Datasheet, Entry, Misfit, Task, Text
from bench.parts import locate, slot_list
from bench.planning import values
from bench.records.modules import plugins

RESERVED = ("doc", "paper", "search", "needs", "authors", "licence", "declared_trials")
CELL_WORDS = ("task", "entry", "seed", "preset", "tuned")  # overrides that say which cells a plan has
RUN_WORDS = ("results", "workers", "reuse", "retry", "transport", "limits", "wandb")  # and those that change no cell
PROJECT = Path(__file__).resolve().parents[2]


@cache
def folders() -> tuple[Path, ...]:
    """Every folder of configurations, in search order."""
    found = [PROJECT / "configs"]
    for folder, package in plugins().items():
        spec = find_spec(folder)
        if spec is None or not spec.submodule_search_locations:
            raise BenchError(f"package {package}: no folder {folder!r} to read configs from")
        found.append(Path(next(iter(spec.submodule_search_locations))))
    own = Path.cwd() / "configs"
    if own.resolve() != found[0] and own.is_dir():
        found.append(own)
    return tuple(found)


@cache
def names(group: str) -> dict[str, Path]:
    """name -> file for `task`, `entry` or `suite`. Two files of one name are an error."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted((folder / group).rglob("*.yaml")):
            name = path.relative_to(folder / group).with_suffix("").as_posix()
            if name in found:
                raise BenchError(f"{group} {name!r} is defined twice: {found[name]} and {path}; rename one")
            found[name] = path
    return found


def unknown(kind: str, name: str, known: Iterable[str], more: str = "") -> BenchError:
    """The error for a name that does not exist, with the nearest that do."""
    options = sorted(known)
    tails = {option.rsplit("/", 1)[-1]: option for option in options}
    near = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    near += [tails[t] for t in difflib.get_close_matches(name.rsplit("/", 1)[-1], tails, n=3) if tails[t] not in near]
    hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(options) or 'none'}"
    return BenchError(f"no {kind} {name!r}; {hint}{more}")


def load(group: str, name: str) -> dict[str, Any]:
    """The plain contents of one configuration file."""
    known = names(group)
    if name not in known:
        more = "" if group == "suite" else f" (`bench list` shows every {group})"
        raise unknown(group, name, known, more)
    try:
        content = OmegaConf.to_container(OmegaConf.load(known[name]), resolve=True)
    except (OmegaConfBaseException, ValueError, OSError) as error:
        raise BenchError(f"{known[name]}: {error}") from error
    except Exception as error:  # the YAML library's own errors have no common public base here
        raise BenchError(f"{known[name]} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise BenchError(f"{known[name]} must hold a mapping")
    return {str(key): value for key, value in content.items()}


@dataclass(frozen=True)
class TaskSpec:
    """A task's name, its class, and what its configuration file says: parameters, a line about it, its datasheet."""

    name: str
    target: str
    cls: type[Task]
    params: Mapping[str, Any]
    doc: str
    sheet: Datasheet


@cache
def task_spec(name: str) -> TaskSpec:
    """The task `name`; imports its (light) module."""
    content, path = load("task", name), names("task")[name]
    target = content.pop("_target_", None)
    if not target:
        raise BenchError(f"{path} lacks `_target_`, the dotted path of the Task class")
    cls = locate(target)
    if not (isinstance(cls, type) and issubclass(cls, Task)):
        raise BenchError(f"{target} is not a subclass of bench.contract.Task")
    doc = _prose(path, "doc", content.pop("doc", None), Text)
    sheet = _prose(path, "datasheet", content.pop("datasheet", {}), Datasheet)
    return TaskSpec(name, target, cls, content, doc, sheet)


def _prose(path: Path, key: str, value: Any, kind: Any) -> Any:
    """`value` of `key` in a task's file as `kind`; BenchError that names the file and the field unless it is that."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BenchError(
            f"{path}: {key}: {error}; a task needs a `doc` of one line and a `datasheet` of the texts "
            f"{', '.join(Datasheet.__struct_fields__)}"
        ) from error


def canonical(name: str) -> str:
    """The one spelling of a composition: its entries sorted and joined by `+`."""
    return "+".join(sorted(part for part in name.split("+") if part))


@cache
def entry(name: str) -> Entry:
    """The entry `name`, or the composition `a+b`: entries that fill different slots (or add to a `many` slot)."""
    merged = Entry(name=canonical(name), parts={})
    for one in merged.name.split("+"):
        content = load("entry", one)
        doc = {key: content.pop(key, None) for key in RESERVED}
        parts = dict(merged.parts)
        for slot, part in content.items():
            if not isinstance(part, dict):
                raise BenchError(f"{names('entry')[one]}: {slot} must be a mapping of arguments, not {part!r}")
            if slot in parts and ("_target_" in part or "_target_" in parts[slot]):
                raise Misfit(f"entry {name!r}: two of its parts fill slot {slot!r}; compose entries of different slots")
            parts[slot] = {**parts.get(slot, {}), **part}
        merged = Entry(
            name=merged.name,
            parts=parts,
            search={**merged.search, **(doc["search"] or {})},
            needs=(*merged.needs, *(doc["needs"] or ())),
            doc=" + ".join(filter(None, (merged.doc, doc["doc"]))),
            paper=", ".join(filter(None, (merged.paper, doc["paper"]))),
        )
    return merged


def parameters(spec: TaskSpec, preset: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The task's parameters: class defaults, its file, the preset, then overrides; types are checked."""
    presets = spec.cls.presets
    if preset not in presets:
        raise unknown(f"preset of {spec.name}", preset, presets)
    types = values.types(spec.cls.Params)
    found = dict(values.defaults(spec.cls.Params))
    for source in (spec.params, presets[preset], overrides):
        for key, value in source.items():
            if key not in types:
                raise unknown(f"parameter of {spec.name}", key, types)
            found[key] = values.of_type(value, types[key], f"task.{key}", spec.name)
    if lacking := [key for key in types if key not in found]:
        raise BenchError(f"{spec.name}: parameter {lacking[0]!r} has no value; set task.{lacking[0]}=…, or its default")
    return {key: found[key] for key in types}


def resolve_parts(spec: TaskSpec, chosen: Entry, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """slot -> resolved part: the task's defaults, the entry's parts over them, then `slot.argument` overrides.

    Misfit, naming the slots and their signatures, if the entry fills a slot that the task has not.
    """
    slots = {slot.name: slot for slot in spec.cls.slots}
    for name in (*chosen.parts, *(path.split(".")[0] for path in overrides)):
        if name not in slots:
            near = difflib.get_close_matches(name, slots, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise Misfit(
                f"entry {chosen.name!r} does not fit task {spec.name}: it has no slot {name!r}{hint}; "
                f"its slots are\n{slot_list(spec.cls.slots)}"
            )
    excluded = {name for filled in chosen.parts for name in slots[filled].excludes}
    clash = sorted(excluded & set(chosen.parts))
    if clash:
        raise Misfit(f"entry {chosen.name!r} on {spec.name}: slot {clash[0]!r} makes no sense beside its other parts")
    parts: dict[str, Any] = {}
    for slot in spec.cls.slots:
        part = dict(slot.default or {})
        own = chosen.parts.get(slot.name, {})
        part = {**part, **own} if slot.many or "_target_" not in own else dict(own)
        if part and slot.name not in excluded:
            parts[slot.name] = part
    for path, value in overrides.items():
        slot_name, *rest = path.split(".")
        if slot_name not in parts:
            raise BenchError(f"entry.{path}: {chosen.name} on {spec.name} leaves slot {slot_name!r} empty")
        if not rest:
            raise BenchError(f"entry.{path}={value!r}: name an argument, such as entry.{slot_name}.lr=0.1")
        node = parts[slot_name] = _copy(parts[slot_name])
        for key in rest[:-1]:
            node = node.setdefault(key, {})
        node[rest[-1]] = values.current(value, f"entry.{path}={value!r}")
    for slot_name, part in parts.items():
        values.finite(part, f"entry.{slot_name}")
    return parts


def _copy(node: Any) -> Any:
    return {key: _copy(value) for key, value in node.items()} if isinstance(node, dict) else node


@cache
def tuned(task: str, name: str) -> dict[str, Any] | None:
    """What `bench tune` chose for this pair: preset, trials, values, …; None if it was never tuned here."""
    for folder in folders():
        path = folder / "tuned" / task / f"{name.replace('/', '_')}.yaml"
        if path.is_file():
            return dict(OmegaConf.to_container(OmegaConf.load(path)))  # type: ignore[arg-type]
    return None


@cache
def base() -> DictConfig:
    """The base configuration, without what only Hydra's own main reads (a whole composition costs 0.14 s)."""
    loaded = OmegaConf.load(PROJECT / "configs" / "config.yaml")
    assert isinstance(loaded, DictConfig)
    return OmegaConf.masked_copy(loaded, [str(key) for key in loaded if key not in ("defaults", "hydra")])


@dataclass
class Request:
    """Parsed overrides: settings of the run, and lists to be crossed.

    extra: entries beside a suite's own, on the tasks where they fit. seeds: empty unless given.
    """

    settings: DictConfig
    tasks: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    suite: str | None = None
    task_overrides: dict[str, list[Any]] = field(default_factory=dict)
    entry_overrides: dict[str, list[Any]] = field(default_factory=dict)

    def crossed(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Every combination of the swept task and entry overrides."""
        keys = [("task", key) for key in self.task_overrides] + [("entry", key) for key in self.entry_overrides]
        choices = [*self.task_overrides.values(), *self.entry_overrides.values()]
        for combination in itertools.product(*choices):
            task: dict[str, Any] = {}
            own: dict[str, Any] = {}
            for (kind, key), value in zip(keys, combination, strict=True):
                (task if kind == "task" else own)[key] = value
            yield task, own


def _listed(override: Any, group: str | None) -> list[Any]:
    """The values of one override: one, or those of a choice, a range, or a glob over `group`'s names."""
    from hydra.core.override_parser.types import Glob, RangeSweep

    raw = override._value  # Hydra's public accessor refuses globs
    if isinstance(raw, Glob):
        if group is None:
            raise BenchError(f"{override.input_line}: glob works for task and entry")
        found = [n for n in names(group) if any(fnmatch.fnmatch(n, p) for p in raw.include)]
        found = [n for n in found if not any(fnmatch.fnmatch(n, p) for p in raw.exclude)]
        if not found:
            raise BenchError(f"{override.input_line}: no {group} matches; `bench list` shows them")
        return found
    if isinstance(raw, RangeSweep):
        return list(raw.range())
    if override.is_sweep_override():
        return list(override.sweep_iterator())
    return [override.value()]


def parse(arguments: Iterable[str]) -> Request:
    """Overrides in Hydra's grammar -> Request. BenchError for what is no override, or names nothing."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    settings = DictConfig(OmegaConf.to_container(base()))
    OmegaConf.set_struct(settings, True)
    request = Request(settings)
    try:
        parsed = OverridesParser.create().parse_overrides(list(arguments))
    except HydraException as error:
        raise BenchError(f"{str(error).splitlines()[0]}; an override reads key=value, such as seed=range(5)") from error
    for override in parsed:
        key = override.key_or_group
        if key in ("task", "entry", "extra"):
            chosen = _listed(override, "task" if key == "task" else "entry")
            {"task": request.tasks, "entry": request.entries, "extra": request.extra}[key].extend(map(str, chosen))
        elif key == "suite":
            request.suite = str(override.value())
            load("suite", request.suite)
        elif key.startswith("task."):
            request.task_overrides[key[5:]] = _listed(override, None)
        elif key.startswith("entry."):
            request.entry_overrides[key[6:]] = _listed(override, None)
        elif key == "seed":
            request.seeds = [_seed(value) for value in _listed(override, None)]
        else:
            if OmegaConf.select(settings, key) is None:
                known = [
                    *(str(k) for k in settings),
                    "task",
                    "entry",
                    "suite",
                    "extra",
                    "limits.seconds",
                    "limits.memory_mb",
                ]
                raise unknown("setting", key, known)
            _update(settings, key, override.value())
    return request


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BenchError(f"seed={value!r}: a seed is an integer from 0 up; seed=range(5) for five of them")
    return value


CHOICES = {
    "transport": ("pipe", "call"),
    "reuse": ("local", "ledger", "none"),
    "wandb": ("off", "offline", "online"),
}


def _update(settings: DictConfig, key: str, value: Any) -> None:
    old = OmegaConf.select(settings, key)
    number = isinstance(old, (int, float)) and not isinstance(old, bool)
    right = isinstance(value, (int, float)) and not isinstance(value, bool) if number else isinstance(value, type(old))
    if not right or (number and value <= 0):
        raise BenchError(
            f"{key}={value!r}: expected {'a number above 0' if number else type(old).__name__} like {old!r}"
        )
    if key in CHOICES and value not in CHOICES[key]:
        raise unknown(f"choice of {key}", str(value), CHOICES[key])
    OmegaConf.update(settings, key, value)
