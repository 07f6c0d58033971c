"""Linux calls that confine a process: Landlock for files, a system-call filter, capabilities.

Each applies to the calling thread and to what it starts afterwards, needs no privilege and cannot be undone. See the manual
pages landlock(7), seccomp(2) and capabilities(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import stat
import struct
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

# prctl options
PDEATHSIG, SUBREAPER = 1, 36
_SET_DUMPABLE, _SET_SECCOMP, _NO_NEW_PRIVS = 4, 22, 38
_FILTER = 2  # SECCOMP_MODE_FILTER

# Landlock: rights on files, and the version of the interface (ABI) from which each restriction exists
EXECUTE, WRITE, READ, LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, DEVICE = 1 << 14, 1 << 15
_ON_A_FILE = EXECUTE | WRITE | READ | TRUNCATE | DEVICE
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # ABI -> number of rights
_TCP_ABI, _SCOPE_ABI = 4, 6
_TCP, _SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls; the numbers are the same on every architecture

Numbers = tuple[int | None, int | None]  # of a system call on x86-64 and on 64-bit ARM (None: it lacks the call)

# System calls that always fail, because no entry needs them.
REFUSED: Mapping[str, Numbers] = {
    # connections to other machines or to local services; io_uring can open sockets too
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    # reading or tracing another process
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    # priorities of other processes, which Landlock does not protect; a cell could slow the fork server and all later cells
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    # namespaces: the CPU time of processes that are killed with a process namespace is not charged to the cell
    "unshare": (272, 97),
    "setns": (308, 268),
    # shared memory, queues, keys and kernel log lines: they outlive a process
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "syslog": (103, 116),
    # file metadata, which Landlock does not protect: a cell could leave a message there for a later one
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}


class Judged(NamedTuple):
    """A system call that is allowed only if `argument & mask` is one of `values`, or (pass_if_in=False) is none of them."""

    numbers: tuple[int, int]  # of the call on x86-64 and on 64-bit ARM
    argument: int  # its position
    mask: int
    values: tuple[int, ...]
    pass_if_in: bool
    error: int  # of a refused call; with 0 the call does nothing and reports success


_ALL = 0xFFFFFFFF
_NAMESPACES = 0x7E020000  # CLONE_NEW*
JUDGED: Mapping[str, Judged] = {
    # resource limits and CPU affinity of its own process only; a change to the fork server would reach every later cell
    "prlimit64": Judged((302, 261), 0, _ALL, (0,), True, errno.EPERM),
    "sched_setaffinity": Judged((203, 122), 0, _ALL, (0,), True, 0),
    "clone": Judged((56, 220), 0, _NAMESPACES, (0,), True, errno.EPERM),
    # file attributes: ioctl requests of the groups "f" and "v" (ext4 and others), "X" (XFS), 0x94 (btrfs)
    "ioctl": Judged((16, 29), 1, 0xFF00, (0x6600, 0x7600, 0x5800, 0x9400), False, errno.EPERM),
    # with SIGCHLD ignored, the kernel drops the CPU time of children
    "rt_sigaction": Judged((13, 134), 0, _ALL, (signal.SIGCHLD,), False, 0),
    # an entry's processes stay in one process group, so that one signal ends them all
    "setsid": Judged((112, 157), 0, 0, (), True, 0),
    "setpgid": Judged((109, 154), 0, 0, (), True, 0),
    # its flags are in memory, which a filter cannot read; libraries fall back to clone
    "clone3": Judged((435, 435), 0, 0, (), True, errno.ENOSYS),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the numbers above, AUDIT_ARCH
_X32 = 0x40000000  # the x32 calls of x86-64 have numbers from here up


def prctl(option: int, value: int) -> None:
    """Set an option of this process; does nothing on systems other than Linux."""
    if sys.platform == "linux":
        _call("prctl", option, value, 0, 0, 0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(function: str, *arguments: int | bytes | None) -> int:
    """Call a libc function, with integers widened to registers; raises OSError with the function's name if it returns -1."""
    widened = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result = int(getattr(_libc(), function)(*widened))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{function}: {os.strerror(code)}")
    return result


@cache
def landlock_abi() -> int:
    """The version of the kernel's Landlock; 0 where there is none, or where an outer sandbox forbids the call."""
    if sys.platform != "linux":
        return 0
    try:
        return _call("syscall", _CREATE, None, 0, 1)
    except OSError:
        return 0


@cache
def filters() -> bool:
    """Whether a system-call filter can be set. Probed with a null address (EFAULT), so that no filter is set."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    try:
        _call("prctl", _SET_SECCOMP, _FILTER, None, 0, 0)
    except OSError as error:
        return error.errno == errno.EFAULT
    return False


def undumpable() -> None:
    """Keep all users but root from reading this process's memory and open files in /proc; does nothing outside Linux."""
    if sys.platform == "linux":
        _call("prctl", _SET_DUMPABLE, 0, 0, 0, 0)


def no_new_privileges() -> None:
    """Keep programs started later from gaining rights (setuid, file capabilities). Landlock and filters require this."""
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)


def drop_capabilities() -> None:
    """Drop all capabilities of root except opening files whatever their mode; Landlock restricts that one."""
    header = struct.pack("<Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    kept = 1 << 1 if os.geteuid() == 0 else 0  # CAP_DAC_OVERRIDE
    _call("capset", header, struct.pack("<6I", kept, kept, 0, 0, 0, 0))


def restrict_files(grants: Iterable[tuple[str, int]], everything: str) -> None:
    """Leave only `grants` (path, rights; missing paths are skipped) and the folder `everything`, in full, accessible.

    Also refuses TCP (from ABI 4), signals and abstract sockets to processes outside (from ABI 6), and access to the memory of
    processes outside (always). Raises OSError without Landlock.
    """
    abi = landlock_abi()
    handled = (1 << _RIGHTS[min(abi, max(_RIGHTS))]) - 1 if abi else 0
    attributes = struct.pack("<QQQ", handled, _TCP if abi >= _TCP_ABI else 0, _SCOPES if abi >= _SCOPE_ABI else 0)
    size = 24 if abi >= _SCOPE_ABI else 16 if abi >= _TCP_ABI else 8
    rules = _call("syscall", _CREATE, attributes, size, 0)
    for path, rights in [*grants, (everything, handled)]:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = rights & handled & (handled if stat.S_ISDIR(os.fstat(opened).st_mode) else _ON_A_FILE)
        if allowed:
            _call("syscall", _ADD, rules, 1, struct.pack("<Qi", allowed, opened), 0)
        os.close(opened)
    _call("syscall", _RESTRICT, rules, 0)
    os.close(rules)


@cache
def program() -> bytes:
    """The filter in classic BPF: instructions (code, jump if true, jump if false, constant); jumps count instructions."""
    column, machine = _MACHINES[platform.machine()]
    load, equal, at_least, bits, ret = 0x20, 0x15, 0x35, 0x54, 0x06
    allow, fail = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
    lines = [
        (load, 0, 0, 4),  # seccomp_data.arch
        (equal, 1, 0, machine),
        (ret, 0, 0, fail | errno.EPERM),  # a call of another architecture
        (load, 0, 0, 0),  # seccomp_data.nr
        (at_least, 0, 1, _X32),
        (ret, 0, 0, fail | errno.EPERM),
    ]
    for refused in REFUSED.values():
        if (number := refused[column]) is not None:
            lines += [(equal, 0, 1, number), (ret, 0, 0, fail | errno.EPERM)]
    for call in JUDGED.values():
        number, answers = call.numbers[column], (fail | call.error, allow)
        block = [
            (load, 0, 0, 16 + 8 * call.argument),  # the low half of seccomp_data.args[argument]
            (bits, 0, 0, call.mask),
            *[(equal, len(call.values) - i, 0, value) for i, value in enumerate(call.values)],
            (ret, 0, 0, answers[not call.pass_if_in]),
            (ret, 0, 0, answers[call.pass_if_in]),
        ]
        lines += [(equal, 0, len(block), number), *block]
    lines += [(ret, 0, 0, allow)]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def refuse_calls() -> None:
    """Refuse the calls in `REFUSED` with EPERM from now on, and those in `JUDGED` by their arguments; OSError without filters."""
    instructions = program()
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    sock_fprog = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(buffer))
    _call("prctl", _SET_SECCOMP, _FILTER, sock_fprog, 0, 0)
