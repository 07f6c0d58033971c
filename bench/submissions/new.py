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


def _write(templates: Mapping[Path, tuple[str, Mapping[str, str]]]) -> None:
    """Write files from (template, words); BenchError, with nothing written, if a file exists already."""
    for path in templates:
        if path.exists():
            raise BenchError(f"{path} exists already; choose another name, or move it away")
    for path, (template, words) in templates.items():
        text = files("bench.submissions.templates").joinpath(f"{template}.txt").read_text(encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(words), encoding="utf-8")


def entry(name: str, kind: str, folder: Path, doc: str = NOT_YET, authors: Sequence[str] = ()) -> list[str]:
    """Write `entries/NAME.py` and `configs/entry/NAME.yaml` under `folder`; returns lines that name the next commands.

    kind: optimizer, model, surrogate or procedure. doc, authors: `bench submit` demands them; they may be filled in later.
    Raises BenchError if the name is no identifier, or is taken: nothing is overwritten.
    """
    if not _is_name(name):
        raise BenchError(f"{name!r} cannot name an entry; use lower-case letters, digits and underscores, like my_idea")
    if name in config.names("entry"):
        raise BenchError(f"entry {name!r} exists already: {config.names('entry')[name]}; choose another name")
    doc = " ".join(doc.split())
    in_code = doc.replace("\\", "/").replace('"', "'").rstrip(".")  # it stands in a docstring
    words = {"name": name, "Class": _class_name(name), "doc": in_code}
    in_yaml = {"doc": json.dumps(doc, ensure_ascii=False), "authors": json.dumps([*authors], ensure_ascii=False)}
    templates = {
        folder / "entries" / f"{name}.py": (f"{kind}.py", words),
        folder / "configs" / "entry" / f"{name}.yaml": (f"{kind}.yaml", words | in_yaml),
    }
    _write(templates)
    task = TRY_ON[kind]
    return [
        *(f"wrote {path.relative_to(folder)}" for path in templates),
        "it runs as it is:",
        f"  bench run task={task} entry={name} preset=smoke",
        f"  bench tune task={task} entry={name}",
        f"  bench run suite=core task={task} extra={name}",
        f"  bench table suite=core task={task} extra={name}",
        f"  bench submit configs/entry/{name}.yaml",
    ]


def _is_name(word: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9_]*", word) is not None and not keyword.iskeyword(word)


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def task(name: str, folder: Path, doc: str = NO_DOC) -> list[str]:
    """Write the task FAMILY/NAME under `folder`: its module, configuration with datasheet, test and family's README.

    In the project's own folder the module goes to `tasks/`, elsewhere to `own_tasks/`, since `tasks` is the project's package.
    Returns lines that name the next commands. Raises BenchError for a name of another form, or a taken one: nothing is
    overwritten.
    """
    family, _, short = name.partition("/")
    if not (_is_name(family) and _is_name(short)):
        raise BenchError(
            f"{name!r} cannot name a task; write FAMILY/NAME in lower-case letters, digits and underscores"
        )
    if name in config.names("task"):
        raise BenchError(f"task {name!r} exists already: {config.names('task')[name]}; choose another name")
    home = "tasks" if folder.resolve() == config.PROJECT else "own_tasks"
    doc = " ".join(doc.split())
    words = {"family": family, "name": short, "module": f"{home}.{family}.{short}", "doc": json.dumps(doc),
             "Class": _class_name(short)}  # fmt: skip
    package = folder / home / family
    templates = {
        package / f"{short}.py": ("task.py", words),
        folder / "configs" / "task" / family / f"{short}.yaml": ("task.yaml", words),
        folder / "tests" / f"test_{family}_{short}.py": ("task_test.py", words),
    }
    for path, template in ((package / "__init__.py", "task_init.py"), (package / "README.md", "task_readme.md")):
        if not path.exists():  # the family is new
            templates[path] = (template, words | {"doc": doc})
    _write(templates)
    return [
        *(f"wrote {path.relative_to(folder)}" for path in templates),
        "it runs as it is; replace what is learned, then its words:",
        f"  bench run task={name} entry=adam,untrained preset=smoke",
        f"  python -m pytest tests/test_{family}_{short}.py    (names what the task lacks)",
        f"  bench datasheet {name}",
        f"  python -m bench.upkeep.golden {name} --write    (once its numbers stand; a later change is a new version)",
    ]
