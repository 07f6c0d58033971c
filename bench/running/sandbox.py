"""What an entry's process may reach: the code it needs, a folder of its own, and nothing of this machine or any other.

`available()` says which of these hold here, and every record keeps it. Linux has them all (5.13 or newer for files, 6.12
for signals); elsewhere a cell still runs in a process of its own, and the record says what did not hold.
"""

from __future__ import annotations

import os
import resource
import site
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from types import MappingProxyType

import bench
from bench.records.modules import installed_in
from bench.running import linux_sandbox

FILE_BYTES = 2**30  # the largest file that an entry may write
FILES_OPEN = 1024
# What Python, numpy and torch read outside of their own folders. No home folder, no /tmp, no other process in /proc.
SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/sys",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/passwd", "/etc/group",
    "/etc/nsswitch.conf", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg",
    "/proc/driver", "/proc/sys/vm", "/proc/sys/kernel", "/System", "/Library",
)  # fmt: skip
DEVICES = ("null", "zero", "full", "random", "urandom", "nvidia*", "kfd", "dri")
# Variables an entry's process keeps: how to run, nothing about the user.
KEPT = (
    "PATH", "LANG", "TZ", "LC_", "LD_", "DYLD_", "PYTHON", "OMP_", "GOMP_", "MKL_", "OPENBLAS_", "KMP_", "CUDA_", "NVIDIA_",
    "HIP_", "TORCH", "PYTORCH_", "ATEN_", "MALLOC_",
)  # fmt: skip

READ_ONLY = linux_sandbox.READ | linux_sandbox.LIST | linux_sandbox.EXECUTE
Grants = tuple[tuple[Path, int], ...]  # (path, rights of bench.running.linux_sandbox)


@cache
def available() -> MappingProxyType[str, str]:
    """name -> "on", or why not. Names: network, files, memory (of other processes), signals, tmp, limits."""
    linux, abi, filters = sys.platform == "linux", linux_sandbox.landlock_abi(), linux_sandbox.filters()
    landlock = "on" if abi else "this kernel has no Landlock, or forbids it" if linux else "only Linux has Landlock"
    filtered = "on" if filters else "no system-call filter here" if linux else "only Linux has system-call filters"
    own = linux and os.geteuid() != 0  # the scorer is then closed to its own user, see `close_memory`
    return MappingProxyType(
        {
            "network": filtered,
            "files": landlock,
            "memory": "on" if abi or own else landlock,
            "signals": "on" if abi >= 6 else "Linux 6.12 is the first to keep signals in" if abi else landlock,
            "tmp": "on",
            "limits": "on" if linux else "only Linux bounds a process's data",
        }
    )


def of(transport: str) -> dict[str, str]:
    """What a record of this `transport` keeps: `available()`, or that a call has no process of its own."""
    if transport == "call":
        return {name: "transport=call runs in the harness's own process" for name in available()}
    return dict(available())


# ---------------------------------------------------------------- what may be read


def _installed() -> set[Path]:
    """Folders of the interpreter and of installed packages: readable whole."""
    names = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *site.getsitepackages()]
    names += [path for name, path in sysconfig.get_paths().items() if name in ("stdlib", "platstdlib", "purelib")]
    if site.ENABLE_USER_SITE:
        names.append(site.getusersitepackages())
    return {Path(name).resolve() for name in names}


def readable() -> Grants:
    """Paths and rights that every entry's process gets, beside its own folder and the files that its cell's key covers.

    Of a folder on `sys.path` that holds a user's things (the current one, a checkout) only names are readable, since the import
    system asks for them: results, data and code outside of the key stay closed.
    """
    whole = _installed()
    listed = {folder for name in sys.path if (folder := Path(name or ".").resolve()).is_dir()}
    listed = {folder for folder in listed if not whole & {folder, *folder.parents}}
    elsewhere = [path for folder in listed for path in installed_in(folder)]  # PYTHONPATH, `pip install --target`
    harness = Path(bench.__file__).resolve().parent
    real = {path.resolve() for path in (*map(Path, SYSTEM), *whole, *elsewhere, harness) if path.exists()}
    outermost = sorted(path for path in real if not real & set(path.parents))
    devices = [device for pattern in DEVICES for device in Path("/dev").glob(pattern)]
    return (
        *((path, READ_ONLY) for path in outermost),
        *((path, linux_sandbox.LIST) for path in sorted(listed)),
        *((path, linux_sandbox.READ | linux_sandbox.WRITE | linux_sandbox.DEVICE) for path in devices),
    )


def without(grants: Iterable[tuple[Path, int]], withheld: Collection[Path]) -> Iterator[tuple[Path, int]]:
    """`grants` less the paths in `withheld`, all resolved: a folder around one is replaced by what else is in it."""
    closed = {str(path) for path in withheld}
    around = {str(folder) for path in withheld for folder in path.parents}
    waiting = [(str(path), rights) for path, rights in grants if closed.isdisjoint(map(str, (path, *path.parents)))]
    while waiting:
        path, rights = waiting.pop()
        if path in closed:
            continue
        if path not in around or rights == linux_sandbox.LIST:
            yield Path(path), rights
            continue
        yield Path(path), rights & linux_sandbox.LIST
        with os.scandir(path) as found:
            waiting += [(os.path.realpath(one.path) if one.is_symlink() else one.path, rights) for one in found]


# ---------------------------------------------------------------- in the two processes of a cell


def close_memory() -> None:
    """Make this process's memory and files unreadable to other processes of its user (not to root's)."""
    if sys.platform == "linux":
        linux_sandbox.undumpable()


def environment() -> dict[str, str]:
    """What the fork server starts with. A process cannot take back its first environment: all that it forks can read it."""
    return {name: value for name, value in os.environ.items() if name == "HOME" or name.startswith(KEPT)}


def remove(folder: Path) -> None:
    """Remove a folder that may resist: neither depth, beyond what recursion and paths can name, nor a mode keeps it."""
    folder.chmod(0o700)
    here = os.open(folder, os.O_RDONLY)

    def go(name: str) -> None:
        nonlocal here
        there = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=here)
        os.close(here)
        here = there

    def emptied() -> list[str]:
        """Delete the files here; names of the folders."""
        with os.scandir(here) as found:
            ones = list(found)
        inner = [one.name for one in ones if one.is_dir(follow_symlinks=False)]
        for name in {one.name for one in ones}.difference(inner):
            os.unlink(name, dir_fd=here)
        return inner

    path = [("", emptied())]  # from `folder` to here: names, and the folders that are left in each
    while True:
        name, inner = path[-1]
        if inner:
            os.chmod(inner[-1], 0o700, dir_fd=here)
            go(inner[-1])
            path.append((inner.pop(), emptied()))
        elif len(path) > 1:
            go("..")
            os.rmdir(name, dir_fd=here)
            path.pop()
        else:
            break
    os.close(here)
    folder.rmdir()


def confine(private: Path, withheld: Collection[Path], grants: Grants) -> None:
    """Shut this process in, for good: `private` to write in, `grants` less `withheld` to read, as `available()` says.

    Raises OSError if the kernel refuses what it said it has: an entry's code must then not run.
    """
    names = [name for name in os.environ if not name.startswith(KEPT)]
    for name in names:
        del os.environ[name]
    places = dict.fromkeys(("HOME", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"), str(private))
    os.environ |= places | {"USER": "entry", "PYTHONDONTWRITEBYTECODE": "1"}
    tempfile.tempdir = str(private)
    os.chdir(private)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_FSIZE, FILE_BYTES)
    _lower(resource.RLIMIT_NOFILE, FILES_OPEN)
    if sys.platform != "linux":
        return
    sys.dont_write_bytecode = True
    linux_sandbox.no_new_privileges()
    linux_sandbox.drop_capabilities()
    if linux_sandbox.landlock_abi():
        own = Path("/proc/self"), READ_ONLY  # of the process that asks, so it cannot be granted beforehand
        linux_sandbox.restrict_files([own, *(without(grants, withheld) if withheld else grants)], private)
    if linux_sandbox.filters():
        linux_sandbox.refuse_calls()


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))
