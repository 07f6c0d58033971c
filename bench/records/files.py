"""Writing a file as a whole, and reading a file of one JSON value a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from bench.contract import BenchError

Line = TypeVar("Line")


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, sync, rename. BenchError if the file cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        reason = f"cannot write {path}: {error.strerror or error}"
        raise BenchError(f"{reason}; free space or choose another folder with results=PATH") from error


def read_lines(
    path: Path, decode: Callable[[bytes], Line], reports: list[str], skipped: str = "skipped"
) -> Iterator[Line]:
    """The decoded lines of a file; none if it is absent. A line that cannot be read is skipped, and added to `reports`."""
    for number, line in enumerate(path.read_bytes().splitlines() if path.is_file() else (), 1):
        try:
            yield decode(line)
        except ValueError as error:  # msgspec's errors are ValueErrors
            reports.append(f"{path}:{number} cannot be read ({error}); {skipped}")
