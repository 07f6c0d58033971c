"""Predictions kept beside a record, from which a changed score is computed again without training (`keep=predictions`).

Kept are the entry's report, the curves that were monitored, and every call of `predict` while it was scored, and at the
last evaluation: what was asked and what came back, as frames of `bench.wire`. A file is MAGIC, a digest of the rest, a
head, and the calls. A score computed from it is that of a rerun if the training is as before. What can be checked is: the
public data, the budget, the targets, what `monitor` gives at the last evaluation, and that the score asks for the same
inputs, bit by bit.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import execute, screening, wire
from bench.contract import BenchError
from bench.key import blake

MAGIC = b"sweepstakes predictions 1\n"
DIGEST = 32  # characters of `bench.key.blake`
LIMIT = 200 * 2**20  # bytes of a cell
SETTLED = ("ok", "diverged")

Pair = tuple[bytes, bytes]  # a call of predict: its inputs, its output


# ---------------------------------------------------------------- while a cell runs


class Calls:
    """`predict`, keeping its calls. lost: why they are not kept, if so."""

    def __init__(self, predict: Callable[..., Any], limit: int) -> None:
        self.frames: list[bytes] = []
        self.lost = ""
        self._predict, self._left = predict, limit

    def __call__(self, *inputs: Any) -> Any:
        try:
            output = self._predict(*inputs)
        except Exception:
            self._lose("a call of predict failed")
            raise
        if not self.lost:  # encoded now: a score may write into what it is given
            frames = [wire.encode(list(inputs)), wire.encode(output)]
            self._left -= sum(map(len, frames))
            self.frames += frames
            if self._left < 0:
                self._lose(f"its predictions take more than {LIMIT >> 20} MB")
        return output

    def _lose(self, reason: str) -> None:
        self.lost, self.frames = reason, []


class Keeper(execute.Scorer):
    """A scorer that keeps what its score came from. content: the file, empty if there is none; then `lost` says why."""

    limit: int = LIMIT
    content: bytes = b""
    lost: str = ""
    _step: int = 0
    _scores: Mapping[str, float] | None = None
    _monitored: Calls | None = None

    def evaluate(self, step: int, predict: Callable[..., Any]) -> tuple[dict[str, float], bool]:
        """As a scorer's; the calls of the last evaluation are kept."""
        self._monitored = Calls(predict, self.limit)
        scores, stop = super().evaluate(step, self._monitored)
        self._step, self._scores = step, dict(scores)
        return scores, stop

    def finish(self, report: Mapping[str, Any], predict: Callable[..., Any] | None) -> dict[str, Any]:
        """As a scorer's; `content` is there afterwards if the outcome is a result."""
        self.content, self.lost = b"", ""
        if report["status"] not in SETTLED:
            return super().finish(report, predict)
        monitored = self._monitored.frames if self._monitored else []
        head = {
            "report": dict(report),
            "curves": self.curves,
            "reached": self.reached,
            "surroundings": surroundings(self),
            "evaluated": None if self._scores is None else {"step": self._step, "scores": self._scores},
            "monitored": len(monitored),
        }
        frames = [wire.encode(head), *monitored]
        calls = Calls(predict, self.limit - sum(map(len, frames))) if predict is not None else None
        outcome = super().finish(report, calls)
        if outcome["status"] in SETTLED:
            self.lost = (self._monitored.lost if self._monitored else "") or (calls.lost if calls else "")
            frames += calls.frames if calls else []
            if not self.lost and sum(map(len, frames)) > self.limit:
                self.lost = f"its report takes more than {LIMIT >> 20} MB"
            self.content = b"" if self.lost else packed(frames)
        return outcome


def surroundings(scorer: execute.Scorer) -> dict[str, Any]:
    """What the training depends on and the scorer can see: the public data's digest, budget and targets."""
    task = scorer.task
    targets = {m.name: [m.target.curve, m.target.value] for m in task.metrics if m.target is not None}
    return {
        "public data": blake(wire.encode(dict(scorer.problem.public))),
        "budget": [task.budget.unit, task.budget.limit],
        "targets": targets,
    }


def packed(frames: list[bytes]) -> bytes:
    """The content of a file."""
    body = b"".join(frames)
    return MAGIC + blake(body).encode() + body


def split(outcome: Mapping[str, Any], body: bytes) -> tuple[bytes, bytes]:
    """(curves, kept) of what a cell's process sent beside its outcome."""
    end = len(body) - int((outcome.get("kept") or {}).get("bytes", 0))
    return body[:end], body[end:]


# ---------------------------------------------------------------- afterwards


@dataclass(frozen=True)
class Kept:
    """What a file holds. head: see `Keeper.finish`. monitored, scored: the calls of the last evaluation, of the score."""

    head: Mapping[str, Any]
    monitored: list[Pair]
    scored: list[Pair]


def read(path: Path) -> Kept:
    """The content of a file. BenchError, naming it, if it is not whole."""
    try:
        content = path.read_bytes()
        body = content[len(MAGIC) + DIGEST :]
        if not content.startswith(MAGIC):
            raise ValueError("it does not start as such a file")
        if content[len(MAGIC) : len(MAGIC) + DIGEST] != blake(body).encode():
            raise ValueError("it is truncated, or its content has changed")
        frames, offset = [], 0
        while offset < len(body):
            size = 16 + sum(struct.unpack_from("<QQ", body, offset))
            frames.append(body[offset : offset + size])
            offset += size
        head = _value(frames[0])
    except (OSError, ValueError) as error:
        raise BenchError(f"{path.name} cannot be used ({error})") from error
    middle = 1 + head["monitored"]
    return Kept(head, _pairs(frames[1:middle]), _pairs(frames[middle:]))


def _pairs(frames: list[bytes]) -> list[Pair]:
    return list(zip(frames[::2], frames[1::2], strict=True))


def _value(frame: bytes) -> Any:
    size = struct.unpack_from("<Q", frame)[0]
    header, body = frame[16 : 16 + size], frame[16 + size :]
    screening.check(header, len(body))
    return wire.decode(header, body)


class Replay:
    """Answers `predict` from kept calls, in their order, and refuses any other."""

    def __init__(self, what: str, pairs: list[Pair]) -> None:
        self._what, self._pairs = what, pairs
        self._given = 0
        self._refused = ""

    def __call__(self, *inputs: Any) -> Any:
        if self._given == len(self._pairs):
            self._refuse(f"calls predict more than the {len(self._pairs)} times that are kept")
        asked, answer = self._pairs[self._given]
        if wire.encode(list(inputs)) != asked:
            self._refuse(f"asks predict for other inputs than those kept, in call {self._given + 1}")
        self._given += 1
        return _value(answer)

    def _refuse(self, reason: str) -> None:
        self._refused = self._refused or f"the {self._what} {reason}"
        raise BenchError(self._refused)

    @property
    def refused(self) -> str:
        """Why the answers do not count, whatever became of the refusal; empty if all were asked for."""
        if not self._refused and self._given < len(self._pairs):
            return f"the {self._what} calls predict {self._given} times, {len(self._pairs)} calls are kept"
        return self._refused


def rescored(job: execute.Job, path: Path) -> dict[str, Any]:
    """The outcome of scoring what `path` keeps with the task's code of now. Status failed, with the reason, if it cannot be."""
    try:
        kept = read(path)
        scorer, outcome = execute.opened(job)
        if scorer is None:
            return outcome
        _compare(kept, scorer)
    except BenchError as error:
        return execute.failure("failed", str(error))
    scorer.curves = {name: (steps, values) for name, (steps, values) in kept.head["curves"].items()}
    scorer.reached = dict(kept.head["reached"])
    report = kept.head["report"]
    replay = Replay("score", kept.scored)
    outcome = scorer.finish(report, replay if report["predicts"] else None)
    return execute.failure("failed", replay.refused) if replay.refused else outcome


def _compare(kept: Kept, scorer: execute.Scorer) -> None:
    """BenchError unless what the training depends on, and what was monitored meanwhile, is as it was."""
    then, now = kept.head["surroundings"], surroundings(scorer)
    for name in now:
        if then[name] != now[name]:
            told = "" if name == "public data" else f": {then[name]} then, {now[name]} now"
            raise BenchError(f"the training would be another, since the {name} changed{told}")
    if kept.head["evaluated"] is None:
        return
    replay = Replay("monitor", kept.monitored)
    try:
        scores = {name: float(value) for name, value in scorer.task.monitor(scorer.problem, replay).items()}
    except Exception as error:  # the task's own code
        raise BenchError(replay.refused or f"monitor: {type(error).__name__}: {error}") from error
    if replay.refused:
        raise BenchError(replay.refused)
    step, before = kept.head["evaluated"]["step"], kept.head["evaluated"]["scores"]
    for name in sorted({*scores, *before}):
        if repr(scores.get(name)) != repr(before.get(name)):  # NaN equals NaN
            told = f"{name} at step {step} was {before.get(name)}, is {scores.get(name)}"
            raise BenchError(f"what is monitored changed ({told}), and only its last predictions are kept")
