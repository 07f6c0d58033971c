"""The fork server: a process that loads torch once and forks the processes of every cell.

It has one thread, runs no tensor operation and imports nothing beyond what `warm` names: a copy of a process with several
threads may hang.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from bench.running import linux_sandbox, numerics, reads, sandbox
from bench.running.entry_watch import reap_children
from bench.running.frames import send_frame, take_frame
from bench.running.linux_sandbox import PDEATHSIG, prctl
from bench.running.sandbox import Grants, readable, without
from bench.running.scorer_process import npz, prepare_process, scorer_process

HUGE_PAGES_AFTER = 10  # forks; `huge_pages` takes 0.3 s once, which shorter sweeps do not earn back
_MADV_COLLAPSE = 25  # Linux 6.1


def warm(withheld: Sequence[str], mode: str = "portable") -> Grants:
    """Import what every cell needs and prepare memory for cheap forks; returns the paths that an entry may read.

    withheld: folders that no entry may read, such as the results and the data. mode: of `bench.running.numerics`.
    """
    gc.disable()  # imports make half a million objects and little garbage; collections took a third of the start
    import numpy.lib.npyio
    import numpy.random
    import psutil
    import torch
    import torch._dynamo

    import bench.execute
    import bench.optim
    import bench.schedules
    import bench.train

    # This line uses the names, so that linters keep the imports.
    assert numpy and psutil and torch and bench.execute and bench.optim and bench.schedules and bench.train
    bench.optim.resolve("sgd")  # caches the optimizer libraries' lists of names, without importing the libraries
    if mode == "portable":
        numerics.pin()
    # Both results hold for all cells; neither call runs a tensor operation or starts a thread.
    torch.set_num_threads(1)
    torch.backends.cpu.get_cpu_capability()
    grants = tuple(without(readable(), [Path(path).resolve() for path in withheld]))
    rehearse(grants)
    make_room_for_names()
    gc.freeze()  # else the collector would write to, and so copy, memory pages that forks share
    gc.enable()
    return grants


def serve(fd: int, withheld: Sequence[str], mode: str) -> None:
    """Fork a process for every socket that arrives on `fd`, until the parent ends. withheld: as for `warm`.

    mode: of `bench.running.numerics`. The first bytes sent are the fingerprint of the arithmetic.

    The byte sent with a socket chooses the process: b"p" prepares data, b"c" runs a cell.
    """
    grants = warm(withheld, mode)
    prctl(PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # with SIGCHLD ignored, the kernel drops the children's CPU time
    sock = socket.socket(fileno=fd)
    sock.sendall(_fingerprint())
    forks = 0
    while True:
        ready, _, _ = select.select([sock], [], [], 0.2)
        reap_children()
        if not ready:
            continue
        message, fds, _, _ = socket.recv_fds(sock, 1, 1)
        if not message:
            return
        forks += 1
        if forks == HUGE_PAGES_AFTER:
            huge_pages()
        if os.fork() == 0:
            sock.close()
            code = 1
            try:
                conn = socket.socket(fileno=fds[0])
                if message == b"p":
                    prepare_process(conn, grants)
                else:
                    scorer_process(conn, grants)
                code = 0
            finally:
                os._exit(code)
        for received in fds:
            os.close(received)


def _fingerprint() -> bytes:
    """The fingerprint as a process of a cell finds it. RuntimeError if that process fails, whose error it prints."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, numerics.fingerprint().encode())
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as result:
        digest = result.read()
    os.waitpid(child, 0)
    if not digest:
        raise RuntimeError("the numerics fingerprint could not be computed; the error stands above")
    return digest


def rehearse(grants: Grants) -> None:
    """Call what every cell calls outside of its training, without tensors.

    The interpreter adapts code that ran a few times and keeps what it looked up, and each write to memory that forks share
    copies a page; done here, a cell spends less on both.
    """
    import numpy.random

    from bench import outcome, parts, slots, wire
    from bench.contract import Slot

    sandbox.available()
    linux_sandbox.program()
    prctl(PDEATHSIG, 0)
    here, slot, (ours, theirs) = [__file__] * 3, Slot("optimizer", slots.optimizer), socket.socketpair()
    for _ in range(20):
        wire.roundtrip(["rehearsal", 1, 0.5, {"a": [1.0, "b"]}, None])
        result = outcome.Outcome(status="ok", curves={"loss": ([1.0], [0.5])})
        npz(result)
        send_frame(ours, {"outcome": outcome.plain(result)})
        take_frame(bytearray(theirs.recv(1 << 16)))
        reads.covered((*grants, *reads.grants_of(reads.with_bytecode(here))), here, os.sep)
        parts.build((slot,), {"optimizer": {"_target_": "bench.optim.named", "name": "SGD", "lr": 1}})
        random.seed(0)
        numpy.random.seed([0, 0])
    ours.close()
    theirs.close()


def make_room_for_names() -> None:
    """Enlarge the interpreter's table of names if it is nearly full; else every cell would copy the whole table as it trains.

    New names fill the table until it grows; a growth shows in the memory pages that it touches.
    """
    for block in range(200):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for number in range(1000):
            sys.intern(f"{block} {number}")
        if resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before > 200:
            return


def huge_pages() -> None:
    """Move this process's memory to huge pages where the kernel can; a fork then copies a page table 512 times smaller.

    Forking two processes and ending them is a large part of a cell's overhead (`make perf`).
    """
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, rights, _, _, inode, *name = line.split()
        if "w" in rights and inode == "0" and name in ([], ["[heap]"]):
            start, end = (int(number, 16) for number in addresses.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_COLLAPSE)
