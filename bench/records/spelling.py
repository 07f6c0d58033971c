"""Canonical JSON, in which equal values are written alike, and the digests made of it: keys, rows and groups."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from typing import Any

import msgspec

SHOWN = 12  # characters of a key in messages and tables
EXACT = 2**53  # up to it, every whole number is a float without rounding
WHOLE_FLOATS = re.compile(r"\d\.0(?!\d)")  # floats with an exponent are no whole numbers below EXACT
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_plain = msgspec.json.encode


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, shortest floats, and whole numbers without a point: 1, 1.0 and 1e0 are written alike.
    ValueError for NaN and infinity."""
    text = _encode(value)  # the search is cheaper than `whole`, and most values hold no whole float
    return _encode(whole(value)) if WHOLE_FLOATS.search(text) else text


def whole(value: Any) -> Any:
    """A nested value with whole floats as integers, up to EXACT."""
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < EXACT else value


def blake(text: str | bytes) -> str:
    """The 128-bit BLAKE2b digest as 32 hexadecimal characters."""
    return hashlib.blake2b(text.encode() if isinstance(text, str) else text, digest_size=16).hexdigest()


def row_digest(task: str, version: int, params: Any, config: Any, seed: int) -> int:
    """63-bit digest of a table's row and a seed. Records with equal digests are compared again."""
    return _short(f"[{_encode(task)},{version},{_spelled(_plain(params))},{_spelled(_plain(config))},{seed}]")


def cell_digest(task: str, preset: str, entry: str, seed: int, params: Any) -> int:
    """63-bit digest of the parts of a cell that stay when code, data or tuning change."""
    return _short(f"[{_encode(task)},{_encode(preset)},{_encode(entry)},{seed},{_spelled(_plain(params))}]")


@lru_cache(maxsize=1024)
def _spelled(text: bytes) -> str:
    """`canonical_json` of a JSON text. Cached, since many records share few parameters and configurations."""
    return canonical_json(msgspec.json.decode(text))


def _short(text: str) -> int:
    return int(blake(text)[:16], 16) >> 1
