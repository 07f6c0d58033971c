"""`bench data make|info|check|croissant`, thin: each calls the module that does the work, and prints.

`configs/verb/data.yaml` hands these verbs to the command line, which knows no family by name.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any


def do_info(options: argparse.Namespace) -> int:
    """What a file of fields holds."""
    from tasks.pde.files import reading
    from tasks.pde.files.layout import AXES

    layout = reading.info(Path(options.file))
    axes = zip((*AXES[: len(layout.axes)], "t"), (*layout.axes, layout.t), strict=True)
    ends = {name: [float(axis[0]), float(axis[-1]), len(axis)] for name, axis in axes if len(axis)}
    plain = {
        "family": layout.family, "samples": layout.samples, "frames": layout.frames, "shape": list(layout.shape),
        "channels": list(layout.names), "constants": list(layout.constants), "axes": ends,
        "attributes": dict(layout.attributes), "periodic": layout.periodic,
        "chunks": layout.chunks and list(layout.chunks), "bytes": layout.bytes,
    }  # fmt: skip
    if options.format == "json":
        print(json.dumps(plain, indent=1))
        return 0
    value: Any
    for name, value in plain.items():
        if name == "axes":
            value = "; ".join(f"{axis} {low:g} .. {high:g} ({count})" for axis, (low, high, count) in ends.items())
        elif name == "attributes":
            value = ", ".join(f"{key} = {number:g}" for key, number in layout.attributes.items())
        elif isinstance(value, list):
            value = (" x " if name in ("shape", "chunks") else ", ").join(map(str, value))
        print(f"{name:11} {value if value not in (None, '') else 'none'}")
    return 0


def do_check(options: argparse.Namespace) -> int:
    """What is wrong with a file of fields, if anything; exit code 1 if there is an error."""
    from tasks.pde.files.check import check

    findings = check(Path(options.file))
    if options.format == "json":
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            step = "" if finding.level == "note" else f"; {finding.next_step}"
            print(f"{finding.level:8} {finding.where}: {finding.what}{step}")
        errors = sum(finding.level == "error" for finding in findings)
        print(f"{options.file}: {errors} errors, {sum(finding.level == 'warning' for finding in findings)} warnings")
    return int(any(finding.level == "error" for finding in findings))


def do_croissant(options: argparse.Namespace) -> int:
    """A file's description in Croissant 1.0, as JSON-LD (--format json) or in short."""
    from tasks.pde.files.croissant import croissant

    given = {
        "license": options.licence, "citeAs": options.citation, "creator": options.creator, "url": options.url,
        "name": options.name, "description": options.description,
    }  # fmt: skip
    about: dict[str, Any] = {key: value for key, value in given.items() if value}
    card = croissant(Path(options.file), about)
    if options.format == "json":
        print(json.dumps(card, indent=1))
        return 0
    print(f"{card['name']}: {card['description']}\nlicence    {card['license']}\ncitation   {card['citeAs']}")
    print(f"sha256     {card['distribution'][0]['sha256']}")
    for group in card["recordSet"]:
        for field in group["field"]:
            print(f"{group['name']:10} {field['description']}")
    return 0


def do_make(options: argparse.Namespace) -> int:
    """Generate a task's data: `bench data make task=pde/burgers_1d preset=small task.nu=0.02`.

    A second call continues an interrupted one. Without --out the file goes where the task itself looks for it.
    """
    from bench.contract import BenchError
    from bench.data import cache_dir
    from bench.planning import config
    from tasks.pde.files import make

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    request = config.parse(options.overrides)
    paths = []
    for settings, _ in request.crossed():
        for name in request.tasks:
            spec = config.task_spec(name)
            task: Any = spec.cls(spec.cls.Params(**config.parameters(spec, request.settings.preset, settings)))
            if not getattr(task, "shard", None):
                raise BenchError(f"{name} stores no generated fields; `bench list` shows the tasks, those of pde/ do")
            task.check()
            path = Path(options.out) if options.out else task.generated_file(cache_dir(), pool=0)
            if path in paths:
                raise BenchError(f"--out {path} names one file for several; leave it out, or make one task at a time")
            paths.append(path)
            identity = json.dumps(task.identity(pool=0))
            make.make(path, task.shards(pool=0), task.samples, task.family, task.shard_size, say, identity)
    if not paths:
        raise BenchError("name what to make: task=… is missing; `bench list` shows the tasks")
    if options.format == "json":
        print(json.dumps([str(path) for path in paths]))
    else:
        print("\n".join(map(str, paths)))
    return 0


def add_parser(verbs: Any, formats: Sequence[str] = ("text", "json")) -> None:
    """Add `data` and its own verbs to the subparsers `verbs`; each sets `do`."""
    data = verbs.add_parser("data", help="Make, describe and check files of fields.").add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    make = data.add_parser(
        "make", help=(do_make.__doc__ or "").splitlines()[0], description=do_make.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    make.set_defaults(do=do_make)
    make.add_argument("overrides", nargs="*", metavar="key=value")
    make.add_argument("--out", help="the file to write")
    make.add_argument("--format", choices=formats, default=formats[0])
    for name, do in (("info", do_info), ("check", do_check), ("croissant", do_croissant)):
        doc = do.__doc__ or ""
        parser = data.add_parser(name, help=doc, description=doc)
        parser.set_defaults(do=do)
        parser.add_argument("file", help="a file of PDEBench or The Well (HDF5), or neuraloperator's Darcy set (.pt)")
        parser.add_argument("--format", choices=formats, default=formats[0])
        if name == "croissant":
            for option, text in (
                ("licence", "URL or SPDX name"),
                ("citation", "the paper to cite"),
                ("creator", "an organisation"),
                ("url", "where the data are published"),
            ):
                parser.add_argument(f"--{option}", help=text, required=True)
            parser.add_argument("--name", help="else the file's")
            parser.add_argument("--description", help="else made from the layout")
