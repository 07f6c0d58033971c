"""Graph networks before training: operators, layers, Virgo's variances against closed forms, and bad input."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.initializers import graph as initial
from bench.contract import BenchError, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds, Stream
from tasks.graph import graphs, network, plain
from tasks.graph.variance import Params, Variance, decades

EDGES, _ = graphs.block_model(40, 4, 5.0, 10.0, Stream(1))
STAR = torch.stack([torch.zeros(6, dtype=torch.long), torch.arange(1, 7)])  # degrees as unequal as they get


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ring(nodes: int) -> torch.Tensor:
    """A cycle, in which every node has two neighbours."""
    return graphs.clean(torch.stack([torch.arange(nodes), (torch.arange(nodes) + 1) % nodes]), nodes)


# Operators and layers


@pytest.mark.parametrize("aggregation", graphs.AGGREGATIONS)
def test_operators_are_their_dense_formulas(aggregation):
    dense = torch.eye(40)
    dense[EDGES[0], EDGES[1]] = dense[EDGES[1], EDGES[0]] = 1
    d = dense.sum(1)
    assert torch.equal(d.long(), graphs.degrees(EDGES, 40))
    expected = {"sum": dense, "mean": dense / d[:, None], "symmetric": dense / (d[:, None] * d[None]).sqrt()}[
        aggregation
    ]
    assert torch.allclose(graphs.operator(EDGES, 40, aggregation).to_dense(), expected, atol=1e-7)


def test_an_isolated_node_keeps_its_features_and_loops_and_repetitions_count_once():
    edges = graphs.clean(torch.tensor([[0, 1, 1, 2], [1, 0, 1, 1]]), 4)
    assert edges.tolist() == [[0, 1], [1, 2]]
    for aggregation in graphs.AGGREGATIONS:
        assert graphs.operator(edges, 4, aggregation).to_dense()[3].tolist() == [0, 0, 0, 1]


def test_a_gcn_layer_is_three_products():
    x, weights = Stream(2).normal(40, 3), [Stream(3).normal(1, 3, 5), Stream(4).normal(1, 5, 2)]
    p = graphs.operator(EDGES, 40, "symmetric").to_dense()
    made = network.Network("gcn", weights, plain.no_norm)(x, network.operators(EDGES, 40, "gcn"))
    assert torch.allclose(made, p @ torch.relu(p @ x @ weights[0][0]) @ weights[1][0], atol=1e-5)


def test_a_sage_layer_adds_the_node_itself_to_the_mean_of_its_neighbours():
    x, weights = Stream(2).normal(40, 3), [Stream(3).normal(2, 3, 5)]
    p = graphs.operator(EDGES, 40, "mean").to_dense()
    made = network.Network("sage", weights, plain.no_norm)(x, network.operators(EDGES, 40, "sage"))
    assert torch.allclose(made, x @ weights[0][0] + p @ x @ weights[0][1], atol=1e-5)


def test_attention_starts_as_the_mean_and_is_a_softmax_over_neighbours():
    x, weights = Stream(2).normal(40, 3), [Stream(3).normal(1, 3, 5)]
    made = network.operators(EDGES, 40, "gat")
    layer = network.Network("gat", weights, plain.no_norm)
    assert torch.allclose(layer(x, made), made[0].to_dense() @ x @ weights[0][0], atol=1e-5)
    a = Stream(5).normal(2, 5)
    z = x @ weights[0][0]
    raw = torch.nn.functional.leaky_relu((z @ a[0])[:, None] + (z @ a[1])[None], network.SLOPE)
    shares = torch.softmax(raw.masked_fill(made[0].to_dense() == 0, -torch.inf), dim=1)
    assert torch.allclose(network.attend(z, made[0], a), shares @ z, atol=1e-5)


def test_laws_of_graphs_have_their_degrees_and_blocks():
    edges, labels = graphs.block_model(400, 4, 6.0, 10.0, Stream(7))
    within = float((labels[edges[0]] == labels[edges[1]]).double().mean())
    assert 2 * edges.shape[1] / 400 == pytest.approx(6, rel=0.1)
    assert within == pytest.approx(10 * 100 / (10 * 100 + 300), abs=0.03)
    grown = graphs.attachment(400, 3, Stream(8))
    assert grown.shape[1] == 3 * 397 and int(graphs.degrees(grown, 400).max()) > 4 * 7


# Virgo


def test_squares_are_norms_of_repeated_aggregation():
    p = graphs.operator(STAR, 7, "mean")
    start, dense = Stream(2).normal(7, 3), p.to_dense().double()
    expected = [float((torch.linalg.matrix_power(dense, k) @ start.double()).square().sum()) for k in (1, 2, 3)]
    assert initial.squares([p], start, 3) == pytest.approx(expected, rel=1e-5)


def test_squares_of_two_blocks_add_over_all_ways_through_them():
    blocks = network.operators(STAR, 7, "sage")
    start = Stream(2).normal(7, 3).double()
    matrices = [p.to_dense().double() for p in blocks]
    ways = [a @ b @ start for a in matrices for b in matrices]
    assert initial.squares(blocks, start, 2)[1] == pytest.approx(
        float(sum(way.square().sum() for way in ways)), rel=1e-5
    )


@pytest.mark.parametrize("aggregation", ["symmetric", "mean"])
def test_on_a_regular_graph_virgo_is_kaiming(aggregation):
    """P 1 = 1, so that all c are equal; forward only where the mean feature is the same at every node."""
    shapes, x = network.shapes("gcn", 6, 8, 3, 5), torch.ones(12, 6)
    operators = [graphs.operator(ring(12), 12, aggregation)]
    assert initial.forward_variances(shapes, operators, x) == pytest.approx([2 / 6, *[2 / 8] * 4], rel=1e-5)
    assert initial.backward_variances(shapes, operators)[:-1] == pytest.approx([2 / 8] * 4, rel=1e-5)


def test_summing_over_a_regular_graph_divides_the_variance_by_the_degree_squared():
    shapes = network.shapes("gin", 6, 8, 3, 5)
    operators = [graphs.operator(ring(12), 12, "sum")]
    assert initial.forward_variances(shapes, operators, torch.ones(12, 6))[1:] == pytest.approx(
        [2 / 8 / 9] * 4, rel=1e-5
    )


@pytest.mark.parametrize("layer", ["gcn", "sage", "gin"])
def test_a_linear_network_of_virgos_weights_keeps_its_mean_square(layer):
    """Without ReLU half of the variance does it: E|h_l|^2 = v_l m c_l / c_(l-1) E|h_(l-1)|^2, exact for a constant feature."""
    x, shapes = torch.ones(7, 4), network.shapes(layer, 4, 16, 3, 4)
    operators = network.operators(STAR, 7, layer)
    variances = [v / 2 for v in initial.forward_variances(shapes, operators, x)]
    totals = torch.zeros(4)
    for draw in range(400):
        h = x
        for place, weight in enumerate(initial.drawn(shapes, variances, drawn(draw))):
            h = sum(torch.sparse.mm(p, h @ w) for p, w in zip(operators, weight, strict=True))
            totals[place] += h.square().mean() / 400
    assert torch.allclose(totals[1:3], totals[0].expand(2), rtol=0.15)


def test_gradients_of_a_linear_network_keep_their_mean_square_with_the_transposed_operator():
    """The gradient passes through P^T: for a mean over neighbours, whose columns do not sum to 1, P itself would be wrong."""
    shapes, operators = network.shapes("gcn", 16, 16, 16, 5), [graphs.operator(STAR, 7, "mean")]
    variances = [v / 2 for v in initial.backward_variances(shapes, operators)]
    totals = torch.zeros(5)
    for draw in range(400):
        g = torch.ones(7, 16)
        for place, weight in reversed(list(enumerate(initial.drawn(shapes, variances, drawn(draw))))):
            g = torch.sparse.mm(operators[0].t(), g) @ weight[0].T
            totals[place] += g.square().mean() / 400
    assert torch.allclose(totals[:3], totals[3].expand(3), rtol=0.15)
    ones = torch.ones(7, 1)
    as_published = initial.squares(operators, ones, 4)
    assert as_published == pytest.approx([7.0] * 4) and initial.squares([operators[0].t()], ones, 4)[1] > 8


@pytest.mark.parametrize("all_features", [False, True])
def test_all_features_that_are_equal_are_their_mean(all_features):
    shapes, x = network.shapes("gcn", 6, 8, 3, 4), Stream(2).normal(40, 1).expand(40, 6)
    operators = [graphs.operator(EDGES, 40, "symmetric")]
    weights = initial.virgo(shapes=shapes, operators=operators, x=x, generator=drawn(), all_features=all_features)
    plain_weights = initial.virgo(shapes=shapes, operators=operators, x=x[:, :1], generator=drawn())
    assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip(weights, plain_weights, strict=True))


def test_the_published_operator_is_the_symmetric_one_whatever_the_layer():
    expected = graphs.operator(EDGES, 40, "symmetric").to_dense()
    for layer in network.LAYERS:
        assert torch.allclose(initial.symmetric(network.operators(EDGES, 40, layer)[-1]).to_dense(), expected)
    shapes, x = network.shapes("gin", 6, 8, 3, 4), Stream(2).normal(40, 6)
    made = [
        initial.virgo(
            shapes=shapes,
            operators=network.operators(EDGES, 40, layer),
            x=x,
            generator=drawn(),
            published_operator=True,
        )
        for layer in ("gin", "gcn")
    ]
    assert all(torch.allclose(a, b) for a, b in zip(*made, strict=True))


@pytest.mark.parametrize("layer", ["gcn", "sage", "gin"])
def test_weights_of_unit_variance_give_every_layer_unit_variance(layer):
    shapes, x = network.shapes(layer, 6, 8, 3, 5), Stream(2).normal(40, 6)
    operators = network.operators(EDGES, 40, layer)
    weights = initial.unit_variance(shapes=shapes, operators=operators, x=x, generator=drawn())
    h = x
    for weight in weights:
        sums = sum(torch.sparse.mm(p, h @ w) for p, w in zip(operators, weight, strict=True))
        assert float(sums.std()) == pytest.approx(1, rel=1e-4)
        h = torch.relu(sums)
    with pytest.raises(BenchError, match="layer 0 returns one number"):
        initial.unit_variance(shapes=shapes, operators=operators, x=torch.zeros(40, 6), generator=drawn())


def test_the_harmonic_mean_lies_below_the_arithmetic_and_between_both():
    shapes, x = network.shapes("gin", 6, 8, 3, 5), Stream(2).normal(40, 6)
    operators = [graphs.operator(EDGES, 40, "sum")]
    sizes = {
        mean: [
            float(w.abs().max())
            for w in initial.virgo(shapes=shapes, operators=operators, x=x, generator=drawn(), mean=mean)
        ]
        for mean in initial.MEANS
    }
    for f, b, h, a in zip(*(sizes[m] for m in ("forward", "backward", "harmonic", "arithmetic")), strict=True):
        assert min(f, b) * 0.999 <= h <= a * 1.001 <= max(f, b) * 1.002


@pytest.mark.parametrize(
    ("function", "variance"),
    [(initial.xavier, 2 / 50), (initial.kaiming_fan_out, 2 / 20), (initial.lecun, 1 / 30), (plain.kaiming, 2 / 30)],
)
def test_classical_weights_have_their_variance(function, variance):
    (weight,) = function(shapes=[(40, 30, 20)], operators=[], x=torch.ones(2, 30), generator=drawn())
    assert float(weight.var()) == pytest.approx(variance, rel=0.03)
    assert float(weight.abs().max()) == pytest.approx(math.sqrt(3 * variance), rel=0.01)


def test_orthogonal_weights_are_orthogonal_times_the_root_of_two():
    (weight,) = initial.orthogonal(shapes=[(2, 6, 6)], operators=[], x=torch.ones(2, 6), generator=drawn())
    for block in weight:
        assert torch.allclose(block @ block.T, 2 * torch.eye(6), atol=1e-5)


# Audits of the published file


def test_audit_the_mean_of_centred_features_is_nearly_nothing():
    """Features of mean 0 leave Virgo's forward constants to the noise of their mean; a node's mean square would not."""
    operators = [graphs.operator(EDGES, 40, "symmetric")]
    ratios = []
    for key in range(20):
        c = initial.squares(operators, Stream(key).normal(40, 32).mean(1, keepdim=True), 2)
        ratios.append(c[0] / c[1])
    assert min(ratios) > 1.2  # noise falls under aggregation, where a constant feature would keep a ratio of about 1
    constant = initial.squares(operators, torch.ones(40, 1), 2)
    assert constant[0] / constant[1] < 1.1


def test_audit_a_single_output_has_an_infinite_backward_variance():
    with pytest.raises(BenchError, match="two outputs or more"):
        initial.backward_variances([(1, 4, 4), (1, 4, 1)], [graphs.operator(EDGES, 40, "mean")])


# The task, and bad input


def outcome(entry: str, **params):
    spec = config.task_spec("graph/variance")
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, 100, "/nowhere"))


@pytest.mark.parametrize("layer", list(network.LAYERS))
def test_every_layer_and_initialisation_runs(layer):
    for entry in ("virgo", "xavier_graph", "orthogonal_graph"):
        result = outcome(entry, layer=layer)
        assert result.status == "ok" and 0 < result.metrics["instability"] < 20


def test_variances_of_summed_neighbours_explode_without_a_graph_in_mind():
    wide = {"layer": "gin", "depth": 8, "hidden": 32}
    assert outcome("kaiming_graph", **wide).metrics["forward"] > 4
    assert abs(outcome("virgo", **wide).metrics["forward"]) < 1


def test_gradients_in_states_are_those_of_the_chain_rule():
    """Of a network whose ReLUs are all open: the loss's slope in h_(l-1) is P^T slope_l W_l^T."""
    task = Variance(Params(depth=4, nodes=60, hidden=16, inputs=8, draws=1))
    problem = task.problem(None, Seeds(100, task.name))
    given = problem.hidden["test"]
    given["x"] = given["x"].abs()
    weights = [Stream(place).normal(*shape).abs() / shape[1] for place, shape in enumerate(task.shapes())]
    growth = task.growth(problem, Solution(None, {f"test 0 {k}": w for k, w in enumerate(weights)}), "test")
    p = graphs.operator(given["edges"], 60, "symmetric").to_dense()
    h = given["x"]
    for weight in weights:
        h = p @ h @ weight[0]
    slope = (torch.softmax(h, 1) - torch.nn.functional.one_hot(given["labels"], 5)) / 60
    for place in (3, 2, 1, 0):
        assert float(growth.gradients[0, place]) == pytest.approx(float(slope.var(dim=1).mean()), rel=1e-3)
        slope = p.T @ slope @ weights[place][0].T


def test_gradients_of_summed_neighbours_drift_in_states_and_hardly_in_weights():
    """The product of a state and its gradient keeps its size from layer to layer, and a weight's gradient is such a product."""
    metrics = outcome("kaiming_graph", layer="gin", depth=8, hidden=32).metrics
    assert abs(metrics["backward"]) > 4 and abs(metrics["weight_gradients"]) < 2
    assert abs(outcome("virgo", layer="gin", depth=8, hidden=32).metrics["backward"]) < 1


def test_decades_of_variances_that_vanish_are_bounded():
    assert decades(torch.tensor([1.0, 0.0]), torch.tensor([0.1, 1.0])) == pytest.approx((1 - 20) / 2)
    assert decades(torch.tensor([math.nan]), torch.tensor([1.0])) == 20


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"depth": 3}, "give 4 layers"),
        ({"classes": 1}, "two classes"),
        ({"nodes": 1}, "nothing to aggregate"),
        ({"graph": "tree"}, "blocks, attachment"),
        ({"layer": "cnn"}, "gcn, sage, gin, gat"),
        ({"degree": 90.0}, "cannot have 90 neighbours"),
        ({"graph": "attachment", "degree": 200.0}, "more than 100 nodes"),
        ({"inputs": 3}, "are fewer"),
    ],
)
def test_parameters_that_make_no_graph_are_named(params, words):
    result = outcome("kaiming_graph", **params)
    assert result.status == "failed" and words in result.reason


def test_weights_and_edges_of_another_shape_are_named():
    with pytest.raises(BenchError, match=r"layer 0 has shape \(1, 2, 2\); wanted finite numbers of \(1, 2, 3\)"):
        network.checked([torch.zeros(1, 2, 2)], [(1, 2, 3)])
    with pytest.raises(BenchError, match="returned 0 layers"):
        network.checked([], [(1, 2, 3)])
    with pytest.raises(BenchError, match="an edge names node 5"):
        graphs.clean(torch.tensor([[0], [5]]), 3)
    with pytest.raises(BenchError, match="0 at every node"):
        initial.squares([graphs.operator(EDGES, 40, "mean")], torch.zeros(40, 1), 2)
    task = Variance(Params(depth=4, nodes=60, draws=1))
    problem = task.problem(None, Seeds(100, task.name))
    with pytest.raises(BenchError, match="'val 0 0' lacks"):
        task.score(problem, Solution(None, {}), None)
