"""The language-model proxy: its data against closed forms, its model against identities, its metric against gaming."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from baselines.networks.attention import QKLayerNorm, SoftCap
from baselines.optimizers.schedules import trapezoid
from baselines.regularizers import independent_decay
from baselines.regularizers.z_loss import z_loss
from bench.contract import BenchError, Problem, Solution, Unavailable
from bench.data import cache_dir, text
from bench.execute import Job, call
from bench.planning import config
from bench.schedules import cosine
from bench.seeds import Seeds
from tasks.instability import training
from tasks.instability.lm_proxy import GRID, LanguageModel
from tasks.instability.lm_shakespeare import Shakespeare
from tasks.instability.transformer import Dot, Size, Transformer, rotated, rotation

SIZE = Size(vocab=11, length=12, width=16, heads=2, layers=2)
NAME = LanguageModel.name


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(attention=Dot, size: Size = SIZE) -> Transformer:
    return Transformer(size, attention, generator())


def cell(entry: str, preset: str = "smoke", seed: int = 0, cache: str = "/nonexistent", parts=None, **params) -> dict:
    spec = config.task_spec(NAME)
    resolved = parts or config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, preset, params), resolved, seed, cache))


def test_rotations_keep_norms_and_see_only_distances():
    cosines, sines = rotation(20, 8)
    q, k = torch.randn(2, 1, 8, generator=generator())
    turned_q, turned_k = (rotated(x.expand(20, 8), cosines, sines) for x in (q, k))
    torch.testing.assert_close(turned_q.norm(dim=1), q.norm().expand(20))
    torch.testing.assert_close(turned_q[0], q[0])
    scores = turned_q @ turned_k.T
    for distance in range(-6, 7):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-4)
    assert float(scores[0].std()) > 0.1, "distances matter"
    with pytest.raises(ValueError, match="odd"):
        rotation(4, 3)


@pytest.mark.parametrize("attention", [Dot, QKLayerNorm, SoftCap])
def test_no_position_sees_what_follows(attention):
    net = model(attention)
    tokens = torch.randint(11, (3, 12), generator=generator())
    changed = tokens.clone()
    changed[:, 7:] = (tokens[:, 7:] + 1) % 11
    with torch.no_grad():
        a, b = net(tokens), net(changed)
        torch.testing.assert_close(a[:, :7], b[:, :7])
        assert bool(((a - b)[:, 7:].abs().amax(dim=(0, 2)) > 1e-4).all())
        torch.testing.assert_close(net(tokens[:, :5]), a[:, :5])


def test_the_last_position_sees_every_other_one():
    net = model()
    embedded = net.embedding(torch.randint(11, (1, 12), generator=generator())).detach().requires_grad_()
    net.embedding.forward = lambda _: embedded  # type: ignore[method-assign]
    net(torch.zeros(1, 12, dtype=torch.long))[0, -1].square().sum().backward()
    assert bool((embedded.grad.norm(dim=2) > 0).all())


def test_initial_weights_have_the_stated_scale_and_do_not_depend_on_the_attention_part():
    size = Size(vocab=64, length=4, width=128, heads=2, layers=1)
    plain, other = model(Dot, size), model(QKLayerNorm, size)
    down, embedding = plain.blocks[0].down.weight, plain.embedding.weight
    assert float(down.abs().max()) <= 2 * 512**-0.5 + 1e-7
    assert float(down.std()) == pytest.approx(0.8796 * 512**-0.5, rel=0.02), "a normal law cut at two deviations"
    assert float(embedding.std()) == pytest.approx(128**-0.5, rel=0.05)
    assert all(torch.equal(p, dict(other.named_parameters())[name]) for name, p in plain.named_parameters())
    assert not [name for name, _ in plain.named_parameters() if "bias" in name]


def test_the_gradient_of_cross_entropy_sums_to_zero_over_the_vocabulary():
    """So no gradient stops a drift that all logits share: the z-loss does."""
    logits = torch.randn(5, 9, dtype=torch.float64, generator=generator()).requires_grad_()
    targets = torch.arange(5)
    functional.cross_entropy(logits, targets).backward()
    torch.testing.assert_close(logits.grad.sum(1), torch.zeros(5, dtype=torch.float64), atol=1e-15, rtol=0)
    shifted = functional.cross_entropy(logits + 100, targets)
    torch.testing.assert_close(shifted, functional.cross_entropy(logits, targets))
    assert float(z_loss(logits + 100, targets)) > float(z_loss(logits, targets))


def test_the_gradient_of_the_z_loss():
    """d/dlogits coef mean(lse^2) = 2 coef lse softmax / positions."""
    logits = torch.randn(2, 3, 9, dtype=torch.float64, generator=generator()).requires_grad_()
    z_loss(logits, torch.zeros(2, 3), coef=0.3).backward()
    expected = 2 * 0.3 * logits.logsumexp(-1, keepdim=True) * logits.softmax(-1) / 6
    torch.testing.assert_close(logits.grad, expected.detach())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_qk_layernorm_bounds_every_score(scale):
    """|score| <= sqrt(head_dim) max|gain_q| max|gain_k| by Cauchy and Schwarz, and q = k comes near it."""
    part = QKLayerNorm(heads=2, head_dim=8, eps=0.0)
    with torch.no_grad():
        part.q_norm.weight.copy_(torch.linspace(-1.5, 1.0, 8))
        part.k_norm.weight.copy_(torch.linspace(0.2, 2.0, 8))
    q, k = scale * torch.randn(2, 4, 2, 6, 8, generator=generator())
    rotate = partial(rotated, cosines=rotation(6, 8)[0], sines=rotation(6, 8)[1])
    bound = math.sqrt(8) * 1.5 * 2.0
    assert float(part(q, k, rotate).abs().max()) <= bound
    unit = QKLayerNorm(heads=2, head_dim=8, eps=0.0)
    torch.testing.assert_close(unit(q, q, rotate).diagonal(dim1=-2, dim2=-1), torch.full((4, 2, 6), math.sqrt(8)))
    if scale == 1e4:
        assert float(Dot(2, 8)(q, k, rotate).abs().max()) > 1e6, "plain scores are not bounded"


def test_a_soft_cap_bounds_scores_and_leaves_small_ones():
    q, k = torch.randn(2, 1, 1, 6, 8, generator=generator())
    plain = Dot(1, 8)(q, k, lambda x: x)
    torch.testing.assert_close(SoftCap(1, 8, cap=1e4)(q, k, lambda x: x), plain, rtol=1e-4, atol=1e-6)
    assert float(SoftCap(1, 8, cap=2.0)(100 * q, k, lambda x: x).abs().max()) <= 2.0


# decay and schedules


@pytest.mark.parametrize("lr", [1e-3, 0.3])
def test_independent_decay_does_not_depend_on_the_rate(lr):
    """Without gradients, theta_T = theta_0 prod(1 - f_t decay)."""
    net = torch.nn.Linear(1, 1, bias=False).double()
    start = float(net.weight)
    optimizer = independent_decay.adamw(net, 20, lr, decay=0.02)
    expected = start
    for step in range(20):
        factor = cosine(step, 20)
        optimizer.param_groups[0]["lr"] = lr * factor
        net.weight.grad = torch.zeros_like(net.weight)
        optimizer.step()
        expected *= 1 - factor * 0.02
    assert float(net.weight) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="not positive"):
        independent_decay.adamw(net, 20, 0.0)


def test_the_trapezoid_rises_stays_and_falls():
    factors = [trapezoid(step, 100, warmup=0.1, decay=0.25) for step in range(100)]
    assert factors[:10] == pytest.approx([(s + 1) / 10 for s in range(10)])
    assert factors[9:76] == [1.0] * 67
    assert factors[75:] == pytest.approx([(100 - s) / 25 for s in range(75, 100)])
    assert trapezoid(0, 10, warmup=0.0, decay=0.0) == 1.0


# the task


def derived(name: str):
    return next(d for d in LanguageModel.derived if d.metric.name == name)


def test_the_derived_metric_is_the_papers():
    rows = [{"final_loss": x, "initial_val_loss": 7.0, "bar": 4.2} for x in (4.5, 4.0, 9.0)]
    assert derived("lr_sensitivity").reduce((1, 2, 3), rows) == pytest.approx(7 / 6)
    del rows[2]["final_loss"]  # a cell that diverged before training
    assert derived("lr_sensitivity").reduce((1, 2, 3), rows) == pytest.approx(7 / 6)
    assert {d.axis for d in LanguageModel.derived} == {"lr"}
    assert all(dict(d.grid) == GRID for d in LanguageModel.derived)


def test_learning_nothing_at_every_rate_does_not_win():
    still = [{"final_loss": 4.0, "initial_val_loss": 4.0, "bar": 1.7}] * 4
    good = [{"final_loss": x, "initial_val_loss": 4.0, "bar": 1.7} for x in (1.6, 1.6, 1.7, 2.5)]
    reduce = derived("lr_sensitivity").reduce
    assert reduce(GRID["small"], still) == pytest.approx(2.3)
    assert reduce(GRID["small"], good) < 0.3
    assert reduce(GRID["small"], [{"initial_val_loss": 4.0}] * 4) == math.inf, "no cell ended well"


def test_a_smoke_cell_gives_its_metrics_twice_alike():
    first, second = cell("qk_layernorm", lr=0.3), cell("qk_layernorm", lr=0.3)
    assert first.status == "ok" and first.metrics == second.metrics
    found = first.metrics
    assert found["excess"] > 0 and found["bar"] == pytest.approx(found["final_loss"] - found["excess"] + 0.5)
    assert found["initial_val_loss"] == pytest.approx(math.log(32) + 0.4, abs=0.3)
    assert found["val_loss"] < found["initial_val_loss"]
    assert first.costs.counts["steps"] == 60 and first.costs.counts["samples"] == 960
    assert cell("qk_layernorm", seed=1, lr=0.3).metrics["final_loss"] != found["final_loss"]


def test_the_rate_of_the_task_replaces_that_of_the_entry():
    spec = config.task_spec(NAME)
    parts = config.resolve_parts(spec, config.entry("plain_attention"), {})
    losses = []
    for extra in ({}, {"lr": 123.0}):
        parts["optimizer"] = {"_target_": "bench.optim.named", "name": "SGD", **extra}
        losses.append(cell("", parts=parts, lr=0.1).metrics["final_loss"])
    assert losses[0] == losses[1]


def test_high_rates_blow_up_plain_scores_and_layer_norm_holds_them():
    """Wortsman et al. 2023 (arXiv 2309.14322), at this size."""
    plain, held = (cell(entry, "small", lr=0.3).metrics for entry in ("plain_attention", "qk_layernorm"))
    assert plain["max_attention_logit"] > 20 * held["max_attention_logit"]
    assert plain["final_loss"] > held["final_loss"] + 0.3


def test_the_z_loss_shrinks_the_normaliser():
    spec = config.task_spec(NAME)
    strong = config.resolve_parts(spec, config.entry("z_loss"), {"regularizer.z_loss.coef": 0.1})
    free = cell("plain_attention", lr=0.03).metrics["max_lse"]
    assert cell("", parts=strong, lr=0.03).metrics["max_lse"] < 0.7 * free


@pytest.mark.parametrize("entry", ["qk_layernorm+z_loss", "long_warmup+z_loss", "independent_wd+qk_layernorm"])
def test_entries_of_different_slots_compose(entry):
    outcome = cell(entry, steps=4, lr=0.01)
    assert outcome.status == "ok", outcome.reason
    assert outcome.metrics["final_loss"] != cell("plain_attention", steps=4, lr=0.01).metrics["final_loss"]


def test_a_part_that_does_not_fit_names_the_slots():
    spec = config.task_spec(NAME)
    parts = config.resolve_parts(spec, config.entry("plain_attention"), {})
    outcome = cell("", parts=parts | {"attention": {"_target_": "bench.schedules.cosine"}})
    assert outcome.status == "failed" and "attention(heads, head_dim)" in outcome.reason


def test_only_contexts_reach_the_entry_and_a_wrong_shape_is_named():
    task = LanguageModel(LanguageModel.Params(**LanguageModel.presets["smoke"]))
    problem = task.problem(None, Seeds(0, NAME))
    assert set(problem.public) == {"train", "vocab"}
    seen = []

    def predict(contexts):
        seen.append(tuple(contexts.shape))
        return torch.zeros(len(contexts), 32)

    assert task.monitor(problem, predict)["val_loss"] == pytest.approx(math.log(32))
    assert seen == [(256, 16)]
    with pytest.raises(BenchError, match=r"returned \(256, 3\); the next token's logits are \(256, 32\)"):
        task.monitor(problem, lambda contexts: torch.zeros(len(contexts), 3))
    with pytest.raises(BenchError, match="no `predict`"):
        task.score(problem, Solution(), None)  # type: ignore[arg-type]


def test_sizes_that_make_no_sense_are_named():
    for wrong, message in (({"back": 17}, "back <= length < row"), ({"text": "klingon"}, "there are chain and")):
        outcome = cell("plain_attention", **wrong)
        assert outcome.status == "failed" and message in outcome.reason


# text files

SAMPLE = "the quick brown fox jumps over the lazy dog; " * 900


def shakespeare(folder: Path) -> Problem:
    task = LanguageModel(LanguageModel.Params(text="shakespeare", held_out=64))
    return task.problem(task.prepare(folder, 0), Seeds(0, NAME))


def test_a_text_that_is_absent_is_unavailable_with_the_way_to_get_it(tmp_path):
    outcome = cell("plain_attention", cache=str(tmp_path), text="shakespeare")
    assert outcome.status == "unavailable"
    assert "curl" in outcome.reason and "SWEEPSTAKES_DATA" in outcome.reason
    (tmp_path / text.SHAKESPEARE).write_bytes(b"\xff\xfe")
    with pytest.raises(Unavailable, match="no UTF-8"):
        shakespeare(tmp_path)


def test_a_text_file_becomes_disjoint_contexts(tmp_path):
    (tmp_path / text.SHAKESPEARE).write_text(SAMPLE)
    task = LanguageModel(LanguageModel.Params(text="shakespeare"))
    assert task.data_files(tmp_path) == {text.SHAKESPEARE: tmp_path / text.SHAKESPEARE}
    problem = shakespeare(tmp_path)
    assert problem.origin == "unverified" and problem.public["vocab"] == len(set(SAMPLE))
    train = problem.public["train"]
    assert train.shape == (1, int(0.9 * len(SAMPLE)))
    alphabet = text.characters(SAMPLE)[1]
    assert "".join(alphabet[i] for i in train[0, :45].tolist()) == SAMPLE[:45]
    contexts, law = problem.hidden["test"]
    assert contexts.shape == (64, 16) and torch.equal(law.sum(1), torch.ones(64, dtype=torch.float64))
    for context, target in zip(contexts[:8].tolist(), law[:8].argmax(1).tolist(), strict=True):
        assert "".join(alphabet[i] for i in (*context, target)) in SAMPLE


def test_held_out_contexts_do_not_overlap():
    p = LanguageModel.Params(held_out=10, length=5)
    tokens = torch.arange(1500)
    problem = training.text_problem(p, tokens, 1500, "x", Seeds(0, NAME))
    used = [problem.public["train"].flatten().long()]
    for split in ("val", "test"):
        contexts, law = problem.hidden[split]
        assert torch.equal(law.argmax(1), contexts[:, -1] + 1)
        used += [contexts.flatten(), law.argmax(1)]
    everything = torch.cat(used)
    assert len(everything.unique()) == len(everything)
    with pytest.raises(BenchError, match="held_out=10: the text has 8 contexts"):
        training.text_problem(p, torch.arange(1000), 1000, "x", Seeds(0, NAME))


@pytest.mark.skipif(not (cache_dir() / text.SHAKESPEARE).is_file(), reason="Tiny Shakespeare is not in the data folder")
def test_tiny_shakespeare_is_known_by_its_content():
    problem = shakespeare(cache_dir())
    assert problem.origin == "official" and problem.public["vocab"] == 65
    for preset in Shakespeare.presets.values():
        task = Shakespeare(Shakespeare.Params(**preset))
        contexts, _ = task.problem(task.prepare(cache_dir(), 0), Seeds(0, task.name)).hidden["test"]
        assert contexts.shape == (task.params.held_out, task.params.length)
