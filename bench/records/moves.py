"""Where modules and `_target_`s have gone: the one table by which older records and configurations are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOVES: Mapping[str, str] = {}  # old dotted prefix -> new one


def moved(node: Any) -> Any:
    """`node`, nested mappings and lists, with every dotted name that moved in its new spelling."""
    if isinstance(node, Mapping):
        return {name: moved(value) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [moved(value) for value in node]
    if isinstance(node, str):
        for old, new in MOVES.items():
            if node == old or node.startswith(old + "."):
                return new + node[len(old) :]
    return node
