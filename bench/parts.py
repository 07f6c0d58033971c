"""Building an entry's parts: from a part's configuration to a callable, with a check that it fits its slot."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bench.contract import BenchError, Misfit, Slot


def python_path() -> list[str]:
    """sys.path with the current folder last, so that a user's `tasks/` or `configs/` shadows no package."""
    here = os.getcwd()
    return [p for p in sys.path if p not in ("", here)] + [here]


def locate(path: str) -> Any:
    """The object at a dotted path, `package.module.name` or `package.module.Class.name`."""
    names = path.split(".")
    for cut in range(len(names) - 1, 0, -1):
        module = ".".join(names[:cut])
        try:
            owner: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and (module == error.name or module.startswith(error.name + ".")):
                continue
            raise BenchError(f"cannot import {module!r} of {path!r}: {error}") from error
        try:
            return functools.reduce(getattr, names[cut:], owner)
        except AttributeError as error:
            raise BenchError(f"module {module!r} has no {'.'.join(names[cut:])!r}; check `_target_`") from error
    raise BenchError(f"cannot import {path!r}; check `_target_`, and that its folder is the current one or installed")


def signature(slot: Slot) -> str:
    """A slot's signature as messages print it: `optimizer(model, steps) -> Optimizer`."""
    stub = inspect.signature(slot.call)
    result = stub.return_annotation
    arrow = "" if result is inspect.Signature.empty else f" -> {str(result).rsplit('.', 1)[-1]}"
    return f"{slot.name}({', '.join(stub.parameters)}){arrow}"


def slot_list(slots: Iterable[Slot]) -> str:
    """The signatures of slots, one a line, for messages."""
    return "\n".join(f"  {signature(slot)}" for slot in slots)


def as_declared(target: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` with each number as a float or an integer, as the parameter's annotation or default says: 1 and 1.0 have the
    same key, so they have to give the same run."""
    try:
        declared = inspect.signature(target).parameters
    except (TypeError, ValueError):  # some builtins have none
        return dict(options)
    return {name: _as_declared(value, declared.get(name)) for name, value in options.items()}


def _as_declared(value: Any, parameter: inspect.Parameter | None) -> Any:
    if parameter is None or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    kinds = set(re.findall(r"\w+", str(parameter.annotation))) | {type(parameter.default).__name__}
    if "float" in kinds:
        return float(value)
    return int(value) if "int" in kinds and value == int(value) else value


def build_one(slot: Slot, config: Mapping[str, Any], slots: Iterable[Slot]) -> Callable[..., Any]:
    """The part's callable with its arguments bound; Misfit if it does not take the slot's keywords."""
    target = locate(config["_target_"])
    options = as_declared(target, {key: value for key, value in config.items() if key != "_target_"})
    try:
        accepted = inspect.signature(target)
    except (TypeError, ValueError):  # some builtins have no signature: nothing can be checked
        return functools.partial(target, **options)
    try:
        accepted.bind(**{name: None for name in inspect.signature(slot.call).parameters} | options)
    except TypeError as error:
        misfit = f"{config['_target_']}{accepted} does not fit slot {slot.name!r}: {error}"
        raise Misfit(f"{misfit}\nthe task's slots are\n{slot_list(slots)}") from error
    return functools.partial(target, **options)


def build(slots: tuple[Slot, ...], config: Mapping[str, Any]) -> dict[str, Any]:
    """slot name -> callable, None for an empty slot, or a list of callables for a slot that takes many."""
    parts: dict[str, Any] = {}
    for slot in slots:
        chosen = config.get(slot.name)
        if slot.many:
            parts[slot.name] = [build_one(slot, part, slots) for part in (chosen or {}).values()]
        else:
            parts[slot.name] = build_one(slot, chosen, slots) if chosen else None
    return parts
