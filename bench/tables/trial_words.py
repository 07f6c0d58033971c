"""How many tuning trials stand behind a row of a table, made here or declared by the entry's authors."""

from __future__ import annotations

from functools import cache

from bench.planning import config
from bench.planning.files import EntryFile


@cache
def declared(entry: str) -> int | None:
    """Trials that the entry's authors declare to have made elsewhere (`declared_trials`), summed over a composition's parts.

    None if no part declares any, or the entry's file is not here.
    """
    files = [config.load("entry", name, EntryFile) for name in entry.split("+") if name in config.names("entry")]
    trials = [file.declared_trials for file in files if file.declared_trials is not None]
    return sum(trials) if trials else None


def trials_text(trials: int | None, declared: int | None) -> str:
    """For a table's cell: "7", or "here 7 / declared 20"; "—" for an untuned entry that declares nothing."""
    here = "—" if trials is None else f"{trials:,}"
    return here if declared is None else f"here {here} / declared {declared:,}"
