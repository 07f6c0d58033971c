"""The Weights & Biases sink: absent is told, and what is sent is a record's content."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from bench.contract import BenchError
from bench.records.store import Store
from bench.running.sweep import wandb_sink
from tests import rows


def test_an_absent_package_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(BenchError, match="sweepstakes\\[wandb\\]"):
        wandb_sink("offline", Store(tmp_path))


def test_a_record_becomes_a_run(monkeypatch, tmp_path):
    told: dict = {"logged": [], "summary": {}}

    class Run:
        summary = told["summary"]

        def define_metric(self, name, step_metric):
            assert step_metric == f"step/{name}"

        def log(self, values):
            told["logged"].append(values)

        def finish(self):
            told["finished"] = True

    def init(**settings):
        told["settings"] = settings
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    store = Store(tmp_path)
    monkeypatch.setattr(store, "curves", lambda record: {"loss": np.array([[0, 1], [2.0, 1.0]])})
    wandb_sink("offline", store)(rows.record("e", 3, task="toy/line", metrics={"error": 0.5}))
    assert told["settings"]["mode"] == "offline" and told["settings"]["config"]["seed"] == 3
    assert told["logged"] == [{"step/loss": 0, "loss": 2.0}, {"step/loss": 1, "loss": 1.0}]
    assert told["summary"] == {"status": "ok", "error": 0.5} and told["finished"]
