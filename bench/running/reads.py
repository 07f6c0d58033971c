"""What a cell's processes may read: installed packages, the harness, and the files that the cell's key covers.

A file that the key does not cover could change a result behind the key's back. So a read of one fails, and the message names
it. This module's audit hook sees what Python opens; `bench.running.sandbox` shuts an entry's process in by the same list, which
also holds for what libraries open by themselves.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from bench.running import linux_sandbox, message_checks, sandbox

KERNEL = ("/dev/", "/proc/", "/sys/")  # no files of a disk; Landlock judges them
ADVICE = (
    "put it into a package folder (entries/NAME/ with an __init__.py) beside the code that needs it, import it by a literal "
    "name, or hand over its content as an argument"
)


@dataclass(frozen=True)
class Covered:
    """folders: readable whole, each with a separator at its end. files: readable one by one."""

    folders: tuple[str, ...]
    files: frozenset[str]

    def __contains__(self, path: str) -> bool:
        return path in self.files or path.startswith(self.folders)


def with_bytecode(files: Iterable[str]) -> list[str]:
    """`files` and the compiled forms of the modules among them.

    Python takes a compiled module for its source if size and second of change agree. One that was written before the source's
    own entry on the disk last changed may be of another source, and is left out: Python then compiles anew.
    """
    found: list[str] = []
    for file in files:
        found.append(file)
        if file.endswith(".py"):
            compiled = cache_from_source(file)
            try:
                if os.stat(compiled).st_mtime_ns >= os.stat(file).st_ctime_ns:
                    found.append(compiled)
            except OSError:
                pass  # it was never compiled
    return found


def covered(grants: sandbox.Grants, files: Iterable[str], *folders: str) -> Covered:
    """What `grants` give, `files`, both with links resolved, and `folders` whole."""
    given = [str(path) for path, rights in grants if rights & linux_sandbox.READ]
    whole = [path + os.sep for path in (*given, *map(os.path.realpath, folders))]
    return Covered((*KERNEL, *whole), frozenset((*given, *files)))


def of_scorer(grants: sandbox.Grants, files: Iterable[str], cache: str) -> Covered:
    """What the task's side may read: beside `files`, the folder of data and what it wrote itself."""
    return covered(grants, with_bytecode(files), cache, tempfile.gettempdir())


def watch(allowed: Covered, refuse: bool, folder: str | None = None) -> list[str]:
    """Refuse from here on what is not `allowed`, or only add it to the list that is returned. It cannot be taken back.

    folder: of the user, for whoever looks there in vain: an entry's process has a folder of its own.
    """
    found: list[str] = []

    def opened(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open":
            return
        path, _, flags = arguments
        if isinstance(path, int) or flags & os.O_ACCMODE == os.O_WRONLY:
            return
        name = os.fsdecode(path)
        whole = os.path.abspath(name)
        if folder is not None and not os.path.isabs(name) and not os.path.exists(whole):
            whole = os.path.join(folder, name)
        if whole in allowed or os.path.realpath(whole) in allowed or not _regular(whole):
            return
        if refuse:
            error = PermissionError(
                f"{whole} is not covered by the cell's key, so that the cell may not read it; {ADVICE}"
            )
            error.errno = errno.EACCES
            raise error
        if whole not in found and len(found) < message_checks.PATHS:
            found.append(whole)

    sys.addaudithook(opened)
    return found


def _regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False  # absent: the call itself says so


def advised(reason: str) -> str:
    """`reason`, with the next step where a library met the sandbox and could only say that it was refused."""
    refused = os.strerror(errno.EACCES) in reason and ADVICE not in reason
    return f"{reason}; the cell may read only what its key covers: {ADVICE}" if refused else reason


def grants_of(files: Iterable[str]) -> sandbox.Grants:
    """The rights to read `files`, and to list the folders they are in, as the import system does."""
    single = [Path(file) for file in files]
    folders = sorted({path.parent for path in single if path.suffix == ".py"})
    return (*((path, linux_sandbox.READ) for path in single), *((path, linux_sandbox.LIST) for path in folders))
