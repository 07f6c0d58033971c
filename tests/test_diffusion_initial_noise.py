"""Searches over initial noise: exact scores and samplers, what is counted, unbiased gradients, audits, and bad input."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.noise_policies.gaussian import NoisePolicy, Published
from baselines.noise_policies.rivals import BestOfN, FineTuning, SamplerGradient
from bench.contract import BenchError, Diverged, Exhausted, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.diffusion import rewards
from tasks.diffusion.initial_noise import InitialNoise, Params
from tasks.diffusion.process import Mixture, deviation, signal
from tasks.diffusion.sampling import FIRST, LAST, Sampler, sample
from tasks.large_batch.digits import location

digits = pytest.mark.skipif(location() is None, reason="scikit-learn, which ships the digits, is not here")
CENTRES = torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
MIXTURE = Mixture(torch.tensor([0.8, 0.15, 0.05]), CENTRES, torch.full((3, 2), 0.09))
STEPS = 6


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Counter:
    """Counts what a sampler asks for, and refuses more than `limit`."""

    def __init__(self, limit: int = 10**9) -> None:
        self.evals, self.limit = 0, limit

    def __call__(self, evals: int) -> None:
        if self.evals + evals > self.limit:
            raise Exhausted
        self.evals += evals


def sampler(reward=None, backward: int = 2) -> tuple[Sampler, Counter]:
    counter = Counter()
    return Sampler(MIXTURE.noise, 2, STEPS, reward or rewards.region(CENTRES[0], 0.5), backward, counter), counter


def made(cls, **arguments):
    return cls(dimension=2, steps=STEPS, generator=drawn(), **arguments)


# Closed forms


def at(t: float) -> tuple[float, float]:
    """What is left of the data at time t, and the deviation of the noise."""
    times = torch.tensor(t, dtype=torch.float64)
    return float(signal(times)), float(deviation(times))


@pytest.mark.parametrize("t", [0.01, 0.5, 3.0])
def test_the_denoiser_is_the_gradient_of_the_log_density(t):
    mixture = Mixture(MIXTURE.weights.double(), CENTRES.double(), MIXTURE.variances.double())
    x = torch.randn(50, 2, generator=drawn(), dtype=torch.float64).requires_grad_()
    (score,) = torch.autograd.grad(mixture.log_density(x, t).sum(), x)
    assert torch.allclose(mixture.noise(x.detach(), t), -at(t)[1] * score, atol=1e-10)


def test_the_sampler_of_one_normal_component_converges_to_the_exact_map():
    """The flow keeps (x - a m) / deviation of x_t, so that samples are known; the error falls with the steps."""
    centre, width = torch.tensor([[1.0, -0.5]]).double(), 0.3
    component = Mixture(torch.ones(1).double(), centre, torch.full((1, 2), width**2).double())
    x = torch.randn(20, 2, generator=drawn(), dtype=torch.float64)

    def spread(t: float) -> float:
        a, s = at(t)
        return math.sqrt((a * width) ** 2 + s**2)

    a, s = at(LAST)
    end = a * centre + (x - at(FIRST)[0] * centre) * spread(LAST) / spread(FIRST)
    exact = (end - s * component.noise(end, LAST)) / a
    errors = [float((sample(component.noise, x, steps).ends - exact).abs().max()) for steps in (50, 100, 200)]
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.1) and errors[2] / errors[1] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("stochastic", [False, True])
def test_samples_have_the_mean_reward_of_the_mixture(stochastic):
    x = torch.randn(4000, 2, generator=drawn())
    draws = torch.randn(60, 4000, 2, generator=drawn(1)) if stochastic else None
    samples = sample(MIXTURE.noise, x, 60, None, draws).ends
    for centre in CENTRES:
        exact = rewards.mean_region(CENTRES, MIXTURE.weights, 0.3, centre, 0.5)
        assert float(rewards.region(centre, 0.5)(samples).mean()) == pytest.approx(exact, abs=0.03)


def test_gradients_through_the_sampler_are_differences():
    oracle, counter = sampler()
    x = torch.randn(5, 2, generator=drawn())
    _, slopes = oracle.gradient(x)
    assert counter.evals == 5 * (STEPS + 1) * 3
    step = 1e-2
    for axis in range(2):
        move = step * torch.eye(2)[axis]
        difference = (oracle(x + move)[1] - oracle(x - move)[1]) / (2 * step)
        assert torch.allclose(slopes[:, axis], difference, atol=5e-3)


def test_a_backward_pass_counts_as_the_task_says():
    oracle, counter = sampler(backward=0)
    oracle.trajectories(torch.zeros(3, 2), lambda x, k: torch.zeros_like(x), torch.zeros(STEPS, 3, 2))
    assert counter.evals == 3 * (STEPS + 1)


def test_the_first_step_on_a_batch_is_plain_reinforce():
    """At the old policy every ratio is 1, so clipping changes nothing, and the gradient is that of A log p."""
    policy = made(NoisePolicy, kl=0.0)
    z = policy.start(policy.drawn()).detach()
    advantages = torch.randn(16, generator=drawn(1))
    found = torch.autograd.grad(
        policy.loss(z, policy.log_density(z).detach(), advantages), [policy.mean, policy.deviation]
    )
    plain = torch.autograd.grad(-(advantages * policy.log_density(z)).mean(), [policy.mean, policy.deviation])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, plain, strict=True))


def test_reinforce_is_unbiased_and_a_baseline_lowers_its_variance():
    """In one dimension with r(z) = exp(-(z - 1)^2 / 2), E r = exp(-(mu - 1)^2 / 2(1 + s^2)) / sqrt(1 + s^2)."""
    z = torch.randn(200_000, generator=drawn(), dtype=torch.float64)
    r = torch.exp(-((z - 1) ** 2) / 2)
    mean = math.exp(-1 / 4) / math.sqrt(2)
    plain, calibrated = z * r, z * (r - mean)
    exact = mean / 2  # d E r / d mu at mu = 0, s = 1
    for estimates in (plain, calibrated):
        assert float(estimates.mean()) == pytest.approx(exact, abs=4 * float(estimates.std()) / len(z) ** 0.5)
    assert float(calibrated.var()) < float(plain.var())


def test_clipping_stops_at_the_ratio_and_keeps_the_way_back():
    policy = made(NoisePolicy, kl=0.0)
    z = torch.tensor([[1.0, 1.0]])
    now = policy.log_density(z).detach()

    def slope(log_ratio: float, advantage: float) -> float:
        loss = policy.loss(z, now - log_ratio, torch.tensor([advantage]))
        return float(torch.autograd.grad(loss, policy.mean)[0].norm())

    assert slope(0.5, 1.0) == 0 and slope(-0.5, -1.0) == 0
    assert slope(0.5, -1.0) > 0 and slope(-0.5, 1.0) > 0


def test_fine_tuning_follows_the_score_of_its_steps():
    """The gain times the drawn noise is the derivative of the log-density of a step in the correction."""
    x, draws = torch.randn(4, 2, generator=drawn()), torch.randn(1, 4, 2, generator=drawn(1))
    gains = sample(MIXTURE.noise, x, 1, None, draws).gains
    (a, s), (b, r) = at(FIRST), at(LAST)
    width = r / s * math.sqrt(1 - (a / b) ** 2)
    correction = torch.zeros(4, 2, requires_grad=True)
    e = MIXTURE.noise(x, FIRST)

    def mean(c):
        return b / a * (x - s * (e + c)) + math.sqrt(r**2 - width**2) * (e + c)

    taken = (mean(correction) + width * draws[0]).detach()
    density = -((taken - mean(correction)) / width).square().sum() / 2
    (slope,) = torch.autograd.grad(density, correction)
    assert torch.allclose(slope, gains[0] * draws[0], rtol=1e-3, atol=1e-3)


# Audits: what the authors' file does


def test_audit_the_published_reward_is_the_first_rollouts_for_twenty_rollouts():
    policy, batches = made(Published), []

    def oracle(z):
        batches.append(torch.rand(len(z), generator=drawn(len(batches))))
        return z, batches[-1]

    for rollout in range(30):
        policy.update(oracle)
        assert torch.equal(policy.buffer[0], batches[max(0, rollout - 19)])


def test_audit_a_clamp_without_the_minimum_has_no_way_back():
    """Outside of the band the clamped ratio is flat, also where the minimum would lead back."""
    ratio = torch.tensor([1.5, 0.5], requires_grad=True)
    advantages = torch.tensor([-1.0, 1.0])
    clamped = ratio.clamp(0.8, 1.2) * advantages
    (flat,) = torch.autograd.grad(clamped.sum(), ratio)
    (leads,) = torch.autograd.grad(torch.minimum(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages).sum(), ratio)
    assert flat.tolist() == [0, 0] and leads.tolist() == [-1, 1]


def test_audit_the_published_old_policy_is_never_refreshed():
    """Once the policy has left N(0, I) all ratios of its own samples are outside of the band, and only the penalty acts."""
    policy = made(Published)
    with torch.no_grad():
        policy.mean.fill_(3.0)
        policy.deviation.fill_(0.1)
    policy.update(lambda z: (z, torch.rand(len(z), generator=drawn())))
    with torch.no_grad():
        before = policy.mean.clone()
    (penalty,) = torch.autograd.grad(policy.kl * policy.divergence(), policy.mean)
    policy.update(lambda z: (z, torch.rand(len(z), generator=drawn())))
    assert torch.allclose(policy.mean.grad, penalty) and not torch.equal(policy.mean, before)


def test_audit_a_mean_over_numbers_brings_every_ratio_near_one():
    """Of 16384 numbers the mean log-ratio is the joint one over 16384: a shift that the clip is to hold passes unseen."""
    d = 16384
    e = torch.randn(64, d, generator=drawn())
    shift = 0.1 * torch.ones(d)
    joint = ((e + shift).square() - e.square()).sum(dim=1) / 2
    assert float(joint.abs().min()) > math.log(1.2) and float((joint / d).abs().max()) < math.log(1.2)


# Bad input


@pytest.mark.parametrize("cls", [NoisePolicy, SamplerGradient, FineTuning])
def test_a_constant_reward_moves_nothing(cls):
    oracle, _ = sampler(lambda x: 0 * x.sum(dim=1) + 0.3)
    policy = made(cls, kl=0.0, **({"calibration": "mean"} if cls is NoisePolicy else {}))
    for _ in range(3):
        policy.update(oracle)
    e = torch.randn(4, 2, generator=drawn(3))
    assert torch.allclose(policy.start(e), e, atol=1e-6)
    if cls is FineTuning:
        assert float(policy.correct(e, 0).abs().max()) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_reward_that_is_no_number_is_divergence(bad):
    oracle, _ = sampler(lambda x: x.sum(dim=1) * 0 + bad)
    with pytest.raises(Diverged, match="a reward is not finite"):
        made(BestOfN).update(oracle)
    with pytest.raises(Diverged, match="noise is not finite"):
        sampler()[0](torch.full((1, 2), bad))
    with pytest.raises(BenchError, match=r"shape \(1, 3\); expected \(samples, 2\)"):
        sampler()[0](torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("cls", "arguments", "said"),
    [
        (NoisePolicy, {"lr": 0.0}, "lr=0.0 has to be above 0"),
        (NoisePolicy, {"reuse": 0}, "reuse=0 is at least 1"),
        (NoisePolicy, {"calibration": "median"}, "one of none, mean, network"),
        (BestOfN, {"kept": 0}, "kept=0"),
        (FineTuning, {"batch": 1}, "batch=1 at least 2"),
    ],
)
def test_arguments_that_make_no_sense_are_named(cls, arguments, said):
    with pytest.raises(BenchError, match=said):
        made(cls, **arguments)


def test_what_a_policy_returns_is_checked():
    task = InitialNoise(Params(val=10, test=10, steps=STEPS))
    problem = task.problem(None, Seeds(100, task.name))
    with pytest.raises(BenchError, match=r"the policy returned \(10, 1\)"):
        task.monitor(problem, lambda x, k: x[:, :1] * 0)
    with pytest.raises(Diverged, match="noise is not finite"):
        task.monitor(problem, lambda x, k: torch.zeros(1) if k == -2 else x * math.nan)
    with pytest.raises(BenchError, match=r"backward=-1"):
        InitialNoise(Params(backward=-1)).problem(None, Seeds(100, task.name))


def test_judging_noise_is_new_for_every_seed_and_not_public():
    task = InitialNoise(Params())
    one, other = (task.problem(None, Seeds(seed, task.name)) for seed in (100, 101))
    assert not torch.equal(one.hidden["test"], other.hidden["test"])
    assert set(one.public) == {"centres", "weights", "wanted"}
    assert not torch.equal(one.public["centres"], other.public["centres"])


def test_exhibits_and_scores_of_plain_sampling():
    task = InitialNoise(Params(steps=60))
    problem = task.problem(None, Seeds(100, task.name))
    samples = task.samples(problem, lambda x, k: torch.zeros(1) if k == -2 else x, "test")
    exact = rewards.mean_region(
        problem.public["centres"], problem.public["weights"], 0.3, problem.public["wanted"], 0.5
    )
    assert float(task.reward(problem.public)(samples).mean()) == pytest.approx(exact, abs=0.02)
    shown = task.exhibit(problem, Solution(lambda x, k: torch.zeros(1) if k == -2 else x))
    assert shown["samples"].arrays["samples"].shape == (200, 2)


def test_distances_of_a_normal_distribution():
    x = 0.3 * torch.randn(1500, 2, generator=drawn())
    assert rewards.nearest_distance(x, torch.zeros(1, 2), 0.3) == pytest.approx(math.sqrt(math.pi) / 2, rel=0.05)
    assert rewards.mean_distance(x) == pytest.approx(rewards.normal_distance(0.3), rel=0.03)


# Whole runs

ENTRIES = (
    "plain_sampling", "find_policy", "find_unclipped", "find_single", "find_uncalibrated", "find_batch_mean",
    "find_published", "best_noises", "sampler_gradient", "denoiser_tuning", "denoiser_tuning_held",
)  # fmt: skip


def outcome(task: str, entry: str, changes=None, cache: str = "/nowhere"):
    spec = config.task_spec(f"diffusion/{task}")
    resolved = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", changes or {}), resolved, 100, cache))


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_runs_within_its_budget(entry):
    result = outcome("initial_noise", entry)
    assert result.status == "ok" and 0 < result.metrics["reward"] <= 1
    assert 0 < result.costs.counts["evals"] <= 1760


@digits
@pytest.mark.parametrize("entry", ["find_policy", "denoiser_tuning"])
def test_entries_run_on_digits(entry, tmp_path):
    result = outcome("initial_noise_digits", entry, cache=str(tmp_path))
    assert result.status == "ok" and 0 < result.metrics["reward"] <= 1
    assert result.arrays["exhibit/samples/pixel"].shape == (24, 8, 8)


@digits
def test_the_exact_denoiser_of_digits_and_compressibility():
    result = outcome("initial_noise_digits", "find_policy", {"pretraining": 0, "reward": "compressibility"})
    assert result.status == "ok" and 0.1 < result.metrics["reward"] < 1
    wrong = outcome("initial_noise_digits", "find_policy", {"reward": "beauty"})
    assert wrong.status == "failed" and "there are class and compressibility" in wrong.reason
    wrong = outcome("initial_noise_digits", "find_policy", {"pretraining": -1})
    assert wrong.status == "failed" and "0 for the exact denoiser" in wrong.reason


def test_a_budget_below_one_update_and_a_reward_without_slope():
    short = outcome("initial_noise", "find_policy", {"evaluations": 20})
    assert short.status == "failed" and "raise task.evaluations" in short.reason
    flat = outcome("initial_noise", "denoiser_tuning", {"width": 1e9})
    assert flat.status == "ok" and flat.metrics["reward"] == pytest.approx(1)
