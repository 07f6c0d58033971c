"""Optional export of records to Weights & Biases; the parent process sends each record after its cell has ended."""

from __future__ import annotations

import os
from collections.abc import Callable

from bench.contract import BenchError
from bench.records.record import Record
from bench.records.store import Store

CONFIG_FIELDS = ("task", "preset", "entry", "seed", "params", "config", "key")


def wandb_sink(mode: str, store: Store) -> Callable[[Record], None]:
    """A function that sends a record as one run. mode: "offline" (files under ./wandb) or "online".

    Raises BenchError if the package wandb is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        told = f"wandb={mode} needs the package: pip install 'sweepstakes[wandb]'; or leave wandb off"
        raise BenchError(told) from error
    os.environ.setdefault("WANDB_SILENT", "true")

    def send(record: Record) -> None:
        name, group = f"{record.task}/{record.entry}/{record.seed}", f"{record.task}@{record.version}"
        config = {name: getattr(record, name) for name in CONFIG_FIELDS}
        run = wandb.init(
            project="sweepstakes", name=name, group=group, config=config, mode=mode, reinit="finish_previous"
        )
        for name, points in store.curves(record).items():
            run.define_metric(name, step_metric=f"step/{name}")
            for step, value in zip(*points, strict=True):
                run.log({f"step/{name}": step, name: value})
        run.summary.update({"status": record.status, **record.metrics})
        run.finish()

    return send
