"""`bench new entry NAME` and `bench new task FAMILY/NAME`: what works as it is, from templates."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from bench.contract import BenchError
from bench.planning import config

TRY_ON = {
    "optimizer": "grokking/modular_addition",
    "model": "grokking/modular_addition",
    "procedure": "large_batch/prototypes",
    "surrogate": "pde/burgers_1d",
}
NO_DOC = "Say in one line what the task asks."
NOT_YET = "say in one line what is new about it"  # what `bench submit` does not take for a description


def _write(made: Mapping[Path, tuple[str, Mapping[str, str]]]) -> None:
    """Files from (template, words); BenchError, with nothing written, if one is there already."""
    for path in made:
        if path.exists():
            raise BenchError(f"{path} exists already; choose another name, or move it away")
    for path, (template, words) in made.items():
        text = files("bench.submissions.templates").joinpath(f"{template}.txt").read_text(encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(words), encoding="utf-8")


def entry(name: str, kind: str, folder: Path, doc: str = NOT_YET, authors: Sequence[str] = ()) -> list[str]:
    """Write `entries/NAME.py` and `configs/entry/NAME.yaml` under `folder`; returns lines that tell what to do next.

    doc, authors: what `bench submit` will want to know; they may be filled in later.
    Raises BenchError if the name is no identifier, or is taken: nothing is overwritten.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise BenchError(f"{name!r} cannot name an entry; use lower-case letters, digits and underscores, like my_idea")
    if name in config.names("entry"):
        raise BenchError(f"entry {name!r} exists already: {config.names('entry')[name]}; choose another name")
    doc = " ".join(doc.split())
    told = {"doc": json.dumps(doc, ensure_ascii=False), "authors": json.dumps(list(authors), ensure_ascii=False)}
    in_code = doc.replace("\\", "/").replace('"', "'").rstrip(".")  # it stands in a docstring
    words = {"name": name, "Class": "".join(word.capitalize() for word in name.split("_")), "doc": in_code}
    targets = {
        "py": folder / "entries" / f"{name}.py",
        "yaml": folder / "configs" / "entry" / f"{name}.yaml",
    }
    _write({path: (f"{kind}.{s}", words | (told if s == "yaml" else {})) for s, path in targets.items()})
    task = TRY_ON[kind]
    return [
        *(f"wrote {path.relative_to(folder)}" for path in targets.values()),
        "it runs as it is:",
        f"  bench run task={task} entry={name} preset=smoke",
        f"  bench tune task={task} entry={name}",
        f"  bench run suite=core task={task} extra={name}",
        f"  bench table suite=core task={task} extra={name}",
        f"  bench submit configs/entry/{name}.yaml",
    ]


def task(name: str, folder: Path, doc: str = NO_DOC) -> list[str]:
    """Write the task FAMILY/NAME under `folder`: its module, configuration with datasheet, test and family's README.

    In the project's own folder the module goes to `tasks/`, elsewhere to `own_tasks/`, since `tasks` is the project's package.
    Returns lines that tell what to do next. Raises BenchError if the name is none, or is taken: nothing is overwritten.
    """
    family, _, short = name.partition("/")
    if not all(re.fullmatch(r"[a-z][a-z0-9_]*", part) and not keyword.iskeyword(part) for part in (family, short)):
        raise BenchError(
            f"{name!r} cannot name a task; write FAMILY/NAME in lower-case letters, digits and underscores"
        )
    if name in config.names("task"):
        raise BenchError(f"task {name!r} exists already: {config.names('task')[name]}; choose another name")
    home = "tasks" if folder.resolve() == config.PROJECT else "own_tasks"
    words = {
        "family": family, "name": short, "module": f"{home}.{family}.{short}", "doc": json.dumps(" ".join(doc.split())),
        "Class": "".join(word.capitalize() for word in short.split("_")),
    }  # fmt: skip
    package = folder / home / family
    made = {
        package / f"{short}.py": ("task.py", words),
        folder / "configs" / "task" / family / f"{short}.yaml": ("task.yaml", words),
        folder / "tests" / f"test_{family}_{short}.py": ("task_test.py", words),
    }
    for path, template in ((package / "__init__.py", "task_init.py"), (package / "README.md", "task_readme.md")):
        if not path.exists():  # the family is new
            made[path] = (template, words | {"doc": " ".join(doc.split())})
    _write(made)
    return [
        *(f"wrote {path.relative_to(folder)}" for path in made),
        "it runs as it is; replace what is learned, then its words:",
        f"  bench run task={name} entry=adam,untrained preset=smoke",
        f"  python -m pytest tests/test_{family}_{short}.py    (names what the task lacks)",
        f"  bench datasheet {name}",
        f"  python -m bench.upkeep.golden {name} --write    (once its numbers stand; a later change is a new version)",
    ]
