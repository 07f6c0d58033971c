"""What a table says of the trials behind a row."""

from __future__ import annotations

from functools import cache

from bench.planning import config
from bench.planning.files import EntryFile


@cache
def declared(entry: str) -> int | None:
    """Trials that the entry's authors say they made elsewhere (`declared_trials`), summed over a composition's parts.

    None if none says so, or the entry's file is not here.
    """
    known = config.names("entry")
    found = {one: config.load("entry", one, EntryFile).declared_trials for one in entry.split("+") if one in known}
    numbers = [number for number in found.values() if number is not None]
    return sum(numbers) if numbers else None


def trials_text(trials: int | None, declared: int | None) -> str:
    """For a table's cell: "7", or "here 7 / declared 20"; "—" for an untuned entry that declares nothing."""
    here = "—" if trials is None else f"{trials:,}"
    return here if declared is None else f"here {here} / declared {declared:,}"
