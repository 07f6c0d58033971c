"""muParam: nothing but the standard parametrisation at its base width, and its table at any other."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.optimizers import mu_param
from bench.contract import BenchError
from bench.execute import Job, call
from bench.planning import config
from tasks.instability.lm_scaling import Scaling
from tasks.instability.transformer import Dot, Size, Transformer


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def transformer(width: int) -> Transformer:
    return Transformer(Size(11, 8, width, 1, 2), Dot, generator())


def cell(entry: str, overrides=None, **params) -> dict:
    spec = config.task_spec(Scaling.name)
    parts = config.resolve_parts(spec, config.entry(entry), overrides or {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, 0, "/nonexistent"))


BASES = {
    "mu_param": {"optimizer.base_width": 16},
    "mu_param_scaled": {"optimizer.base_width": 16, "output.base_width": 16, "attention.base_head_dim": 16},
}


@pytest.mark.parametrize("entry", BASES)
def test_at_the_base_width_it_is_the_standard_parametrisation(entry):
    """Every number of the record, to the last bit."""
    ours, plain = (
        cell(name, parts, lr=0.03, steps=20) for name, parts in ((entry, BASES[entry]), ("plain_attention", {}))
    )
    assert ours.status == "ok" and ours.metrics == plain.metrics
    assert cell(entry, BASES[entry], lr=0.03, width=32, steps=8).metrics != (
        cell("plain_attention", lr=0.03, width=32, steps=8).metrics
    )


def rates(net: Transformer, **options) -> dict[str, float]:
    optimizer = mu_param.adamw(net, 10, 0.01, base_width=16, **options)
    found = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(found) == len(list(net.parameters()))
    return {name: found[id(p)] for name, p in net.named_parameters()}


@pytest.mark.parametrize(("power", "head"), [(1.0, 0.0025), (0.5, 0.005)])
def test_rates_fall_with_the_fan_in_of_linear_layers(power, head):
    found = rates(transformer(64), head_power=power)
    for name, rate in found.items():
        inner = "blocks" in name and "norm" not in name
        expected = 0.0025 if inner else head if name.startswith("head") else 0.01
        assert rate == pytest.approx(expected, rel=1e-12), name


def test_options_reach_adamw():
    optimizer = mu_param.adamw(transformer(32), 10, 0.01, betas=[0.5, 0.6], eps=1e-4, weight_decay=0.3)
    assert all((g["betas"], g["eps"], g["weight_decay"]) == ((0.5, 0.6), 1e-4, 0.3) for g in optimizer.param_groups)


def test_a_factor_on_the_output_is_smaller_weights_and_a_lower_rate():
    """With Adam at eps = 0: sqrt(r) W trained at rate sqrt(r) lr is W' of sqrt(r) times W trained at r lr."""
    r, lr = 1 / 4, 0.1
    x, y = torch.randn(2, 5, 3, dtype=torch.float64, generator=generator())
    start = torch.randn(3, 3, dtype=torch.float64, generator=generator(1))
    scale = mu_param.ScaledOutput(width=64, base_width=16)
    ours = start.clone().requires_grad_()
    direct = (math.sqrt(r) * start).requires_grad_()
    for weight, rate, forward in ((ours, math.sqrt(r) * lr, scale), (direct, r * lr, lambda z: z)):
        optimizer = torch.optim.AdamW([weight], lr=rate, eps=0.0, weight_decay=0.0)
        for _ in range(5):
            optimizer.zero_grad()
            (forward(x @ weight.T) - y).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(math.sqrt(r) * ours, direct)


def test_attention_scores_fall_with_the_head_dimension():
    for head_dim in (16, 64):
        q = torch.ones(1, 1, 1, head_dim)
        part = mu_param.ScaledAttention(heads=1, head_dim=head_dim, base_head_dim=16)
        assert float(part(q, q, lambda x: x)) == pytest.approx(4.0), "aligned q and k: the same at every dimension"
        assert float(Dot(1, head_dim)(q, q, lambda x: x)) == pytest.approx(math.sqrt(head_dim))


def test_it_composes_with_layer_norm():
    outcome = cell("mu_param+qk_layernorm", steps=4)
    assert outcome.status == "ok", outcome.reason


def test_bad_input_is_named():
    with pytest.raises(BenchError, match="width from an embedding, and this model has none"):
        mu_param.adamw(torch.nn.Linear(2, 2), 10, 0.1)
    for wrong in (0, -16):
        with pytest.raises(ValueError, match=f"base_width = {wrong}"):
            mu_param.adamw(transformer(16), 10, 0.1, base_width=wrong)
    outcome = cell("mu_param", {"optimizer.base_width": 0})
    assert outcome.status == "failed" and "widths are positive" in outcome.reason
