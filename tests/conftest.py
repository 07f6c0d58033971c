"""Shared fixtures: the toy package, installed as a stranger's would be, and the command as a user calls it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums split over threads end in other bits than a cell's one thread

import pytest
from filelock import FileLock

from bench.running import numerics

os.environ |= numerics.environment("portable")  # before torch is loaded: a cell's arithmetic

ROOT = Path(__file__).resolve().parent.parent


def toy_task(target: str) -> str:
    """The toy task's configuration file, of another class."""
    shipped = ROOT / "tests" / "toy" / "toy_package" / "configs" / "task" / "toy" / "line.yaml"
    return shipped.read_text().replace("toy_package.task.Line", target)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that run the command most often come first: two workers that take whole files then end together."""
    calls = Counter(item.path for item in items if {"bench", "environment"} & set(getattr(item, "fixturenames", ())))
    items.sort(key=lambda item: (item.path.name != "test_contract.py", -calls[item.path]))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` that `make` fills, once for all workers of a run; a test that writes there copies it first."""
    shared = factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder, done = shared / name, shared / f"{name}.done"
    with FileLock(shared / f"{name}.lock"):
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def _install_toy(target: Path) -> None:
    source = target.with_name("toy_source")
    subprocess.run(["cp", "-r", str(ROOT / "tests" / "toy"), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder holding the installed toy package."""
    return made_once(tmp_path_factory, "toy_installed", _install_toy)


def copy_of_project(clone: Path, *without: str) -> Path:
    """A copy of the project that shares this environment, as if `make setup` had run there; folders `without` are left out."""
    ignored = shutil.ignore_patterns(".git", ".venv", "local", "__pycache__", ".*_cache", "*.egg-info", *without)
    shutil.copytree(ROOT, clone, ignore=ignored)
    (clone / ".venv" / "bin").mkdir(parents=True)
    for tool in ("python", "bench"):  # tools of the copy: this interpreter, the copy's own code
        call = "" if tool == "python" else " -P -m bench"
        path = clone / ".venv" / "bin" / tool
        path.write_text(f'#!/bin/sh\nPYTHONPATH="{clone}" exec "{sys.executable}"{call} "$@"\n')
        path.chmod(0o755)
    (clone / ".venv" / "bin" / "activate").write_text(f'PATH="{clone}/.venv/bin:$PATH"\n')
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(clone / name, (0, 0))
    (clone / ".venv" / ".installed").touch()
    return clone


Command = Callable[..., subprocess.CompletedProcess[str]]


def variables(toy: Path, folder: Path) -> dict[str, str]:
    """The variables of a user who installed the toy package and keeps data in a folder of the test's own."""
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(toy)]),
        "SWEEPSTAKES_DATA": os.environ.get("SWEEPSTAKES_DATA") or str(folder / "data"),
        "OMP_NUM_THREADS": "1",
    }


def command_in(folder: Path, environment: dict[str, str]) -> Command:
    """bench("run", "task=…") in `folder`; `cwd=` and `env=` may be given."""

    def command(*arguments: str, cwd: Path = folder, env: dict[str, str] | None = None, timeout: float = 120):
        return subprocess.run(
            [sys.executable, "-P", "-m", "bench", *arguments],
            cwd=cwd, env={**environment, **(env or {})}, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip

    return command


@pytest.fixture
def environment(toy: Path, tmp_path: Path) -> dict[str, str]:
    """The variables of the test's own user."""
    return variables(toy, tmp_path)


@pytest.fixture
def bench(environment: dict[str, str], tmp_path: Path) -> Command:
    """The command in the test's own folder."""
    return command_in(tmp_path, environment)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what several tests of a module read; a test that writes copies it first."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def shared_bench(toy: Path, shared_folder: Path) -> Command:
    """The command in the module's shared folder."""
    return command_in(shared_folder, variables(toy, shared_folder))
