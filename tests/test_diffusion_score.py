"""diffusion/score: laws, closed-form estimators, kernel regression, stopping rules, measures, audits, bad input, smoke runs."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.denoisers import closed
from bench.contract import BenchError, Diverged, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.records.record import Record
from bench.seeds import Seeds, Stream
from tasks.diffusion import claims, estimation, laws, process, score_claims, tangent, theory, training
from tasks.diffusion.score import Params, Score, checkpoints

ENTRIES = (
    "standard_score", "gaussian_score", "empirical_score", "kernel_density_score", "tangent_kernel", "tangent_kernel_rule",
    "tangent_kernel_unit_rule", "tangent_ridge", "score_to_the_end", "score_validated", "score_patient", "score_fresh_noise",
    "score_wide", "score_narrow",
)  # fmt: skip
NAMES = ("gaussian", "mixture", "bounded")


def outcome(entry: str, seed: int = 100, **params):
    spec = config.task_spec("diffusion/score")
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, seed, "/nowhere"))


def made(seed: int = 100, **params):
    p = Params(**({"samples": 16, "draws": 4, "val": 8, "test": 400, "generated": 50} | params))
    return p, estimation.problem(p, Seeds(seed, "diffusion/score"))


def points(count: int, key: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    stream = Stream(key)
    return stream.normal(count, 2, dtype=torch.float64), 0.05 + stream.uniform(count, dtype=torch.float64)


def only(candidates):
    ((_, denoiser),) = candidates
    return denoiser


# Laws


@pytest.mark.parametrize("name", NAMES)
def test_scores_satisfy_tweedies_formula_on_draws(name):
    """The exact denoiser is the regression of x_0 on x_t: its residual is orthogonal to itself and to any function of x_t."""
    p, made_problem = made(law=name, test=20, val=1, samples=20000, draws=1)
    public = {key: part.double() for key, part in made_problem.public.items()}
    exact = process.denoised_of(laws.law(name, 2).score(public["x"], public["t"]), public["x"], public["t"])
    residual = public["y"] - exact
    for function in (exact, torch.tanh(public["x"]), torch.ones_like(exact)):
        assert float((residual * function).sum(1).mean()) == pytest.approx(0, abs=0.03)


def test_the_bounded_density_is_one_and_its_quadrature_has_converged():
    x, t = points(50)
    law = laws.Bounded(2)
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    mass = law.coordinate.log_density(grid, 0.05).exp().sum() * 16 / 4000
    assert float(mass) == pytest.approx(1, abs=1e-10)
    nodes = torch.linspace(-laws.BOUND, laws.BOUND, 20000, dtype=torch.float64)
    weights = laws.density(nodes[1:-1])
    fine = process.Mixture(weights / weights.sum(), nodes[1:-1, None], torch.zeros(19998, 1, dtype=torch.float64))
    assert torch.allclose(fine.score(x[:, :1], t), law.score(x, t)[:, :1], atol=1e-6)
    drawn = law.draw(20000, Stream(5))
    assert float(drawn.abs().max()) <= laws.BOUND
    assert float(drawn.square().mean()) == pytest.approx(laws.BOUND**2 * (1 / 3 - 1 / (2 * math.pi**2)), rel=0.03)


# Estimators in closed form


def test_the_empirical_denoiser_is_the_score_of_the_samples_own_law():
    x, t = points(40)
    data = points(6, 2)[0]
    exact = process.denoised_of(process.empirical(data).score(x, t), x, t)
    assert torch.allclose(only(closed.empirical(samples=data))(x, t), exact, atol=1e-9)


def test_a_kernel_density_is_a_mixture_around_the_samples():
    x, t = points(40)
    data = points(6, 2)[0]
    (_, denoiser), *_ = closed.kernel_density(samples=data, largest=0.3)
    mixture = process.Mixture(torch.full((6,), 1 / 6).double(), data, torch.full_like(data, 0.09))
    assert torch.allclose(denoiser(x, t), process.denoised_of(mixture.score(x, t), x, t), atol=1e-6)


def test_the_gaussian_fit_is_linear_and_exact_for_many_samples():
    law = laws.law("gaussian", 2)
    x, t = points(200)
    denoiser = only(closed.gaussian(samples=law.draw(200000, Stream(3))))
    assert torch.allclose(denoiser(x, t), process.denoised_of(law.score(x, t), x, t), atol=0.03)
    assert torch.allclose(denoiser((x[:50] + x[50:100]) / 2, t[:50]) * 2,
                          denoiser(x[:50], t[:50]) + denoiser(x[50:100], t[:50]))  # fmt: skip


def test_the_error_of_the_gaussian_fit_is_its_closed_form():
    """Mean over 60 data sets of 400 samples in three dimensions, which are known to 4 %; the formula is good to order 1/n."""
    law, stream = laws.law("gaussian", 3), Stream(4)
    variances = theory.gaussian_variances(3)
    assert torch.allclose(law.variances[0], torch.tensor(variances, dtype=torch.float64))
    t = 0.05 + 1.95 * stream.uniform(2000, dtype=torch.float64)
    x = process.diffuse(law.draw(2000, stream), t, stream.normal(2000, 3, dtype=torch.float64))
    exact = law.score(x, t)
    fits = [only(closed.gaussian(samples=law.draw(400, stream))) for _ in range(60)]
    errors = [estimation.score_error(fit, x, t, exact) for fit in fits]
    assert sum(errors) / 60 == pytest.approx(theory.gaussian_error(variances, 400, 0.05, 2.0), rel=0.12)
    assert theory.gaussian_error_at(400, dimension=3) == pytest.approx(theory.gaussian_error(variances, 400, 0.05, 2.0))


# Kernel regression


def test_the_kernel_is_the_mean_of_a_wide_networks_gradients():
    """<df(u)/dw, df(v)/dw> of one output of a network of 40000 units."""
    x, t = points(4, 7)
    torch.manual_seed(0)
    model = tangent.Wide(2, 40000).double()
    rows = []
    for i in range(4):
        model.zero_grad()
        model(x[i : i + 1], t[i : i + 1])[0, 0].backward()
        rows.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    u, jacobian = tangent.inputs(x, t), torch.stack(rows)
    assert torch.allclose(jacobian @ jacobian.T, tangent.kernel(u, u), rtol=0.05, atol=0.1)


def test_flow_is_gradient_descent_of_small_steps_and_ridge_is_its_linear_system():
    x, t = points(12, 8)
    y = torch.sin(x)
    found = tangent.Regression(x, t, y)
    gram = tangent.kernel(found.u, found.u)
    alpha = torch.zeros_like(y)
    for _ in range(4000):
        alpha = alpha + 0.001 / 12 * (y - gram @ alpha)
    assert torch.allclose(gram @ found.flow(4.0), gram @ alpha, atol=1e-3)
    assert torch.allclose(found.ridge(0.1), torch.linalg.solve(gram + 1.2 * torch.eye(12).double(), y), atol=1e-8)
    assert torch.allclose(found.denoiser(found.flow(1e12))(x, t), y, atol=1e-5), "the end of the flow interpolates"


def test_a_wide_network_starts_at_zero_and_follows_the_flow():
    """100 steps of gradient descent on half the mean square at rate 0.05 are time 5 of the flow."""
    x, t = points(20, 9)
    y = torch.sin(2 * x)
    regression = tangent.Regression(x, t, y)
    expected = regression.denoiser(regression.flow(5.0))(x, t)
    off = []
    for width in (20, 5000):
        torch.manual_seed(1)
        model = tangent.Wide(2, width).double()
        assert float(model(x, t).abs().max()) == 0
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(100):
            optimizer.zero_grad()
            training.denoising_loss(model)((x, t, y)).backward()
            optimizer.step()
        off.append(float((model(x, t) - expected).norm() / expected.norm()))
    assert off[1] < 0.05 and off[1] < off[0] / 4


def test_the_stopping_time_solves_its_equation_and_grows_with_less_noise():
    x, t = points(60, 10)
    found = tangent.Regression(x, t, x)
    times = [found.stopping_time(deviation, 1.0) for deviation in (2.0, 1.0, 0.1)]
    assert times[0] < times[1] < times[2]
    spectrum = found.values / 60
    complexity = math.sqrt(float(spectrum.clamp(max=1 / times[1]).sum()) / 60)
    assert complexity == pytest.approx(1 / times[1], rel=1e-6)
    assert found.stopping_time(0.5, 2.0) == pytest.approx(times[1])


def test_kernel_distance_is_zero_for_kernel_regression_alone():
    assert outcome("tangent_kernel").metrics["kernel_distance"] < 0.05
    assert outcome("standard_score").metrics["kernel_distance"] > 0.1


# Measures of error and of samples


def test_the_matching_loss_is_the_error_plus_a_constant():
    """Exact in the mean over the law; here on 40000 points, for two denoisers."""
    p, problem = made(samples=40000, draws=1, test=1)
    x, t, noise = problem.hidden["train"]
    exact = laws.law(p.law, 2).score(x.double(), t.double())
    truth = lambda x, t: process.denoised_of(laws.law(p.law, 2).score(x.double(), t.double()), x.double(), t)  # noqa: E731
    gaps = []
    for denoiser in (truth, only(closed.standard()), only(closed.gaussian(samples=points(9)[0]))):
        gaps.append(estimation.matching_loss(denoiser, x, t, noise) - estimation.score_error(denoiser, x, t, exact))
    assert estimation.score_error(truth, x, t, exact) < 1e-10
    assert max(gaps) - min(gaps) < 0.03


def test_distances_of_samples_are_those_of_a_shift():
    x = points(400, 11)[0]
    directions = points(64, 12)[0]
    shifted = x + torch.tensor([3.0, 0.0], dtype=torch.float64)
    units = directions / directions.norm(dim=1, keepdim=True)
    assert estimation.sliced_wasserstein(x, x, directions) == 0
    expected = 3 * float(units[:, 0].square().mean().sqrt())
    assert estimation.sliced_wasserstein(x, shifted, directions) == pytest.approx(expected)
    assert estimation.discrepancy(x, x) == pytest.approx(0, abs=1e-6)
    assert estimation.discrepancy(x, x + 100) > estimation.discrepancy(x, shifted) > 0.1


def test_the_entry_gets_samples_and_no_score():
    _, problem = made()
    assert set(problem.public) == {"samples", "x", "t", "y"}
    _, other = made(101)
    assert not torch.equal(problem.public["samples"], other.public["samples"])
    watched = Score(Params()).monitor(problem, only(closed.standard()))
    assert set(watched) == {"val_loss"}
    assert not torch.equal(problem.hidden["val"][0][:16], problem.hidden["test"][0][:16])


# Stopping and runs


def test_stopping_rules_choose_what_they_say():
    errors = [3.0, 2.0, 2.5, 2.6, 2.7, 1.0]
    chosen = {
        rule: max(i for i in range(6) if rule(errors[: i + 1]))
        for rule in (training.last, training.least, training.patient)
    }
    assert [*chosen.values()] == [5, 5, 1]
    assert [training.first(errors[: i + 1]) for i in range(3)] == [True, False, False]
    assert checkpoints(100, 5) == [0, 1, 3, 10, 32, 100]


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_runs(entry):
    found = outcome(entry)
    assert found.status == "ok", found.reason
    metrics = found.metrics
    assert metrics["best_error"] <= min(metrics["last_error"], metrics["score_error"])
    assert metrics["regret"] == pytest.approx(metrics["score_error"] / metrics["best_error"])
    assert set(found.exhibits) == {"samples", "score"}


@pytest.mark.parametrize("law", ["gaussian", "bounded"])
def test_other_laws_and_dimensions_run(law):
    found = outcome("gaussian_score", law=law, dimension=3)
    assert found.status == "ok" and not found.exhibits


def test_fixed_noise_is_dealt_once_an_epoch_and_fresh_noise_is_new():
    _, problem = made()
    common = {**problem.public, "batch": 16, "start": 0.05, "end": 2.0}
    dealt = training.fixed(**common, generator=torch.Generator().manual_seed(0))
    epoch = torch.cat([next(dealt)[0] for _ in range(4)])
    assert torch.equal(epoch.sort(0).values, problem.public["x"].sort(0).values)
    x, t, y = next(training.fresh(**common, generator=torch.Generator().manual_seed(0)))
    assert x.shape == y.shape == (16, 2) and float(t.min()) >= 0.05 and float(t.max()) <= 2.0
    assert not bool((x[:, None] == problem.public["x"]).all(-1).any())


# Claims


def record(samples: float, **metrics: float) -> Record:
    from tests.test_claims import record as made_up

    one = made_up("any", 100, **metrics)
    one.params = {"samples": samples, "law": "gaussian", "dimension": 2, "start": 0.05, "end": 2.0}
    return one


def test_measures_of_claims():
    falling = [record(n, score_error=3 / n, overtraining=64 / n) for n in (64, 16, 256)]
    assert score_claims.exponent({"a": falling}, of="a") == pytest.approx(-1)
    assert score_claims.least_over_most_samples({"a": falling}, of="a", metric="overtraining") == pytest.approx(16)
    assert claims.ratio({"a": falling[:1], "b": falling[1:2]}, of="a", over="b", metric="score_error") == 0.25
    exact = theory.gaussian_error(theory.gaussian_variances(2), 64, 0.05, 2.0)
    assert score_claims.over_formula({"a": [record(64, score_error=exact)]}, of="a") == pytest.approx(1)
    cells = {name: [record(9, score_error=e, mmd=m)] for name, e, m in (("a", 1, 2), ("b", 2, 3), ("c", 3, 9))}
    assert score_claims.order_agreement(cells, metric="mmd") == pytest.approx(1)
    cells["d"] = [record(9, score_error=4, mmd=1)]
    assert score_claims.order_agreement(cells, metric="mmd") == pytest.approx(-0.2)
    with pytest.raises(BenchError, match="three entries"):
        score_claims.order_agreement({"a": cells["a"]}, metric="mmd")
    with pytest.raises(BenchError, match="others beside it"):
        score_claims.exponent({"a": falling[:1]}, of="a")


# Audits (docs/audits.md)


def test_audit_the_score_of_the_samples_is_no_bad_score_and_interpolated_noise_is():
    """At n = 16: the minimiser over endless noise has a far smaller error than one that interpolates four draws a sample."""
    p, problem = made(draws=4)
    x, t, exact = problem.hidden["test"]
    regression = tangent.Regression(problem.public["x"], problem.public["t"], problem.public["y"])
    interpolating = regression.denoiser(regression.flow(1e12))
    endless = only(closed.empirical(samples=problem.public["samples"]))
    errors = [estimation.score_error(denoiser, x, t, exact) for denoiser in (endless, interpolating)]
    assert errors[1] > 2 * errors[0]


def test_audit_without_a_weight_the_earliest_times_rule_the_error():
    """Half the window's unweighted error of the standard score lies in its first fifth; weighted by s_t^2, far less of it."""
    p, problem = made(law="gaussian", test=4000)
    x, t, exact = problem.hidden["test"]
    t = t.double()
    off = (estimation.scores(only(closed.empirical(samples=problem.public["samples"])), x, t) - exact).square().sum(1)
    early = t < p.start + (p.end - p.start) / 5
    plain, weighted = (float((off * w)[early].sum() / (off * w).sum()) for w in (1, process.deviation(t) ** 2))
    assert plain > 0.5 and plain > weighted + 0.05


def test_audit_sixteen_draws_miss_a_component_of_weight_a_fifth_at_times():
    """With probability 0.8^16 = 2.8 %: one cell in 36 has a mode that nobody can learn, so that means over seeds need logs."""
    law = laws.law("mixture", 2)
    missed = 0
    for key in range(1000):
        drawn = law.draw(16, Stream(key))
        missed += not bool(((drawn[:, 0] < 0.5) & (drawn[:, 1] < 0)).any())
    assert missed / 1000 == pytest.approx(0.8**16, abs=0.016)


def test_audit_the_published_constant_stops_far_before_the_unit_one():
    p, problem = made(samples=64, draws=2)
    regression = tangent.Regression(problem.public["x"], problem.public["t"], problem.public["y"])
    x, t, exact = problem.hidden["test"]
    data = {name: part.double() for name, part in problem.public.items()}
    noise = tangent.linear_noise(data["x"], data["t"], data["samples"], data["y"])
    times = [regression.stopping_time(noise, constant) for constant in (2 * math.e, 1.0)]
    errors = [estimation.score_error(regression.denoiser(regression.flow(time)), x, t, exact) for time in times]
    assert times[1] > 4 * times[0] and errors[0] > 1.5 * errors[1]


# Bad input


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"law": "cauchy"}, "gaussian, mixture and bounded"),
        ({"samples": 2}, "more samples than dimensions"),
        ({"start": 2.0, "end": 1.0}, "start before it ends"),
        ({"dimension": 1}, "two dimensions or more"),
        ({"draws": 0}, "above 0"),
    ],
)
def test_what_cannot_be_is_told(params, words):
    with pytest.raises(BenchError, match=words):
        p = Params(**params)
        Score(p).problem(None, Seeds(100, "diffusion/score"))


def test_denoisers_of_a_wrong_shape_or_without_numbers_are_told():
    p, problem = made()
    x, t, exact = problem.hidden["test"]
    with pytest.raises(BenchError, match="one row a point"):
        estimation.score_error(lambda x, t: x[:1], x, t, exact)
    with pytest.raises(Diverged, match="not finite"):
        estimation.score_error(lambda x, t: x / 0, x, t, exact)
    with pytest.raises(Diverged, match="not finite"):
        training.checked(lambda x, t: x / 0)(x, t)
    plain = estimation.score(p, problem, Solution(only(closed.standard())))
    assert plain["regret"] is None and plain["score_error"] > 0


def test_a_kernel_matrix_that_is_too_large_is_refused():
    with pytest.raises(BenchError, match="up to 2048"):
        tangent.Regression(torch.zeros(2049, 2), torch.zeros(2049), torch.zeros(2049, 2))
    with pytest.raises(BenchError, match="both have to be above 0"):
        tangent.Regression(*points(5), points(5)[0]).stopping_time(0.0, 1.0)
    with pytest.raises(BenchError, match="0 < least"):
        next(closed.kernel_density(samples=points(5)[0], least=2.0))
