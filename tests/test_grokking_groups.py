"""Group arithmetic: the groups and their irreps, the exact network, the energy's maxima, and the task itself."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.networks.layers import ridge
from bench.contract import BenchError
from bench.execute import Job, call
from bench.planning import config
from bench.records.record import Record
from bench.seeds import Seeds
from tasks.grokking import groups_claims
from tasks.grokking.arithmetic import centred_mse, one_hot
from tasks.grokking.energy import LEAST, Energy, centred, energies
from tasks.grokking.energy import Params as EnergyParams
from tasks.grokking.group_arithmetic import GroupArithmetic, Params
from tasks.grokking.groups import from_table, group
from tasks.grokking.groups_network import TwoLayer, exact, probe, progress, square
from tasks.grokking.network import exact as exact_cyclic
from tasks.grokking.network import fourier_purity
from tests import rows

TASK = "grokking/group_arithmetic"
# name: order, the degrees of the complex irreducible representations, and the kinds of the real ones but the trivial one
KNOWN = {
    "cyclic:7": (7, [1] * 7, [0] * 3),
    "cyclic:12": (12, [1] * 12, [0] * 5 + [1]),
    "product:2x3x4": (24, [1] * 24, [0] * 10 + [1] * 3),
    "dihedral:5": (10, [1, 1, 2, 2], [1] * 3),
    "dihedral:12": (24, [1] * 4 + [2] * 5, [1] * 8),
    "symmetric:3": (6, [1, 1, 2], [1, 1]),
    "symmetric:4": (24, [1, 1, 2, 3, 3], [1] * 4),
    "symmetric:5": (120, [1, 1, 4, 4, 5, 5, 6], [1] * 6),
    "quaternion:8": (8, [1] * 4 + [2], [-1, 1, 1, 1]),
    "quaternion:12": (12, [1] * 4 + [2, 2], [-1, 0, 1, 1]),
}


def cell(entry: str = "adam", preset: str = "smoke", task: str = TASK, changes: dict | None = None, **params) -> dict:
    spec = config.task_spec(task)
    parts = config.resolve_parts(spec, config.entry(entry), changes or {})
    return call(Job(spec.target, config.parameters(spec, preset, params), parts, 0, "/nowhere"))


@pytest.mark.parametrize("name", KNOWN)
def test_characters_are_orthonormal_and_squared_degrees_sum_to_the_order(name):
    found, (order, degrees, kinds) = group(name), KNOWN[name]
    chars = found.characters
    assert found.order == order == sum(d * d for d in degrees)
    assert chars[:, found.identity].real.round().int().tolist() == degrees
    assert torch.allclose(chars @ chars.mH / order, torch.eye(len(chars), dtype=chars.dtype), atol=1e-9)
    assert torch.allclose(chars[0], torch.ones_like(chars[0]))
    assert sorted(c.kind for c in found.components) == kinds and found.largest_degree == max(degrees)


@pytest.mark.parametrize("name", KNOWN)
def test_real_representations_are_orthogonal_homomorphisms_and_complete(name):
    found = group(name)
    covered = 1
    for component in found.components:
        rho = component.matrices
        assert torch.allclose(rho[found.table], rho[:, None] @ rho[None], atol=1e-9), "rho(ab) = rho(a) rho(b)"
        assert torch.allclose(rho @ rho.mT, torch.eye(rho.shape[1], dtype=rho.dtype).expand_as(rho), atol=1e-9)
        norm = float(rho.diagonal(dim1=1, dim2=2).sum(1).square().mean())
        assert norm == pytest.approx({1: 1, 0: 2, -1: 4}[component.kind]), "irreducible over the reals (Schur)"
        covered += rho.shape[1] ** 2 / norm
    assert covered == pytest.approx(found.order)


@pytest.mark.parametrize(
    "name", ["cyclic:7", "product:2x3x4", "dihedral:5", "symmetric:4", "quaternion:8", "quaternion:12"]
)
def test_the_exact_network_has_zero_loss_and_pure_features(name):
    found = group(name)
    pairs = torch.cartesian_prod(torch.arange(found.order), torch.arange(found.order))
    labels = found.table.reshape(-1)
    network = exact(found)
    logits = network(one_hot(pairs, found.order).double())
    assert float(centred_mse(logits, labels).detach()) < 1e-12
    assert bool((logits.argmax(-1) == labels).all())
    shares = found.shares(network.hidden.weight)
    assert torch.allclose(shares.amax(1), torch.ones(len(shares), dtype=shares.dtype))
    assert len(shares.argmax(1).unique()) == len(found.components)


def test_over_a_cyclic_group_shares_are_those_of_fourier():
    torch.manual_seed(0)
    weight = torch.randn(30, 46)
    assert torch.allclose(group("cyclic:23").shares(weight).amax(1), fourier_purity(weight, 23))
    assert torch.allclose(group("cyclic:7").shares(exact_cyclic(7).hidden.weight).amax(1), torch.ones(18).double())


@pytest.mark.parametrize("name", ["cyclic:12", "dihedral:5", "symmetric:4", "quaternion:8", "quaternion:12"])
def test_a_single_feature_has_the_energy_of_its_level(name):
    """Plancherel: ½|Ỹᵀ(Xw)²|² = 2 |u * v - mean|²; u, v entries of one representation that compose."""
    found = group(name)
    pairs = torch.cartesian_prod(torch.arange(found.order), torch.arange(found.order))
    inputs, labels = one_hot(pairs, found.order).double(), centred(found.table.reshape(-1), found.order)
    for component in found.components:
        rho = component.matrices
        row = torch.cat([rho[:, 0, 0], rho[:, 0, 0]])
        height = energies((row / row.norm())[None], inputs, labels, square)
        assert float(height) == pytest.approx(found.level(component), rel=1e-9)


def test_ascents_end_in_single_irreps_at_their_heights():
    for name in ("symmetric:3", "quaternion:8", "cyclic:7"):
        found = cell("sgd", task="grokking/energy", group=name, width=16, steps=600).metrics
        assert found["worst_impurity"] < 1e-6 and found["level_gap"] < 1e-6
        assert found["irreps_covered"] == 1.0
    still = cell("untrained", task="grokking/energy").metrics
    assert still["irreps_covered"] < 0.8 and still["level_gap"] > 0.1 > LEAST


def test_few_pairs_have_other_maxima():
    few, many = (
        cell("sgd", task="grokking/energy", group="cyclic:13", ratio=ratio, width=8).metrics for ratio in (1.0, 4.0)
    )
    assert few["impurity"] > 0.5 > 0.2 > many["impurity"] and "level_gap" not in few


@pytest.mark.parametrize(
    ("table", "law"),
    [
        ([[0, 1], [1, 2]], "closure"),
        ([[0, 1], [1, 1]], "Latin square"),
        ([[1, 0, 2], [0, 2, 1], [2, 1, 0]], "identity"),
        ([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]], "associativity"),
        ([[0]], "two elements"),
        ([[0, 1, 2], [1, 0, 2]], "a row and a column"),
    ],
)
def test_what_is_no_group_is_told_the_law_that_fails(table, law):
    with pytest.raises(BenchError, match=law):
        from_table("mine", torch.tensor(table))


@pytest.mark.parametrize(
    "name", ["cyclic", "cyclic:1", "cyclic:0", "cyclic:-3", "cyclic:2x3", "product:2x", "dihedral:2", "quaternion:6",
             "quaternion:4", "monster:3", "symmetric:six"]
)  # fmt: skip
def test_a_name_of_no_group_lists_the_forms(name):
    with pytest.raises(BenchError, match=r"groups read cyclic:23"):
        group(name)


@pytest.mark.parametrize("name", ["symmetric:6", "cyclic:1000", "product:20x20", "symmetric:1000000"])
def test_a_group_that_is_too_large_is_refused(name):
    with pytest.raises(BenchError, match="256 is the largest"):
        group(name)


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan, math.inf, 8.0, 7.58])
def test_a_sample_size_out_of_range_names_the_range(ratio):
    with pytest.raises(BenchError, match=r"task.ratio.*give a ratio from"):
        GroupArithmetic(Params(ratio=ratio)).problem(None, Seeds(0, TASK))
    if ratio:
        with pytest.raises(BenchError, match=r"task.ratio.*or 0 for all"):
            Energy(EnergyParams(ratio=ratio)).problem(None, Seeds(0, TASK))


def test_the_splits_are_disjoint_and_their_labels_the_products():
    problem = GroupArithmetic(Params(group="dihedral:5", ratio=2.0)).problem(None, Seeds(0, TASK))
    sets = [problem.hidden[name] for name in ("train", "val", "monitor")]
    assert len(sets[0][1]) == math.floor(2.0 * 10 * math.log(10)) and torch.equal(sets[0][0], problem.public["pairs"])
    pairs, labels = torch.cat([s[0] for s in sets]), torch.cat([s[1] for s in sets])
    assert len(torch.unique(pairs, dim=0)) == len(pairs) == 100
    assert torch.equal(labels, group("dihedral:5").table[pairs[:, 0], pairs[:, 1]])


def test_the_probe_of_an_exact_network_sees_no_gradient_and_full_progress():
    found = group("dihedral:5")
    pairs = torch.cartesian_prod(torch.arange(10), torch.arange(10))
    network = exact(found).float()
    seen = probe(network, found, one_hot(pairs[::2], 10), found.table.reshape(-1)[::2], pairs[1::2])
    assert seen["irrep_purity"] == pytest.approx(1.0) and seen["irreps_covered"] == 1.0
    assert seen["gf_norm"] < 1e-6 and seen["restricted_loss"] < 1e-9 and seen["unseen_loss"] < 1e-9
    assert seen["excluded_loss"] == pytest.approx(0.9, abs=1e-4), "all of 1 - 1/M, once the solution is taken away"


def test_a_network_that_only_memorised_shows_no_progress():
    labels, products = torch.arange(6).repeat(3), torch.arange(6).repeat(2)
    logits = torch.nn.functional.one_hot(labels, 6).float() - 1 / 6
    found = progress(logits, labels, torch.zeros(12, 6), products, 6)
    assert found["excluded_loss"] == pytest.approx(0.0, abs=1e-9)
    assert found["restricted_loss"] == pytest.approx(5 / 6) and found["unseen_loss"] == pytest.approx(5 / 6)


@pytest.mark.parametrize(("n", "width"), [(20, 7), (7, 20)])
def test_ridge_satisfies_its_normal_equations(n, width):
    torch.manual_seed(0)
    features, targets = torch.randn(n, width, dtype=torch.float64), torch.randn(n, 4, dtype=torch.float64)
    top = ridge(features, targets, 0.3)
    assert torch.allclose(features.T @ (targets - features @ top.T), 0.3 * top.T, atol=1e-10)
    with pytest.raises(ValueError, match="strength=0"):
        ridge(features, targets, 0)


def test_generalisation_comes_after_the_fit_and_needs_enough_pairs():
    metrics = cell("adam", "small", group="cyclic:13", ratio=3.0, width=128, steps=900, eval_every=50).metrics
    assert metrics["steps_to_train"] <= 50 and 200 <= metrics["steps_to_monitor"] < 900
    assert 0.1 < metrics["hidden_progress"] < 1.0
    fewer = cell("adam", "small", group="cyclic:13", ratio=2.0, width=128, steps=600, eval_every=100)
    assert set(fewer.censored) == {"steps_to_monitor", "steps_to_val"} and "hidden_progress" not in fewer.metrics


@pytest.mark.parametrize("name", ["product:2x3x4", "dihedral:5", "symmetric:3", "quaternion:8"])
def test_every_kind_of_group_runs(name):
    found = cell(group=name, ratio=2.0, steps=20, eval_every=10)
    assert found.status == "ok" and found.metrics["irrep_purity"] > 0


@pytest.mark.parametrize(
    "entry", ["act_relu", "act_silu", "act_squared_relu", "ridge_top", "muon", "sgd", "ridge_top+act_relu"]
)
def test_entries_fill_the_slots(entry):
    assert cell(entry, steps=20, eval_every=10).status == "ok"


def test_a_solved_top_layer_fits_at_once_and_is_not_trained():
    found = cell("ridge_top", steps=10, eval_every=5, changes={"top.strength": 0.01})
    assert found.curves["train_acc"][1][0] == 1.0
    assert found.costs.counts["parameters"] == TwoLayer(13, 128, square).hidden.weight.numel()


def runs(**accuracy: float) -> list[Record]:
    """Records over ratios; the keywords read r2_5=0.9."""
    ratios = {float(key[1:].replace("_", ".")): value for key, value in accuracy.items()}
    return [
        rows.record("e", 0, metrics={"monitor_acc": value}, params={"ratio": ratio, "group": "symmetric:4"})
        for ratio, value in ratios.items()
    ]


@pytest.mark.parametrize(
    ("found", "critical"),
    [
        (runs(r2=0.1, r2_5=0.5, r3=1.0, r3_5=1.0), 2.75),
        (runs(r3_5=1.0, r2=0.1, r3=0.98, r2_5=0.995), 3.25),
        (runs(r2=1.0, r3=1.0), 2.0),
        (runs(r2=0.0, r3=0.5), 3.0),
    ],
)
def test_the_critical_ratio_lies_between_the_last_failure_and_the_next(found, critical):
    assert groups_claims.critical_ratio({"e": found}, of="e") == critical
    corrected = groups_claims.corrected_ratio({"e": found}, of="e")
    assert corrected == pytest.approx(critical / (2.7482 * 1.5))
