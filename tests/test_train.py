"""The training loop against closed forms, and in each way it can end."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import nn

from bench.contract import BenchError, Diverged, Exhausted, Solution
from bench.optim import named
from bench.schedules import constant, cosine, drops
from bench.train import Loop, Stage, evaluation, fit, parameter_count, run_stages, served

CURVATURE = 0.8


class Recorder:
    """A log that keeps everything; says stop from evaluation number `stop_after` on, and ends after `limit` steps."""

    def __init__(self, stop_after: float = math.inf, limit: float = math.inf) -> None:
        self.incumbent: Solution | None = None
        self.stop = False
        self.losses: dict[int, float] = {}
        self.evaluated: list[int] = []
        self.scores: list[float] = []
        self.stages: list[str] = []
        self.probed: list[tuple[int, dict]] = []
        self.counts = Counter({"steps": 0, "samples": 0})
        self.stop_after, self.limit = stop_after, limit

    def count(self, **amounts: int) -> None:
        if self.counts["steps"] + amounts.get("steps", 0) > self.limit:
            raise Exhausted("steps")
        for name, amount in amounts.items():
            self.counts[name] += amount

    def track(self, step: int, **values: float) -> None:
        self.losses[step] = values["loss"]

    def evaluate(self, step: int, predict, stage: str = "") -> dict[str, float]:
        self.evaluated.append(step)
        self.stages.append(stage)
        self.scores.append(predict())
        self.stop = len(self.evaluated) >= self.stop_after
        return {}

    def probe(self, step: int, **state) -> None:
        self.probed.append((step, state))


def scalar(start: float = 1.0) -> nn.Linear:
    """One float64 weight."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, start)
    return model


def quadratic(model: nn.Linear, log: Recorder, steps: int = 10, lr: float = 0.5, **options) -> Loop:
    """Loss CURVATURE w^2 / 2 by gradient descent: w_t = (1 - lr CURVATURE)^t w_0."""
    optimizer = options.pop("optimizer", None) or torch.optim.SGD(model.parameters(), lr=lr)
    predict = options.pop("predict", lambda: float(model.weight.detach()))

    def loss(batch) -> torch.Tensor:
        return 0.5 * CURVATURE * model.weight.square().sum()

    return Loop(model, loss, optimizer, steps, log, predict=predict, **options)


def test_gradient_descent_on_a_quadratic_is_a_geometric_sequence():
    model, log = scalar(), Recorder()
    quadratic(model, log, steps=10, eval_every=4).run([[0, 0]] * 10)
    weight = [(1 - 0.5 * CURVATURE) ** t for t in range(11)]
    assert float(model.weight) == pytest.approx(weight[10], rel=1e-14)
    assert log.evaluated == [0, 4, 8, 10] and log.scores == pytest.approx([weight[t] for t in (0, 4, 8, 10)], rel=1e-14)
    expected = {t: 0.5 * CURVATURE * weight[t - 1] ** 2 for t in range(1, 11)}
    assert log.losses == pytest.approx(expected, rel=1e-14), "the loss of step t is that before its update"
    assert log.counts == {"steps": 10, "samples": 20}
    assert log.incumbent is not None and log.incumbent.predict is not None


def test_the_last_evaluation_is_not_made_twice():
    log = Recorder()
    quadratic(scalar(), log, steps=8, eval_every=4).run([[0]] * 8)
    assert log.evaluated == [0, 4, 8]


def test_a_schedule_scales_every_groups_own_rate():
    model, log = scalar(), Recorder()
    other = nn.Parameter(torch.ones(1, dtype=torch.float64))
    groups = [{"params": list(model.parameters())}, {"params": [other], "lr": 0.1}]
    optimizer = torch.optim.SGD(groups, lr=0.5)

    def loss(batch) -> torch.Tensor:
        return model.weight.sum() + other.sum()

    factors = [1.0, 0.5, 0.25]
    loop = Loop(model, loss, optimizer, 3, log, schedule=lambda step, steps: factors[step] * steps / 3)
    loop.run([[0]] * 3)
    assert float(model.weight) == pytest.approx(1 - 0.5 * sum(factors))
    assert float(other) == pytest.approx(1 - 0.1 * sum(factors))


def test_clipping_bounds_the_step_and_keeps_the_direction():
    torch.manual_seed(0)
    model = nn.Linear(3, 1, bias=False)
    before, direction = model.weight.detach().clone(), torch.tensor([[3.0, 0.0, 4.0]])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    Loop(model, lambda batch: (model.weight * direction).sum(), optimizer, 1, Recorder(), clip=0.5).run([[0]])
    torch.testing.assert_close(before - model.weight.detach(), 0.5 * direction / 5, rtol=1e-5, atol=1e-6)


def test_the_run_stops_once_the_targets_are_reached():
    model, log = scalar(), Recorder(stop_after=3)
    quadratic(model, log, steps=100, eval_every=2).run([[0]] * 100)
    assert log.evaluated == [0, 2, 4] and log.counts["steps"] == 4
    assert float(model.weight) == pytest.approx((1 - 0.5 * CURVATURE) ** 4)


def test_targets_reached_at_once_cost_nothing():
    log = Recorder(stop_after=1)
    quadratic(scalar(), log, eval_every=2).run([[0]] * 10)
    assert log.counts["steps"] == 0 and log.losses == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(bad):
    model, log = scalar(), Recorder()
    losses = iter([1.0, 1.0, bad, 1.0])
    loop = Loop(model, lambda batch: model.weight.sum() * next(losses), torch.optim.SGD(model.parameters()), 4, log)
    with pytest.raises(Diverged, match="at step 3"):
        loop.run([[0]] * 4)
    assert log.counts["steps"] == 3 and not math.isfinite(log.losses[3]), "the step and its loss are on record"


def test_too_large_a_rate_diverges_as_the_closed_form_says():
    """|1 - lr CURVATURE| > 1 grows without bound; at 2 / CURVATURE the weight only changes its sign."""
    edge = scalar()
    quadratic(edge, Recorder(), steps=50, lr=2 / CURVATURE).run([[0]] * 50)
    assert float(edge.weight) == pytest.approx(1.0)
    with pytest.raises(Diverged):
        quadratic(scalar(), Recorder(), steps=3000, lr=3 / CURVATURE).run([[0]] * 3000)


def test_a_spent_budget_leaves_the_incumbent():
    log = Recorder(limit=5)
    with pytest.raises(Exhausted):
        quadratic(scalar(), log, steps=10, eval_every=2).run([[0]] * 10)
    assert log.counts["steps"] == 5 and log.evaluated == [0, 2, 4] and log.incumbent is not None


def test_evaluation_modes_are_switched_and_switched_back():
    class Modes(torch.optim.SGD):
        mode = "none"

        def train(self) -> None:
            self.mode = "train"

        def eval(self) -> None:
            self.mode = "eval"

        def step(self, closure=None):
            assert self.mode == "train"
            return super().step(closure)

    model, log, seen = scalar(), Recorder(), []
    optimizer = Modes(model.parameters(), lr=0.1)

    def predict() -> float:
        seen.append((model.training, optimizer.mode, torch.is_grad_enabled()))
        return 0.0

    def loss(batch) -> torch.Tensor:
        assert model.training and torch.is_grad_enabled()
        return model.weight.sum()

    Loop(model, loss, optimizer, 2, log, predict=predict, eval_every=1, probe_state={"model": model}).run([[0]] * 2)
    assert seen == [(False, "eval", False)] * 3
    assert optimizer.mode == "train" and model.training
    assert [step for step, _ in log.probed] == [0, 1, 2] and log.probed[0][1] == {"model": model}


def test_a_served_prediction_leaves_no_trace_even_if_it_raises():
    model = nn.Sequential(nn.Dropout(0.5))
    model.eval()
    assert torch.equal(served(model, None, model)(torch.ones(50)), torch.ones(50)) and not model.training
    model.train()
    assert torch.equal(served(model, None, model)(torch.ones(50)), torch.ones(50)), "dropout is off while it predicts"
    assert model.training
    with pytest.raises(ZeroDivisionError), evaluation(model):
        assert not model.training
        raise ZeroDivisionError
    assert model.training


def test_an_optimizer_that_needs_a_closure_gets_it():
    model, log = scalar(), Recorder()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=1.0, max_iter=4)
    optimizer.wants_closure = True  # type: ignore[attr-defined]
    quadratic(model, log, steps=3, optimizer=optimizer).run([[0]] * 3)
    assert abs(float(model.weight)) < 1e-8, "L-BFGS solves a quadratic in one variable almost exactly"
    assert log.losses[1] == pytest.approx(0.5 * CURVATURE) and log.counts["steps"] == 3


def test_fewer_batches_than_steps_end_the_run():
    log = Recorder()
    quadratic(scalar(), log, steps=10, eval_every=4).run([[0]] * 6)
    assert log.counts["steps"] == 6 and log.evaluated == [0, 4, 6]


def test_complex_parameters_count_twice_and_frozen_ones_not():
    model = nn.Linear(3, 2)
    model.spectrum = nn.Parameter(torch.zeros(5, dtype=torch.complex64))
    assert parameter_count(model) == 8 + 10
    model.bias.requires_grad_(False)
    assert parameter_count(model) == 6 + 10


def test_schedules_at_their_corners():
    assert [constant(s, 10) for s in (0, 9)] == [1.0, 1.0]
    warm = [cosine(s, 100, warmup=0.1) for s in range(100)]
    assert warm[:10] == pytest.approx([(s + 1) / 10 for s in range(10)])
    assert warm[10] == 1.0 and warm[55] == pytest.approx(0.5) and warm[10:] == sorted(warm[10:], reverse=True)
    assert cosine(0, 100, warmup=0.0) == 1.0 and cosine(100, 100, final=0.1) == pytest.approx(0.1)
    assert [drops(s, 100) for s in (0, 49, 50, 75)] == pytest.approx([1, 1, 0.1, 0.01])


def falling(step: int, steps: int) -> float:
    """From 1 to 1 / steps."""
    return 1 - step / steps


def test_two_stages_are_one_run_with_one_count_of_steps_and_a_schedule_each():
    model, log, ended = scalar(), Recorder(), []

    class Part:
        def stage_end(self, model, data):
            ended.append((data, float(model.weight.detach()), log.counts["steps"]))

    lr, steps = 0.5, 4
    loop = quadratic(model, log, lr=lr, eval_every=2, schedule=falling)
    stages = [Stage(name, steps, [[0, 0]] * steps, data=name.upper()) for name in ("first", "second")]
    assert run_stages(loop, stages, [object(), Part()]) == 8
    factors = [1 - lr * CURVATURE * falling(step, steps) for step in range(steps)] * 2
    weights = [math.prod(factors[:t]) for t in range(9)]
    assert float(model.weight) == pytest.approx(weights[8], rel=1e-14), (
        "the second stage starts from the base rate again"
    )
    assert log.losses == pytest.approx({t + 1: 0.5 * CURVATURE * weights[t] ** 2 for t in range(8)}, rel=1e-14)
    assert log.evaluated == [0, 2, 4, 6, 8] and log.stages == ["first"] * 3 + ["second"] * 2
    assert ended == [("FIRST", pytest.approx(weights[4]), 4), ("SECOND", pytest.approx(weights[8]), 8)]
    assert log.counts["steps"] == 8 and log.counts["samples"] == 16
    assert loop.optimizer.param_groups[0]["lr"] == lr


def test_stages_end_with_the_budget_and_with_the_targets():
    stages = [Stage(name, 4, [[0]] * 4) for name in ("first", "second")]
    log = Recorder(limit=6)
    with pytest.raises(Exhausted):
        run_stages(quadratic(scalar(), log, eval_every=2), stages)
    assert log.counts["steps"] == 6 and log.incumbent is not None
    log, part = Recorder(stop_after=2), Recorder()
    part.stage_end = lambda model, data: pytest.fail("no stage was finished")  # type: ignore[attr-defined]
    assert run_stages(quadratic(scalar(), log, eval_every=2), stages, [part]) == 2 and log.stages == ["first", "first"]


def test_a_loop_that_starts_late_numbers_its_steps_on():
    log, seen = Recorder(), []
    end = quadratic(scalar(), log, steps=5, start=7, eval_every=2, at_step=seen.append).run([[0]] * 5)
    assert end == 12 and seen == list(log.losses) == [8, 9, 10, 11, 12] and log.evaluated == [9, 11, 12]


def test_at_step_precedes_the_evaluation_and_is_not_called_after_a_divergence():
    model, log = scalar(), Recorder()

    def reset(step: int) -> None:
        with torch.no_grad():
            model.weight.fill_(step)

    quadratic(model, log, steps=3, eval_every=1, at_step=reset).run([[0]] * 3)
    assert log.scores == [1.0, 1.0, 2.0, 3.0]
    nan = quadratic(scalar(math.nan), Recorder(), at_step=lambda step: pytest.fail("it has diverged"))
    with pytest.raises(Diverged):
        nan.run([[0]])


def test_fit_counts_trains_and_serves():
    torch.manual_seed(0)
    model, log = nn.Linear(2, 1, bias=False).double(), Recorder()
    log.evaluate = lambda step, predict, stage="": log.evaluated.append(step) or {}  # type: ignore[method-assign]
    x = torch.eye(2, dtype=torch.float64)
    y = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    solution = fit(
        model, optimizer, lambda batch: 0.5 * (model(batch[0]) - batch[1]).square().sum(), [(x, y)] * 3, 3, log,
        forward=lambda inputs: 10 * model(inputs), eval_every=2,
    )  # fmt: skip
    torch.testing.assert_close(solution.require_predict()(x), 10 * y)
    assert log.counts == {"steps": 3, "samples": 6, "parameters": 2} and log.evaluated == [0, 2, 3]
    assert not solution.require_predict()(x).requires_grad


class Spectral(nn.Module):
    """A bfloat16 layer and a complex one: what mixed precision and spectral models hold."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4).to(torch.bfloat16)
        self.waves = nn.Parameter(torch.randn(3, dtype=torch.complex64))

    def forward(self, x):
        return torch.fft.irfft(torch.fft.rfft(self.layer(x).float()) * self.waves, n=4)


@pytest.mark.parametrize("name", ["SGD", "Adam", "schedulefree.AdamWScheduleFree"])
@pytest.mark.parametrize("in_half", [False, True])
def test_models_with_bfloat16_and_complex_parameters_train(name, in_half):
    torch.manual_seed(0)
    model, log = Spectral(), Recorder()
    log.evaluate = lambda step, predict, stage="": {}  # type: ignore[method-assign]
    x = torch.randn(16, 4).to(torch.bfloat16)
    before = [p.detach().clone() for p in model.parameters()]

    def loss(batch):
        found = (model(batch) - batch.float()).square().mean()
        return found.to(torch.bfloat16) if in_half else found

    fit(model, named(model, 20, name, lr=0.05), loss, [x] * 20, 20, log, clip=0.5, eval_every=10)
    assert parameter_count(model) == 20 + 6 and log.counts["parameters"] == 26
    assert log.losses[20] < 0.9 * log.losses[1]
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_clipping_bounds_the_norm_of_complex_gradients_too():
    model = nn.Module()
    model.waves = nn.Parameter(torch.tensor([3.0 + 4.0j, 0.0]))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    loop = Loop(
        model, lambda _: (model.waves * torch.tensor([6.0 - 8.0j, 0])).real.sum(), optimizer, 1, Recorder(), clip=1.0
    )
    loop.run([[0]])
    torch.testing.assert_close(
        model.waves.detach(), torch.tensor([3.0 + 4.0j - (0.6 + 0.8j), 0.0]), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("name", "least"), [("SGD", 1), ("lbfgs", 2)])
def test_a_budget_in_another_unit_is_counted_by_the_loss(name, least):
    """Ten evaluations: ten steps of gradient descent, fewer of an optimizer that asks for several a step."""
    model, log = scalar(), Recorder()

    def count(**amounts: int) -> None:
        if log.counts["evals"] + amounts.get("evals", 0) > 10:
            raise Exhausted("evals")
        log.counts.update(amounts)

    log.count = count  # type: ignore[method-assign]

    def loss(batch) -> torch.Tensor:
        log.count(evals=1)
        return model.weight.square().sum() + model.weight.cos().sum()

    loop = Loop(model, loss, named(model, 99, name, lr=0.01), 99, log, predict=lambda: 0.0, eval_every=1)
    with pytest.raises(Exhausted, match="evals"):
        loop.run([[0]] * 99)
    assert log.counts["evals"] == 10 and log.counts["steps"] <= 11 // least and log.incumbent is not None


def test_a_solution_without_predict_is_an_error():
    with pytest.raises(BenchError, match="has no `predict`"):
        Solution().require_predict()
