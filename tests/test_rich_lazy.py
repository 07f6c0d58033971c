"""Rich and lazy: the exact tangent kernel, conserved quantities, spectra of the initial weights, bad input, smoke runs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.initializers import ranks
from bench.contract import BenchError
from bench.execute import Job, call
from bench.metrics.kernels import alignment, gram, ntk
from bench.metrics.spectra import effective_rank
from bench.planning import config
from bench.records.record import Record
from bench.seeds import Seeds, Stream
from tasks.rich_lazy import (
    base,
    claims,
    delayed_match,
    linear,
    network,
    parts,
    trials,
    two_alternative_choice,
    two_layers,
)
from tests import rows

TASKS = ("rich_lazy/two_alternative_choice", "rich_lazy/delayed_match", "rich_lazy/linear")
ENTRIES = ("full_rank_init", "half_gain_init", "rank_1_init", "low_rank_init", "soft_low_rank_init", "dale_init")
GAIN = 1.25


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cell(task: str, entry: str, preset: str = "smoke", seed: int = 0, overrides: dict | None = None, **params) -> dict:
    spec = config.task_spec(task)
    chosen = config.resolve_parts(spec, config.entry(entry), overrides or {})
    return call(Job(spec.target, config.parameters(spec, preset, params), chosen, seed, "/nowhere"))


def test_the_linear_kernel_is_the_jacobians():
    """|a|^2 X X' + X W' W X' against the Jacobian by both layers."""
    first, second, x = (torch.randn(*shape, dtype=torch.float64) for shape in ((7, 4), (7,), (9, 4)))
    model = two_layers.TwoLayers(first, second)
    assert torch.allclose(two_layers.tangent_kernel(x, first, second), ntk(model(x), model.parameters()), atol=1e-12)


def test_the_recurrent_kernel_is_made_of_finite_differences():
    """One entry of the tangent kernel of the decision, by perturbing every recurrent weight."""
    torch.manual_seed(0)
    model = network.RateNetwork(3, 3, 0.5 * torch.randn(5, 5), leak=0.5).double()
    x = trials.two_alternative_choice(3, 4, Stream(0))[0].double()
    kernel = ntk(model(x)[:, -1], [model.recurrent.weight])
    weight, step, columns = model.recurrent.weight, 1e-6, []
    with torch.no_grad():
        for i in range(weight.numel()):
            ends = []
            for sign in (1, -1):
                weight.view(-1)[i] += sign * step
                ends.append(model(x)[:, -1].flatten())
                weight.view(-1)[i] -= sign * step
            columns.append((ends[0] - ends[1]) / (2 * step))
    assert torch.allclose(kernel, gram(torch.stack(columns, dim=1)), atol=1e-7)


@given(st.integers(0, 10**6), st.floats(0.01, 100))
@settings(deadline=None, max_examples=25)
def test_alignment_of_kernels_is_one_iff_proportional(seed, factor):
    one, other = (gram(torch.randn(6, 3, generator=seeded(seed + k), dtype=torch.float64)) for k in (0, 1))
    assert alignment(one, factor * one) == pytest.approx(1.0, abs=1e-12)
    assert 0.0 <= alignment(one, other) < 1.0 - 1e-6


def drift(lr: float) -> float:
    """Relative change of W W' - a a' over a fixed time of gradient descent."""
    first, second, x = (torch.randn(*s, generator=seeded(), dtype=torch.float64) for s in ((6, 4), (6,), (30, 4)))
    model, y = two_layers.TwoLayers(0.5 * first, 0.5 * second), x[:, 0]
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(round(2 / lr)):
        optimizer.zero_grad()
        ((model(x) - y).square().mean() / 2).backward()
        optimizer.step()
    return two_layers.probe(model, (0.5 * first, 0.5 * second), x)["balance_drift"]


def test_the_balance_of_layers_is_conserved_up_to_the_step():
    coarse, fine = drift(0.02), drift(0.01)
    assert fine < 0.02 and coarse / fine == pytest.approx(2.0, rel=0.1)


def test_a_truncation_is_the_best_of_its_rank():
    """Eckart and Young: the relative squared error is the share of the squared singular values left out."""
    whole, part = (f(12, 8, GAIN, seeded(), **k) for f, k in ((ranks.full_rank, {}), (ranks.low_rank, {"rank": 3})))
    values = torch.linalg.svdvals(whole)
    scale = math.sqrt(float(values[:3].square().sum() / values.square().sum()))  # undo the rescaling to one norm
    error = (whole - scale * part).square().sum()
    assert float(error) == pytest.approx(float(values[3:].square().sum()), rel=1e-4)
    assert int(torch.linalg.matrix_rank(part)) == 3


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: ranks.full_rank(60, 40, GAIN, g),
        lambda g: ranks.low_rank(60, 40, GAIN, g, rank=1),
        lambda g: ranks.soft_low_rank(60, 40, GAIN, g),
        lambda g: ranks.dale(60, 40, GAIN, g),
    ],
)
def test_all_have_the_norm_of_the_gain(draw):
    weight = draw(seeded(3))
    assert weight.shape == (60, 40) and float(weight.norm()) == pytest.approx(GAIN * math.sqrt(60), rel=1e-5)
    assert torch.equal(weight, draw(seeded(3)))


def test_effective_ranks_are_those_of_the_theory():
    """k for a rank-k projection; (8 / 3 pi)^2 n for a Gaussian (quarter circle); H_n^2 / H_n^(2) for s_k = 1 / k."""
    n = 200
    assert effective_rank(torch.eye(n)[:, :7]) == pytest.approx(7.0)
    assert effective_rank(ranks.full_rank(n, n, GAIN, seeded())) == pytest.approx(
        (8 / (3 * math.pi)) ** 2 * n, rel=0.02
    )
    harmonic, squares = (sum(k**-power for k in range(1, n + 1)) for power in (1, 2))
    soft = ranks.soft_low_rank(n, n, GAIN, seeded(), power=1.0)
    assert effective_rank(soft) == pytest.approx(harmonic**2 / squares, rel=1e-4)
    even = ranks.soft_low_rank(n, n, GAIN, seeded(), power=0.0)
    assert effective_rank(even) == pytest.approx(n, rel=1e-4)


def test_dales_law_holds_and_its_mean_takes_two_parts_of_pi():
    """The mean of half-normal entries is one singular value that holds 2 / pi of the squared norm."""
    weight = ranks.dale(300, 300, GAIN, seeded(), excitatory=0.8)
    assert bool((weight[:, :240] >= 0).all()) and bool((weight[:, 240:] <= 0).all())
    assert abs(float(weight.mean())) < 0.02 * float(weight.abs().mean())
    values = torch.linalg.svdvals(weight).square()
    assert float(values[0] / values.sum()) == pytest.approx(2 / math.pi, abs=0.02)
    assert effective_rank(weight) < effective_rank(ranks.full_rank(300, 300, GAIN, seeded()))


@pytest.mark.parametrize("rank", [1, 4])
def test_alignment_turns_the_leading_direction_and_keeps_the_spectrum(rank):
    weight = ranks.low_rank(12, 6, GAIN, seeded(), rank=rank).double()
    target = torch.randn(6, generator=seeded(1), dtype=torch.float64)
    turned = ranks.aligned(weight, target)
    assert torch.allclose(torch.linalg.svdvals(turned), torch.linalg.svdvals(weight), atol=1e-12)
    leading = torch.linalg.svd(turned).Vh[0]
    assert abs(float(leading @ target / target.norm())) == pytest.approx(1.0, abs=1e-9)
    assert torch.allclose(ranks.aligned(turned, leading), turned, atol=1e-12)


def test_no_observer_beats_the_ideal_ones():
    """The ideal rules, applied to many trials, meet their closed forms."""
    x, y = trials.two_alternative_choice(40000, 7, Stream(0))
    said = torch.where((x[:, :7, 1] - x[:, :7, 2]).sum(1) > 0, 1, 2)
    assert float((said == y[:, -1]).double().mean()) == pytest.approx(trials.ideal_choice_accuracy(7), abs=0.006)
    x, y = trials.delayed_match(4000, 5, Stream(0))
    sample, test = (x[:, step, 1] > x[:, step, 2] for step in (0, 6))
    said = torch.where(sample == test, 1, 2)
    assert float((said == y[:, -1]).double().mean()) == pytest.approx(trials.ideal_match_accuracy(), abs=0.001)


def test_trials_have_the_timing_of_their_task():
    x, y = trials.two_alternative_choice(50, 7, Stream(0))
    assert x.shape == (50, 8, 3) and bool((x[:, -1] == 0).all()) and bool((x[:, :7, 0] == 1).all())
    assert bool((y[:, :-1] == 0).all()) and set(y[:, -1].tolist()) == {1, 2}
    x, y = trials.delayed_match(50, 0, Stream(0))
    assert x.shape == (50, 3, 3) and bool((x[:, 2, 1:] == 0).all()) and bool((y[:, :-1] == 0).all())


def test_a_network_keeps_its_rates_where_nothing_drives_it():
    """W = 0 and no input: rates decay by 1 - leak a step."""
    model = network.RateNetwork(1, 1, torch.zeros(4, 4), leak=0.25)
    rates = model.rates(torch.tensor([[[1.0], [0.0], [0.0]]]))[0]
    assert torch.allclose(rates[2], 0.75**2 * rates[0])


def test_an_untrained_network_has_not_moved():
    for task in TASKS:
        metrics = cell(task, "untrained").metrics
        assert metrics["weight_change"] == 0.0 and metrics["effective_rank_before"] == metrics["effective_rank_after"]
        assert metrics["kernel_alignment"] == pytest.approx(1.0) == metrics["representation_alignment"]


def test_a_silent_network_has_no_alignment_and_does_not_end_the_run():
    model = network.RateNetwork(3, 3, -torch.ones(5, 5), leak=1.0)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.input.weight.copy_(-torch.ones(5, 3))
    found = network.probe(model, start, torch.ones(4, 3, 3))
    assert set(found) == {"weight_change", "weight_norm", "effective_rank"}


def test_metrics_are_of_the_end_or_missing():
    class Curves:
        counts: dict = {}

        def curve(self, name):
            points = {"weight_change": ([0, 5], [0.0, 2.0]), "effective_rank": ([0, 5], [4.0, 3.0])}
            return (points | {"weight_norm": ([0, 5], [1.0, 1.5]), "kernel_alignment": ([0], [1.0])}).get(
                name, ([], [])
            )

    found = parts.changes(Curves())
    assert found["weight_change"] == 2.0 and found["weight_norm_before"] == 1.0
    assert (found["effective_rank_before"], found["effective_rank_after"]) == (4.0, 3.0)
    assert found["kernel_alignment"] is None and found["representation_alignment"] is None


def test_a_linear_network_finds_the_least_squares_solution_and_the_exception_holds():
    """Whatever the rank, the end is the same; an aligned rank-1 start is lazier than full rank, another rank-1 start is not."""
    found = {e: cell(TASKS[2], e, "small").metrics for e in ("full_rank_init", "rank_1_init", "aligned_rank_1_init")}
    full, low, aligned = found.values()
    data = linear.Linear(linear.Params()).problem(None, Seeds(0, TASKS[2]))
    solution = torch.linalg.lstsq(data.public["x"], data.public["y"][:, None]).solution[:, 0]
    best = linear.squared_error(lambda x: x @ solution, *data.hidden["test"])
    for metrics in found.values():
        assert metrics["test_loss"] == pytest.approx(best, rel=0.05)
        assert metrics["weight_norm_before"] == pytest.approx(0.2 * math.sqrt(200), rel=1e-5)
        assert metrics["balance_drift"] < 0.01
    assert aligned["kernel_alignment"] > full["kernel_alignment"] > low["kernel_alignment"]
    assert aligned["weight_change"] < full["weight_change"] < low["weight_change"]


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: ranks.low_rank(6, 4, 1.0, seeded(), rank=5), "rank=5: a matrix of 6 x 4 has rank 1 to 4"),
        (lambda: ranks.low_rank(6, 4, 1.0, seeded(), rank=0), "rank=0"),
        (lambda: ranks.low_rank(6, 4, 1.0, seeded(), rank=2.5), "rank=2.5"),
        (lambda: ranks.soft_low_rank(6, 4, 1.0, seeded(), power=-1.0), "power=-1.0"),
        (lambda: ranks.dale(6, 4, 1.0, seeded(), excitatory=1.0), "excitatory=1.0"),
        (lambda: ranks.dale(6, 4, 1.0, seeded(), excitatory=0.05), "at least one must be excitatory"),
        (lambda: ranks.full_rank(6, 4, 0.0, seeded()), "gain of 0.0"),
        (lambda: ranks.full_rank(6, 4, 1.0, seeded(), factor=math.nan), "gain of nan"),
        (lambda: ranks.aligned(torch.ones(3, 2), torch.zeros(2)), "orientation"),
        (lambda: parts.initial(lambda **_: torch.ones(3, 2), 3, 3, 1.0, seeded()), r"gave \(3, 2\)"),
        (lambda: parts.initial(lambda **_: torch.full((2, 2), math.inf), 2, 2, 1.0, seeded()), "finite"),
        (lambda: parts.initial(lambda **_: None, 2, 2, 1.0, seeded()), "slot rank_init"),
        (
            lambda: base.decision(lambda x: x[:, -1, :2], torch.ones(2, 3, 3), torch.ones(2).long()),
            "logits of fixation",
        ),
        (lambda: linear.squared_error(lambda x: x, torch.ones(3, 2), torch.ones(3)), "one number a sample"),
        (lambda: two_alternative_choice.Params(stimulus=0), "task.stimulus=0"),
        (lambda: two_alternative_choice.Params(leak=1.5), "task.leak=1.5"),
        (lambda: delayed_match.Params(delay=-1), "task.delay=-1"),
        (lambda: delayed_match.DelayedMatch(delayed_match.Params(watched=0)), "task.watched=0"),
        (lambda: linear.Params(samples=10), "task.samples=10"),
        (lambda: linear.Linear(linear.Params(hidden=0)), "task.hidden=0"),
        (lambda: linear.Params(readout=-0.1), "task.readout=-0.1"),
    ],
)
def test_bad_input_is_an_error_that_says_what_to_do(draw, said):
    with pytest.raises(BenchError, match=said):
        draw()


def test_a_rank_above_the_width_is_an_error_of_its_cell():
    found = cell(TASKS[0], "low_rank_init", overrides={"rank_init.rank": 25})
    assert found.status == "failed" and "24 x 24 has rank 1 to 24" in found.reason


@pytest.mark.parametrize("task", TASKS)
def test_every_start_runs_with_every_change_measured(task):
    turned = ("aligned_rank_1_init",) if task == TASKS[2] else ()
    for entry in (*ENTRIES, *turned):
        found = cell(task, entry)
        assert found.status == "ok", (entry, found.reason)
        assert {metric.name for metric in parts.CHANGES} <= set(found.metrics), entry


def test_an_aligned_start_needs_a_task_that_knows_the_direction():
    with pytest.raises(BenchError, match="no slot 'orientation'"):
        config.resolve_parts(config.task_spec(TASKS[0]), config.entry("aligned_rank_1_init"), {})


def test_measures_compare_two_entries_and_refuse_what_is_missing():
    def record(entry: str, **metrics: float) -> Record:
        return rows.record(entry, 0, metrics=metrics)

    records = {"a": [record("a", kernel_alignment=0.9)], "b": [record("b", kernel_alignment=0.6)]}
    options = {"metric": "kernel_alignment", "of": "a", "over": "b"}
    assert claims.excess(records, **options) == pytest.approx(0.3) and claims.ratio(
        records, **options
    ) == pytest.approx(1.5)
    with pytest.raises(BenchError, match="b seed 0"):
        claims.excess({**records, "b": [record("b")]}, **options)
