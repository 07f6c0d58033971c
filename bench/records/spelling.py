"""One spelling for equal values, and its digest: what keys, rows and groups are made of."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

EXACT = 2**53  # below it, every whole number is a float without rounding
WHOLE_FLOATS = re.compile(r"\d\.0(?!\d)")  # with an exponent, whole numbers start above EXACT
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


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
