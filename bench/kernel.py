"""Linux calls that shut a process in: Landlock for files, a system-call filter, capabilities.

All of them bind the calling thread, what it starts from then on, and nothing else; none needs a privilege, none can be
taken back. The sources are the kernel's own pages: landlock(7), seccomp(2), capabilities(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import struct
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

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

# System calls that an entry has no use for, each with its number on x86-64 and on 64-bit ARM (None: it has none).
REFUSED: Mapping[str, tuple[int | None, int | None]] = {
    # another machine, or a service of this one; io_uring can open sockets too
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    # another process's memory
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    # memory, queues and keys that outlive a process
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
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
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH
_X32 = 0x40000000  # x86-64's second table of calls starts here


@cache
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
    numbers = [pair[column] for pair in REFUSED.values() if pair[column] is not None]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    count = len(numbers)
    lines = [
        (load, 0, 0, 4),  # seccomp_data.arch
        (equal, 0, count + 3, machine),  # a call by another machine's table is refused
        (load, 0, 0, 0),  # seccomp_data.nr
        (at_least, count + 1, 0, _X32),
        *[(equal, count - i, 0, number) for i, number in enumerate(numbers)],
        (give, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
        (give, 0, 0, 0x00050000 | errno.EPERM),  # SECCOMP_RET_ERRNO
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def refuse_calls() -> None:
    """From here on the calls named in `REFUSED` fail with EPERM. Raises OSError where there is no filter."""
    program = _program()
    kept = ctypes.create_string_buffer(program, len(program))
    pointed = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))  # struct sock_fprog
    _call("prctl", _SET_SECCOMP, _FILTER, pointed, 0, 0)
