"""Linux calls that shut a process in: Landlock for files, a system-call filter, capabilities.

All of them bind the calling thread, what it starts from then on, and nothing else; none needs a privilege, none can be
taken back. The sources are the kernel's own pages: landlock(7), seccomp(2), capabilities(7).
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
from pathlib import Path
from typing import NamedTuple

# prctl options
PDEATHSIG, SUBREAPER = 1, 36
_SET_DUMPABLE, _SET_SECCOMP, _NO_NEW_PRIVS = 4, 22, 38
_FILTER = 2  # SECCOMP_MODE_FILTER

# Landlock: rights on files, and the version of the interface (ABI) that brought the later ones
EXECUTE, WRITE, READ, LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, DEVICE = 1 << 14, 1 << 15
_ON_A_FILE = EXECUTE | WRITE | READ | TRUNCATE | DEVICE
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # ABI -> number of rights
_TCP_ABI, _SCOPE_ABI = 4, 6
_TCP, _SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, equal on every machine

Numbers = tuple[int | None, int | None]  # of a system call on x86-64 and on 64-bit ARM (None: it has none)

# System calls that an entry has no use for.
REFUSED: Mapping[str, Numbers] = {
    # another machine, or a service of this one; io_uring can open sockets too
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    # another process's memory and files, or a look at what it does
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    # another process's priority, which Landlock lets pass; the fork server's would reach every later cell
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    # a view of the system of its own: what ends with a process namespace ends without being charged
    "unshare": (272, 97),
    "setns": (308, 268),
    # memory, queues, keys and lines of the kernel's log that outlive a process
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "syslog": (103, 116),
    # marks on files, which Landlock lets pass: they would carry a message to the next cell
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
    """A call let through or not by one argument: the bits `mask` of it are one of `values`, or are not."""

    numbers: tuple[int, int]  # of the call on x86-64 and on 64-bit ARM
    argument: int
    mask: int
    values: tuple[int, ...]
    pass_if_in: bool
    error: int  # what it fails with otherwise; 0: it seems to succeed, and does nothing


_ALL = 0xFFFFFFFF
_NAMESPACES = 0x7E020000  # CLONE_NEW*
JUDGED: Mapping[str, Judged] = {
    # limits and processors of its own process only: those of the fork server would reach every later cell
    "prlimit64": Judged((302, 261), 0, _ALL, (0,), True, errno.EPERM),
    "sched_setaffinity": Judged((203, 122), 0, _ALL, (0,), True, 0),
    "clone": Judged((56, 220), 0, _NAMESPACES, (0,), True, errno.EPERM),
    # attributes of files: the groups of numbers "f" and "v" (ext4 and others), "X" (XFS), 0x94 (btrfs)
    "ioctl": Judged((16, 29), 1, 0xFF00, (0x6600, 0x7600, 0x5800, 0x9400), False, errno.EPERM),
    # a child's end, of which the kernel does not charge the time to whoever ignores it
    "rt_sigaction": Judged((13, 134), 0, _ALL, (signal.SIGCHLD,), False, 0),
    # all of an entry's processes stay in one group, which one signal ends
    "setsid": Judged((112, 157), 0, 0, (), True, 0),
    "setpgid": Judged((109, 154), 0, 0, (), True, 0),
    # its flags are in memory, where a filter cannot look; libraries then fall back to clone
    "clone3": Judged((435, 435), 0, 0, (), True, errno.ENOSYS),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH
_X32 = 0x40000000  # x86-64's second table of calls starts here


def prctl(option: int, value: int) -> None:
    """An option of this process; nothing where there is no such call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(function: str, *arguments: int | bytes | None) -> int:
    """A libc call, every number as wide as a register; OSError with the function's name if it returns -1."""
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(getattr(_libc(), function)(*wide))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")
    return result


@cache
def landlock_abi() -> int:
    """Version of the kernel's Landlock; 0 where there is none, or a sandbox around us forbids to ask."""
    if sys.platform != "linux":
        return 0
    try:
        return _call("syscall", _CREATE, None, 0, 1)
    except OSError:
        return 0


@cache
def filters() -> bool:
    """Whether a system-call filter can be set. Asked with an address that is none: the kernel sets nothing."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    try:
        _call("prctl", _SET_SECCOMP, _FILTER, None, 0, 0)
    except OSError as error:
        return error.errno == errno.EFAULT
    return False


def undumpable() -> None:
    """Only root may from here on read this process's memory or its open files in /proc, whoever else owns it."""
    _call("prctl", _SET_DUMPABLE, 0, 0, 0, 0)


def no_new_privileges() -> None:
    """No program started from here gains rights (setuid, file capabilities). The two below need it."""
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)


def drop_capabilities() -> None:
    """Give up all of root's powers but the one to open files whatever their mode, which Landlock still confines."""
    header = struct.pack("<Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    kept = 1 << 1 if os.geteuid() == 0 else 0  # CAP_DAC_OVERRIDE
    _call("capset", header, struct.pack("<6I", kept, kept, 0, 0, 0, 0))


def restrict_files(grants: Iterable[tuple[Path, int]], everything: Path) -> None:
    """Only `grants` (path, rights; absent paths are skipped) and all of the folder `everything` stay accessible.

    Also refuses TCP (from ABI 4), signals and abstract sockets to processes outside (ABI 6), and, always, to look into
    the memory of processes outside. Raises OSError where Landlock is absent.
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


def _program() -> bytes:
    """The filter as classic BPF: [code, jump if true, jump if false, constant] each; offsets count instructions."""
    column, machine = _MACHINES[platform.machine()]
    load, equal, at_least, bits, give = 0x20, 0x15, 0x35, 0x54, 0x06
    allow, fail = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
    lines = [
        (load, 0, 0, 4),  # seccomp_data.arch
        (equal, 1, 0, machine),
        (give, 0, 0, fail | errno.EPERM),  # a call by another machine's table
        (load, 0, 0, 0),  # seccomp_data.nr
        (at_least, 0, 1, _X32),
        (give, 0, 0, fail | errno.EPERM),
    ]
    for refused in REFUSED.values():
        if (number := refused[column]) is not None:
            lines += [(equal, 0, 1, number), (give, 0, 0, fail | errno.EPERM)]
    for call in JUDGED.values():
        number, answers = call.numbers[column], (fail | call.error, allow)
        block = [
            (load, 0, 0, 16 + 8 * call.argument),  # the low half of seccomp_data.args[argument]
            (bits, 0, 0, call.mask),
            *[(equal, len(call.values) - i, 0, value) for i, value in enumerate(call.values)],
            (give, 0, 0, answers[not call.pass_if_in]),
            (give, 0, 0, answers[call.pass_if_in]),
        ]
        lines += [(equal, 0, len(block), number), *block]
    lines += [(give, 0, 0, allow)]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def refuse_calls() -> None:
    """From here on the calls named in `REFUSED` fail with EPERM, those in `JUDGED` as it says. OSError without filters."""
    program = _program()
    kept = ctypes.create_string_buffer(program, len(program))
    pointed = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))  # struct sock_fprog
    _call("prctl", _SET_SECCOMP, _FILTER, pointed, 0, 0)
