"""Downloads with a checksum: a file is written under a temporary name and renamed; an unexpected one is moved aside."""

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
    """Hexadecimal MD5 of a file. It identifies published archives and is no protection against an attacker."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def download(url: str, target: Path, checksum: str, timeout: float = 30.0) -> Path:
    """Download `url` to `target`, unless it exists with this MD5. Progress goes to stderr.

    Unavailable without a network or file; BenchError for another checksum (the file is kept as `<target>.unexpected`).
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
        remedy = f"check the network, or put {target.name} into {target.parent}"
        raise Unavailable(f"cannot download {url}: {reason}; {remedy}") from error
    except OSError as error:
        partial.unlink(missing_ok=True)
        reason = error.strerror or error
        raise BenchError(f"cannot write {target}: {reason}; free space or set SWEEPSTAKES_DATA") from error
    digest = md5(partial)
    if digest != checksum:
        aside = target.with_name(target.name + ".unexpected")
        partial.replace(aside)
        mismatch = f"{url}: MD5 {digest}, expected {checksum}"
        raise BenchError(f"{mismatch}; kept as {aside}, not used. Try again, or fetch it by hand")
    partial.replace(target)
    return target
