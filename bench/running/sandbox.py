"""Confinement of an entry's process: it can read the code it needs and write in a private folder; all else is refused.

`available()` says which restrictions this machine supports, and every record keeps that. Linux has them all (files from 5.13,
signals from 6.12); on other systems a cell still runs in a separate process, and its record names what was not enforced.
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
# What Python, numpy and torch read outside their own folders. Home folders, /tmp and other processes in /proc stay closed.
SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/sys",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/passwd", "/etc/group",
    "/etc/nsswitch.conf", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg",
    "/proc/driver", "/proc/sys/vm", "/proc/sys/kernel", "/System", "/Library",
)  # fmt: skip
DEVICES = ("null", "zero", "full", "random", "urandom", "nvidia*", "kfd", "dri")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# Environment variables that an entry's process keeps (names and prefixes): they configure libraries and do not name the user.
KEPT = (
    "PATH", "LANG", "TZ", "LC_", "LD_", "DYLD_", "PYTHON", "OMP_", "GOMP_", "MKL_", "OPENBLAS_", "KMP_", "CUDA_", "NVIDIA_",
    "HIP_", "TORCH", "PYTORCH_", "ATEN_", "ONEDNN_", "NPY_", "MALLOC_",
)  # fmt: skip

READ_ONLY = linux_sandbox.READ | linux_sandbox.LIST | linux_sandbox.EXECUTE
Grants = tuple[tuple[str, int], ...]  # (path, rights of bench.running.linux_sandbox)


@cache
def available() -> MappingProxyType[str, str]:
    """name -> "on", or the reason why not. Names: network, files, memory (of other processes), signals, tmp, limits."""
    linux, abi, filters = sys.platform == "linux", linux_sandbox.landlock_abi(), linux_sandbox.filters()
    landlock = "on" if abi else "this kernel has no Landlock, or forbids it" if linux else "only Linux has Landlock"
    filtered = "on" if filters else "no system-call filter here" if linux else "only Linux has system-call filters"
    undumpable = linux and os.geteuid() != 0  # `linux_sandbox.undumpable` protects the scorer from every user but root
    return MappingProxyType(
        {
            "network": filtered,
            "files": landlock,
            "memory": "on" if abi or undumpable else landlock,
            "signals": "on" if abi >= 6 else "Linux 6.12 is the first to keep signals in" if abi else landlock,
            "tmp": "on",
            "limits": "on" if linux else "only Linux bounds a process's data",
        }
    )


def of(transport: str) -> dict[str, str]:
    """`available()` as a record of this `transport` states it; nothing is enforced where the transport is "call"."""
    if transport == "call":
        return {name: "transport=call runs in the harness's own process" for name in available()}
    return dict(available())


# ---------------------------------------------------------------- readable paths


def _installed() -> set[Path]:
    """Folders of the interpreter and of installed packages."""
    names = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *site.getsitepackages()]
    names += [path for name, path in sysconfig.get_paths().items() if name in ("stdlib", "platstdlib", "purelib")]
    if site.ENABLE_USER_SITE:
        names.append(site.getusersitepackages())
    return {Path(name).resolve() for name in names}


def readable() -> Grants:
    """Paths and rights of every entry's process. Its private folder and the files of its cell's key are added later.

    Other folders on `sys.path`, such as the current one or a checkout, can only be listed, as the import system needs: the
    results, data and code in them stay closed.
    """
    installed = _installed()
    listed = {folder for name in sys.path if (folder := Path(name or ".").resolve()).is_dir()}
    listed = {folder for folder in listed if not installed & {folder, *folder.parents}}
    packages = [path for folder in listed for path in installed_in(folder)]  # PYTHONPATH, `pip install --target`
    harness = Path(bench.__file__).resolve().parent
    paths = {path.resolve() for path in (*map(Path, SYSTEM), *installed, *packages, harness) if path.exists()}
    outermost = sorted(path for path in paths if not paths & set(path.parents))
    devices = [device for pattern in DEVICES for device in Path("/dev").glob(pattern)]
    return (
        *((str(path), READ_ONLY) for path in outermost),
        *((str(path), linux_sandbox.LIST) for path in sorted(listed)),
        *((str(path), linux_sandbox.READ | linux_sandbox.WRITE | linux_sandbox.DEVICE) for path in devices),
    )


def without(grants: Iterable[tuple[str, int]], withheld: Collection[Path]) -> Iterator[tuple[str, int]]:
    """`grants` less the paths in `withheld`, all resolved. A folder that contains one is replaced by its other contents."""
    closed = {str(path) for path in withheld}
    parents = {str(folder) for path in withheld for folder in path.parents}
    pending = [item for item in grants if closed.isdisjoint((item[0], *map(str, Path(item[0]).parents)))]
    while pending:
        path, rights = pending.pop()
        if path in closed:
            continue
        if path not in parents or rights == linux_sandbox.LIST:
            yield path, rights
            continue
        yield path, rights & linux_sandbox.LIST
        with os.scandir(path) as items:
            pending += [(os.path.realpath(item.path) if item.is_symlink() else item.path, rights) for item in items]


# ---------------------------------------------------------------- processes


def environment() -> dict[str, str]:
    """The fork server's environment: HOME and the variables in `KEPT` only, since every forked process can read it in /proc."""
    return {name: value for name, value in os.environ.items() if name == "HOME" or name.startswith(KEPT)}


def remove(folder: Path) -> None:
    """Remove a folder, whatever an entry left in it: read-only folders, or nesting too deep for recursion and for path names."""
    folder.chmod(0o700)
    current = os.open(folder, os.O_RDONLY)

    def change_to(name: str) -> None:
        nonlocal current
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=current)
        os.close(current)
        current = opened

    def delete_files() -> list[str]:
        """Delete the files of the current folder; returns the names of its subfolders."""
        subfolders = []
        with os.scandir(current) as items:
            for item in list(items):
                if item.is_dir(follow_symlinks=False):
                    subfolders.append(item.name)
                else:
                    os.unlink(item.name, dir_fd=current)
        return subfolders

    stack = [("", delete_files())]  # from `folder` to the current one: each name, and its subfolders still to remove
    while True:
        name, subfolders = stack[-1]
        if subfolders:
            os.chmod(subfolders[-1], 0o700, dir_fd=current)
            change_to(subfolders[-1])
            stack.append((subfolders.pop(), delete_files()))
        elif len(stack) > 1:
            change_to("..")
            os.rmdir(name, dir_fd=current)
            stack.pop()
        else:
            break
    os.close(current)
    folder.rmdir()


def confine(private: str, withheld: Collection[Path], grants: Grants) -> None:
    """Restrict this process irrevocably, as far as `available()`: it writes in `private` and reads `grants` less `withheld`.

    Raises OSError if the kernel refuses a restriction that it reported as available; the entry's code must then not run.
    """
    for name in [name for name in os.environ if not name.startswith(KEPT)]:
        del os.environ[name]
    folders = dict.fromkeys(("HOME", "TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"), private)
    os.environ |= folders | {"USER": "entry", "PYTHONDONTWRITEBYTECODE": "1"}
    tempfile.tempdir = private
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
        proc_self = "/proc/self", READ_ONLY  # not part of `grants`, since it leads elsewhere in each process
        linux_sandbox.restrict_files([proc_self, *(without(grants, withheld) if withheld else grants)], private)
    if linux_sandbox.filters():
        linux_sandbox.refuse_calls()


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))
