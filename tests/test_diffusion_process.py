"""The family's process, schedules, sampler and mixtures against closed forms."""

from __future__ import annotations

import pytest
import torch

from bench.contract import BenchError
from bench.seeds import Stream
from tasks.diffusion import process
from tasks.diffusion.process import Mixture

MIXTURE = Mixture(
    torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
    torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]]).double(),
    torch.tensor([[0.16, 0.16], [0.1, 0.3], [0.16, 0.05]]).double(),
)
GAUSSIAN = Mixture(torch.ones(1).double(), torch.tensor([[1.0, -2.0]]).double(), torch.tensor([[0.25, 4.0]]).double())


def points(count: int, key: int = 1) -> torch.Tensor:
    return Stream(key).normal(count, 2, dtype=torch.float64)


def law(t: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of GAUSSIAN at time t."""
    a = torch.exp(torch.tensor(-t).double())
    return a * GAUSSIAN.means[0], torch.sqrt(a**2 * GAUSSIAN.variances[0] + 1 - a**2)


def flow(mixture: Mixture, x: torch.Tensor, times: torch.Tensor, draws: torch.Tensor | None = None) -> torch.Tensor:
    """Where the sampler takes x by the mixture's exact noise."""
    return process.walk(lambda x, k: mixture.noise(x, float(times[-1 - k])), x, times, draws).ends


def test_the_score_of_a_mixture_is_the_gradient_of_its_log_density():
    x = (2 * points(50)).requires_grad_()
    t = torch.linspace(0.01, 3, 50).double()
    (gradient,) = torch.autograd.grad(MIXTURE.log_density(x, t).sum(), x)
    assert torch.allclose(MIXTURE.score(x.detach(), t), gradient, atol=1e-12)


def test_one_time_for_all_points_is_the_same_as_that_time_for_each():
    x = points(20)
    assert torch.allclose(MIXTURE.score(x, 0.3), MIXTURE.score(x, torch.full((20,), 0.3).double()), atol=1e-12)


def test_the_density_of_a_mixture_integrates_to_one():
    grid = torch.cartesian_prod(*[torch.linspace(-8, 8, 200, dtype=torch.float64)] * 2)
    assert float(MIXTURE.log_density(grid, 0.1).exp().sum()) * (16 / 199) ** 2 == pytest.approx(1, abs=1e-9)


def test_tweedies_formula_is_the_mean_of_the_data_given_a_noisy_point():
    """For a Gaussian: m + a v / (a^2 v + s^2) (x - a m)."""
    x, t = points(20), 0.4
    mean, spread = law(t)
    a = torch.exp(torch.tensor(-t).double())
    posterior = GAUSSIAN.means[0] + a * GAUSSIAN.variances[0] / spread**2 * (x - mean)
    score = GAUSSIAN.score(x, t)
    assert torch.allclose(process.denoised_of(score, x, t), posterior, atol=1e-12)
    assert torch.allclose(process.score_of_denoised(posterior, x, t), score, atol=1e-12)
    assert torch.allclose(process.score_of_noise(process.noise_of(score, t), t), score, atol=1e-12)


def test_noisy_points_have_the_mean_and_variance_of_their_law():
    stream = Stream(3)
    x = process.diffuse(GAUSSIAN.draw(40000, stream), 0.4, stream.normal(40000, 2, dtype=torch.float64))
    mean, spread = law(0.4)
    assert torch.allclose(x.mean(0), mean, atol=0.03) and torch.allclose(x.std(0), spread, rtol=0.02)


def test_a_mixture_draws_its_components_by_their_weights():
    drawn = MIXTURE.draw(20000, Stream(4))
    assert float((drawn[:, 0] > 0.5).double().mean()) == pytest.approx(0.5, abs=0.015)


def test_the_deterministic_sampler_follows_the_flow_of_a_gaussian_at_first_order():
    """The flow keeps the standardised distance to the mean, so that it is known for every point."""
    x = points(30)
    (late, wide), (early, narrow) = law(3.0), law(0.05)
    exact = early + (x - late) / wide * narrow
    errors = [
        float((flow(GAUSSIAN, x, process.schedule(0.05, 3.0, steps)) - exact).abs().max()) for steps in (100, 200, 800)
    ]
    assert errors[2] < 0.02 and errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


def test_the_ancestral_sampler_ends_in_the_law_of_a_gaussian():
    mean, spread = law(3.0)
    start = mean + spread * points(20000)
    x = flow(GAUSSIAN, start, process.schedule(0.05, 3.0, 200), Stream(5).normal(200, 20000, 2, dtype=torch.float64))
    mean, spread = law(0.05)
    assert torch.allclose(x.mean(0), mean, atol=0.06) and torch.allclose(x.std(0), spread, rtol=0.03)


def test_one_ancestral_step_for_a_point_of_mass_is_the_exact_posterior():
    """With x_0 known, x_u given x_t is normal: mean and variance of the product of two Gaussians."""
    target = process.empirical(torch.tensor([[0.7]]).double())
    x = torch.full((40000, 1), 1.3).double()
    times = torch.tensor([0.3, 1.0]).double()
    ends = flow(target, x, times, Stream(6).normal(1, 40000, 1, dtype=torch.float64))
    (au, at), (su, st) = process.signal(times).tolist(), process.deviation(times).tolist()
    ratio = at / au
    forward = 1 - ratio**2
    variance = 1 / (1 / su**2 + ratio**2 / forward)
    mean = variance * (au * 0.7 / su**2 + ratio * 1.3 / forward)
    assert st**2 == pytest.approx(ratio**2 * su**2 + forward)
    assert float(ends.mean()) == pytest.approx(mean, abs=0.01)
    assert float(ends.var()) == pytest.approx(variance, rel=0.03)


def test_the_empirical_score_samples_the_data_themselves():
    data = points(5, 8)
    times = process.schedule(1e-5, 4.0, 80)
    x = flow(process.empirical(data), points(200, 9), times)
    assert float(torch.cdist(x, data).min(1).values.max()) < 0.05


@pytest.mark.parametrize("spacing", process.SPACINGS)
def test_schedules_increase_from_end_to_end(spacing):
    times = process.schedule(0.01, 2.0, 10, spacing)
    assert len(times) == 11 and bool((times[1:] > times[:-1]).all())
    assert (float(times[0]), float(times[-1])) == (0.01, 2.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: process.schedule(2.0, 0.1, 10), "start < end"),
        (lambda: process.schedule(0.1, 2.0, 0), "at least one"),
        (lambda: process.schedule(0.1, 2.0, 5, "cosine"), "no spacing"),
        (lambda: flow(GAUSSIAN, points(3), torch.tensor([1.0, 0.5])), "increase"),
        (lambda: flow(GAUSSIAN, points(3), torch.tensor([0.5, 1.0]), torch.zeros(1, 2, 2)), r"wants \(1, 3, 2\)"),
        (lambda: Mixture(torch.ones(2) / 2, torch.zeros(2, 2), -torch.ones(2, 2)), "negative"),
        (lambda: Mixture(torch.ones(2), torch.zeros(2, 2), torch.ones(2, 2)), "sum to 1"),
        (lambda: Mixture(torch.ones(2) / 2, torch.zeros(3, 2), torch.ones(3, 2)), "shapes"),
        (lambda: GAUSSIAN.score(points(3), torch.tensor([0.1, 0.2])), "one for each point"),
        (lambda: GAUSSIAN.score(points(3), -1.0), "negative"),
    ],
)
def test_bad_input_is_an_error_that_says_so(call, words):
    with pytest.raises((BenchError, ValueError), match=words):
        call()
