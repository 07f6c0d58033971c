"""Messages between the scorer's and the entry's process: JSON, with the tensors' bytes behind it.

Nothing is unpickled, so an entry cannot run code in the scorer. A message is a list of plain values; its frame is
[8 bytes header length][8 bytes body length][JSON header][tensor bytes]. Tensors keep their type, but half precision
(numpy has no bfloat16) arrives as float32, which holds each of its values, and complex halves as complex64.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from typing import Any

_WIDENED = {"bfloat16": "float32", "float16": "float32", "complex32": "complex64"}
_CROSSING = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64",
    "float32", "float64", "complex64", "complex128",
)  # fmt: skip
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(value: Any) -> bytes:
    """The frame of None, bools, numbers, texts, tensors, and lists, tuples and dicts (string keys) of them. TypeError, naming
    the type, for anything else; quantized, sparse and 8-bit floating tensors among it."""
    import torch

    buffers: list[bytes] = []

    def plain(x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            dense = _dense(x)
            buffers.append(dense.numpy().tobytes())
            return {"@": [str(dense.dtype).removeprefix("torch."), list(x.shape), len(buffers[-1])]}
        if x is None or isinstance(x, (bool, int, str)):
            return x
        if isinstance(x, float):
            return x if math.isfinite(x) else {"@f": str(x)}
        if isinstance(x, (list, tuple)):
            return [plain(item) for item in x]
        if isinstance(x, dict):
            return {"@d": {str(key): plain(item) for key, item in x.items()}}
        kind = type(x).__name__
        raise TypeError(f"a {kind} cannot cross to another process; use tensors, numbers, text, lists, dicts")

    header = json.dumps(plain(value)).encode()
    body = b"".join(buffers)
    return struct.pack("<QQ", len(header), len(body)) + header + body


def _dense(tensor: Any) -> Any:
    """A tensor on the CPU, contiguous, and of a type that numpy has."""
    import torch

    name = str(tensor.dtype).removeprefix("torch.")
    kind = _WIDENED.get(name, name)
    if kind not in _CROSSING or tensor.layout != torch.strided or tensor.is_quantized:
        what = name if kind not in _CROSSING or tensor.is_quantized else str(tensor.layout).removeprefix("torch.")
        raise TypeError(f"a tensor of type {what} cannot cross to another process; give a dense one of torch.float32")
    return tensor.detach().cpu().to(getattr(torch, kind)).resolve_conj().resolve_neg().contiguous()


def decode(header: bytes, body: bytes) -> Any:
    """The value of a frame; tuples become lists, tensors own their memory."""
    import torch

    offset = 0

    def rich(x: Any) -> Any:
        nonlocal offset
        if isinstance(x, list):
            return [rich(item) for item in x]
        if isinstance(x, dict):
            if "@d" in x:
                return {key: rich(item) for key, item in x["@d"].items()}
            if "@f" in x:
                return _FLOATS[x["@f"]]
            dtype, shape, size = x["@"]
            kind = getattr(torch, dtype)
            if size == 0:  # frombuffer refuses an empty buffer
                return torch.empty(shape, dtype=kind)
            tensor = torch.frombuffer(bytearray(body[offset : offset + size]), dtype=kind).reshape(shape)
            offset += size
            return tensor
        return x

    return rich(json.loads(header))


def roundtrip(value: Any) -> Any:
    """`value` as the other process would receive it; the call transport uses it, so that both transports agree."""
    frame = encode(value)
    length = struct.unpack_from("<Q", frame)[0]
    return decode(frame[16 : 16 + length], frame[16 + length :])


class Connection:
    """Frames over a stream socket. recv raises EOFError once the other process has gone."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, value: Any) -> None:
        self.sock.sendall(encode(value))

    def recv(self) -> Any:
        header, body = struct.unpack("<QQ", self._exactly(16))
        return decode(self._exactly(header), self._exactly(body))

    def _exactly(self, size: int) -> bytes:
        buffer = bytearray(size)
        view, got = memoryview(buffer), 0
        while got < size:
            n = self.sock.recv_into(view[got:])
            if n == 0:
                raise EOFError("the other process has gone")
            got += n
        return bytes(buffer)
