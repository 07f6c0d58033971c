"""Generating a file of many samples, shard by shard, so that an interruption costs one shard and no memory is filled.

Finished shards lie in a hidden folder beside the target, each written under a temporary name and then renamed; they
carry checksums. The last step merges them, one block at a time, into the target and removes the folder. For that
moment the disk holds the data twice.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bench.contract import BenchError
from tasks.pde.files import reading, writing
from tasks.pde.files.fields import Fields
from tasks.pde.files.layout import Family, Foreign

BATCH = 16 << 20  # bytes of samples held while shards are checked and merged


def _spans(samples: int, shard_size: int) -> list[range]:
    return [range(start, min(start + shard_size, samples)) for start in range(0, samples, shard_size)]


def _batches(path: Path) -> Iterator[Fields]:
    return reading.batches(path, max(1, BATCH // max(1, reading.info(path).sample_bytes)))


def _sound(path: Path, samples: int, family: Family) -> bool:
    """Whether the shard at `path` is whole: every block is read, so that the checksums speak."""
    if not path.is_file():
        return False
    try:
        layout = reading.info(path)
        return (layout.family, layout.samples) == (family, samples) and sum(
            len(b.values) for b in _batches(path)
        ) == samples
    except Foreign:
        return False


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def folder_of(path: Path) -> Path:
    """Where the shards of `path` lie until it is done."""
    return path.with_name(f".{path.name}.shards")


def make(
    path: Path,
    shard: Callable[[int, int], Fields],
    samples: int,
    family: Family,
    shard_size: int,
    progress: Callable[[str], None],
    identity: str = "",
) -> None:
    """Write `samples` samples to `path`, resuming after the last good shard of an earlier call; no-op if it is there.

    shard(start, count): samples start .. start + count - 1, always the same for the same arguments. identity: what the
    data depend on, such as parameters; shards of another identity, size or family are thrown away, not continued.
    progress gets a line a shard. Any number of processes may call: one makes the file, the others wait. Raises
    BenchError if `path` holds something else, a shard comes out wrong, or the disk is full (the shards stay).
    """
    if samples < 1 or shard_size < 1:
        raise BenchError(f"{path}: {samples} samples in shards of {shard_size}; both must be at least 1")
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(f"{path.name}: another process makes it; waiting")
            lock.acquire()
    except OSError as error:
        raise BenchError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
    try:
        if path.exists():
            _must_be(path, samples, family)
            shutil.rmtree(folder_of(path), ignore_errors=True)  # left if a call was killed at its very end
            progress(f"{path.name}: is there")
            return
        plan = json.dumps({"samples": samples, "shard_size": shard_size, "family": family, "identity": identity})
        shards = _make_shards(path, shard, samples, family, shard_size, progress, plan)
        progress(f"{path.name}: merging {len(shards)} shards")
        merged = folder_of(path) / "merged"
        writing.write(
            merged, reading.read(shards[0], slice(1)), (batch for file in shards for batch in _batches(file)), family
        )
        merged.replace(path)
        shutil.rmtree(folder_of(path))
    finally:
        lock.release()


def _must_be(path: Path, samples: int, family: Family) -> None:
    layout = reading.info(path)
    if (layout.family, layout.samples) != (family, samples):
        what = f"{path}: holds {layout.samples} samples ({layout.family}), {samples} ({family}) are wanted"
        raise BenchError(f"{what}; delete it or choose another name")


def _prepare(folder: Path, plan: str, keep: list[Path]) -> None:
    """An existing folder with this plan, free of half-written files; anew if it held another plan's shards."""
    noted = folder / "plan.json"
    if folder.exists() and not (noted.is_file() and noted.read_text(encoding="utf-8") == plan):
        shutil.rmtree(folder)
    folder.mkdir(exist_ok=True)
    noted.write_text(plan, encoding="utf-8")
    for left in set(folder.iterdir()) - {noted, *keep}:
        left.unlink()


def _make_shards(
    path: Path,
    shard: Callable[[int, int], Fields],
    samples: int,
    family: Family,
    shard_size: int,
    progress: Callable[[str], None],
    plan: str,
) -> list[Path]:
    folder, spans = folder_of(path), _spans(samples, shard_size)
    files = [folder / f"{number:06d}.shard" for number in range(len(spans))]
    try:
        _prepare(folder, plan, files)
    except OSError as error:
        raise BenchError(
            f"{folder}: cannot be written ({error.strerror}); free space or choose another folder"
        ) from error
    todo = [n for n, (file, span) in enumerate(zip(files, spans, strict=True)) if not _sound(file, len(span), family)]
    if len(todo) < len(spans):
        progress(f"{path.name}: {len(spans) - len(todo)} of {len(spans)} shards are there")
    began = time.monotonic()
    for done, number in enumerate(todo, 1):
        span = spans[number]
        fields = shard(span.start, len(span))
        if len(fields.values) != len(span):
            raise BenchError(
                f"{path}: shard {number} has {len(fields.values)} samples, not {len(span)}; its generator is wrong"
            )
        writing.write(files[number], fields, [fields], family, checksums=True)
        left = (time.monotonic() - began) / done * (len(todo) - done)
        progress(f"{path.name}: shard {number + 1}/{len(spans)}, {_time(left)} left")
    return files
