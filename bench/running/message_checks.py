"""What a scorer accepts from an entry's process, which may send any bytes it likes.

`bench.wire` builds nothing but tensors, numbers, text, lists and dicts. This module refuses what those could still do:
sizes that exhaust the scorer, a tensor that claims more numbers than it sent (its rest would be the scorer's own memory),
and a report that says what no honest run could.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from collections.abc import Callable, Collection, Mapping
from typing import Any

from bench import wire
from bench.contract import Budget
from bench.outcome import EXHIBIT

HEADER_BYTES, BODY_BYTES = 2**26, 2**32
DEPTH, ITEMS, TEXT = 64, 5_000_000, 20_000  # nesting, values and characters of one message
NAME, CURVES = 100, 1000  # characters of a name, curves of a report
PATHS, PATH = 100, 4096  # files that a cell read beside those of its key, characters of a path
TAKEN = ("file", "allow_pickle")  # names that `numpy.savez` has for itself
ITEMSIZE = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint16": 2, "uint32": 4, "uint64": 8,
    "float32": 4, "float64": 8, "complex64": 8, "complex128": 16,
}  # fmt: skip
OURS = {"cpu", "cpu_entry", "cpu_total", "wall", "rss_mb", "evaluations"}  # costs that the scorer measures
ENDS = ("ok", "diverged", "failed", "oom", "unavailable")  # how a report may say that its run ended


class Connection(wire.Connection):
    """The scorer's end of the pipe. recv raises ValueError for a message that it will not build.

    wait(sending): returns once the pipe can be read, or written, or raises: the other end may stop halfway.
    """

    def __init__(self, sock: socket.socket, wait: Callable[[bool], None]) -> None:
        super().__init__(sock)
        sock.setblocking(False)
        self.wait = wait

    def send(self, value: Any) -> None:
        """Send all of a message."""
        left = memoryview(wire.encode(value))
        while left:
            self.wait(True)
            left = left[self.sock.send(left) :]

    def _exactly(self, size: int) -> bytes:
        buffer = bytearray()  # grows with what comes, not with what is announced
        while len(buffer) < size:
            self.wait(False)
            chunk = self.sock.recv(min(size - len(buffer), 2**20))
            if not chunk:
                raise EOFError("the other process has gone")
            buffer += chunk
        return bytes(buffer)

    def recv(self) -> list[Any]:
        """The next message: a list whose first item names its kind."""
        header_size, body_size = struct.unpack("<QQ", self._exactly(16))
        if header_size > HEADER_BYTES or body_size > BODY_BYTES:
            raise ValueError(f"a message of {header_size + body_size} bytes is too large")
        header, body = self._exactly(header_size), self._exactly(body_size)
        check(header, body_size)
        message = wire.decode(header, body)
        if not isinstance(message, list) or not message or not isinstance(message[0], str):
            raise ValueError("it is no list that starts with its kind")
        return message


def check(header: bytes, body_size: int) -> None:
    """ValueError unless `header` is what `bench.wire.encode` writes, for a body of that many bytes."""
    try:
        level = [json.loads(header)]
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    tensor_bytes = items = depth = 0
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
                    tensor_bytes += _tensor(coded)
                elif code != "@f":
                    raise ValueError(f"it has an unknown code {code!r}")
        level = inner
    if tensor_bytes != body_size:
        raise ValueError(f"its tensors declare {tensor_bytes} bytes, {body_size} came")


def _tensor(coded: Any) -> int:
    """Bytes of a tensor's declaration [type, shape, bytes]; ValueError unless they agree."""
    dtype, shape, size = coded
    if dtype not in ITEMSIZE or not all(type(length) is int and 0 <= length < 2**48 for length in shape):
        raise ValueError(f"a tensor of type {dtype!r} and shape {shape!r} is none")
    if size != math.prod(shape) * ITEMSIZE[dtype]:
        raise ValueError(f"a {dtype} tensor of shape {shape} does not have {size} bytes")
    return int(size)


def text(value: Any) -> str:
    """The end of a text, such as every later reader can print."""
    return str(value)[-TEXT:].encode(errors="replace").decode()


def name(value: Any) -> str:
    """A name of a count or a curve; ValueError for one that no file could keep."""
    line = isinstance(value, str) and 0 < len(value) <= NAME and value.isprintable()
    if not line or value in TAKEN or value.startswith(EXHIBIT):
        told = f"a name is a line of at most {NAME} characters and none of {', '.join((*TAKEN, EXHIBIT + '…'))}"
        raise ValueError(f"{told}, not {str(value)[:NAME]!r}")
    return str(value)


def whole(value: Any) -> int:
    """A count or a step; ValueError for anything else."""
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"a count is a whole number of at least 0, not {value!r}")
    return value


def seconds(value: Any) -> dict[str, float]:
    """CPU seconds by phase; ValueError for anything but a few finite numbers of at least 0."""
    found = {name(phase): float(amount) for phase, amount in value.items()}
    if len(found) > 10 or not all(0 <= amount < 1e12 for amount in found.values()):
        raise ValueError("CPU seconds are finite and at least 0")
    return found


def paths(value: Any) -> list[str]:
    """Names of files that it read; ValueError for anything but a few texts."""
    if not isinstance(value, list) or len(value) > PATHS or not all(isinstance(path, str) for path in value):
        raise ValueError(f"files that it read are at most {PATHS} names")
    return [text(path)[-PATH:] for path in value]


def counts(value: Any, budget: Budget) -> dict[str, int]:
    """What it has spent, by unit; ValueError for what no honest run could have."""
    found = {name(unit): whole(amount) for unit, amount in value.items()}
    if len(found) > 100 or OURS & set(found):
        raise ValueError(f"it counts {', '.join(sorted(OURS & set(found))) or 'too many things'}")
    if found.get(budget.unit, 0) > budget.limit:
        raise ValueError(f"it counts {found[budget.unit]} {budget.unit}, the budget is {budget.limit}")
    return found


def report(value: Any, budget: Budget, measured: Collection[str]) -> dict[str, Any]:
    """The report of an entry's process with plain, bounded values; ValueError says what is wrong with it.

    Curves named in `measured` are the scorer's to measure, so points of them that the entry sends are dropped.
    """
    if not isinstance(value, Mapping) or value.get("status") not in ENDS:
        raise ValueError("its report has no known status")
    curves: dict[str, tuple[list[int], list[float]]] = {}
    if len(value["curves"]) > CURVES:
        raise ValueError(f"its report has more than {CURVES} curves")
    for curve, (steps, values) in value["curves"].items():
        if len(steps) != len(values):
            raise ValueError(f"its curve {name(curve)!r} has {len(steps)} steps and {len(values)} values")
        if curve not in measured:
            curves[name(curve)] = ([whole(step) for step in steps], [float(one) for one in values])
    if not isinstance(value["tensors"], dict):
        raise ValueError("its solution's tensors are no dictionary")
    return {
        "status": value["status"],
        "reason": text(value.get("reason", "")),
        "traceback": text(value.get("traceback", "")),
        "tensors": value["tensors"],
        "predicts": bool(value["predicts"]),
        "counts": counts(value["counts"], budget),
        "cpu": seconds(value["cpu"]),
        "curves": curves,
    }
