"""One spelling for equal values, and its digest: what keys, rows and groups are made of."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from typing import Any

import msgspec

SHOWN = 12  # characters of a key that are shown

EXACT = 2**53  # below it, every whole number is a float without rounding
WHOLE_FLOATS = re.compile(r"\d\.0(?!\d)")  # with an exponent, whole numbers start above EXACT
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_plain = msgspec.json.encode


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, shortest floats, and whole numbers without a point: 1, 1.0 and 1e0 are one number.

    ValueError for NaN and infinity, which JSON has no word for.
    """
    text = _encode(value)
    return _encode(whole(value)) if WHOLE_FLOATS.search(text) else text  # most values hold none: the search is cheaper


def whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < EXACT else value


def blake(text: str | bytes) -> str:
    """32 hexadecimal characters of BLAKE2b."""
    return hashlib.blake2b(text.encode() if isinstance(text, str) else text, digest_size=16).hexdigest()


def row_of(task: str, version: int, params: Any, config: Any, seed: int) -> int:
    """What makes two published records the same row of a table, as 63 bits; equal bits are looked at again."""
    return _short(f"[{_encode(task)},{version},{_spelled(_plain(params))},{_spelled(_plain(config))},{seed}]")


def same_of(task: str, preset: str, entry: str, seed: int, params: Any) -> int:
    """What stays the same of a cell when code, data or tuning change, as 63 bits."""
    return _short(f"[{_encode(task)},{_encode(preset)},{_encode(entry)},{seed},{_spelled(_plain(params))}]")


@lru_cache(maxsize=1024)
def _spelled(text: bytes) -> str:
    """`canonical_json` of what was spelled in any way: a hundred thousand records hold few parameters and configurations."""
    return canonical_json(msgspec.json.decode(text))


def _short(text: str) -> int:
    return int(blake(text)[:16], 16) >> 1
