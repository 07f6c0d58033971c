"""diffGrad and its tasks: the rules against recurrences, the functions against their minima, the audits of published code."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from baselines.optimizers import diffgrad as rules
from bench.contract import BenchError, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.records.record import Record
from bench.seeds import Seeds
from tasks.large_batch import digits
from tasks.one_dimensional import claims as walks
from tasks.one_dimensional import functions
from tasks.one_dimensional.descent import F1
from tasks.vision import claims
from tasks.vision.networks import ACTIVATIONS, ConvNet, Perceptron, ResNet, confusion
from tests.test_claims import record

RULES = ("diffgrad_fixed", "diffgrad_published", "diffgrad_published_new_torch", "adam_half_rate")
RIVALS = (
    "plain_adam", "plain_amsgrad", "plain_rmsprop", "plain_adagrad", "plain_adadelta", "plain_momentum",
)  # fmt: skip
here = pytest.mark.skipif(digits.location() is None, reason="scikit-learn, which ships the digits, is not here")


def outcome(task: str, entry: str, parts=None, seed: int = 100, **changes):
    spec = config.task_spec(task)
    resolved = config.resolve_parts(spec, config.entry(entry), parts or {})
    return call(Job(spec.target, config.parameters(spec, "smoke", changes), resolved, seed, "/nowhere"))


def metrics(task: str, entry: str, parts=None, **changes) -> dict[str, float]:
    found = outcome(task, entry, parts, **changes)
    assert found.status == "ok", found.reason
    return found.metrics


def walked(optimizer, x: nn.Parameter, gradients) -> list[torch.Tensor]:
    """The places of x under given gradients, which are written as backward writes them."""
    places = [x.detach().clone()]
    for gradient in gradients:
        optimizer.zero_grad()
        (x * gradient).sum().backward()
        optimizer.step()
        places.append(x.detach().clone())
    return places


def drawn(steps: int = 12, size: int = 5, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(steps, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def parameter(size: int = 5) -> nn.Parameter:
    return nn.Parameter(torch.zeros(size, dtype=torch.float64))


# The rules


@pytest.mark.parametrize("made", [rules.DiffGrad, rules.HalfRate, rules.Published])
def test_a_rule_is_its_recurrence(made):
    """Scalar by scalar, as the paper writes it."""
    gradients, lr, beta1, beta2, eps = drawn(), 0.1, 0.95, 0.999, 1e-8
    x = parameter()
    found = walked(made([x], lr=lr, betas=(beta1, beta2), eps=eps), x, gradients)
    for i in range(5):
        theta = m = v = before = 0.0
        for t, g in enumerate((float(row[i]) for row in gradients), start=1):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            change = 0.0 if made is rules.Published and t > 1 else abs(g - before)
            xi = 0.5 if made is rules.HalfRate else 1 / (1 + math.exp(-change))
            before = g
            theta -= lr * math.sqrt(1 - beta2**t) / (1 - beta1**t) * xi * m / (math.sqrt(v) + eps)
            assert float(found[t][i]) == pytest.approx(theta, rel=1e-12, abs=1e-15)


def test_the_half_rate_is_adam_at_half_of_it():
    x, y, gradients = parameter(), parameter(), drawn()
    half = walked(rules.HalfRate([x], lr=0.1), x, gradients)
    adam = walked(torch.optim.Adam([y], lr=0.05), y, gradients)
    assert torch.allclose(half[-1], adam[-1], rtol=1e-4), "eps stands beside another root"


def test_where_the_gradient_stays_diffgrad_is_the_half_rate_from_the_second_step_on():
    x, y = parameter(), parameter()
    gradients = torch.ones(6, 5, dtype=torch.float64) * drawn(1)
    one, other = walked(rules.DiffGrad([x]), x, gradients), walked(rules.HalfRate([y]), y, gradients)
    for t in range(1, 6):
        assert torch.allclose(one[t + 1] - one[t], other[t + 1] - other[t], rtol=1e-12)
    assert not torch.allclose(one[1], other[1]), "the first gradient is compared with 0"


def test_the_multiplier_lies_between_a_half_and_one():
    rule = rules.DiffGrad([parameter()])
    xi = rule.multiplier(drawn(scale=10.0), drawn(scale=10.0).flip(0))
    assert float(xi.min()) >= 0.5 and float(xi.max()) <= 1.0


def test_pytorch_optimizers_rule_is_the_same():
    from pytorch_optimizer import DiffGrad

    x, y, gradients = parameter(), parameter(), drawn()
    own, other = walked(rules.DiffGrad([x]), x, gradients), walked(DiffGrad([y], lr=1e-3), y, gradients)
    assert torch.allclose(own[-1], other[-1], rtol=1e-4)


@pytest.mark.parametrize("bad", [{"lr": 0.0}, {"eps": 0.0}, {"betas": (0.9, 1.0)}, {"betas": (0.9,)}])
def test_a_rule_that_cannot_be_is_told(bad):
    with pytest.raises(BenchError, match="diffGrad"):
        rules.DiffGrad([parameter()], **bad)


# Audits


def test_audit_a_reference_to_the_gradient_leaves_no_difference():
    """With gradients filled with zeros, the remembered tensor is the next gradient: xi is 1/2 from the second step on."""
    x, y, gradients = parameter(), parameter(), drawn()
    old, half = rules.Published([x]), rules.HalfRate([y])
    walked(old, x, gradients[:6])
    assert old.state[x]["before"] is x.grad
    walked(half, y, gradients[:6])
    half.state[y] = {name: value.clone() if torch.is_tensor(value) else value for name, value in old.state[x].items()}
    with torch.no_grad():
        y.copy_(x)
    assert all(torch.equal(a, b) for a, b in zip(walked(old, x, gradients), walked(half, y, gradients), strict=True))


def test_audit_the_bug_is_gone_where_gradients_are_dropped():
    x, y, gradients = parameter(), parameter(), drawn()
    old, fixed = rules.Published([x], set_to_none=True), rules.DiffGrad([y])
    assert all(torch.equal(a, b) for a, b in zip(walked(old, x, gradients), walked(fixed, y, gradients), strict=True))
    z = parameter()
    then = walked(rules.Published([z]), z, gradients)
    assert not torch.equal(then[-1], y.detach())


def descended(slope, rule, lr: float = 0.1, steps: int = 300, start: float = -1.0) -> float:
    x = nn.Parameter(torch.tensor([start], dtype=torch.float64))
    optimizer = rule([x], lr=lr, betas=(0.95, 0.999))
    for _ in range(steps):
        x.grad = slope(x.detach())
        optimizer.step()
    return float(x)


def derivative(function):
    return torch.func.grad(lambda x: function(x).sum())


def notebook(x: torch.Tensor) -> torch.Tensor:
    """The notebook's derivative of F2."""
    return torch.where(x <= -0.9, -40.0, x * torch.cos(8 * x) + torch.sin(8 * x) + 3 * x.square())


def test_audit_the_notebooks_derivative_of_f2_lacks_a_factor():
    x = torch.linspace(-0.89, 1.5, 50, dtype=torch.float64)
    assert torch.allclose(derivative(functions.f2)(x) - notebook(x), 7 * x * torch.cos(8 * x), atol=1e-12)
    end, true = (descended(slope, rules.DiffGrad) for slope in (notebook, derivative(functions.f2)))
    assert end == pytest.approx(-0.812, abs=1e-3), "where F2 has no minimum"
    assert true == pytest.approx(functions.LOWEST["f2"], abs=1e-3)


def test_audit_from_minus_one_adam_steps_onto_the_foot_of_the_cliff():
    """Adam's first step is as long as the rate: from -1 by 0.1 to -0.9, where the slope jumps from -40 to -2.7."""
    slope = derivative(functions.f2)
    ends = [descended(slope, torch.optim.Adam, start=start) for start in (-1.000001, -1.0, -0.999999)]
    assert ends == pytest.approx([0.0, 0.0, functions.LOWEST["f2"]], abs=2e-3)
    assert descended(slope, torch.optim.Adam, start=-1.0, steps=1) == pytest.approx(-0.9, abs=1e-9)


@pytest.mark.parametrize(("name", "adam"), [("f1", 0.2), ("f2", 0.0), ("f3", 0.0)])
def test_the_papers_walks_and_the_control(name, adam):
    slope = derivative(functions.FUNCTIONS[name])
    assert descended(slope, torch.optim.Adam) == pytest.approx(adam, abs=0.01)
    for rule in (rules.DiffGrad, rules.HalfRate):
        assert descended(slope, rule) == pytest.approx(functions.LOWEST[name], abs=0.02)


# The functions


@pytest.mark.parametrize("name", functions.FUNCTIONS)
def test_a_function_is_least_where_it_is_said(name):
    x = torch.linspace(-3, 3, 600001, dtype=torch.float64)
    values = functions.FUNCTIONS[name](x)
    assert float(x[values.argmin()]) == pytest.approx(functions.LOWEST[name], abs=2e-5)
    least = functions.FUNCTIONS[name](torch.tensor(functions.LOWEST[name], dtype=torch.float64))
    assert float(least) <= float(values.min())


def test_local_minima_and_the_jump():
    def at(function, x):
        return float(function(torch.tensor(x, dtype=torch.float64)))

    assert at(functions.f1, 0.2) == pytest.approx(0.05) and at(functions.f2, 0.0) == pytest.approx(0.85)
    assert [at(functions.f3, x) for x in (-0.5, -0.4, 0.4, 0.5)] == pytest.approx([0.25, 0.35, 0.35, 0.25])
    assert at(functions.f2, -0.9) - at(functions.f2, -0.9 + 1e-9) == pytest.approx(0.0147, abs=1e-4)


@pytest.mark.parametrize(
    ("x", "slope"), [(-1.0, -2.0), (-0.45, 1.0), (-0.2, -0.875), (0.0, -0.875), (0.2, 0.875), (0.45, -1.0), (1.0, 2.0)]
)
def test_the_slopes_of_f3_are_those_of_the_notebook(x, slope):
    assert float(derivative(functions.f3)(torch.tensor(x, dtype=torch.float64))) == slope


# The tasks


@pytest.mark.parametrize("entry", [*RULES, *RIVALS])
@pytest.mark.parametrize("task", ["one_dimensional/f1", pytest.param("vision/digits_mlp", marks=here)])
def test_every_entry_learns(task, entry):
    found, floor = metrics(task, entry), metrics(task, "untrained")
    if task.startswith("vision"):
        assert found["test_accuracy"] > floor["test_accuracy"] + 0.3
        assert 0.5 <= found["multiplier"] < 0.51 <= found["multiplier_largest"] < 1
    else:
        assert found["gap"] < 0.5 * floor["gap"]


def test_the_paper_in_a_task():
    changes = {"starts": 20, "steps": 300, "low": -1.001, "high": -0.999}
    parts = {"optimizer.lr": 0.1, "optimizer.betas": [0.95, 0.999]}
    for entry, share in (("plain_adam", 0.0), ("diffgrad_fixed", 1.0), ("adam_half_rate", 1.0)):
        found = metrics("one_dimensional/f1", entry, parts, **changes)
        assert found["reached"] == share and found["beyond"] == 1 - share


def test_each_start_walks_alone():
    """The end of a start does not depend on the others: a rule that works by element is run on many at once."""
    parts = {"optimizer.lr": 0.1}
    task = F1(F1.Params(starts=3, steps=50))
    starts = task.problem(None, Seeds(100, task.name)).public["starts"]
    alone = [descended_by(starts[1, i]) for i in range(3)]
    assert metrics("one_dimensional/f1", "diffgrad_fixed", parts, starts=3, steps=50)["gap"] == pytest.approx(
        sum(float(task.gaps(x)) for x in alone) / 3, rel=1e-9
    )


def descended_by(start: torch.Tensor) -> torch.Tensor:
    x = nn.Parameter(start.clone()[None])
    slope, optimizer = derivative(functions.f1), rules.DiffGrad([x], lr=0.1)
    for _ in range(50):
        x.grad = slope(x.detach())
        optimizer.step()
    return x.detach()[0]


@here
def test_the_old_file_is_two_rules():
    old, now, fixed, half = (
        metrics("vision/digits_mlp", entry, {"optimizer.lr": 0.01})["loss_area"]
        for entry in ("diffgrad_published", "diffgrad_published_new_torch", "diffgrad_fixed", "adam_half_rate")
    )
    assert now == fixed != old and old == pytest.approx(half, rel=0.01)


@here
def test_gradients_are_counted_and_bound_a_closure():
    found = outcome("vision/digits_mlp", "plain_adam")
    assert found.costs.counts["evals"] == found.costs.counts["steps"] == 3 * (256 // 32)
    line = {"_target_": "bench.optim.named", "name": "LBFGS", "lr": 0.1}
    spec = config.task_spec("vision/digits_mlp")
    parts = {**config.resolve_parts(spec, config.entry("plain_adam"), {}), "optimizer": line}
    found = call(Job(spec.target, config.parameters(spec, "smoke", {}), parts, 100, "/nowhere"))
    assert found.status == "ok" and found.costs.counts["evals"] <= 24, "twenty evaluations a step are no free ones"


@here
def test_seeds_draw_other_splits_and_exhibits_are_small():
    spec = config.task_spec("vision/digits_mlp")
    task = spec.cls(spec.cls.Params(**config.parameters(spec, "smoke", {})))
    sets = [task.problem(task.prepare(None, 0), Seeds(seed, task.name)).hidden for seed in (100, 101)]
    assert not torch.equal(sets[0]["test"][0], sets[1]["test"][0])
    assert set(outcome("vision/digits_mlp", "diffgrad_fixed").exhibits) == {"confusion", "multiplier"}
    assert set(outcome("one_dimensional/f3", "diffgrad_fixed").exhibits) == {"function", "paths"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_networks_take_every_activation(name):
    for network, inputs in ((Perceptron, 64), (ConvNet, 64), (ResNet, 3072)):
        assert network(inputs=inputs, classes=10, activation=name)(torch.zeros(2, inputs)).shape == (2, 10)


def test_confusion_counts_by_class():
    logits, labels = torch.eye(3)[[0, 1, 1, 2]], torch.tensor([0, 0, 1, 1])
    assert confusion(logits, labels, 3).tolist() == [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 0.0]]


# Bad input


@pytest.mark.parametrize(
    ("task", "entry", "parts", "changes", "reason"),
    [
        ("one_dimensional/f1", "diffgrad_fixed", {"optimizer.lr": -1.0}, {}, "have to be positive"),
        ("one_dimensional/f1", "diffgrad_fixed", {"optimizer.betas": [0.9]}, {}, "two numbers"),
        pytest.param("vision/digits_mlp", "plain_adam", {}, {"activation": "swish"}, "relu, leaky_relu", marks=here),
        pytest.param("vision/digits_mlp", "plain_adam", {}, {"train": 1700}, "1797 digits", marks=here),
    ],
)
def test_what_cannot_be_is_told(task, entry, parts, changes, reason):
    found = outcome(task, entry, parts, **changes)
    assert found.status == "failed" and reason in found.reason


@pytest.mark.parametrize(
    ("task", "changes", "reason"),
    [
        ("one_dimensional/f1", {"low": 0.0, "high": -1.0}, "below task.high"),
        ("one_dimensional/f1", {"starts": 0}, "task.starts=0"),
        ("vision/digits_mlp", {"batch": 2000}, "training samples"),
    ],
)
def test_a_task_that_cannot_be_is_told(task, changes, reason):
    cls = config.task_spec(task).cls
    with pytest.raises(BenchError, match=reason):
        cls(cls.Params(**config.parameters(config.task_spec(task), "smoke", changes)))


def test_a_walk_that_leaves_the_numbers_diverges():
    assert outcome("one_dimensional/f1", "plain_momentum", {"optimizer.lr": 1e6}).status == "diverged"


def test_a_solution_of_another_shape_is_told():
    task = F1(F1.Params(starts=3))
    made = task.problem(None, Seeds(100, task.name))
    with pytest.raises(BenchError, match="starts"):
        task.score(made, Solution(lambda starts: starts[0]), None)


# Measures


def run(entry: str, lr: float, status: str = "ok", activation: str = "relu", **values: float) -> Record:
    made = record(entry, 0, status=status, **values)
    made.config, made.params = {"optimizer": {"lr": lr}}, {"activation": activation}
    return made


def test_measures_pair_rates_and_choose_them_by_validation():
    def rows(entry, accuracies, val):
        return [
            run(entry, lr, test_accuracy=a, val_accuracy=v, loss_area=1 - a)
            for lr, a, v in zip((0.1, 0.01), accuracies, val, strict=True)
        ]

    records = {"a": rows("a", (0.9, 0.8), (0.5, 0.6)), "b": rows("b", (0.6, 0.7), (0.9, 0.8))}
    assert claims.mean_gain(records, of="a", over="b") == pytest.approx(0.2)
    assert claims.best_rate_gain(records, of="a", over="b") == pytest.approx(0.8 - 0.6)
    assert claims.spread(records, of="a") == pytest.approx(0.1)
    assert claims.largest(records, of="a", metric="loss_area") == pytest.approx(0.2)
    assert claims.furthest_ratio(records, of="a", over="b", metric="loss_area") == pytest.approx(0.1 / 0.4)
    records["b"].append(run("b", 1.0, test_accuracy=0.5, val_accuracy=0.5))
    with pytest.raises(BenchError, match="not run at the same rates"):
        claims.mean_gain(records, of="a", over="b")


def test_measures_of_walks_count_divergence():
    records = {
        "a": [run("a", 0.1, reached=0.5, val_gap=0.2), run("a", 1.0, "diverged")],
        "b": [run("b", 0.1, reached=0.2, val_gap=0.5), run("b", 1.0, reached=1.0, val_gap=0.1)],
    }
    assert walks.mean_gain(records, of="a", over="b") == pytest.approx((0.3 - 1.0) / 2)
    assert walks.best_rate_gain(records, of="a", over="b") == pytest.approx(0.5 - 1.0)
    assert walks.reached({"a": records["a"][:1]}, of="a") == 0.5


def test_the_strictest_rival_counts():
    records = {name: [run(name, 0.1, test_accuracy=a)] for name, a in (("a", 0.9), ("b", 0.95), ("c", 0.8))}
    assert claims.least_gain(records, of="a", over=["b", "c"]) == pytest.approx(-0.05)
