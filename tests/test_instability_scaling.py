"""The proxy at several sizes: what must hold at any width, what the probes see, and the slot for the output."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from baselines.networks.attention import QKLayerNorm
from baselines.networks.layers import OutputCap
from bench.execute import Job, call
from bench.planning import config
from tasks.instability import lm_scaling, scaling
from tasks.instability.lm_scaling import Scaling
from tasks.instability.transformer import Dot, Size, Transformer

NAME = Scaling.name


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(width: int = 16, attention=Dot, output=scaling.Same, layers: int = 2) -> scaling.ScalingModel:
    return scaling.ScalingModel(Size(11, 12, width, 1, layers), attention, output, generator())


def cell(entry: str, overrides=None, **params) -> dict:
    spec = config.task_spec(NAME)
    parts = config.resolve_parts(spec, config.entry(entry), overrides or {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, 0, "/nonexistent"))


def tokens(rows: int = 4) -> torch.Tensor:
    return torch.randint(11, (rows, 12), generator=generator(1))


def loss(net: scaling.ScalingModel) -> torch.Tensor:
    return functional.cross_entropy(net(tokens())[:, :-1].flatten(0, 1), tokens()[:, 1:].flatten())


# exact


def test_the_gradient_of_the_head_sums_to_zero_over_the_vocabulary():
    """So gradient descent leaves the mean logit of a hidden state alone; what moves it is Adam's division by each root."""
    net = model().double()
    net.cosines, net.sines = net.cosines.double(), net.sines.double()
    loss(net).backward()
    gradient = net.head.weight.grad
    assert float(gradient.abs().max()) > 1e-3
    torch.testing.assert_close(gradient.sum(0), torch.zeros(16, dtype=torch.float64), atol=1e-16, rtol=0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.0)
    before = net.head.weight.detach().sum(0)
    optimizer.step()
    assert float((net.head.weight.detach().sum(0) - before).abs().max()) > 0.05


def test_a_cap_makes_the_shared_shift_of_logits_visible_to_the_loss():
    logits = torch.randn(5, 9, dtype=torch.float64, generator=generator()).requires_grad_()
    functional.cross_entropy(OutputCap(9, cap=3.0)(logits + 2.0), torch.arange(5)).backward()
    assert float(logits.grad.sum(1).abs().min()) > 1e-4


@pytest.mark.parametrize("width", [16, 64])
@pytest.mark.parametrize("growth", [1.0, 1e3])
def test_under_layer_norm_no_attention_logit_exceeds_the_root_of_the_head_dimension(width, growth):
    """By Cauchy and Schwarz, whatever the weights; plain logits grow with their square."""
    largest = {}
    for attention in (QKLayerNorm, Dot):
        net = model(width, attention)
        with torch.no_grad():
            for block in net.blocks:
                block.qkv.weight *= growth
        largest[attention] = scaling_probe(net)["max_attention_logit"]
    assert largest[QKLayerNorm] <= math.sqrt(width) * (1 + 1e-6)
    assert growth == 1.0 or largest[Dot] > 1e5


def scaling_probe(net: scaling.ScalingModel) -> dict[str, float]:
    from tasks.instability.transformer import probe

    return probe(net, tokens())


def test_the_default_output_changes_nothing():
    plain = Transformer(Size(11, 12, 16, 1, 2), Dot, generator())
    assert torch.equal(model()(tokens()), plain(tokens()))


@pytest.mark.parametrize(("width", "layers"), [(16, 1), (16, 3), (32, 2)])
def test_the_number_of_weights(width, layers):
    """Two vocabularies, and a block of 3 + 1 + 4 + 4 square matrices and two norms, and the last norm."""
    found = cell("plain_attention", width=width, layers=layers, steps=1).costs.counts["parameters"]
    assert found == 2 * 32 * width + layers * (12 * width**2 + 2 * width) + width


# probes


def test_the_first_step_of_adam_is_the_gradient_over_itself_and_eps():
    """With unbiased moments m = g and sqrt(v) = |g|, so the update is g / (|g| + eps): its size is 1 while eps is small."""
    for eps in (1e-20, 1e-3):
        net = model()
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, betas=(0.9, 0.95), eps=eps)
        loss(net).backward()
        assert "update_rms" not in scaling.probe(net, tokens(), optimizer), "no moments before the first step"
        optimizer.step()
        found = scaling.probe(net, tokens(), optimizer)
        g = net.blocks[0].up.weight.grad.double()
        assert found["update_rms"] == pytest.approx(float((g / (g.abs() + eps)).square().mean().sqrt()), rel=1e-4)
        assert found["gradient_rms"] == pytest.approx(float(g.square().mean().sqrt()))
        assert found["gradient_over_eps"] == pytest.approx(found["gradient_rms"] / eps)
        assert eps != 1e-20 or found["update_rms"] == pytest.approx(1.0, rel=1e-4)


def test_probes_of_logits_are_those_of_the_model():
    net = model(output=lambda width: OutputCap(width, cap=0.5))
    found = scaling.probe(net, tokens(), torch.optim.SGD(net.parameters(), lr=0.1))
    assert set(found) == {"mean_output_logit", "max_output_lse"}, "there is no gradient yet"
    with torch.no_grad():
        assert found["mean_output_logit"] == pytest.approx(float(net(tokens()).mean()))
    assert math.log(11) - 0.5 < found["max_output_lse"] < math.log(11) + 0.5


def test_a_root_mean_square_of_tiny_numbers_is_not_lost():
    assert scaling.rms(torch.full((3, 2), 1e-30)) == pytest.approx(1e-30, rel=1e-6)


# the task


def test_a_smoke_cell_sees_gradients_and_updates_and_repeats():
    first = cell("qk_layernorm", lr=0.1)
    assert first.status == "ok", first.reason
    found = first.metrics
    assert found == cell("qk_layernorm", lr=0.1).metrics
    assert found["gradient_over_eps"] == pytest.approx(found["gradient_rms"] / 1e-8)
    assert 0 < found["gradient_rms"] <= 1 / math.sqrt(4 * 16**2), "the whole gradient's norm is clipped at 1"
    assert 0 < found["update_rms"] < 1.5
    assert {"mean_output_logit", "max_output_lse", "gradient_rms"} <= set(first.curves)


def test_an_optimizer_without_moments_has_a_gradient_and_no_update():
    found = cell("sgd", steps=4, lr=0.1).metrics
    assert "gradient_rms" in found and not {"update_rms", "gradient_over_eps"} & set(found)


def test_eps_reaches_adam():
    small, large = (cell(f"adamw_{size}_eps", steps=8, lr=0.01).metrics for size in ("small", "large"))
    assert large["gradient_over_eps"] < 100 < 1e9 < small["gradient_over_eps"]
    assert large["update_rms"] < small["update_rms"]


def test_capped_outputs_hold_the_normaliser():
    found = cell("output_softcap", {"output.cap": 1.0}, lr=0.1).metrics
    assert math.log(32) - 1 < found["max_lse"] < math.log(32) + 1
    with pytest.raises(ValueError, match="cap = 0 is not positive"):
        OutputCap(16, cap=0)


def test_a_high_cap_leaves_logits():
    logits = torch.randn(3, 9, generator=generator())
    torch.testing.assert_close(OutputCap(16, cap=1e4)(logits), logits)


def test_the_grids_start_where_wide_models_train():
    assert all(dict(one.grid) == lm_scaling.GRID and one.axis == "lr" for one in Scaling.derived)


def test_a_part_that_is_no_output_names_the_slots():
    spec = config.task_spec(NAME)
    parts = config.resolve_parts(spec, config.entry("plain_attention"), {})
    parts["output"] = {"_target_": "bench.schedules.cosine"}
    outcome = call(Job(spec.target, config.parameters(spec, "smoke", {}), parts, 0, "/nonexistent"))
    assert outcome.status == "failed" and "output(width)" in outcome.reason
