"""The provenance of this command's records: revision, packages, machine, command line."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.records.record import Provenance

PACKAGES = ("sweepstakes", "torch", "numpy", "scipy", "h5py", "hydra-core", "pytorch_optimizer", "schedulefree")


def git(*arguments: str, at: Path | None = None) -> str | None:
    """The output of a git command, by default in the project's folder; None if it fails, or git is not installed."""
    root = at or Path(__file__).resolve().parents[2]
    try:
        result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _cpu() -> str:
    with suppress(OSError):  # Linux only
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@cache
def here() -> Provenance:
    """The part of the provenance that all cells of a command share. It has no host name, since records are published."""
    packages = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    # Published records that are not committed yet change no result, so results/ does not count as dirty.
    status = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
    return Provenance(
        commit=git("rev-parse", "HEAD"), dirty=None if status is None else bool(status), packages=packages,
        python=platform.python_version(), system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(), cores=os.cpu_count(), threads=1, command=" ".join(["bench", *sys.argv[1:]]),
    )  # fmt: skip
