"""Flaws of a task's declaration, found before anything of it runs: all at once, each with what to write.

Nothing is trained and torch is not imported: parts are looked up in the sources of their modules. A task is checked whenever it
is planned, so that a check has to cost a few milliseconds.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from bench.contract import BenchError, Task
from bench.planning import config
from bench.planning.config import TaskSpec
from bench.records.modules import module_files

PRESETS = ("smoke", "small", "paper")
NEEDED: Mapping[str, str] = {
    "name": 'name = "family/task", as its configuration file is called',
    "Params": "Params, a dataclass of the parameters with defaults",
    "presets": f"presets, with the parameters of {', '.join(PRESETS)}",
    "metrics": "metrics, a tuple of Metric",
    "rank": "rank, the metric that ranks",
    "objective": "objective, the metric on validation data that tuning sees",
    "slots": "slots, a tuple of Slot",
    "floors": "floors, names of entries that a useful entry beats",
    "reference": "reference, the entry that anchors skill at 1",
    "margin": "margin, by which the reference beats the floor at `small`",
}


def whole(name: str) -> TaskSpec:
    """The task `name`; BenchError with all of its flaws if it has any."""
    spec = config.task_spec(name)
    if lines := "\n".join(f"  {flaw}" for flaw in _flaws(spec)):
        told = "write what is missing, then give the same command again"
        raise BenchError(f"task {name} cannot run yet; {told}:\n{lines}")
    return spec


def require_whole(names: Iterable[str]) -> None:
    """BenchError with every flaw of every one of these tasks; a name that is no task is such an error too."""
    if wrong := config.sound("task", whole, dict.fromkeys(names))[1]:
        raise BenchError("\n".join(wrong.values()))


def flaws(name: str) -> list[str]:
    """The flaws of the task `name`, a line each."""
    try:
        return [f"{name}: {flaw}" for flaw in _flaws(config.task_spec(name))]
    except BenchError as error:
        return [str(error)]


def _flaws(spec: TaskSpec) -> list[str]:
    """The flaws of a task; a part of it is checked if the class has all the fields that describe the part."""
    lacking = [field for field in NEEDED if not hasattr(spec.cls, field)]
    wrong = [f"{spec.target} lacks {NEEDED[field]}" for field in lacking]
    wrong += [f"{spec.target} lacks the method {method}" for method in sorted(spec.cls.__abstractmethods__)]
    if not {"name", "metrics", "rank", "objective"} & {*lacking}:
        wrong += _of_metrics(spec)
    if not {"Params", "presets"} & {*lacking}:
        wrong += _of_parameters(spec)
    if not {"slots", "floors", "reference"} & {*lacking}:
        wrong += _of_slots(spec)
    return wrong


def _of_metrics(spec: TaskSpec) -> Iterator[str]:
    """Flaws of the name, the metrics and the probes."""
    cls = spec.cls
    if cls.name != spec.name:
        yield f"the class says name = {cls.name!r}; write the name of its file, {spec.name!r}"
    metrics = {m.name: m for m in (*cls.metrics, *(derived.metric for derived in cls.derived))}
    if len(metrics) < len(cls.metrics) + len(cls.derived):
        yield "two of its metrics have one name"
    for field, name in (("rank", cls.rank), ("objective", cls.objective)):
        if name not in metrics:
            yield f"{field} = {name!r} is no declared metric; there are {', '.join(metrics) or 'none'}"
    if cls.rank == cls.objective:
        yield f"{cls.rank} both ranks and is what tuning sees; give `objective` a metric on validation data"
    ranked = metrics.get(cls.rank)
    if ranked and ranked.source != "score":
        yield f"{cls.rank} ranks, and is measured by a probe; rank by a metric that `score` returns"
    if ranked and ranked.diverged is None and ranked.target is None:
        yield f"{cls.rank} ranks, and does not say what a diverged cell counts as; give it `diverged` or `target`"
    undeclared = sorted(_returned(cls) - {metric.name for metric in cls.metrics})
    yield from (f"`score` returns {name!r}, which is no declared metric" for name in undeclared)
    yield from (f"the probe {path} does not exist" for path in cls.probes.values() if not exists(path))


def _of_parameters(spec: TaskSpec) -> Iterator[str]:
    """Flaws of parameters and presets."""
    cls, known = spec.cls, {field.name for field in dataclasses.fields(spec.cls.Params)}
    absent, unknown = [name for name in PRESETS if name not in cls.presets], sorted(set(cls.positive) - known)
    yield from (f"there is no preset {name!r}; write {{}} where the defaults are meant" for name in absent)
    yield from (f"`positive` names {name!r}, which is no parameter" for name in unknown)
    for metric in (*getattr(cls, "metrics", ()), *(derived.metric for derived in cls.derived)):
        for field, value in (("step", metric.step), ("sample", metric.sample)):
            if isinstance(value, str) and value not in known:
                yield f"{metric.name} has {field}={value!r}, which is no parameter; there are {', '.join(sorted(known))}"
    for derived in cls.derived:
        if derived.axis not in known:
            yield f"{derived.metric.name} is derived over {derived.axis!r}, which is no parameter"
        if lacking := [preset for preset in cls.presets if preset not in derived.grid]:
            yield f"{derived.metric.name} has no grid for {', '.join(lacking)}"
    for name in cls.presets if not unknown and not cls.__abstractmethods__ else ():
        try:
            budget = cls(cls.Params(**config.parameters(spec, name, {}))).budget
            if budget.limit < 1:
                yield f"preset {name!r}: a budget of {budget.limit} {budget.unit}; it has to be above 0"
        except BenchError as error:
            yield f"preset {name!r}: {error}"


def _of_slots(spec: TaskSpec) -> Iterator[str]:
    """Flaws of slots, floors and the reference."""
    cls = spec.cls
    names = {slot.name for slot in cls.slots}
    for slot in cls.slots:
        target = str((slot.default or {}).get("_target_", ""))
        if slot.default and not exists(target):
            yield f"slot {slot.name!r}: its default {target!r} does not exist; check `_target_`"
        for other in sorted(set(slot.excludes) - names):
            yield f"slot {slot.name!r} excludes {other!r}, which is no slot"
    if not cls.floors:
        yield "`floors` is empty; name an entry that has learned nothing, such as untrained"
    if not cls.reference and not cls.unanchored:
        yield "`reference` is empty; name the entry that anchors skill at 1, or say in `unanchored` why there is none"
    for entry in filter(None, (*cls.floors, cls.reference)):
        try:
            config.resolve_parts(spec, config.entry(entry), {})
        except BenchError as error:
            yield f"{'reference' if entry == cls.reference else 'floor'} {entry!r}: {error}"


def _returned(cls: type[Task]) -> set[str]:
    """The names that `score` returns, as far as its own source writes them out."""
    nodes = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls.score))))
    returned = [node.value for node in nodes if isinstance(node, ast.Return)]
    keys = [key for value in returned if isinstance(value, ast.Dict) for key in value.keys]
    return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def exists(path: str) -> bool:
    """Whether `module.name…` exists, by the module's source; of an installed package only whether the package exists."""
    files = module_files(path)
    if not files or "site-packages" in str(files[0][1]):
        return bool(files)
    module, source = files[-1]
    return _has(source, path.removeprefix(f"{module}.").split(".")[0])


@cache
def _has(source: Path, name: str) -> bool:
    """Whether a module defines or imports `name`. A plain definition is found without the syntax tree, which takes long."""
    if source.suffix != ".py":
        return False
    text = source.read_text(encoding="utf-8")
    if re.search(rf"^(def|class) {name}\b", text, re.MULTILINE):
        return True
    nodes = [*ast.walk(ast.parse(text))]
    named = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    named |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return name in named | {(node.asname or node.name).split(".")[0] for node in nodes if isinstance(node, ast.alias)}
