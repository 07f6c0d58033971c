"""Frames between the parent and a cell's scorer: a JSON value, with raw bytes after it."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any


def send_frame(sock: socket.socket, head: Any, body: bytes = b"") -> None:
    """Send both lengths (8 bytes each), `head` as JSON, and `body`."""
    text = json.dumps(head).encode()
    sock.sendall(struct.pack("<QQ", len(text), len(body)) + text + body)


def take_frame(buffer: bytearray) -> tuple[Any, bytes] | None:
    """Remove the first frame (head, body) from `buffer` and return it; None while it is incomplete."""
    if len(buffer) < 16:
        return None
    head_size, body_size = struct.unpack_from("<QQ", buffer)
    body_start = 16 + head_size
    end = body_start + body_size
    if len(buffer) < end:
        return None
    frame = json.loads(buffer[16:body_start]), bytes(buffer[body_start:end])
    del buffer[:end]
    return frame
