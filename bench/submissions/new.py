"""`bench new entry NAME`: a working entry from a template, as a configuration and one module."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from bench.contract import BenchError
from bench.planning import config

TRY_ON = {
    "optimizer": "grokking/modular_addition",
    "model": "grokking/modular_addition",
    "procedure": "large_batch/prototypes",
}
NOT_YET = "say in one line what is new about it"  # what `bench submit` does not take for a description


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
    for path in targets.values():
        if path.exists():
            raise BenchError(f"{path} exists already; choose another name, or move it away")
    for suffix, path in targets.items():
        template = files("bench.submissions.templates").joinpath(f"{kind}.{suffix}.txt").read_text(encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(template).substitute(words | (told if suffix == "yaml" else {})), encoding="utf-8")
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
