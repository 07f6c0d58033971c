"""The table of moved modules and `_target_`s, since records and entries keep the names of the day they were written.

A move is one line of moves.json, old name: new name. A name that lies under a new name is never replaced: `bench.claims` was a
module and is a room now, so `bench.claims.Claim` moved and `bench.claims.verdicts` did not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOVES: Mapping[str, str] = json.loads(Path(__file__).with_suffix(".json").read_bytes())
NEW = frozenset(MOVES.values())
ROOTS = frozenset(name.partition(".")[0] for name in MOVES)


def _renamed(name: str) -> str:
    parts = name.split(".")
    if parts[0] not in ROOTS:
        return name
    prefixes = [".".join(parts[:cut]) for cut in range(len(parts), 0, -1)]
    if NEW.isdisjoint(prefixes):
        for prefix in prefixes:
            if prefix in MOVES:
                return MOVES[prefix] + name.removeprefix(prefix)
    return name


def moved(node: Any) -> Any:
    """A copy of nested mappings and lists in which old dotted names, and names under them, are the new ones; keys stay."""
    if isinstance(node, str):
        return _renamed(node)
    if isinstance(node, Mapping):
        return {key: moved(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [moved(value) for value in node]
    return node
