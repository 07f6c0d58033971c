"""Reading the words of a run, `key=value`, in Hydra's override grammar.

Plain values, lists of them, `range(5)` and `glob(pde/*)` are read here as Hydra reads them, since importing Hydra's parser
takes longer than the rest of a plan. Any other word is given to Hydra.
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
NUMBERS = {"null", "nan", "inf"}  # texts that Hydra reads as other values
NEXT = "an override reads key=value, such as seed=range(5)"


@dataclass(frozen=True)
class Override:
    """One word. values: several for a sweep. glob: patterns of the wanted names, and of those left out."""

    word: str
    key: str
    values: Sequence[Any] = ()
    glob: tuple[Sequence[str], Sequence[str]] | None = None

    @property
    def value(self) -> Any:
        """The value of a key that takes a single one."""
        if len(self.values) != 1 or self.glob:
            raise BenchError(f"{self.word}: {self.key} takes one value; name it")
        return self.values[0]

    def listed(self, names: Iterable[str] = (), group: str = "") -> list[Any]:
        """The values; those of a glob are the matching names of a group."""
        if self.glob is None:
            return list(self.values)
        if not group:
            raise BenchError(f"{self.word}: glob works for task and entry")
        wanted, unwanted = ({n for n in names for pattern in side if fnmatch.fnmatch(n, pattern)} for side in self.glob)
        matching = [name for name in names if name in wanted - unwanted]
        if not matching:
            raise BenchError(f"{self.word}: no {group} matches; `bench list` shows them")
        return matching


def read(words: Iterable[str]) -> list[Override]:
    """The overrides of all words, in order. BenchError for a word outside the grammar."""
    return [plain(word) or _hydras(word) for word in words]


def plain(word: str) -> Override | None:
    """The override of a plain word; None for any other word."""
    if (match := PLAIN.fullmatch(word)) is None:
        return None
    key, text = match.groups()
    if text.endswith(")"):
        name, _, inner = text[:-1].partition("(")
        return Override(word, key, range(int(inner))) if name == "range" else Override(word, key, glob=([inner], ()))
    values = [_value(item) for item in text.split(",")]
    return None if any(value is None for value in values) else Override(word, key, values)


def _value(text: str) -> Any:
    """A text's value as Hydra reads it; None for a text that is left to Hydra."""
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
        override = OverridesParser.create().parse_override(word)
        raw = override._value  # Hydra's public accessor refuses globs
        if override.type is not OverrideType.CHANGE:
            raise BenchError(f"{word}: keys are neither added nor deleted; {NEXT}")
        if isinstance(raw, Glob):
            return Override(word, override.key_or_group, glob=(raw.include, raw.exclude))
        if isinstance(raw, RangeSweep):
            values = list(raw.range())
        else:
            values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
    except HydraException as error:
        raise BenchError(f"{str(error).splitlines()[0]}; {NEXT}") from error
    values = [value.text if isinstance(value, QuotedString) else value for value in values]
    return Override(word, override.key_or_group, values)
