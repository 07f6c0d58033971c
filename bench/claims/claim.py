"""Claims: a paper's statement that measures itself again from records.

A claim is a file `configs/claim/<family>/<id>.yaml`. Its settings are plans in the words of a sweep; its measure is a pure
function that makes one number a seed out of their records; its predicate says which numbers agree with the statement. The
verdict comes from an interval over seeds. Nothing is tuned until it agrees: a claim that fails is worth as much.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from bench.contract import BenchError
from bench.planning import config
from bench.records.record import Record

Measure = Callable[[Mapping[str, Sequence[Record]]], float]
Verdict = Literal["reproduced", "not reproduced", "inconclusive", "mixed", "not tested", "error"]
Bound = Literal["above", "below", "between"]

NEEDED = ("paper", "arxiv", "statement", "settings", "measure", "unit", "threshold", "tried")
BOUNDS = get_args(Bound)
OPTIONAL = (*BOUNDS, "scale", "exact", "note")
FIXING = ("settings", "measure", *BOUNDS, "scale", "exact")  # what has to stand before data are seen
ARXIV = re.compile(r"(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})?")


@dataclass(frozen=True)
class Predicate:
    """The numbers that agree with a statement: above `low`, below `high`, or between the two, both included."""

    bound: Bound
    low: float
    high: float

    def __str__(self) -> str:
        limits = {"above": f"{self.low:g}", "below": f"{self.high:g}", "between": f"{self.low:g} and {self.high:g}"}
        return f"{self.bound} {limits[self.bound]}"

    def margin(self, value: float) -> float:
        """How far inside `value` lies, in its unit; negative outside."""
        return min(value - self.low, self.high - value)

    def verdict(self, lo: float, hi: float) -> Verdict:
        """Of an interval: wholly inside, wholly outside, or astride. One that does not exist (NaN) is astride."""
        if math.isnan(lo) or math.isnan(hi):
            return "inconclusive"
        if self.bound == "between":
            inside, outside = lo >= self.low and hi <= self.high, hi < self.low or lo > self.high
        else:
            inside, outside = lo > self.low and hi < self.high, hi <= self.low or lo >= self.high
        return "reproduced" if inside else "not reproduced" if outside else "inconclusive"


@dataclass(frozen=True)
class Setting:
    """One place where the statement is measured; plan: words of a sweep, such as `task=…`, `entry=a,b`, `seed=range(5)`."""

    name: str
    plan: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """A paper's statement and a predicate over the records of its cells.

    paper: citation. arxiv: number, empty if there is none. measure: one seed's records, entry -> list (several where a task
    parameter or a derived metric's axis is swept), to a finite number in `unit`; it sees failed cells with their status.
    scale: on which seeds are averaged. exact: the measure does not depend on chance, so its interval is the range over seeds,
    of one seed too. threshold: whether the predicate was fixed before or after data had been seen. tried: settings that were
    measured on the way to the declared ones, each entry's own tuning aside, and on which seeds.
    """

    id: str
    paper: str
    arxiv: str
    statement: str
    settings: tuple[Setting, ...]
    measure: Measure
    predicate: Predicate
    unit: str
    threshold: Literal["before", "after"]
    tried: Mapping[str, Any]
    source: Path
    scale: Literal["linear", "log"] = "linear"
    exact: bool = False
    note: str = ""


def load(name: str) -> Claim:
    """The claim of `configs/claim/<name>.yaml`. BenchError, naming the file and the field, unless it is whole."""
    content, source = config.load("claim", name), config.names("claim").get(name, Path())
    for key in content:
        if key not in (*NEEDED, *OPTIONAL):
            raise config.unknown(f"field of a claim ({source})", key, (*NEEDED, *OPTIONAL))
    for key in NEEDED:
        if key not in content:
            raise BenchError(f"{source} lacks `{key}`; a claim has {', '.join(NEEDED)} and one of {', '.join(BOUNDS)}")

    def need(holds: bool, key: str, wants: str) -> None:
        if not holds:
            raise BenchError(f"{source}: `{key}: {content.get(key)!r}`; {wants}")

    for key in ("paper", "statement", "unit"):
        need(isinstance(content[key], str) and content[key].strip() != "", key, "it is a text")
    need(isinstance(content.get("note", ""), str), "note", "it is a text")
    arxiv = content["arxiv"]
    need(isinstance(arxiv, str) and bool(ARXIV.fullmatch(arxiv)), "arxiv", 'a number in quotes, "1705.08741", or ""')
    need(content["threshold"] in ("before", "after"), "threshold", "it was fixed `before` or `after` seeing data")
    need(content.get("scale", "linear") in ("linear", "log"), "scale", "it is `linear` or `log`")
    need(isinstance(content.get("exact", False), bool), "exact", "it is `true` or `false`")
    tried = content["tried"]
    right = isinstance(tried, dict) and set(tried) == {"settings", "seeds"} and isinstance(tried["settings"], int)
    need(right and tried["settings"] >= 1, "tried", "it reads {settings: 3, seeds: 0-4}, the declared ones included")
    return Claim(
        id=name, paper=content["paper"], arxiv=arxiv, statement=" ".join(content["statement"].split()),
        settings=_settings(source, content["settings"]), measure=_measure(source, content["measure"]),
        predicate=_predicate(source, content), unit=content["unit"], threshold=content["threshold"],
        tried={"settings": tried["settings"], "seeds": str(tried["seeds"])}, source=source,
        scale=content.get("scale", "linear"), exact=content.get("exact", False), note=content.get("note", ""),
    )  # fmt: skip


def _settings(source: Path, found: Any) -> tuple[Setting, ...]:
    form = "settings are a list of {name: …, plan: [task=…, 'entry=a,b', seed=range(5)]}"
    if not isinstance(found, list) or not found:
        raise BenchError(f"{source}: {form}")
    settings: list[Setting] = []
    for one in found:
        words = one.get("plan") if isinstance(one, dict) and set(one) == {"name", "plan"} else None
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise BenchError(f"{source}: {one!r}; {form}")
        for word in words:
            if word.split("=")[0].split(".")[0] not in config.CELL_WORDS:
                raise BenchError(f"{source}: {word!r} says nothing of cells; a plan has {', '.join(config.CELL_WORDS)}")
        if one["name"] in {setting.name for setting in settings}:
            raise BenchError(f"{source}: two settings are named {one['name']!r}")
        settings.append(Setting(str(one["name"]), tuple(words)))
    return tuple(settings)


def _predicate(source: Path, content: Mapping[str, Any]) -> Predicate:
    given = [bound for bound in BOUNDS if bound in content]
    if len(given) != 1:
        raise BenchError(f"{source}: one of {', '.join(BOUNDS)} is needed, not {' and '.join(given) or 'none'}")
    bound, limits = given[0], content[given[0]]
    numbers = limits if bound == "between" and isinstance(limits, list) else [limits]
    good = all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in numbers)
    if not good or len(numbers) != (2 if bound == "between" else 1) or sorted(numbers) != numbers:
        raise BenchError(
            f"{source}: `{bound}: {limits}`; it is {'[low, high]' if bound == 'between' else 'a finite number'}"
        )
    low = -math.inf if bound == "below" else float(numbers[0])
    return Predicate(bound, low, math.inf if bound == "above" else float(numbers[-1]))


def _measure(source: Path, found: Any) -> Measure:
    """The function at a dotted path, or at the `_target_` of a mapping whose other keys are its keyword arguments."""
    options = dict(found) if isinstance(found, dict) else {"_target_": found}
    target = options.pop("_target_", None)
    if not isinstance(target, str) or "." not in target:
        raise BenchError(f"{source}: `measure: {found!r}`; a dotted path, or {{_target_: path, argument: value}}")
    function = _locate(source, target)
    try:
        inspect.signature(function).bind({}, **options)
    except TypeError as error:
        raise BenchError(f"{source}: measure {target} of records and {options}: {error}") from error
    return functools.partial(function, **options)


def _locate(source: Path, target: str) -> Callable[..., float]:
    """Walk a dotted path; what is not there is an error with the nearest names of that place."""
    *modules, name = target.split(".")
    place = ""
    for part in (*modules, name):
        path = f"{place}.{part}" if place else part
        if part is name and callable(function := getattr(importlib.import_module(place), name, None)):
            return function
        try:
            importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:
                raise BenchError(f"{source}: measure {target} cannot be imported: {error}") from error
            if not place:
                raise BenchError(f"{source}: measure {target}: no package {part!r} here") from error
            raise config.unknown(
                f"`{part}` of measure {target} ({source}): {place} has no", part, _names(place)
            ) from error
        place = path
    raise BenchError(f"{source}: measure {target} is a module; name a function of it")


def _names(module: str) -> list[str]:
    """Submodules and own public functions."""
    found = importlib.import_module(module)
    below = [info.name for info in pkgutil.iter_modules(getattr(found, "__path__", []))]
    own = inspect.getmembers(found, inspect.isfunction)
    return below + [name for name, one in own if one.__module__ == module and not name.startswith("_")]


def select(patterns: Iterable[str]) -> list[Claim]:
    """Claims whose id matches a shell pattern, lies below one (`pde`), or whose arXiv number is one; all without patterns."""
    names, wanted = config.names("claim"), list(patterns)
    if not wanted:
        return [load(name) for name in names]
    loaded: dict[str, Claim] = {}
    for pattern in wanted:
        if pattern in names:
            found = [pattern]
        elif ARXIV.fullmatch(pattern):
            found = [name for name in names if config.load("claim", name).get("arxiv") == pattern]
        else:
            found = [n for n in names if fnmatch.fnmatchcase(n, pattern) or n.startswith(f"{pattern.rstrip('/')}/")]
        if not found:
            raise config.unknown("claim", pattern, names, " (`bench claims` shows every one)")
        loaded.update({name: loaded.get(name) or load(name) for name in found})
    return list(loaded.values())
