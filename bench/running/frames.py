"""Frames between the parent and a cell's scorer: JSON and bytes."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any


def send_frame(sock: socket.socket, head: Any, body: bytes = b"") -> None:
    """[8 bytes][8 bytes] lengths, JSON, bytes."""
    text = json.dumps(head).encode()
    sock.sendall(struct.pack("<QQ", len(text), len(body)) + text + body)


def take_frame(buffer: bytearray) -> tuple[Any, bytes] | None:
    """The first whole frame of `buffer`, removed from it; None while it is incomplete."""
    if len(buffer) < 16:
        return None
    head, body = struct.unpack_from("<QQ", buffer)
    if len(buffer) < 16 + head + body:
        return None
    frame = json.loads(bytes(buffer[16 : 16 + head])), bytes(buffer[16 + head : 16 + head + body])
    del buffer[: 16 + head + body]
    return frame
