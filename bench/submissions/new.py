"""`bench new entry NAME` and `bench new task FAMILY/NAME`: writes a working entry or task from templates."""

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

TRY_ON = {"optimizer": "grokking/modular_addition", "model": "grokking/modular_addition",
          "procedure": "large_batch/prototypes", "surrogate": "pde/burgers_1d"}  # fmt: skip
NO_DOC = "Say in one line what the task asks."
NOT_YET = "say in one line what is new about it"  # `bench submit` refuses it as a description
NAME = re.compile(r"[a-z][a-z0-9_]*")


def entry(name: str, doc: str | None, kind: str, authors: Sequence[str]) -> list[str]:
    """Write `entries/NAME.py` and `configs/entry/NAME.yaml` under the current folder; returns lines that name the next commands.

    kind: of `TRY_ON`. doc, authors: `bench submit` demands them. BenchError if the name is no identifier, or is taken.
    """
    _check_name("entry", name, [name], "an entry; use lower-case letters, digits and underscores, like my_idea")
    doc = " ".join((doc or NOT_YET).split())
    in_code = doc.replace("\\", "/").replace('"', "'").rstrip(".")  # it stands in a docstring
    words = {"name": name, "authors": json.dumps([*authors], ensure_ascii=False)}
    templates = {
        f"entries/{name}.py": (f"{kind}.py", in_code),
        f"configs/entry/{name}.yaml": (f"{kind}.yaml", json.dumps(doc, ensure_ascii=False)),
    }
    task = TRY_ON[kind]
    return [
        *_write(templates, words),
        "it runs as it is:",
        f"  bench run task={task} entry={name} preset=smoke",
        f"  bench tune task={task} entry={name}",
        f"  bench run suite=core task={task} extra={name}",
        f"  bench table suite=core task={task} extra={name}",
        f"  bench submit configs/entry/{name}.yaml",
    ]


def task(name: str, doc: str | None) -> list[str]:
    """Write the task FAMILY/NAME: its module, configuration with datasheet, test and family's README; see `entry`.

    In the project's own folder the module goes to `tasks/`, elsewhere to `own_tasks/`, since `tasks` is the project's package.
    """
    family, _, short = name.partition("/")
    advice = "a task; write FAMILY/NAME in lower-case letters, digits and underscores"
    _check_name("task", name, [family, short], advice)
    home = "tasks" if Path.cwd().resolve() == config.PROJECT else "own_tasks"
    doc = " ".join((doc or NO_DOC).split())
    words = {"family": family, "name": short, "module": f"{home}.{family}.{short}"}
    templates = {
        f"{home}/{family}/{short}.py": ("task.py", doc),
        f"configs/task/{family}/{short}.yaml": ("task.yaml", json.dumps(doc)),
        f"tests/test_{family}_{short}.py": ("task_test.py", doc),
    }
    of_family = {f"{home}/{family}/__init__.py": "task_init.py", f"{home}/{family}/README.md": "task_readme.md"}
    templates |= {path: (template, doc) for path, template in of_family.items() if not Path(path).exists()}
    return [
        *_write(templates, words),
        "it runs as it is; replace what is learned, then its words:",
        f"  bench run task={name} entry=adam,untrained preset=smoke",
        f"  python -m pytest tests/test_{family}_{short}.py    (names what the task lacks)",
        f"  bench datasheet {name}",
        f"  python -m bench.upkeep.golden {name} --write    (once its numbers stand; a later change is a new version)",
    ]


def _check_name(group: str, name: str, steps: Sequence[str], advice: str) -> None:
    """BenchError if a step of a name is no identifier, or the name is taken."""
    if not all(NAME.fullmatch(step) and not keyword.iskeyword(step) for step in steps):
        raise BenchError(f"{name!r} cannot name {advice}")
    if name in config.names(group):
        raise BenchError(f"{group} {name!r} exists already: {config.names(group)[name]}; choose another name")


def _write(templates: Mapping[str, tuple[str, str]], words: Mapping[str, str]) -> list[str]:
    """Write path -> (template, doc) with the words filled in; a line for each. BenchError, and nothing written, if one exists."""
    for path in templates:
        if Path(path).exists():
            raise BenchError(f"{Path.cwd() / path} exists already; choose another name, or move it away")
    class_name = "".join(word.capitalize() for word in words["name"].split("_"))
    for path, (template, doc) in templates.items():
        text = files("bench.submissions.templates").joinpath(f"{template}.txt").read_text(encoding="utf-8")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(Template(text).substitute(words, doc=doc, Class=class_name), encoding="utf-8")
    return [f"wrote {path}" for path in templates]
