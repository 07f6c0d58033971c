"""Entries that break the rules (docs/rules.md), one way each: fillers of toy/line's slots `procedure` and `extra`.

A cheat that looks for something ends with RuntimeError("reached: …"), so that its record says what it got.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import mmap
import os
import pickle
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from bench.contract import Exhausted, Solution
from bench.seeds import Seeds


def tried(attempts: dict[str, Callable[[], Any]]) -> None:
    """Try each; RuntimeError that names those which got something."""
    reached = []
    for name, attempt in attempts.items():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if attempt() is not None:
                reached.append(name)
    raise RuntimeError(f"reached: {', '.join(reached) or 'nothing'}")


def honest(public, log, seeds):
    """Least squares through the public points: what every cheat is measured against."""
    x, y = public["x"], public["y"]
    slope = (x * y).sum() / (x * x).sum()
    predict = lambda inputs: slope * inputs  # noqa: E731
    log.count(steps=1)
    log.evaluate(1, predict)
    return Solution(predict)


# ---------------------------------------------------------------- held-back data


def regenerates(public, log, seeds):
    """The generator is public: try small seeds until the public part matches, then answer with the test targets."""
    from toy_package.task import Line, Params

    for seed in range(50):
        problem = Line(Params()).problem(None, Seeds(seed, "toy/line"))
        if torch.equal(problem.public["x"], public["x"]):
            return Solution(lambda inputs, test=problem.hidden["test"]: test[1])
    return honest(public, log, seeds)


def asks_for_the_data(public, log, seeds):
    """Make the problem again, hidden part and all, from the seeds that it was given."""
    from toy_package.task import Line, Params

    hidden = Line(Params()).problem(None, seeds).hidden
    return Solution(lambda inputs: hidden["test"][1])


def recognises(public, log, seeds, known):
    """A table of the init seeds of reported cells, with answers prepared for them."""
    return Solution(lambda inputs: inputs * 2) if seeds("init") in known else Solution(lambda inputs: inputs * 0)


def hunts_the_seed(public, log, seeds, masked, mask):
    """Look for the cell's seed (given as seed ^ mask, so that this argument is no find) wherever this process can.

    In memory as the text of a job, and as two 30-bit digits, which is how Python keeps an int.
    """
    import numpy as np

    found = []
    frame: Any = sys._getframe()
    while frame is not None:
        values = [*frame.f_locals.values(), *(getattr(v, "seed", None) for v in frame.f_locals.values())]
        found += ["a frame" for value in values if isinstance(value, int) and value ^ mask == masked]
        frame = frame.f_back
    holders = [one for one in gc.get_objects() if isinstance(one, Seeds) or type(one).__name__ == "Job"]
    found += ["an object" for one in holders if one.seed ^ mask == masked]
    digits = [(masked >> shift) & (2**30 - 1) for shift in (0, 30)]
    masks = [(mask >> shift) & (2**30 - 1) for shift in (0, 30)]
    for chunk in _memory():
        words = np.frombuffer(chunk[: len(chunk) // 4 * 4], "<u4")
        hits = ((words[:-1] ^ masks[0]) == digits[0]) & ((words[1:] ^ masks[1]) == digits[1])
        found += ["a number in memory"] * bool(hits.any())
        for run in re.finditer(rb'"seed": ?(\d+)', chunk):
            found += ["text in memory"] * (int(run[1]) ^ mask == masked)
    for path in (f"/proc/{os.getppid()}/cmdline", f"/proc/{os.getppid()}/environ", "/proc/self/environ"):
        with contextlib.suppress(OSError):
            text = Path(path).read_bytes()
            found += [path for run in re.findall(rb"\d{15,17}", text) if int(run) ^ mask == masked]
    raise RuntimeError(f"reached: {', '.join(sorted(set(found))) or 'nothing'}")


def _memory() -> Iterator[bytes]:
    """This process's own writable memory, in pieces of at most 8 MB."""
    with open("/proc/self/maps") as maps:
        spans = [line.split()[0] for line in maps if " rw-p " in line]
    with open("/proc/self/mem", "rb", 0) as memory:
        for span in spans:
            start, end = (int(number, 16) for number in span.split("-"))
            for at in range(start, end, 2**23):
                with contextlib.suppress(OSError, OverflowError):
                    memory.seek(at)
                    yield memory.read(min(2**23, end - at))


def reads(public, log, seeds, paths, pids):
    """Open files: given ones, other processes', and whatever was left open."""

    def left_open() -> list[str] | None:
        """Files this process holds beside its streams, and the one socket to the scorer."""
        links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if int(fd) > 2]
        others = [link for link in links if not link.startswith("/proc/")]
        return others if len(others) != 1 or not others[0].startswith("socket:") else None

    attempts: dict[str, Callable[[], Any]] = {path: lambda p=path: Path(p).read_bytes() for path in paths}
    for pid in (os.getppid(), *pids):
        for name in ("mem", "environ", "cmdline", "maps"):
            path = f"/proc/{pid}/{name}"
            attempts[path] = lambda p=path: os.open(p, os.O_RDONLY)
        attempts[f"fd of {pid}"] = lambda p=pid: os.listdir(f"/proc/{p}/fd")
        attempts[f"vm of {pid}"] = lambda p=pid: _peek(p)
    tried(attempts | {"left open": left_open})


def _peek(pid: int) -> int | None:
    """process_vm_readv of a page that both processes have, being forked from one."""
    libc, here = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(64)
    address = id(Seeds)
    local, remote = struct.pack("PN", ctypes.addressof(here), 64), struct.pack("PN", address, 64)
    read = libc.process_vm_readv(pid, local, ctypes.c_ulong(1), remote, ctypes.c_ulong(1), ctypes.c_ulong(0))
    return read if read > 0 else None


def reads_the_environment(public, log, seeds, name):
    """A variable of the user's, where a process finds those it was started with."""
    found = [name in os.environ, name.encode() in Path("/proc/self/environ").read_bytes()]
    tried({"a secret": lambda: True if any(found) else None})


def climbs_the_score(public, log, seeds):
    """Train on validation: use its score as the loss, as often as that takes."""
    slope, best = 0.0, float("inf")
    for i in range(100_000):
        trial = slope + (-1) ** i * 0.1
        score = log.evaluate(0, lambda inputs, a=trial: inputs * a)["val_error"]
        slope, best = (trial, score) if score < best else (slope, best)
    return Solution(lambda inputs: inputs * slope)


# ---------------------------------------------------------------- measurements


def forges_its_curve(public, log, seeds):
    """Report a perfect validation curve, never having asked for a score."""
    log.curves["val_error"] = [(step, 0.0) for step in range(1, 20)]
    return Solution(lambda inputs: inputs * 0)


def forges_its_steps(public, log, seeds, step):
    """Evaluate at a step that it cannot have reached."""
    log.evaluate(step, lambda inputs: inputs * 2)
    return Solution(lambda inputs: inputs * 2)


def patches_the_metric(model, log):
    """Replace the task's score and monitor, and the arithmetic they use, where it can: in its own process."""
    import toy_package.task

    from bench import execute

    toy_package.task.Line.score = lambda *_: {"error": 0.0, "val_error": 0.0}
    toy_package.task.Line.monitor = lambda *_: {"val_error": 0.0}
    execute.Scorer.finish = lambda *_: {"status": "ok", "metrics": {"error": 0.0}}


def nothing(model, log):
    """Honest: for comparison with a patched cell."""


def works_while_the_clock_is_paused(public, log, seeds, burn):
    """Compute in `predict` while the harness evaluates, when the entry's clock is stopped."""

    def predict(inputs):
        end = time.process_time() + burn
        while time.process_time() < end:
            pass
        return inputs * 2

    log.count(steps=1)
    log.evaluate(1, predict)
    return Solution(lambda inputs: inputs * 2)


def hides_a_childs_time(public, log, seeds, burn):
    """Let a child compute, and ignore its end: the kernel then forgets the time it took."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        end = time.process_time() + burn
        while time.process_time() < end:
            pass
        os._exit(0)
    with contextlib.suppress(OSError):
        os.waitpid(child, 0)
    return honest(public, log, seeds)


def holds(public, log, seeds, how):
    """Hold 2 GB: in orphans of 500 MB each, or in memory that is shared with nobody."""
    pages = [mmap.mmap(-1, 2**29) for _ in range(4 if how == "shared" else 0)]
    for page in pages:
        page.write(b"1" * len(page))
    for _ in range(0 if pages else 4):
        if os.fork() == 0:
            if os.fork() == 0:
                kept = b"1" * 2**29
                time.sleep(30 + 0 * len(kept))
            os._exit(0)
    time.sleep(30)
    return honest(public, log, seeds)


def outlives(public, log, seeds):
    """Leave the group that is ended with the cell, or the signal that ends with the scorer."""
    tried(
        {
            "a group": lambda: _in_a_child(lambda: os.setpgid(0, 0) or os.getpgid(0) == os.getpid()),
            "a session in a child": lambda: _in_a_child(lambda: os.setsid() or os.getsid(0) == os.getpid()),
            "a life without the scorer": lambda: None if _death_signal() == signal.SIGKILL else True,
        }
    )


def _in_a_child(question: Callable[[], bool]) -> bool | None:
    """Whether the answer is yes in a child of this process; None for no."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(OSError):
            code = not question()
        os._exit(code)
    return True if os.waitpid(child, 0)[1] == 0 else None


def _death_signal() -> int:
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(number), 0, 0, 0)  # PR_GET_PDEATHSIG
    return number.value


def stalls(public, log, seeds, how):
    """Keep the scorer waiting: in the middle of a frame, for a frame that is announced, for its end; or hang up."""
    if how == "never ends":
        os._exit = lambda code: time.sleep(600)
        return honest(public, log, seeds)
    scorer = _pipe()
    if how == "hangs up":
        scorer.shutdown(socket.SHUT_RDWR)
    else:
        scorer.sendall(b"\0" * 8 if how == "half a size" else struct.pack("<QQ", 64, 2**32))
    threading.Event().wait(600)


def digs(public, log, seeds, depth):
    """Leave a folder too deep to be removed by recursion, another that cannot be listed."""
    Path("shut").mkdir(0o300)
    Path("shut", "note").write_text("seen")
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    return honest(public, log, seeds)


def names_a_curve(public, log, seeds, name):
    log.track(1, **{name: 1.0})
    return honest(public, log, seeds)


def overdraws(public, log, seeds):
    """Ignore that the budget is spent, and say so."""
    with contextlib.suppress(Exhausted):
        log.count(steps=10_000)
    log.counts["steps"] = 10_000
    return Solution(lambda inputs: inputs * 2)


def spends_within(public, log, seeds):
    """Run into the budget without an answer."""
    while True:
        log.count(steps=1)


# ---------------------------------------------------------------- state, writing, network


def writes(public, log, seeds, paths):
    """Write: into the store, over the harness, over installed packages, into shared folders."""
    attempts = {path: lambda p=path: Path(p).write_text("forged") for path in paths}
    here = Path(tempfile.gettempdir(), "mine")
    here.write_text("allowed")
    attempts["a link out"] = lambda: here.with_name("link").hardlink_to(paths[0])
    attempts["a move out"] = lambda: here.replace(paths[0] + ".moved")
    attempts["a mode"] = lambda: Path(__file__).chmod(0o600) or "changed"
    attempts["a time"] = lambda: os.utime(__file__, (0, 0)) or "changed"
    tried(attempts)


def remembers(public, log, seeds, places):
    """Leave a note wherever one might last, and look for the note of the cell before."""
    found = []
    for place in (*places, tempfile.gettempdir(), "/tmp", "/dev/shm", "/var/tmp"):
        note = Path(place, "note-of-an-entry")
        with contextlib.suppress(OSError):
            found += [place] if note.exists() else []
            note.write_text("seen")
    found += ["environment"] if os.environ.get("NOTE") else []
    os.environ["NOTE"] = "seen"
    found += ["module"] if hasattr(torch, "note") else []
    torch.note = "seen"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.shmget(0x5EED, 4096, 0o600) >= 0:
        found.append("shared memory")
    libc.shmget(0x5EED, 4096, 0o1600)
    raise RuntimeError(f"reached: {', '.join(found) or 'nothing'}")


def speaks_to_the_next(public, log, seeds, server):
    """Marks that Landlock lets pass and a later cell could read: on files, on the fork server, in the kernel's log."""
    libc = ctypes.CDLL(None, use_errno=True)

    def flags() -> bytes:
        with open(__file__) as file:
            return fcntl.ioctl(file, 0x40086602, fcntl.ioctl(file, 0x80086601, bytes(8)))  # as they are

    def processors() -> bool | None:
        before = os.sched_getaffinity(server)
        os.sched_setaffinity(server, {min(before)})
        changed = os.sched_getaffinity(server) != before
        os.sched_setaffinity(server, before)
        return changed or None

    tried(
        {
            "a file's flags": flags,
            "an attribute": lambda: os.removexattr(__file__, "user.note") or True,
            "limits": lambda: resource.prlimit(server, resource.RLIMIT_CORE),
            "priority": lambda: (
                os.setpriority(os.PRIO_PROCESS, server, os.getpriority(os.PRIO_PROCESS, server)) or True
            ),
            "processors": processors,
            "the kernel's log": lambda: True if libc.klogctl(10, None, 0) >= 0 else None,
            "a namespace": lambda: _in_a_child(lambda: libc.unshare(0x10000000) == 0),  # CLONE_NEWUSER
            "a namespace for a child": lambda: _in_a_child(_cloned),
        }
    )


def _cloned() -> bool:
    """A child in a user and process namespace of its own, by the bare call of x86-64 and 64-bit ARM."""
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    flags = 0x10000000 | 0x20000000 | signal.SIGCHLD
    child = ctypes.CDLL(None).syscall(number, ctypes.c_long(flags), None, None, None, None)
    if child == 0:
        os._exit(0)
    return child > 0


def calls_out(public, log, seeds, port, path):
    """Another machine, this one, its services; by hand and by a child."""

    def local() -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(path)
        return made

    code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"
    tried(
        {
            "this machine": lambda: socket.create_connection(("127.0.0.1", port), 1),
            "a service's socket": local,
            "a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
            "by a child": lambda: subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL),
        }
    )


def signals(public, log, seeds, pids):
    """End the scorer and the sweep."""
    tried({str(pid): lambda p=pid: os.kill(p, 0) or "signalled" for pid in (os.getppid(), *pids)})


# ---------------------------------------------------------------- what it returns


class Payload:
    """Unpickled, it would write a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (Path(self.path), "ran")

    def __float__(self) -> float:
        return 0.0


def returns_an_object(public, log, seeds, path):
    return Solution(lambda inputs: inputs, {"answer": Payload(path)})


def predicts_an_object(public, log, seeds, path):
    return Solution(lambda inputs: Payload(path))


def sends(public, log, seeds, what, path):
    """Speak to the scorer past the harness: bytes that no honest process sends."""
    scorer = _pipe()

    def frame(text: str, body: bytes = b"") -> bytes:
        return struct.pack("<QQ", len(text), len(body)) + text.encode() + body

    def report(counts: str) -> bytes:
        head, tail = '["done", {"@d": {"status": "ok", "cpu": {"@d": {}}, "curves": {"@d": {}}, ', "}]"
        return frame(f'{head}"tensors": {{"@d": {{}}}}, "predicts": false, "counts": {{"@d": {{{counts}}}}}}}{tail}')

    messages = {
        "a pickle": pickle.dumps(Payload(path)) * 4,
        "a pickle in a frame": struct.pack("<QQ", 64, 0) + pickle.dumps(Payload(path)).ljust(64, b"."),
        "a size": struct.pack("<QQ", 2**60, 2**60),
        "a deep nest": frame("[" * 100_000 + "]" * 100_000),
        "a nest": frame('["output", ' + "[" * 500 + "]" * 501),
        "an empty tensor of a size": frame('["evaluate", {"@": ["float32", [64, 1], 0]}]'),
        "a type that is none": frame('["evaluate", {"@": ["nn", [1], 0]}]'),
        "an unknown code": frame('["evaluate", {"@x": 1}]'),
        "an unknown message": frame('["publish", 1]'),
        "a long message": frame('["' + "x" * 10**6 + '"]'),
        "a long name": report(f'"{"x" * 101}": 1'),
        "no message": frame("3"),
        "a step that is none": frame('["evaluate", "one"]'),
        "counts that are none": report('"steps": -1'),
        "a measured cost": report('"wall": 1'),
    }
    scorer.sendall(messages[what])
    threading.Event().wait(20)


def _pipe() -> socket.socket:
    return socket.socket(fileno=next(fd for fd in range(3, 1024) if _is_socket(fd)))


def _is_socket(fd: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    except OSError:
        return False
