"""Records: written and read again, older ones migrated, forged or damaged ones refused with the field's name."""

from __future__ import annotations

import json
import math

import msgspec
import pytest

from bench.contract import BenchError
from bench.outcome import Costs, Outcome
from bench.records import modules, record
from bench.records.record import FORMAT, Record, decode, encode, migrate, number

OLD = {
    "absent": [], "attempt": 1, "censored": ["steps"], "key": "k" * 32, "task": "toy/task", "version": 2, "preset": "small",
    "params": {"width": 8}, "entry": "sgd", "config": {"optimizer": {"_target_": "bench.optim.named", "lr": 1.0}}, "seed": 3,
    "status": "ok", "metrics": {"loss": 0.5}, "trials": 7, "limits": {"seconds": 600.0, "memory_mb": 4000},
    "costs": {"cpu": {"train": 1.5}, "cpu_total": 2.0, "wall": 2.5, "steps": 100, "parameters": 12},
    "components": {"task": "toy/task", "version": 2, "params": {"width": 8}, "parts": {}, "seed": 3, "data": {"f": "d"},
                   "code": {"m": "c"}, "distributions": ["torch 2"]},
    "provenance": {"commit": "abc", "dirty": False, "cpu": "x", "rescored_from": {"key": "o", "commit": "c"}},
    "recertified": {"code": ["c"], "sample": ["k"]}, "kept": True, "curves": {"loss": [[0.0, 1.0], [2.0, 0.5]]},
}  # fmt: skip


def made(**more: object) -> Record:
    return msgspec.structs.replace(migrate(OLD), **more)


def test_a_record_is_read_as_it_was_written():
    one = made()
    assert decode(encode(one)) == one
    assert decode(msgspec.json.format(encode(one), indent=1)) == one


def test_a_line_of_format_1_is_migrated():
    one = decode(json.dumps(OLD))
    assert (one.format, one.seed, one.metrics, one.censored, one.trials) == (FORMAT, 3, {"loss": 0.5}, ["steps"], 7)
    assert one.costs.counts == {"steps": 100, "parameters": 12}
    assert (one.costs.cpu, one.costs.cpu_total, one.costs.booked) == ({"train": 1.5}, 2.0, 1.5)
    assert (one.components.data, one.components.code, one.components.distributions) == (
        {"f": "d"},
        {"m": "c"},
        ["torch 2"],
    )
    assert one.provenance.commit == "abc" and one.curves == {"loss": [[0.0, 1.0], [2.0, 0.5]]}


def test_a_target_that_moved_has_its_new_name(monkeypatch):
    monkeypatch.setattr(modules, "MOVES", {"tasks.old": "baselines.new"})
    monkeypatch.setattr(record, "moved", modules.moved)
    one = migrate(OLD | {"config": {"model": {"_target_": "tasks.old.Net", "width": 3}}})
    assert one.config == {"model": {"_target_": "baselines.new.Net", "width": 3}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": "three"}, "seed"),
        ({"metrics": {"loss": "small"}}, "metrics"),
        ({"status": "splendid"}, "status"),
        ({"forged": 1}, "forged"),
        ({"metrics": None}, "metrics"),
        ({"costs": {"cpu": 3}}, "cpu"),
        ({"provenance": {"host": "mine"}}, "host"),
    ],
)
def test_a_wrong_field_is_named(change, told):
    content = msgspec.to_builtins(made()) | change
    with pytest.raises(ValueError, match=told):
        decode(json.dumps(content))
    with pytest.raises(ValueError, match=told):
        migrate(OLD | change)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '"record"', '{"format": 2, "key": "k"}', '{"key": "k", "metr'])
def test_a_text_that_is_no_record_is_a_value_error(text):
    with pytest.raises(ValueError):
        decode(text)


def test_a_newer_format_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=f"format {FORMAT + 1}"):
        decode(encode(made(format=FORMAT + 1)))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_never_written(bad):
    with pytest.raises(ValueError, match="loss"):
        encode(made(metrics={"loss": bad}))
    with pytest.raises(ValueError, match="wall"):
        encode(made(costs=Costs(wall=bad)))


def test_an_outcome_that_is_not_finite_is_divergence():
    outcome = Outcome(status="ok")
    outcome.settle({"loss": math.nan, "accuracy": 0.5, "undefined": None})
    assert (outcome.status, outcome.reason, outcome.metrics) == ("diverged", "not finite: loss", {"accuracy": 0.5})


def test_a_measure_reads_a_metric_or_says_why_it_cannot():
    assert number(made(), "loss") == 0.5
    assert number(made(status="diverged", metrics={}), "loss", diverged=9.0) == 9.0
    with pytest.raises(BenchError, match="toy/task sgd seed 3 \\(failed\\) has no loss"):
        number(made(status="failed"), "loss", diverged=9.0)


def test_the_schema_describes_what_is_written():
    fields = record.schema()["$defs"]["Record"]
    written = msgspec.to_builtins(made())
    assert set(written) <= set(fields["properties"]) and set(fields["required"]) <= set(written)


def test_costs_of_an_entry_are_its_process_where_that_was_measured():
    assert Costs(cpu={"train": 1.0, "setup": 0.5}).own == 1.5
    assert Costs(cpu={"train": 1.0}, cpu_entry=4.0).own == 4.0
