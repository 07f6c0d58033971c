"""Where a number came from: revision, packages, machine, command line."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.records.record import Provenance

PACKAGES = ("sweepstakes", "torch", "numpy", "scipy", "h5py", "hydra-core", "pytorch_optimizer", "schedulefree")


def _git(*arguments: str) -> str | None:
    root = Path(__file__).resolve().parents[2]
    try:
        found = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@cache
def here() -> Provenance:
    """What is the same for every cell of one command. No host name: records are published."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    # what a sweep writes decides no result: a second suite that is published before the first is committed is no less clean
    status = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
    return Provenance(
        commit=_git("rev-parse", "HEAD"),
        dirty=None if status is None else bool(status),
        packages=packages,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(),
        cores=os.cpu_count(),
        threads=1,
        command=" ".join(["bench", *sys.argv[1:]]),
    )
