"""Multiplicative gradient noise: the gradient is that of the weighted loss, and its covariance a small batch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from baselines.regimes import gradient_noise, hoffer
from bench.execute import Job, call
from bench.planning import config
from tasks.large_batch.networks import ConvNet, Perceptron
from tasks.large_batch.recipe import Recipe

RECIPE = Recipe(batch=32, base=32, lr=0.05, epochs=20)


def gradient(model: nn.Module, loss: torch.Tensor) -> torch.Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def outcome(entry: str, task: str = "large_batch/prototypes", seed: int = 0) -> dict:
    spec = config.task_spec(task)
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", {}), parts, seed, "/nowhere"))


@pytest.mark.parametrize("network", [Perceptron, ConvNet])
def test_the_gradient_is_that_of_the_weighted_loss(network):
    """Batch norm couples the samples, so z weights each sample's loss and all that it depends on."""
    torch.manual_seed(0)
    inputs = 3072 if network is ConvNet else 20
    model, x, y = network(inputs, 10).double(), torch.randn(12, inputs).double(), torch.arange(12) % 10
    torch.manual_seed(1)
    z = 1 + 15**0.5 * torch.randn(12, 1)
    expected = gradient(model, (z[:, 0] * functional.cross_entropy(model(x), y, reduction="none")).mean())
    plain = functional.cross_entropy(model(x), y)
    torch.manual_seed(1)
    loss = functional.cross_entropy(gradient_noise.weighted(model, 15.0)(x), y)
    assert float(loss) == pytest.approx(float(plain), rel=1e-12), "the loss itself carries no noise"
    assert torch.allclose(gradient(model, loss), expected, atol=1e-12)


def test_the_covariance_is_that_of_a_small_batch():
    """Drawn with replacement: [(1 + v) S - m m^T] / M, which with v = M / b - 1 is [S - m m^T] / b + (1/b - 1/M) m m^T."""
    torch.manual_seed(0)
    small, large, draws = 2, 8, 2500
    model, x, y = nn.Linear(3, 1, bias=False).double(), torch.randn(40, 3).double(), torch.randn(40, 1).double()
    each = 2 * (model(x) - y).detach() * x
    mean, second = each.mean(0), each.T @ each / len(x)
    gradient_noise.weighted(model, variance=large / small - 1)
    found = []
    for _ in range(draws):
        picked = torch.randint(len(x), (large,))
        found.append(gradient(model, functional.mse_loss(model(x[picked]), y[picked])))
    stack, outer = torch.stack(found), torch.outer(mean, mean)
    matched = (second - outer) / small + (1 / small - 1 / large) * outer
    assert torch.allclose((large / small * second - outer) / large, matched)
    assert float((stack.mean(0) - mean).norm()) < 5 * float(matched.trace() / draws) ** 0.5
    assert float((stack.T.cov() - matched).norm() / matched.norm()) < 0.12


def test_root_scaling_keeps_the_covariance_of_an_update():
    """eta^2 / B is the same for the small batch and for `sqrt_lr`, at any growth."""
    for growth in (2, 16):
        scaled = hoffer.sqrt_lr(RECIPE, growth=growth)
        assert scaled.lr**2 / scaled.batch == pytest.approx(RECIPE.lr**2 / RECIPE.batch)


def test_without_variance_and_in_evaluation_nothing_changes():
    torch.manual_seed(0)
    model, x = Perceptron(5, 3), torch.randn(8, 5)
    before = gradient(model, model(x).square().mean())
    gradient_noise.weighted(model, 0.0)
    assert torch.allclose(gradient(model, model(x).square().mean()), before)
    model.eval()
    state = torch.get_rng_state()
    with torch.no_grad():
        model(x)
    assert torch.equal(torch.get_rng_state(), state), "predictions draw no noise"
    with pytest.raises(ValueError, match="variance of -1"):
        gradient_noise.weighted(model, -1.0)


def test_ghosts_without_a_scaled_rate():
    found = gradient_noise.large_batch_with_ghosts(RECIPE, lr=0.1)
    assert (found.batch, found.ghost, found.lr, found.clip) == (512, 32, 0.1, 0.0)


def test_the_shipped_variance_is_the_growth_minus_one_and_the_rest_the_tasks_own():
    for name in ("multiplicative_noise", "multiplicative_noise_ghost"):
        part = dict(config.entry(name).parts["optimizer"])
        default = next(s.default for s in config.task_spec("large_batch/prototypes").cls.slots if s.name == "optimizer")
        assert part.pop("_target_") and part.pop("variance") == hoffer.GROWTH - 1
        assert part == {key: default[key] for key in ("momentum", "weight_decay")}
        assert config.entry(name).search == config.entry("sqrt_lr").search


@pytest.mark.parametrize("entry", ["multiplicative_noise", "multiplicative_noise_ghost"])
def test_a_cell_is_reproducible_and_differs_from_the_large_batch(entry):
    first, again, plain = outcome(entry), outcome(entry), outcome("large_batch")
    assert first.status == "ok" and first.metrics == again.metrics
    assert first.costs.counts["steps"] == plain.costs.counts["steps"] == 3
    assert first.metrics["weight_distance"] > plain.metrics["weight_distance"]
