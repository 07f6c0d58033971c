"""Checks of the messages from an entry's process, which can send arbitrary bytes to the scorer.

Refused are sizes that would exhaust the scorer's memory, a tensor that declares more numbers than it sent (reading the rest
would expose the scorer's memory), and a report with values that no honest run could have.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from bench.contract import Budget
from bench.outcome import EXHIBIT

HEADER_BYTES, BODY_BYTES = 2**26, 2**32
DEPTH, ITEMS, TEXT = 64, 5_000_000, 20_000  # nesting, values and characters of one message
NAME, CURVES = 100, 1000  # characters of a name, curves of a report
PATHS, PATH = 100, 4096  # files in a list of unkeyed reads, characters of a path
RESERVED = ("file", "allow_pickle")  # parameters of `numpy.savez_compressed`, which takes curves by name
ITEMSIZE = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint16": 2, "uint32": 4, "uint64": 8,
    "float32": 4, "float64": 8, "complex64": 8, "complex128": 16,
}  # fmt: skip
MEASURED = {"cpu", "cpu_entry", "cpu_total", "wall", "rss_mb", "evaluations"}  # costs that the scorer measures itself
ENDS = ("ok", "diverged", "failed", "oom", "unavailable")  # statuses that an entry may report


def check(header: bytes, body_size: int) -> None:
    """Raise ValueError unless `header` has the form that `bench.wire.encode` writes for a body of `body_size` bytes."""
    try:
        level = [json.loads(header)]
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    tensor_bytes = items = depth = 0  # the nesting is walked by level, without recursion
    while level:
        depth, items = depth + 1, items + len(level)
        if depth > DEPTH or items > ITEMS:
            raise ValueError(f"it holds more than {ITEMS} values, or nests deeper than {DEPTH}")
        inner: list[Any] = []
        for value in level:
            if isinstance(value, list):
                inner += value
            elif isinstance(value, dict):
                ((code, coded),) = value.items()
                if code == "@d" and isinstance(coded, dict):
                    inner += coded.values()
                elif code == "@":
                    tensor_bytes += _tensor_bytes(coded)
                elif code != "@f":
                    raise ValueError(f"it has an unknown code {code!r}")
        level = inner
    if tensor_bytes != body_size:
        raise ValueError(f"its tensors declare {tensor_bytes} bytes, {body_size} came")


def _tensor_bytes(coded: Any) -> int:
    """The size that a tensor's declaration [type, shape, bytes] states; ValueError if it contradicts type and shape."""
    dtype, shape, size = coded
    if dtype not in ITEMSIZE or not all(type(length) is int and 0 <= length < 2**48 for length in shape):
        raise ValueError(f"a tensor cannot have type {dtype!r} and shape {shape!r}")
    if size != math.prod(shape) * ITEMSIZE[dtype]:
        raise ValueError(f"a {dtype} tensor of shape {shape} does not have {size} bytes")
    return int(size)


def text(value: Any) -> str:
    """The last `TEXT` characters of `value` as text that can be encoded in UTF-8."""
    return str(value)[-TEXT:].encode(errors="replace").decode()


def name(value: Any) -> str:
    """`value` as the name of a count or a curve; ValueError if it cannot be stored as one."""
    one_line = isinstance(value, str) and 0 < len(value) <= NAME and value.isprintable()
    if not one_line or value in RESERVED or value.startswith(EXHIBIT):
        rule = f"a name is a line of at most {NAME} characters and none of {', '.join((*RESERVED, EXHIBIT + '…'))}"
        raise ValueError(f"{rule}, not {str(value)[:NAME]!r}")
    return str(value)


def whole_number(value: Any) -> int:
    """`value` as a count or a step; ValueError unless it is a whole number of at least 0."""
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"a count is a whole number of at least 0, not {value!r}")
    return value


def seconds(value: Any) -> dict[str, float]:
    """`value` as CPU seconds by phase; ValueError unless it has at most 10 phases, with finite numbers of at least 0."""
    phases = {name(phase): float(amount) for phase, amount in value.items()}
    if len(phases) > 10 or not all(0 <= amount < 1e12 for amount in phases.values()):
        raise ValueError("CPU seconds are finite and at least 0")
    return phases


def paths(value: Any) -> list[str]:
    """`value` as names of files, shortened to `PATH` characters; ValueError unless it is a list of at most `PATHS` texts."""
    if not isinstance(value, list) or len(value) > PATHS or not all(isinstance(path, str) for path in value):
        raise ValueError(f"files that it read are at most {PATHS} names")
    return [text(path)[-PATH:] for path in value]


def counts(value: Any, budget: Budget) -> dict[str, int]:
    """`value` as amounts spent, by unit; ValueError if one exceeds the budget, or is a cost that the scorer measures."""
    spent = {name(unit): whole_number(amount) for unit, amount in value.items()}
    if len(spent) > 100 or MEASURED & set(spent):
        raise ValueError(f"it counts {', '.join(sorted(MEASURED & set(spent))) or 'too many things'}")
    if spent.get(budget.unit, 0) > budget.limit:
        raise ValueError(f"it counts {spent[budget.unit]} {budget.unit}, the budget is {budget.limit}")
    return spent


def report(value: Any, budget: Budget, measured: Collection[str]) -> dict[str, Any]:
    """The report of an entry's process, checked and copied into plain, bounded values; ValueError says what is wrong.

    measured: names of curves that the scorer measures itself; the entry's versions of these are dropped.
    """
    if not isinstance(value, Mapping) or value.get("status") not in ENDS:
        raise ValueError("its report has no known status")
    if len(value["curves"]) > CURVES:
        raise ValueError(f"its report has more than {CURVES} curves")
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for curve, (steps, values) in value["curves"].items():
        if len(steps) != len(values):
            raise ValueError(f"its curve {name(curve)!r} has {len(steps)} steps and {len(values)} values")
        if curve not in measured:
            curves[name(curve)] = ([whole_number(step) for step in steps], [float(point) for point in values])
    if not isinstance(value["tensors"], dict):
        raise ValueError("its solution's tensors are no dictionary")
    texts = {field: text(value.get(field, "")) for field in ("reason", "traceback")}
    spent = {"counts": counts(value["counts"], budget), "cpu": seconds(value["cpu"])}
    result = {"tensors": value["tensors"], "predicts": bool(value["predicts"]), "curves": curves}
    return {"status": value["status"], **texts, **result, **spent}
