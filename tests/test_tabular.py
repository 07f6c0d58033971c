"""Networks trained in stages: the stages' formulas, the merged network, switched-off units, audits, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from baselines.fitters import boosted, joint, units
from bench.contract import BenchError, Diverged, Entry, Solution, Unavailable
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.bilevel.tables import place
from tasks.tabular import constant, network, tables
from tasks.tabular.classification import Classification
from tasks.tabular.regression import Params, Regression

shipped = pytest.mark.skipif(place("wine_data.csv") is None, reason="scikit-learn, which ships the tables, is not here")


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(classes: int, count: int = 40) -> dict[str, object]:
    x = torch.randn(count, 3, generator=drawn(), dtype=torch.float64)
    score = x[:, 0] - x[:, 1] ** 2
    y = (score - score.mean()) / score.std(correction=0)
    if classes:
        y = torch.bucketize(y, y.quantile(torch.arange(1, classes).double() / classes))
    return {"x": x, "y": y, "classes": classes, "units": 6, "generator": drawn(1)}


def fitted(fit, classes: int, **arguments):
    """(network, the networks that were reported) of an entry's fit on `rows`."""
    seen = []
    return fit(**rows(classes), report=seen.append, **arguments), seen


# Formulas of the paper


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_residuals_are_minus_the_gradient_and_the_curvature_is_the_second_derivative(classes):
    y = rows(classes)["y"]
    f = torch.randn(len(y), classes if classes > 2 else 1, generator=drawn(2), dtype=torch.float64)

    def losses(at):
        if not classes:
            return (y[:, None] - at).square() / 2
        if classes == 2:
            return functional.softplus(-2 * (2 * y - 1)[:, None] * at)
        return functional.cross_entropy(at, y, reduction="none")[:, None]

    slope = torch.func.grad(lambda at: losses(at).sum())(f)
    r = boosted.residuals(y.numpy(), f.numpy(), classes)
    assert np.allclose(r, -slope.numpy())
    if classes:
        h = torch.randn(f.shape, generator=drawn(3), dtype=torch.float64)
        curved = torch.zeros(f.shape[1], dtype=torch.float64)
        for k in range(f.shape[1]):
            along = torch.zeros_like(f)
            along[:, k] = h[:, k]
            twice = torch.func.grad(lambda a, along=along: torch.func.grad(lambda b: losses(f + b * along).sum())(a))
            curved[k] = twice(torch.zeros((), dtype=torch.float64))
        newton = -(slope * h).sum(dim=0) / curved
        assert np.allclose(boosted.step(y.numpy(), r, h.numpy(), classes), newton.numpy())


@pytest.mark.parametrize("classes", [0, 2])
def test_the_start_is_the_best_constant(classes):
    """Twice the paper's start is the logit for two classes; the floor has it in closed form."""
    given = rows(classes)
    best = constant.constant(**given, report=None)["base"].numpy()
    assert np.allclose(boosted.start(given["y"].numpy(), classes) * (2 if classes else 1), best)


@pytest.mark.parametrize("sizes", [[3, 4, 2], [3, 4, 5, 2]])
def test_gradients_of_a_network_are_those_of_automatic_differentiation(sizes):
    x, target = (torch.randn(9, k, generator=drawn(k), dtype=torch.float64) for k in (3, 2))
    parts = units.drawn(sizes, drawn())
    value, gradients = units.objective(parts, x.numpy(), units.squared(target.numpy()), 0.3)
    tensors = [torch.from_numpy(part).requires_grad_() for part in parts]
    told = network.outputs(units.network(tensors), x)
    loss = (told - target).square().sum() / 2 / 9 + 0.3 / 18 * sum(w.square().sum() for w in tensors[::2])
    loss.backward()
    assert value == pytest.approx(float(loss.detach()))
    assert all(np.allclose(a, b.grad.numpy()) for a, b in zip(gradients, tensors, strict=True))


@pytest.mark.parametrize("classes", [2, 3])
def test_likelihoods_are_those_of_torch(classes):
    y = rows(classes)["y"]
    f = torch.randn(len(y), 1 if classes == 2 else 3, generator=drawn(2), dtype=torch.float64).requires_grad_()
    if classes == 2:
        loss = functional.binary_cross_entropy_with_logits(f[:, 0], y.double(), reduction="sum")
    else:
        loss = functional.cross_entropy(f, y, reduction="sum")
    loss.backward()
    value, slope = units.likelihood(y.numpy(), classes)(f.detach().numpy())
    assert value == pytest.approx(float(loss.detach())) and np.allclose(slope, f.grad.numpy())


# The merged network


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_switching_off_the_last_units_gives_the_network_of_the_stage_before(classes):
    whole, seen = fitted(boosted.boosted, classes, each=2)
    x = rows(classes)["x"]
    assert [network.size(stage) for stage in seen] == [2, 4, 6]
    for stage in seen:
        assert torch.allclose(network.outputs(whole, x, network.size(stage)), network.outputs(stage, x), atol=1e-12)
    start = constant.constant(**rows(classes), report=None)["base"] if classes < 3 else torch.zeros(3)
    assert torch.allclose(network.outputs(whole, x, 0), start.double().expand(len(x), -1), atol=1e-12)


def test_one_stage_on_all_rows_is_a_network_trained_as_a_whole():
    """With squared loss, a rate of 1 and targets of mean 0 the only stage fits the targets themselves."""
    x = rows(0)["x"]
    one, _ = fitted(boosted.boosted, 0, each=6, eta=1.0, subsample=1.0, iterations=10)
    # The stage draws its rows before its weights.
    given = rows(0)
    torch.randperm(len(x), generator=given["generator"])
    other = joint.lbfgs(**given, report=None, iterations=10)
    assert torch.allclose(network.outputs(one, x), network.outputs(other, x), atol=1e-6)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_the_training_loss_falls_at_every_stage_on_all_rows(classes):
    whole, _ = fitted(boosted.boosted, classes, subsample=1.0)
    task = Classification(Classification.Params()) if classes else Regression(Params())
    losses = [task.loss(network.outputs(whole, rows(classes)["x"], k), rows(classes)["y"]) for k in range(7)]
    assert all(after < before for before, after in zip(losses, losses[1:], strict=False))


def test_the_standardised_features_of_a_deep_network_are_folded_in():
    whole, seen = fitted(boosted.boosted_deep, 2, trunk=0.5, epochs=2)
    assert network.size(whole) == 6 and [network.size(stage) for stage in seen] == [4, 5, 6]
    network.checked(whole, 3, 1)
    assert torch.allclose(network.outputs(whole, rows(2)["x"]), network.outputs(seen[-1], rows(2)["x"]))


# Audits of the published code


def test_audit_a_subsample_without_the_seed_is_another_network_each_time():
    """The published code draws its rows outside of `random_state`; here the entry's generator draws them."""
    one, same = (fitted(boosted.boosted, 2)[0] for _ in range(2))
    assert all(torch.equal(one[name], same[name]) for name in one)


def test_audit_scikit_learn_takes_a_published_classifier_for_a_regressor():
    """The order of base classes decides in today's scikit-learn: the published order, BaseEstimator first, is no classifier."""
    base = pytest.importorskip("sklearn.base")
    if not hasattr(base.BaseEstimator, "__sklearn_tags__"):
        pytest.skip("an older scikit-learn, which reads `_estimator_type`")

    class Published(base.BaseEstimator, base.ClassifierMixin):
        pass

    class Ordered(base.ClassifierMixin, base.BaseEstimator):
        pass

    assert base.is_classifier(Ordered()) and not base.is_classifier(Published())


# Data


@shipped
def test_rows_are_split_alike_in_every_class_and_anew_by_seed(tmp_path):
    task = Classification(Classification.Params(data="wine"))
    one, other = (task.problem(task.prepare(tmp_path, 0), Seeds(seed, task.name)) for seed in (100, 101))
    counts = [torch.bincount(one.hidden[name][1]).tolist() for name in ("train", "val", "test")]
    assert [sum(column) for column in zip(*counts, strict=True)] == [59, 71, 48] and sum(counts[2]) in (35, 36, 37)
    assert one.origin == "official" and not torch.equal(one.public["x"], other.public["x"])
    assert torch.allclose(one.public["x"].mean(dim=0), torch.zeros(13, dtype=torch.float64), atol=1e-9)


def test_friedmans_noise_is_what_is_left_without_the_function():
    table = tables.friedman(Seeds(100, "tabular/regression"), 4000)
    x, y = table[:, :-1], table[:, -1]
    rest = y - 10 * (torch.pi * x[:, 0] * x[:, 1]).sin() - 20 * (x[:, 2] - 0.5) ** 2 - 10 * x[:, 3] - 5 * x[:, 4]
    assert float(rest.std()) == pytest.approx(1, abs=0.05) and abs(float(rest.mean())) < 0.07


def test_a_file_of_the_reader_and_its_absence(tmp_path):
    task = Regression(Params(data="mine"))
    with pytest.raises(Unavailable, match="SWEEPSTAKES_DATA"):
        task.prepare(tmp_path, 0)
    (tmp_path / "tabular").mkdir()
    path = tmp_path / "tabular" / "mine.csv"
    path.write_text("a,b,y\n" + "".join(f"{i},{i * i},{3 * i}\n" for i in range(20)))
    made = task.problem(task.prepare(tmp_path, 0), Seeds(100, task.name))
    assert made.origin == "unverified" and sum(len(part[1]) for part in made.hidden.values()) == 20
    with pytest.raises(BenchError, match="tabular/regression"):
        Classification(Classification.Params(data="mine")).problem(task.prepare(tmp_path, 0), Seeds(100, "x"))
    path.write_text("a,b,y\n1,two,3\n")
    with pytest.raises(BenchError, match="no table of numbers"):
        task.problem(task.prepare(tmp_path, 0), Seeds(100, task.name))


# Bad input


@pytest.mark.parametrize("params", [{"data": "../x"}, {"data": "friedman", "val": 0.6, "test": 0.5}])
def test_bad_parameters(params, tmp_path):
    task = Regression(Params(**params))
    with pytest.raises(BenchError, match=r"task\."):
        task.problem(task.prepare(tmp_path, 0), Seeds(100, task.name))


@pytest.mark.parametrize("bad", [{"each": 0}, {"eta": -1.0}, {"subsample": 1.5}, {"decay": -1.0}])
def test_bad_arguments_of_boosting(bad):
    with pytest.raises(BenchError, match="fitter"):
        fitted(boosted.boosted, 2, **bad)


def test_a_deep_network_needs_two_layers():
    for fit in (boosted.boosted_deep, joint.adam):
        with pytest.raises(BenchError, match="without a unit"):
            fitted(fit, 2, trunk=1.0)


def test_a_network_is_checked():
    good = constant.constant(**rows(2), report=None)
    with pytest.raises(BenchError, match="lacks base"):
        network.checked({name: good[name] for name in good if name != "base"}, 3, 1)
    with pytest.raises(BenchError, match="expected"):
        network.checked(good, 4, 1)
    with pytest.raises(Diverged):
        network.checked(good | {"base": torch.tensor([float("nan")])}, 3, 1)


def ran(fitter: dict[str, object], **params: object):
    spec = config.task_spec("tabular/regression")
    known = config.parameters(spec, "smoke", {"data": "friedman", "rows": 60, **params})
    parts = config.resolve_parts(spec, Entry("one", {"fitter": fitter}), {})
    return call(Job(spec.target, known, parts, 100, "unused"))


def test_more_units_than_the_budget_leave_the_network_that_it_covers():
    found = ran({"_target_": "tests.test_tabular.greedy"})
    assert found.status == "ok" and found.costs.counts["units"] == 10


def greedy(*, units: int, **given):
    """Asks for twice the units."""
    return boosted.boosted(units=2 * units, **given)


def test_a_run_counts_its_units_and_a_divergence_says_so():
    found = ran({"_target_": "baselines.fitters.joint.adam", "epochs": 2})
    assert found.status == "ok" and found.costs.counts["units"] == 10 and found.metrics["half_error"] > 0
    assert ran({"_target_": "baselines.fitters.joint.sgd", "lr": 1e300}).status == "diverged"


def test_predictions_of_another_shape_are_refused():
    task = Regression(Params(data="friedman", rows=60))
    made = task.problem({}, Seeds(100, task.name))
    with pytest.raises(BenchError, match="shape"):
        task.score(made, Solution(lambda x: x), None)
