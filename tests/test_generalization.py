"""Generalisation tasks: gradient descent against its closed form, the entries' identities, bad input, smoke runs."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.learners import linear as learners
from bench.contract import BenchError, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.records.record import Record
from bench.seeds import Seeds
from tasks.generalization import claims, linear, network
from tasks.generalization.base import checkpoints
from tasks.generalization.teacher_student import TeacherStudent
from tasks.generalization.wide_student import WideStudent
from tests import rows

TEACHER, DESCENT, WIDE = (f"generalization/{name}" for name in ("teacher_student", "double_descent", "wide_student"))


def outcome(task: str, entry: str, seed: int = 0, **params) -> dict:
    spec = config.task_spec(task)
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, seed, "/nowhere"))


def metrics(task: str, entry: str, seed: int = 0, **params) -> dict[str, float]:
    found = outcome(task, entry, seed, **params)
    assert found.status == "ok", found.reason
    return found.metrics


def draws(samples: int = 6, dimension: int = 10, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, samples, dimension, generator=generator, dtype=torch.float64) / dimension**0.5
    return x, torch.randn(count, samples, generator=generator, dtype=torch.float64)


def descended(learner, x, y, start, places, rate=0.2) -> list[torch.Tensor]:
    def gradient(weights):
        return (x.mT @ (linear.outputs(x, weights) - y)[..., None])[..., 0]

    return [w for _, w in learner(x=x, y=y, start=start, snr=5.0, rate=rate, checkpoints=places, gradient=gradient)]


@pytest.mark.parametrize("samples", [6, 10, 25])
def test_gradient_descent_is_its_closed_form(samples):
    """In the eigenbasis of X'X each mode goes as (1 - rate l)^k to its least-squares value, or stays where l = 0."""
    x, y = draws(samples)
    start = torch.randn(3, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    eigenvalues, vectors = torch.linalg.eigh(x.mT @ x)
    moment = linear.outputs(vectors.mT, (x.mT @ y[..., None])[..., 0])
    begin = linear.outputs(vectors.mT, start)
    places = [0, 1, 7, 300]
    for step, found in zip(places, descended(linear.descend, x, y, start, places), strict=True):
        decay = (1 - 0.2 * eigenvalues) ** step
        learned = torch.where(eigenvalues > 1e-10, (1 - decay) / eigenvalues.clamp(min=1e-10) * moment, 0.0)
        assert torch.allclose(found, linear.outputs(vectors, decay * begin + learned), atol=1e-10)


def test_descent_from_zero_ends_at_the_least_norm():
    x, y = draws()
    end = descended(linear.descend, x, y, torch.zeros(3, 10, dtype=torch.float64), [20000])[0]
    ((_, least),) = learners.minimum_norm(x=x, y=y)
    assert torch.allclose(end, least, atol=1e-8) and torch.allclose(linear.outputs(x, least), y)
    ((_, ridge),) = learners.ridge(x=x, y=y, snr=1e9)
    assert torch.allclose(ridge, least, atol=1e-5)


def test_the_frozen_subspace():
    """What is outside the span never moves; the projection removes that part and nothing else."""
    x, y = draws()
    start = torch.randn(3, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    frozen = start - linear.spanned(start, x)
    assert torch.allclose(linear.outputs(x, frozen), torch.zeros(3, 6, dtype=torch.float64), atol=1e-12)
    kept, projected = (descended(f, x, y, start, [50])[0] for f in (linear.descend, learners.descend_in_span))
    assert torch.allclose(kept - projected, frozen, atol=1e-12)
    assert torch.allclose(kept - linear.spanned(kept, x), frozen, atol=1e-12)
    assert float(frozen.square().sum()) > 0.1


def test_exact_error_is_the_mean_over_new_samples():
    generator = torch.Generator().manual_seed(0)
    teacher, student = torch.randn(2, 1, 10, generator=generator, dtype=torch.float64)
    x = torch.randn(400000, 10, generator=generator, dtype=torch.float64) / 10**0.5
    noise = 0.5 * torch.randn(400000, generator=generator, dtype=torch.float64)
    sampled = (x @ student[0] - x @ teacher[0] - noise).square().mean()
    assert float(linear.generalisation_error(student, teacher, 4.0)) == pytest.approx(float(sampled), rel=0.02)


def test_checkpoints_are_at_equal_ratios_with_both_ends():
    assert checkpoints(1000, 4) == [0, 1, 10, 100, 1000]
    assert checkpoints(1, 30) == [0, 1] and checkpoints(7, 1) == [0, 1, 7]


def test_ridge_told_the_noise_has_no_gap_and_validation_finds_nearly_its_penalty():
    """The optimum is one of the mean: on few draws another penalty may be better by chance."""
    assert metrics(TEACHER, "ridge_optimal")["ridge_gap"] == pytest.approx(0.0, abs=1e-12)
    gaps = [
        sum(metrics(TEACHER, name, s)["ridge_gap"] for s in range(5)) for name in ("ridge_validated", "zero_student")
    ]
    assert abs(gaps[0]) / 5 < 0.05 < gaps[1] / 5


def test_stopping_keeps_the_least_validation_error():
    last, best = outcome(TEACHER, "gd_to_the_end"), outcome(TEACHER, "gd_early_stopping")
    errors = last.curves["val_error"][1]
    assert last.metrics["val_error"] == pytest.approx(errors[-1])
    assert best.metrics["val_error"] == pytest.approx(min(errors)) and min(errors) < errors[-1]
    assert last.costs.counts["steps"] == best.costs.counts["steps"] == 100


def test_the_curve_is_that_of_the_theory():
    """Many draws of 60 weights, up to time 20."""
    found = metrics(TEACHER, "gd_to_the_end", dimension=60, draws=100)
    assert found["theory_distance"] < 0.05
    assert "theory_distance" not in metrics(TEACHER, "minimum_norm")


def test_large_weights_stay_in_the_frozen_subspace():
    large = metrics(TEACHER, "large_student_weights", ratio=0.5, dimension=40, draws=40)
    assert large["frozen_energy"] == pytest.approx(0.5, rel=0.1)
    projected = metrics(TEACHER, "large_student_weights+gd_frozen_projection", ratio=0.5, dimension=40, draws=40)
    assert projected["frozen_energy"] < 1e-20 and projected["gen_error"] < large["gen_error"]
    assert metrics(TEACHER, "small_student_weights", ratio=0.5)["frozen_energy"] == pytest.approx(0.005, rel=0.5)


def test_derived_metrics_of_a_grid():
    found = {d.metric.name: d for d in config.task_spec(DESCENT).cls.derived}
    table = ((1.0, 1.0, 0.0), (8.0, 4.0, math.e - 1), (2.0, 2.0, 0.0))
    rows = [{"gen_error": e, "val_error": v, "ridge_gap": g} for e, v, g in table]
    values = {name: derived.reduce((0.5, 1.0, 2.0), rows) for name, derived in found.items()}
    assert values == pytest.approx({"mean_gap": 1 / 3, "mean_val_error": 2.0, "peak_height": 4.0})
    assert metrics(DESCENT, "minimum_norm", ratio=0.5)["ridge_gap"] > 0
    wide = {d.metric.name: d.reduce((10, 40, 160), rows) for d in config.task_spec(WIDE).cls.derived}
    assert wide == pytest.approx({"mean_error": 16 ** (1 / 3), "mean_val_error": 2.0, "wide_excess": 2.0})


def test_students_of_networks():
    torch.manual_seed(0)
    x = torch.randn(5, 7)
    for whole, trained in ((False, 4), (True, 4 + 4 * 7)):
        student = network.Student(7, 4, whole)
        assert sum(p.numel() for p in student.parameters()) == trained and student(x).shape == (5,)
    by_hand = sum(v * torch.relu(x @ w) for v, w in zip(student.readout[0], student.hidden, strict=True)) / 2**0.5
    assert torch.allclose(student(x), by_hand, atol=1e-6)
    assert torch.equal(network.Student(7, 4)(x), torch.zeros(5))


def test_wide_students_stop_and_stand_still():
    last, best = outcome(WIDE, "whole_student"), outcome(WIDE, "whole_student+gd_early_stopping")
    errors = last.curves["val_error"][1]
    assert last.metrics["val_error"] == pytest.approx(errors[-1], rel=1e-6)
    assert best.metrics["val_error"] == pytest.approx(min(errors), rel=1e-6)
    assert best.metrics["overtraining"] == pytest.approx(1.0, rel=1e-6)
    assert last.metrics["train_error"] <= best.metrics["train_error"] + 1e-3
    assert metrics(WIDE, "constant_student")["gen_error"] == pytest.approx(1.2, rel=1e-5)


def test_any_optimizer_trains_the_wide_student():
    assert metrics(WIDE, "adam+gd_early_stopping")["gen_error"] < 1.2


def test_teacher_and_validation_stay_hidden():
    for cls in (TeacherStudent, WideStudent):
        public = cls(cls.Params(**cls.presets["smoke"])).problem(None, Seeds(0, cls.name)).public
        assert not {"teacher", "val", "test"} & set(public)


@pytest.mark.parametrize(
    ("task", "params", "reason"),
    [
        (TEACHER, {"ratio": -1.0}, "task.ratio=-1.0"),
        (TEACHER, {"ratio": 0.01}, "no sample"),
        (TEACHER, {"snr": 0.0}, "task.snr=0.0"),
        (TEACHER, {"draws": 0}, "task.draws=0"),
        (TEACHER, {"rate": 0.6}, "from rate 0.5 on; lower it"),
        (WIDE, {"samples": 0}, "task.samples=0"),
        (WIDE, {"snr": -2.0}, "task.snr=-2.0"),
    ],
)
def test_bad_parameters_are_named(task, params, reason):
    found = outcome(task, "gd_to_the_end", **params)
    assert found.status == "failed" and reason in found.reason


def no_weights(public, log, seeds):
    return Solution()


def transposed(public, log, seeds):
    return Solution(tensors={"weights": torch.zeros(20, 4)})


def zeros(public, log, seeds):
    return Solution(tensors={"weights": torch.zeros(4, 20)})


def nothing_kept(errors):
    return False


def exploding(start, **_):
    yield 0, start + math.inf


def columns(public, log, seeds):
    return Solution(lambda x: torch.zeros(len(x), 1))


@pytest.mark.parametrize(
    ("task", "slot", "name", "status", "reason"),
    [
        (TEACHER, "procedure", "no_weights", "failed", "it got none"),
        (TEACHER, "procedure", "transposed", "failed", r"shape (20, 4)"),
        (TEACHER, "procedure", "zeros", "ok", ""),
        (TEACHER, "stopping", "nothing_kept", "failed", "never True"),
        (TEACHER, "learner", "exploding", "diverged", "not finite at step 0"),
        (WIDE, "procedure", "no_weights", "failed", "no `predict`"),
        (WIDE, "procedure", "columns", "failed", "one number a sample"),
        (WIDE, "stopping", "nothing_kept", "failed", "never True"),
    ],
)
def test_an_answer_that_cannot_be_scored_is_told(task, slot, name, status, reason):
    spec = config.task_spec(task)
    parts = config.resolve_parts(spec, config.entry("gd_to_the_end"), {}) | {slot: {"_target_": f"{__name__}.{name}"}}
    if slot == "procedure":
        parts = {slot: parts[slot]}
    found = call(Job(spec.target, config.parameters(spec, "smoke", {}), parts, 0, "/nowhere"))
    assert found.status == status and reason in found.reason, found.reason


def test_a_negative_deviation_is_named():
    with pytest.raises(BenchError, match=r"start.deviation=-1.0"):
        linear.gaussian(2, 3, -1.0)


def record(value: float, **params: float) -> Record:
    return rows.record("e", 0, params=params, metrics={"gen_error": value})


def test_measures_of_claims():
    found = {"e": [record(v, ratio=r, width=w) for v, r, w in ((2.0, 0.5, 5), (9.0, 1.0, 50), (3.0, 2.0, 500))]}
    assert claims.peak(found, entry="e", metric="gen_error", axis="ratio", at=1) == 3.0
    assert claims.largest(found, entry="e", metric="gen_error") == 9.0
    assert claims.widest(found, entry="e") == 1.5 and claims.widest(found, entry="e", over=50) == pytest.approx(1 / 3)
    two = {"a": [record(1.4, ratio=0.6)], "b": [record(1.0, ratio=0.6)]}
    assert claims.ratio(two, of="a", over="b", metric="gen_error") == 1.4
    assert claims.frozen_share(two, kept="a", projected="b", start=2.0) == pytest.approx(0.5)
    exact = 0.5 + 50 / 49 / 5 + 0.2
    grid = {
        "e": [record(1.1 * exact, ratio=0.5, dimension=100, snr=5.0), record(99.0, ratio=1.0, dimension=100, snr=5.0)]
    }
    assert claims.norm_formula(grid, entry="e") == pytest.approx(0.1)
    with pytest.raises(BenchError, match="no cell with width=7"):
        claims.widest(found, entry="e", over=7)
    with pytest.raises(BenchError, match="nothing is frozen"):
        claims.frozen_share(
            {"a": [record(1.0, ratio=1.0)], "b": [record(1.0, ratio=1.0)]}, kept="a", projected="b", start=1.0
        )
