"""Data sets: their folder, downloads, and file formats."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """The folder named by SWEEPSTAKES_DATA, else `sweepstakes/` in the user's cache folder. Not created here."""
    if named := os.environ.get("SWEEPSTAKES_DATA"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "sweepstakes"
