"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

from bench.contract import BenchError


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, sync, rename. BenchError if the folder cannot take it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            pass
        reason = error.strerror or str(error)
        raise BenchError(
            f"cannot write {path}: {reason}; free space or choose another folder with results=PATH"
        ) from error
