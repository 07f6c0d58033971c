"""Training of graph networks: nodes, links and whole graphs; Cora's files; norms; measures; bad input."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.norms.graph import PairNorm, layer_norm
from bench.contract import BenchError, Diverged, Unavailable
from bench.data import cache_dir
from bench.execute import Job, call
from bench.planning import config
from bench.records.record import Record
from bench.seeds import Seeds, Stream
from tasks.graph import claims, cora, graph_classes, links
from tasks.graph.graph_classes import Graphs
from tasks.graph.links import Links
from tasks.graph.network import LAYERS
from tasks.graph.nodes import Nodes
from tasks.graph.training import finite
from tests.test_claims import record

ENTRIES = ("plain_adam", "plain_adam+xavier_graph", "plain_adam+virgo", "graph_layer_norm+plain_adam+virgo",
           "graph_pair_norm+plain_adam")  # fmt: skip


def outcome(task: str, entry: str, cache: str = "/nowhere", **params):
    spec = config.task_spec(f"graph/{task}")
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, 100, cache))


@pytest.mark.parametrize("task", ["nodes", "links", "graphs"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_trains(task, entry):
    result = outcome(task, entry)
    assert result.status == "ok" and result.costs.counts["steps"] == 5
    assert all(math.isfinite(value) for value in result.metrics.values())


@pytest.mark.parametrize("layer", list(LAYERS))
@pytest.mark.parametrize("task", ["nodes", "links", "graphs"])
def test_every_layer_learns(task, layer):
    long = {"layer": layer, "steps": 60, "evaluations": 1}
    trained, untrained = outcome(task, "plain_adam", **long), outcome(task, "untrained", **long)
    assert trained.metrics["train_loss"] < 0.9 * untrained.metrics["train_loss"]


# Data


def test_classes_of_nodes_are_blocks_and_test_classes_stay_hidden():
    task = Nodes(Nodes.Params(nodes=100, train=20, val=30, test=50))
    one, other = (task.problem("", Seeds(seed, task.name)) for seed in (100, 101))
    assert not torch.equal(one.public["x"], other.public["x"])
    asked = torch.cat([one.public["nodes"], one.hidden["val"][0], one.hidden["test"][0]])
    assert torch.equal(asked.sort().values, torch.arange(100))
    assert len(one.public["labels"]) == 20 and not torch.equal(one.hidden["test"][1], other.hidden["test"][1])
    numbers = torch.stack([one.hidden["test"][0] % 5, one.hidden["test"][1]])
    assert float((numbers[0] == numbers[1]).double().mean()) < 0.5, "a node's number tells its class"


def test_links_held_back_are_not_in_the_public_graph_and_half_of_the_pairs_are_none():
    task = Links(Links.Params(nodes=100, val=20, test=40))
    problem = task.problem(None, Seeds(100, task.name))
    known = set(map(tuple, problem.public["edges"].T.tolist()))
    for name in ("val", "test"):
        pairs, labels = problem.hidden[name]
        assert float(labels.mean()) == 0.5 and not torch.equal(labels, labels.sort(descending=True).values)
        assert len(set(map(tuple, pairs.T.tolist()))) == len(labels)
        assert not known & set(map(tuple, pairs.T.tolist()))


def test_graphs_of_all_classes_have_about_as_many_edges_and_no_edge_between_graphs():
    made = graph_classes.batch(Graphs.Params(nodes=40), 90, Stream(1))
    owner = made["edges"] // 40
    assert torch.equal(owner[0], owner[1])
    counts = torch.bincount(owner[0], minlength=90).double()
    means = [float(counts[made["labels"] == label].mean()) for label in range(3)]
    assert max(means) / min(means) < 1.15 and means[2] == 2 * 38


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([3.0, 2.0, 1.0, 0.0], 1.0), ([0.0, 1.0, 2.0, 3.0], 0.0), ([1.0] * 4, 0.5), ([2.0, 0.0, 1.0, -1.0], 0.75)],
)
def test_the_area_is_the_share_of_pairs_in_order(scores, expected):
    assert links.area(torch.tensor(scores), torch.tensor([1.0, 1.0, 0.0, 0.0])) == expected


# Cora


def files(folder: Path, **changes) -> Path:
    """A small data set of six papers in Cora's form, of which `changes` replace parts."""
    where = folder / "cora"
    where.mkdir()
    rows = np.eye(6, 4, dtype="float32")

    def table(part: np.ndarray) -> bytes:
        places = part.nonzero()
        held = {"data": part[places], "indices": places[1].astype("int32"), "_shape": part.shape,
                "indptr": np.cumsum([0, *(part != 0).sum(1)]).astype("int32")}  # fmt: skip
        made = cora.Table()
        made.__dict__.update(held)
        return old(made).replace(b"tasks.graph.cora\nTable", b"scipy.sparse.csr\ncsr_matrix")

    graph = defaultdict(list, {0: [1, 0], 1: [0, 2], 2: [1], 3: [4], 4: [3, 3], 5: []})
    array = {"allx": table(rows[:4]), "tx": table(rows[4:]), "graph": pickle.dumps(graph, protocol=2),
             "ally": old(np.eye(7, dtype="int32")[:4]), "ty": old(np.eye(7, dtype="int32")[4:6]),
             "test.index": b"5\n4\n"}  # fmt: skip
    for part, content in (array | changes).items():
        cora.path(where, part).write_bytes(content)
    return where


def old(held: object) -> bytes:
    """A pickle that names numpy's modules as Python 2 did."""
    return pickle.dumps(held, protocol=3).replace(b"numpy._core", b"numpy.core")


def test_rows_of_test_papers_are_put_where_the_index_says(tmp_path, monkeypatch):
    monkeypatch.setattr(cora, "NODES", 6)
    monkeypatch.setattr(cora, "INPUTS", 4)
    made = cora.read(files(tmp_path))
    assert made["labels"].tolist() == [0, 1, 2, 3, 5, 4] and made["edges"].tolist() == [[0, 1, 3], [1, 2, 4]]
    assert cora.origin(tmp_path / "cora") == "unverified"


class Harm:
    """What a pickle of it would call."""

    def __reduce__(self):
        return (print, ("a pickle ran code",))


def test_a_pickle_that_calls_something_is_refused(tmp_path, capsys):
    with pytest.raises(BenchError, match=r"names __builtin__\.print, which is no array"):
        cora.read(files(tmp_path, graph=pickle.dumps(Harm(), protocol=2)))
    assert "ran code" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", pickle.dumps([1, 2, 3], protocol=2)[:-3], b"\x00no pickle"])
def test_a_file_that_is_cut_is_named(tmp_path, content):
    with pytest.raises(BenchError, match="ind.cora.graph cannot be read"):
        cora.read(files(tmp_path, graph=content))


def test_a_file_of_another_form_is_no_cora(tmp_path):
    with pytest.raises(BenchError, match="features of 6 papers; Cora has 2708"):
        cora.read(files(tmp_path))
    with pytest.raises(BenchError, match="holds no Cora"):
        (tmp_path / "other").mkdir()
        cora.read(files(tmp_path / "other", graph=pickle.dumps([1, 2], protocol=2)))
    with pytest.raises(BenchError, match="collections.OrderedDict"):
        (tmp_path / "third").mkdir()
        cora.read(files(tmp_path / "third", graph=pickle.dumps(OrderedDict(), protocol=2)))


def test_without_cora_its_task_says_how_to_get_it(tmp_path):
    with pytest.raises(Unavailable, match=r"SWEEPSTAKES_DATA to a folder that holds cora/"):
        cora.here(tmp_path)
    assert outcome("nodes", "plain_adam", str(tmp_path), graph="cora").status == "unavailable"


@pytest.mark.skipif(not cora.path(cache_dir() / "cora", "allx").is_file(), reason="Cora is not here")
def test_cora_has_its_papers_links_and_classes():
    made = cora.read(cora.here(cache_dir()))
    assert made["x"].shape == (2708, 1433) and made["edges"].shape == (2, 5278)
    assert made["labels"].bincount().tolist() == [351, 217, 418, 818, 426, 298, 180]
    alike = made["labels"][made["edges"]]
    assert float((alike[0] == alike[1]).double().mean()) == pytest.approx(0.81, abs=0.001)
    assert torch.allclose(made["x"].sum(1), torch.ones(2708))


# Norms, measures, bad input


def test_norms_have_their_mean_and_size():
    h = 3 + 2 * Stream(1).normal(50, 8)
    each = layer_norm(width=8)(h)
    assert torch.allclose(each.mean(1), torch.zeros(50), atol=1e-5)
    assert torch.allclose(each.var(1, correction=0), torch.ones(50), atol=1e-3)
    paired = PairNorm(width=8)(h)
    assert torch.allclose(paired.mean(0), torch.zeros(8), atol=1e-5)
    assert float(paired.square().sum(1).mean()) == pytest.approx(8, rel=1e-5)
    assert torch.equal(PairNorm(width=8)(torch.ones(5, 8)), torch.zeros(5, 8))


def of_depth(depth: int, test: float, val: float) -> Record:
    made = record("entry", 0, test_accuracy=test, val_accuracy=val, forward=-test)
    made.params = {"depth": depth}
    return made


def test_measures_choose_by_validation_and_pair_equal_parameters():
    rates = {"a": [of_depth(8, 0.9, 0.2), of_depth(8, 0.6, 0.8)], "b": [of_depth(8, 0.5, 0.5)]}
    chosen = {"metric": "test_accuracy", "chosen_by": "val_accuracy", "diverged": 0.0}
    assert claims.best_rate_gain(rates, of="a", over="b", **chosen) == pytest.approx(0.1)
    depths = {"a": [of_depth(2, 0.5, 0), of_depth(8, 0.7, 0)], "b": [of_depth(8, 0.4, 0), of_depth(2, 0.6, 0)]}
    assert claims.mean_gain(depths, of="a", over="b", metric="test_accuracy", diverged=0.0) == pytest.approx(0.1)
    assert claims.gain_of_depth(depths, of="a", metric="test_accuracy", deep=8, shallow=2) == pytest.approx(0.2)
    assert claims.furthest(depths, of="a", metric="forward") == 0.7
    assert claims.mean_size_gain(depths, of="a", over="b", metric="forward") == pytest.approx(0.1)
    with pytest.raises(BenchError, match="were not run with the same parameters"):
        claims.mean_gain({"a": rates["a"], "b": depths["b"]}, of="a", over="b", metric="test_accuracy", diverged=0.0)


@pytest.mark.parametrize(
    ("task", "params", "words"),
    [
        ("nodes", {"train": 100}, "there are 60 nodes"),
        ("nodes", {"nodes": 1}, "nothing to aggregate"),
        ("nodes", {"layer": "cnn"}, "gcn, sage, gin, gat"),
        ("links", {"test": 5000}, "leave some"),
        ("graphs", {"nodes": 4}, "8 nodes or more"),
        ("nodes", {"depth": 0}, "has to be above 0"),
    ],
)
def test_parameters_that_make_no_problem_are_named(task, params, words):
    result = outcome(task, "plain_adam", **params)
    assert result.status == "failed" and words in result.reason


def test_predictions_of_another_shape_are_named():
    with pytest.raises(BenchError, match=r"predict returned \(3,\); wanted a tensor of shape \(3, 2\)"):
        finite(torch.zeros(3), 3, 2)
    with pytest.raises(BenchError, match="predict returned str"):
        finite("none", 3)
    with pytest.raises(BenchError, match="4 pairs without a link are asked for, and the graph has 0"):
        links.unlinked(torch.triu_indices(4, 4, offset=1), 4, 4, Stream(1))
    with pytest.raises(Diverged, match="not finite"):
        finite(torch.tensor([math.nan]), 1)
