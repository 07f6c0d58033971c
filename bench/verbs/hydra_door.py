"""Hydra's own front door: `python -m bench task=… entry=… seed=0,1 -m [hydra/launcher=…]`.

Each Hydra job runs one cell through the same plan and store as `bench run`, so anybody's Hydra launcher may be used: a cell
is idempotent. The configuration groups are opened to strings first, since a composition `a+b` is no file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.contract import BenchError
from bench.planning import config


def run_with_hydra() -> None:
    """Let Hydra parse sys.argv and run its jobs; exits with 1 if a cell failed, 2 for a usage error."""
    import hydra
    from omegaconf import DictConfig, OmegaConf

    arguments = sys.argv[1:]
    sys.argv[1:] = [_opened(argument) for argument in arguments]
    failed: list[str] = []

    @hydra.main(version_base="1.3", config_path=str(config.PROJECT / "configs"), config_name="config")
    def job(composed: DictConfig) -> None:
        from bench.checking import task_check
        from bench.planning import plan, settings
        from bench.records.store import Store
        from bench.running import sweep

        plain = OmegaConf.to_container(composed)
        assert isinstance(plain, dict)
        cell = plain.pop("cell", {})
        request = config.Request(settings.of({str(name): value for name, value in plain.items()}))
        task, entry, seed = str(cell.pop("task", "")), str(cell.pop("entry", "")), int(plain["seed"])
        request.tasks, request.entries, request.seeds = [task], [entry], [seed]
        for name, value in _flat(cell).items():
            kind, _, path = name.partition(".")
            target = request.task_overrides if kind == "set_task" else request.entry_overrides
            target[path] = [value]
        task_check.require_whole(request.tasks)
        store = Store(Path(str(plain["results"])))
        summary = sweep.run(plan.make(request, store), store, request.settings)
        print(f"{task} {entry} seed {seed}: {summary.statuses or 'fresh'}")
        if not summary.ok:
            failed.append(entry)

    try:
        job()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(1 if failed else 0)


def _flat(node: dict[str, object], path: str = "") -> dict[str, object]:
    """Dotted path -> value of a nested mapping."""
    rows: dict[str, object] = {}
    for key, value in node.items():
        name = f"{path}.{key}" if path else str(key)
        rows |= _flat(value, name) if isinstance(value, dict) else {name: value}
    return rows


def _opened(argument: str) -> str:
    """`task=glob(pde/*)` as `+cell.task=pde/advection_1d,pde/burgers_1d`; words without a task or an entry unchanged."""
    name, equals, value = argument.partition("=")
    if not equals or argument.startswith("-"):
        return argument
    if name in ("task", "entry"):
        request = config.parse([argument])
        return f"+cell.{name}={','.join(request.tasks or request.entries)}"
    for kind in ("task", "entry"):
        if name.startswith(f"{kind}."):
            return f"++cell.set_{kind}.{name[len(kind) + 1 :]}={value}"
    return argument
