"""Claims: a paper's statement as plans, a pure measure of their records that gives one number a seed, and a predicate on it.

The verdict comes from an interval over seeds. Nothing is tuned until it agrees: a claim that fails is worth as much.
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
from typing import Any, Literal

import msgspec

from bench.contract import BenchError
from bench.planning import config
from bench.planning.files import ARXIV, TARGET, ClaimFile
from bench.records.record import Record

Measure = Callable[[Mapping[str, Sequence[Record]]], float]
Verdict = Literal["reproduced", "not reproduced", "inconclusive", "mixed", "not tested", "error"]

# fields whose values are fixed before any data are seen, if the threshold is declared so
FIXING = ("settings", "measure", "above", "below", "between", "scale", "exact", "step")


@dataclass(frozen=True)
class Predicate:
    """The numbers that agree with a statement: above `low`, below `high`, or between the two, both included."""

    bound: str
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.bound} {' and '.join(f'{limit:g}' for limit in (self.low, self.high) if math.isfinite(limit))}"

    def margin(self, value: float) -> float:
        """Distance of `value` to the nearer limit, in its unit; negative outside."""
        return min(value - self.low, self.high - value)

    def verdict(self, lo: float, hi: float) -> Verdict:
        """Of an interval: wholly inside, wholly outside, or neither, as where its bounds are NaN, which no limit compares to."""
        if self.bound == "between":
            inside, outside = lo >= self.low and hi <= self.high, hi < self.low or lo > self.high
        else:
            inside, outside = lo > self.low and hi < self.high, hi <= self.low or lo >= self.high
        return "reproduced" if inside else "not reproduced" if outside else "inconclusive"


@dataclass(frozen=True)
class Claim:
    """A claim's file with the predicate and the measure that it describes.

    file: seeds are averaged on its `scale`; an `exact` measure does not depend on chance, so its interval is the range over
    seeds, of one seed too. measure: one seed's records, entry -> list (several where a task parameter or a derived metric's
    axis is swept), to a finite number in the file's unit; it sees failed cells with their status.
    """

    id: str
    source: Path
    file: ClaimFile
    predicate: Predicate
    measure: Measure


def load(name: str) -> Claim:
    """The claim of `configs/claim/<name>.yaml`. BenchError, naming the file and the field, unless it is whole."""
    file, source = config.load("claim", name, ClaimFile), config.names("claim")[name]
    file = msgspec.structs.replace(file, statement=" ".join(file.statement.split()))
    ((bound, limit),) = file.limits.items()
    low, high = {"above": (limit, math.inf), "below": (-math.inf, limit)}.get(bound, limit)
    return Claim(name, source, file, Predicate(bound, low, high), function(source, "measure", file.measure, {}))


def function(source: Path, field: str, value: Any, *arguments: Any) -> Callable[..., float]:
    """The function at a dotted path, or at the `_target_` of a mapping whose other keys are its keyword arguments.

    arguments: positional arguments like those of a later call. BenchError, naming the file `source` and its `field`, if
    there is no such function or it does not take these arguments.
    """
    options = dict(value) if isinstance(value, dict) else {"_target_": value}
    target = options.pop("_target_", None)
    if not isinstance(target, str) or "." not in target:
        raise BenchError(f"{source}: `{field}: {value}`: expected {TARGET}")
    located = _locate(f"{source}: `{field}: {target}`", target)
    try:
        inspect.signature(located).bind(*arguments, **options)
    except (TypeError, ValueError) as error:
        raise BenchError(f"{source}: `{field}`: {target} with {options}: {error}") from error
    return functools.partial(located, **options)


def called(foreign: Callable[..., float], where: str, *arguments: Any) -> float:
    """The number that a function of a claim or figure returns. BenchError, starting with `where`, for whatever it raises."""
    try:
        return float(foreign(*arguments))
    except Exception as error:  # foreign code may raise anything
        text = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        raise BenchError(f"{where}: {text}") from error


def _locate(field: str, target: str) -> Callable[..., float]:
    """The function at a dotted path. A part that does not exist is an error with the nearest names of its module."""
    module, _, name = target.rpartition(".")
    try:
        if callable(located := getattr(importlib.import_module(module), name, None)):
            return located
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise BenchError(f"{field} cannot be imported: {error}") from error
        module, _, name = str(error.name).rpartition(".")
    if not module:
        raise BenchError(f"{field}: no package {name!r} here")
    owner = importlib.import_module(module)
    modules = [info.name for info in pkgutil.iter_modules(getattr(owner, "__path__", []))]
    if name in modules:
        raise BenchError(f"{field} is a module; name a function of it")
    own = [n for n, f in inspect.getmembers(owner, inspect.isfunction) if f.__module__ == module and n[0] != "_"]
    raise BenchError(f"{field}: {config.unknown(f'name in {module}', name, modules + own)}")


def matching(group: str, patterns: Iterable[str], numbers: Mapping[str, str] | None = None) -> list[str]:
    """Names of a group, `claim` or `figure`, by family, number or shell pattern; all without patterns."""
    names, selected = config.names(group), []
    for pattern in patterns:
        chosen = [n for n in names if fnmatch.fnmatchcase(n, pattern) or n.startswith(f"{pattern.rstrip('/')}/")]
        chosen = chosen or [name for name, number in (numbers or {}).items() if number == pattern]
        if not chosen:
            raise config.unknown(group, pattern, names, f" (`bench {group}s` shows every one)")
        selected += chosen
    return [*dict.fromkeys(selected or names)]


def select(patterns: Sequence[str]) -> tuple[dict[str, Claim], dict[str, str]]:
    """The claims whose id or arXiv number is among the patterns, or whose id matches one; all claims without patterns.

    Beside them, id -> error of each selected file that cannot be read.
    """
    files: dict[str, ClaimFile] = {}
    if any(re.fullmatch(ARXIV, pattern) for pattern in patterns):
        files, _ = config.sound("claim", lambda name: config.load("claim", name, ClaimFile))
    return config.sound("claim", load, matching("claim", patterns, {name: file.arxiv for name, file in files.items()}))
