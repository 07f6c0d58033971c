"""The plan of the house: a room of bench/ imports only rooms below it, and no file imports itself by way of others."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

ROOMS = (  # from top to bottom; the modules that tasks and entries are written against lie on the ground, "."
    "verbs", "submissions", "board", "checking", "upkeep", "figures", "claims", "tuning", "tables", "running", "planning",
    "records", "data", "metrics", ".",
)  # fmt: skip
DOOR = "bench.__main__"  # stands outside of the rooms
MOST = {"floors": 12, "room": 2500, "module": 350, "bench": 14950}  # lines, but for the floors
# `bench` was 14,000 when its rooms were drawn; what capabilities (numerics, statistics, claims, papers) add since is in it.


@cache
def modules() -> dict[str, Path]:
    """dotted name -> file of every module of bench/."""
    names = {}
    for path in sorted((ROOT / "bench").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        names[name.removesuffix(".__init__")] = path
    return names


def room(module: str) -> str:
    """The room of a module."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / "bench" / parts[1]).is_dir() else "."


def imported(tree: ast.Module) -> set[str]:
    """Names of bench that a module imports, inside functions too; what only a type checker sees is left out."""
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    imports = set()
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in imports if name in modules()}


@cache
def arrows() -> dict[str, set[str]]:
    """module -> modules of bench that it imports; a package that only holds its modules is no room of its own."""
    found = {}
    for name, path in modules().items():
        targets = imported(ast.parse(path.read_bytes())) - {name, "bench"}
        found[name] = {one for one in targets if one in modules() and not _empty(one)}
    return found


def _empty(module: str) -> bool:
    return modules()[module].name == "__init__.py" and not modules()[module].read_text(encoding="utf-8").strip()


def upward(edges: dict[str, set[str]]) -> list[str]:
    """Imports from a room to one above it."""
    height = {name: place for place, name in enumerate(ROOMS)}
    return [
        f"{importer} -> {target}"
        for importer, targets in edges.items()
        for target in targets
        if importer != DOOR and height[room(target)] < height[room(importer)]
    ]


def floors(edges: dict[str, set[str]]) -> dict[str, int]:
    """module -> 1 + the highest floor that it imports. ValueError, naming the circle, if modules import each other."""
    known: dict[str, int] = {}

    def floor(module: str, path: tuple[str, ...]) -> int:
        if module in path:
            raise ValueError(" -> ".join([*path[path.index(module) :], module]))
        if module not in known:
            known[module] = 1 + max((floor(one, (*path, module)) for one in edges[module]), default=0)
        return known[module]

    for module in edges:
        floor(module, ())
    return known


def test_every_room_is_in_the_plan():
    assert {room(name) for name in modules()} == set(ROOMS)


def test_a_room_imports_only_rooms_below_it():
    assert not upward(arrows())
    assert upward({"bench.records.store": {"bench.planning.plan"}})  # the test can fail


def test_there_is_no_circle_and_few_floors():
    found = floors(arrows())
    top = max(found, key=lambda name: found[name])
    assert found[top] <= MOST["floors"], top


def test_a_circle_is_named():
    try:
        floors({"a": {"b"}, "b": {"a"}})
    except ValueError as error:
        assert str(error) == "a -> b -> a"
    else:
        raise AssertionError("a circle was not noticed")


def test_rooms_and_modules_are_small():
    rooms: dict[str, int] = defaultdict(int)
    for name, path in modules().items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        rooms[room(name)] += lines
        assert lines <= MOST["module"], name
    assert {name: lines for name, lines in rooms.items() if lines > MOST["room"]} == {}
    assert sum(rooms.values()) <= MOST["bench"]


def test_tasks_and_baselines_do_not_import_each_other():
    for folder, other in (("tasks", "baselines"), ("baselines", "tasks")):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_bytes())
            names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            assert not [name for name in names if name.split(".")[0] == other], path
