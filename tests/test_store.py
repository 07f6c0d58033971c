"""Records on disk: damage, conflicts, leases, the ledger."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from bench.contract import BenchError
from bench.records.ledger import publish, thin
from bench.records.record import Record, migrate
from bench.records.store import Store


def record(key: str = "ab" * 16, **changes) -> Record:
    base = {
        "key": key, "task": "toy/line", "version": 1, "params": {"steps": 20}, "preset": "small", "entry": "line_sgd",
        "config": {"optimizer": {"lr": 0.1}}, "seed": 0, "status": "ok", "metrics": {"error": 0.5}, "censored": [],
        "costs": {"cpu_total": 1.0}, "provenance": {}, "components": {"data": {}},
    }  # fmt: skip
    return migrate({**base, **changes})


def test_the_latest_attempt_counts(tmp_path):
    store = Store(tmp_path)
    for value in range(12):
        store.put(record(metrics={"error": float(value)}))
    found = store.get("ab" * 16)
    assert found is not None and found.metrics["error"] == 11.0 and found.attempt == 12
    assert [r.metrics["error"] for r in store.records()] == [11.0]


@pytest.mark.parametrize("damage", ["", "{", '{"key": 1}', "\x00" * 100])
def test_a_damaged_record_is_moved_aside_and_the_rest_loads(tmp_path, damage):
    store = Store(tmp_path)
    store.put(record())
    path = store.put(record("cd" * 16))
    path.write_text(damage)
    assert [r.key for r in store.records()] == ["ab" * 16]
    assert (tmp_path / "quarantine" / path.name).exists() and len(store.reports) == 1
    assert store.get("cd" * 16) is None


def test_nan_cannot_be_stored_as_a_metric(tmp_path):
    with pytest.raises(ValueError, match="error is not finite"):
        Store(tmp_path).put(record(metrics={"error": float("nan")}))
    assert not list(tmp_path.rglob("*.json"))


def test_find_needs_a_single_match(tmp_path):
    store = Store(tmp_path)
    store.put(record("ab12" + "0" * 28))
    store.put(record("ab13" + "0" * 28))
    assert store.find("ab12").key.startswith("ab12")
    with pytest.raises(BenchError, match="2 records"):
        store.find("ab1")
    with pytest.raises(BenchError, match="no record"):
        store.find("ff")


def test_a_lease_is_exclusive_and_a_dead_one_expires(tmp_path):
    store = Store(tmp_path)
    assert store.lease("k") and not store.lease("k")
    store.release("k")
    assert store.lease("k")
    dead = json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()})
    (tmp_path / ".leases" / "k").write_text(dead)
    assert store.lease("k")
    other = json.dumps({"pid": 1, "host": "elsewhere"})
    (tmp_path / ".leases" / "k").write_text(other)
    assert not store.lease("k")
    os.utime(tmp_path / ".leases" / "k", (0, 0))
    assert store.lease("k")


def test_publishing_is_idempotent_sorted_and_drops_old_versions(tmp_path):
    store = Store(tmp_path)
    records = [record(f"{i:032x}", seed=i) for i in (2, 0, 1)]
    assert publish(store, records) == 3
    path = tmp_path / "ledger" / "toy" / "line" / "line_sgd.jsonl"
    text = path.read_text()
    assert publish(store, records) == 0 and path.read_text() == text
    assert [json.loads(line)["seed"] for line in text.splitlines()] == [0, 1, 2]
    assert publish(store, [record("f" * 32, seed=1, metrics={"error": 0.25})]) == 1
    assert len(path.read_text().splitlines()) == 3
    assert publish(store, [record("e" * 32, version=2)]) == 1
    assert [json.loads(line)["version"] for line in path.read_text().splitlines()] == [2]


def test_a_conflict_is_kept_and_reported_and_an_equal_record_changes_nothing(tmp_path):
    store = Store(tmp_path)
    publish(store, [record()])
    path = tmp_path / "ledger" / "toy" / "line" / "line_sgd.jsonl"
    text = path.read_text()
    assert publish(store, [record()]) == 0 and not store.reports
    assert publish(store, [record(metrics={"error": 0.25})]) == 0
    assert path.read_text() == text and "conflict" in store.reports[0] and "ab" * 6 in store.reports[0]
    path.write_text(text.replace('"ok"', '"timeout"'))
    assert publish(store, [record(metrics={"error": 0.25})]) == 1, "a result takes the place of a failure"


def test_publishing_does_not_drop_a_line_it_cannot_read(tmp_path):
    store = Store(tmp_path)
    publish(store, [record()])
    path = tmp_path / "ledger" / "toy" / "line" / "line_sgd.jsonl"
    path.write_text(path.read_text() + "{broken\n")
    with pytest.raises(BenchError, match="line_sgd.jsonl:2"):
        publish(store, [record("f" * 32, seed=1)])
    assert "{broken" in path.read_text()


def test_published_records_of_some_tasks(tmp_path):
    store = Store(tmp_path)
    publish(store, [record(), record("cd" * 16, task="toy/curve"), record("ef" * 16, task="other/line")])
    assert {r.task for r in store.published(["toy/line", "other/line", "toy/none"])} == {"toy/line", "other/line"}
    assert len(list(store.published())) == 3


def test_a_bad_ledger_line_is_reported_and_skipped(tmp_path):
    store = Store(tmp_path)
    publish(store, [record()])
    path = tmp_path / "ledger" / "toy" / "line" / "line_sgd.jsonl"
    path.write_text(path.read_text() + "{broken\n")
    assert len(list(store.published())) == 1
    assert any("line_sgd.jsonl:2" in line for line in store.reports)


def test_thinning_keeps_both_ends():
    steps, values = thin(np.array([np.arange(1000), np.arange(1000) / 7]))
    assert len(steps) == len(values) == 60 and steps[0] == 0 and steps[-1] == 999
    assert thin([[0, 1, 2], [1.0, np.inf, np.nan]]) == [[0.0], [1.0]]  # where a run diverges, its curve ends


def test_curves_come_back(tmp_path):
    import io

    store, stream = Store(tmp_path), io.BytesIO()
    np.savez_compressed(stream, loss=np.array([[0, 1], [2.0, 1.0]]))
    store.put(record(), stream.getvalue())
    found = store.get("ab" * 16)
    assert found is not None and store.curves(found)["loss"].tolist() == [[0, 1], [2, 1]]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    blocker = Path(tmp_path) / "local"
    blocker.write_text("a file")
    with pytest.raises(BenchError, match="results=PATH"):
        Store(tmp_path).put(record())
