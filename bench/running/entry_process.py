"""The entry's side of a cell, which runs in a confined process that the scorer forks (see bench.running.scorer_process)."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.contract import BenchError
from bench.running import linux_sandbox, reads, sandbox
from bench.running.linux_sandbox import PDEATHSIG, prctl
from bench.seeds import EntrySeeds


def entry_process(sock: socket.socket, grants: sandbox.Grants) -> None:
    """Receive the public data, run the entry, answer requests for predictions, report costs. Never returns.

    grants: paths that every entry may read, with their rights.
    """
    from bench import execute, wire

    code = 1
    try:
        prctl(PDEATHSIG, signal.SIGKILL)
        _close_all_but(sock.fileno())
        link = wire.Connection(sock)
        start = link.recv()
        _limit_memory(start["job"]["memory_mb"])
        unkeyed_reads = _confine(start, grants)
        job = execute.Job(**start["job"], seed=0, cache=os.devnull)
        seeds = EntrySeeds(start["seeds"])
        public = link.recv()
        report, solution, log = execute.run_entry(job, public, _PipeChannel(link), seeds)
        report["reason"] = reads.advised(report["reason"])
        try:
            link.send(["done", execute.report_of(report, solution, log)])
        except TypeError as error:  # the solution holds an object that bench.wire cannot encode
            report = {"status": "failed", "reason": f"solution: {error}"}
            link.send(["done", execute.report_of(report, execute.Solution(), log)])
        while True:
            kind, *rest = link.recv()
            if kind == "close":
                if log is not None:
                    log.book()
                link.send(["closed", {"cpu": dict(log.cpu) if log is not None else {}, "unkeyed_reads": unkeyed_reads}])
                break
            if log is None:
                break
            log.paused_until_now()
            with log.phase("predict") if kind == "predict" else log.paused():
                serve(link, solution.predict, rest[0], log)
        code = 0
    except EOFError:
        code = 0  # the scorer has ended, so nobody waits for a result
    except BaseException:
        traceback.print_exc()  # goes to the cell's captured output; the record keeps the end of it
    finally:
        sys.stdout.flush()
        os._exit(code)


def _confine(start: Mapping[str, Any], grants: sandbox.Grants) -> list[str]:
    """Confine this process as the scorer's first message asks. Without Landlock, returns a list that collects unkeyed reads."""
    folder, private = os.getcwd(), start["private"]
    files, withheld = start["job"]["reads"], [Path(path) for path in start["withheld"]]
    sandbox.confine(private, withheld, (*grants, *reads.grants_of(files)))
    return reads.watch(reads.covered(grants, files, private), refuse=linux_sandbox.landlock_abi() > 0, folder=folder)


def _close_all_but(kept: int) -> None:
    """Close every inherited file descriptor except the standard streams and `kept`."""
    for name in os.listdir("/dev/fd"):
        if int(name) > 2 and int(name) != kept:
            with contextlib.suppress(OSError):  # the descriptor that listdir used is closed already
                os.close(int(name))


def _limit_memory(megabytes: int) -> None:
    """Allow `megabytes` of data beyond what this process inherited from the fork server."""
    if sys.platform != "linux":
        return
    with open("/proc/self/status") as status:
        used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
    limit = used + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def serve(link: Any, predict: Callable[..., Any] | None, inputs: list[Any], log: Any = None) -> None:
    """Send the output of `predict` and the counts of `log` at that time, or the exception as a message."""
    from bench import wire

    try:
        if predict is None:
            raise BenchError("the solution has no predict")
        frame = wire.encode(["output", predict(*inputs), dict(log.counts) if log is not None else {}])
    except Exception as error:  # the scorer turns this message into the cell's failure
        frame = wire.encode(["raised", f"predict: {type(error).__name__}: {error}"])
    link.sock.sendall(frame)


class _PipeChannel:
    """The channel of `log.evaluate` to the scorer, which asks for predictions and then sends the scores."""

    def __init__(self, link: Any) -> None:
        self.link = link

    def evaluate(self, step: int, spent: int, predict: Callable[..., Any], stage: str) -> tuple[dict[str, float], bool]:
        self.link.send(["evaluate", step, spent, stage])
        while True:
            kind, *rest = self.link.recv()
            if kind == "scores":
                return rest[0], rest[1]
            serve(self.link, predict, rest[0])
