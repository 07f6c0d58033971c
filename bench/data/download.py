"""Downloads with a checksum: under a temporary name, then renamed; a file that is not the expected one is moved aside."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from bench.contract import BenchError, Unavailable

CHUNK = 1 << 20


def md5(path: Path) -> str:
    """Hexadecimal MD5 of a file: identifies published archives, protects against nothing else."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def download(url: str, target: Path, checksum: str, timeout: float = 30.0) -> Path:
    """`url` as `target`, unless a file of this MD5 is there already. Progress goes to stderr.

    Raises Unavailable without a network or if the server has no such file, BenchError if what came has another checksum
    (it is kept beside as `.unexpected`).
    """
    if target.is_file() and md5(target) == checksum:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response, partial.open("wb") as out:
            total, done, shown = int(response.headers.get("Content-Length") or 0), 0, -1
            while chunk := response.read(CHUNK):
                out.write(chunk)
                done += len(chunk)
                percent = 100 * done // total if total else 0
                if percent // 10 != shown:
                    shown = percent // 10
                    print(f"{target.name}: {done >> 20} MB" + (f" of {total >> 20}" if total else ""), file=sys.stderr)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        partial.unlink(missing_ok=True)
        reason = getattr(error, "reason", error)
        raise Unavailable(
            f"cannot download {url}: {reason}; check the network, or put {target.name} into {target.parent}"
        ) from error
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BenchError(
            f"cannot write {target}: {error.strerror or error}; free space or set SWEEPSTAKES_DATA"
        ) from error
    found = md5(partial)
    if found != checksum:
        aside = target.with_name(target.name + ".unexpected")
        partial.replace(aside)
        raise BenchError(
            f"{url}: MD5 {found}, expected {checksum}; kept as {aside}, not used. Try again, or fetch it by hand"
        )
    partial.replace(target)
    return target
