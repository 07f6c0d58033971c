"""The words of a run, `key=value`, in Hydra's grammar.

Nearly all are a plain value, a list of them, `range(5)` or `glob(pde/*)`. These are read here, as Hydra reads them: importing
its parser takes longer than the rest of a plan. Any other word is left to Hydra.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.contract import BenchError

PLAIN = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=([^()\s]+|range\(\d{1,9}\)|glob\([\w/*?.-]+\))", re.ASCII)
WHOLE = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
FLOAT = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?(e-?\d+)?", re.ASCII)
TEXT = re.compile(r"[A-Za-z_/][\w/.+-]*", re.ASCII)
BOOLEANS = {"true": True, "false": False}
NUMBERS = {"null", "nan", "inf"}  # texts that Hydra reads as something else
NEXT = "an override reads key=value, such as seed=range(5)"


@dataclass(frozen=True)
class Override:
    """One word. values: several where it sweeps. glob: patterns that its values match, and those that they do not."""

    word: str
    key: str
    values: Sequence[Any] = ()
    glob: tuple[Sequence[str], Sequence[str]] | None = None

    @property
    def value(self) -> Any:
        """The value of a key that takes one."""
        if len(self.values) != 1 or self.glob:
            raise BenchError(f"{self.word}: {self.key} takes one value; name it")
        return self.values[0]

    def listed(self, names: Iterable[str] = (), group: str = "") -> list[Any]:
        """Its values; those of a glob are the names of a group that match."""
        if self.glob is None:
            return list(self.values)
        if not group:
            raise BenchError(f"{self.word}: glob works for task and entry")
        wanted, unwanted = self.glob
        found = [name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in wanted)]
        found = [name for name in found if not any(fnmatch.fnmatch(name, pattern) for pattern in unwanted)]
        if not found:
            raise BenchError(f"{self.word}: no {group} matches; `bench list` shows them")
        return found


def read(words: Iterable[str]) -> list[Override]:
    """Every word, in order. BenchError for what is none of the grammar."""
    return [plain(word) or _hydras(word) for word in words]


def plain(word: str) -> Override | None:
    """A word of the plain kind; None for any other."""
    match = PLAIN.fullmatch(word)
    if match is None:
        return None
    key, text = match.groups()
    if text.endswith(")"):
        name, _, inner = text[:-1].partition("(")
        return Override(word, key, range(int(inner))) if name == "range" else Override(word, key, glob=([inner], ()))
    values = [_value(item) for item in text.split(",")]
    return None if any(value is None for value in values) else Override(word, key, values)


def _value(text: str) -> Any:
    """What Hydra makes of a text; None where that is left to it."""
    if WHOLE.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text):
        return float(text)
    if not TEXT.fullmatch(text) or text.lower() in NUMBERS:
        return None
    return BOOLEANS.get(text.lower(), text)


def _hydras(word: str) -> Override:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob, OverrideType, QuotedString, RangeSweep
    from hydra.errors import HydraException

    try:
        found = OverridesParser.create().parse_override(word)
        raw = found._value  # Hydra's public accessor refuses globs
        if found.type is not OverrideType.CHANGE:
            raise BenchError(f"{word}: nothing is added or deleted here; {NEXT}")
        if isinstance(raw, Glob):
            return Override(word, found.key_or_group, glob=(raw.include, raw.exclude))
        if isinstance(raw, RangeSweep):
            values = list(raw.range())
        else:
            values = list(found.sweep_iterator()) if found.is_sweep_override() else [found.value()]
    except HydraException as error:
        raise BenchError(f"{str(error).splitlines()[0]}; {NEXT}") from error
    return Override(word, found.key_or_group, [one.text if isinstance(one, QuotedString) else one for one in values])
