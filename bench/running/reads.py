"""What a cell's processes may read: installed packages, the harness, and the files that the cell's key covers.

A file that the key does not cover could change a result while the key stays the same, so reading one fails with a message that
names it. The audit hook of this module sees only files that Python opens; in an entry's process `bench.running.sandbox`
enforces the same list for files that libraries open in native code.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib.util import cache_from_source
from typing import Any

from bench.running import linux_sandbox, message_checks, sandbox

KERNEL = ("/dev/", "/proc/", "/sys/")  # not files on a disk; Landlock alone restricts them
ADVICE = (
    "put it into a package folder (entries/NAME/ with an __init__.py) beside the code that needs it, import it by a literal "
    "name, or hand over its content as an argument"
)


@dataclass(frozen=True)
class Covered:
    """The readable paths. folders: everything below them, each ending in a separator. files: single files."""

    folders: tuple[str, ...]
    files: frozenset[str]

    def __contains__(self, path: str) -> bool:
        return path in self.files or path.startswith(self.folders)


def with_bytecode(files: Iterable[str]) -> list[str]:
    """`files` and the compiled (.pyc) files of the modules among them.

    Python accepts a compiled file if it names the source's size and modification time in seconds, so it can be of other code.
    One that is older than the last change of the source's inode is therefore left out, and Python compiles the module again.
    """
    readable: list[str] = []
    for file in files:
        readable.append(file)
        if file.endswith(".py"):
            compiled = cache_from_source(file)
            try:
                if os.stat(compiled).st_mtime_ns >= os.stat(file).st_ctime_ns:
                    readable.append(compiled)
            except OSError:
                pass  # there is no compiled file
    return readable


def covered(grants: sandbox.Grants, files: Iterable[str], *folders: str) -> Covered:
    """The paths that `grants` make readable, `files`, and everything in `folders`. Grants and files must be free of links."""
    granted = [path for path, rights in grants if rights & linux_sandbox.READ]
    prefixes = [path + os.sep for path in (*granted, *map(os.path.realpath, folders))]
    return Covered((*KERNEL, *prefixes), frozenset((*granted, *files)))


def watch_scorer(grants: sandbox.Grants, files: Iterable[str], cache: str) -> None:
    """Restrict a process that runs the task's code to `grants`, `files`, the data folder `cache` and temporary files."""
    watch(covered(grants, files, cache, tempfile.gettempdir()), refuse=True)


def watch(allowed: Covered, refuse: bool, folder: str | None = None) -> list[str]:
    """From now on, refuse reads outside `allowed` with PermissionError, or (refuse=False) add them to the returned list.

    folder: the working folder before confinement; an entry's relative path is looked up there if its private folder lacks it,
    so that the message can name the file.
    """
    unkeyed: list[str] = []

    def opened(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open":
            return
        path, _, flags = arguments
        if isinstance(path, int) or flags & os.O_ACCMODE == os.O_WRONLY:
            return
        name = os.fsdecode(path)
        absolute = os.path.abspath(name)
        if folder is not None and not os.path.isabs(name) and not os.path.exists(absolute):
            absolute = os.path.join(folder, name)
        if absolute in allowed or os.path.realpath(absolute) in allowed or not os.path.isfile(absolute):
            return  # if the file does not exist, open itself reports that
        if refuse:
            error = PermissionError(
                f"{absolute} is not covered by the cell's key, so that the cell may not read it; {ADVICE}"
            )
            error.errno = errno.EACCES
            raise error
        if absolute not in unkeyed and len(unkeyed) < message_checks.PATHS:
            unkeyed.append(absolute)

    sys.addaudithook(opened)
    return unkeyed


def advised(reason: str) -> str:
    """`reason`, with advice added where a library reports only that permission was denied."""
    refused = os.strerror(errno.EACCES) in reason and ADVICE not in reason
    return f"{reason}; the cell may read only what its key covers: {ADVICE}" if refused else reason


def grants_of(files: Collection[str]) -> sandbox.Grants:
    """The rights to read `files`, and to list the folders of the modules among them, as the import system does."""
    folders = sorted({os.path.dirname(file) for file in files if file.endswith(".py")})
    return (*((file, linux_sandbox.READ) for file in files), *((path, linux_sandbox.LIST) for path in folders))
