"""The fork server: torch is loaded once, and every cell starts as a copy of it.

It has one thread, runs no tensor operation and imports no foreign module, since a copy of a process that does may hang.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.running.linux_sandbox import PDEATHSIG, prctl
from bench.running.sandbox import Grants, readable, without
from bench.running.scorer_process import prepare_process, scorer_process

PAYING = 10  # cells after which gathering memory into huge pages, 0.3 s once, is cheaper than going without
_MADV_COLLAPSE = 25  # Linux 6.1


def warm(withheld: Sequence[str]) -> Grants:
    """Load what every cell needs and lay it out so that a fork is cheap; returns what an entry may read.

    withheld: folders that no entry may read, such as the results and the data.
    """
    gc.disable()  # imports make half a million objects and hardly any garbage: looking for it took a third of the start
    import numpy.lib.npyio
    import numpy.random
    import psutil
    import torch
    import torch._dynamo

    import bench.execute
    import bench.optim
    import bench.schedules
    import bench.train

    # what every cell would import anyway; named so that linters see a use
    assert numpy and psutil and torch and bench.execute and bench.optim and bench.schedules and bench.train
    bench.optim.resolve("sgd")  # reads the optimizer libraries' lists of names once, imports nothing
    # once for all cells; neither is a tensor operation or starts a thread
    torch.set_num_threads(1)
    torch.backends.cpu.get_cpu_capability()
    grants = tuple(without(readable(), [Path(path).resolve() for path in withheld]))
    gc.freeze()  # the collector must not touch, and so copy, the pages that the cells share with us
    gc.enable()
    return grants


def serve(fd: int, withheld: Sequence[str]) -> None:
    """Fork a process for every socket that arrives on `fd`, until the parent is gone: a scorer, or what its byte asks for.

    withheld: as of `warm`.
    """
    grants = warm(withheld)
    prctl(PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whose children's ends are ignored is not told their CPU time
    sock = socket.socket(fileno=fd)
    sock.sendall(b"r")
    forks = 0
    while True:
        ready, _, _ = select.select([sock], [], [], 0.2)
        _reap()
        if not ready:
            continue
        message, fds, _, _ = socket.recv_fds(sock, 1, 1)
        if not message:
            return
        forks += 1
        if forks == PAYING:
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
        for given in fds:
            os.close(given)


def huge_pages() -> None:
    """Gather this process's memory into huge pages where the kernel can: a fork copies a page table 512 times smaller.

    Most of what an isolated cell costs is two forks and their ends (`make perf`). Where the kernel refuses, they cost more
    and nothing else changes.
    """
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, rights, _, _, inode, *name = line.split()
        if "w" in rights and inode == "0" and name in ([], ["[heap]"]):
            start, end = (int(number, 16) for number in addresses.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_COLLAPSE)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
