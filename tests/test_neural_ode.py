"""Neural differential equations: solver and penalties against what is known, exact laws, bad input, measures of claims."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from baselines.regularizers import flows
from bench import execute
from bench.checking import contract_suite
from bench.contract import BenchError, Diverged, Problem, Solution
from bench.planning import config
from bench.seeds import Seeds
from tasks.neural_ode import ordinary, stochastic
from tasks.neural_ode.base import WORST, ended
from tasks.neural_ode.claims import best_difference, best_ratio
from tasks.neural_ode.classes import SENSITIVITIES
from tasks.neural_ode.network import Field, Network
from tasks.neural_ode.paths import Path
from tasks.neural_ode.sde import exact, moments, simulated, start_law
from tests.test_claims import record

DTYPE = torch.float64
UNIT = torch.tensor([0.0, 1.0], dtype=DTYPE)
LIMIT = 5000


class Decay(torch.nn.Module):
    """y' = -rate y; rate is trained."""

    def __init__(self, rate: float = 1.0) -> None:
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(rate, dtype=DTYPE))

    def forward(self, t: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return -self.rate * z


class Constant(Decay):
    """y' = rate."""

    def forward(self, t: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.rate.expand_as(z)


def made(name: str, seed: int = 100, **params: Any) -> tuple[Any, Problem]:
    """(task, problem) at `smoke`."""
    spec = config.task_spec(f"neural_ode/{name}")
    task = spec.cls(spec.cls.Params(**{**config.parameters(spec, "smoke", {}), **params}))
    return task, task.problem(task.prepare(None, 1), Seeds(seed, task.name))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(seed: int = 0, scale: float = 3.0) -> Network:
    """A field of four coordinates that wants more than a few steps."""
    drawn = Network(Field(4, 16, 2), 4, 2).draw(generator(seed))
    torch.nn.utils.vector_to_parameters(scale * drawn.vector(), drawn.parameters())
    return drawn


def solved(sensitivity: str = "backpropagation", tolerance: float = 1e-6, field: Any = None) -> ordinary.OrdinaryPath:
    state = torch.randn(16, 4, generator=generator(1), dtype=DTYPE)
    return ordinary.solve(field or network().field, state, UNIT, tolerance, LIMIT, sensitivity)


def run(entry: str, name: str = "annuli", parts: dict[str, Any] | None = None, **params: Any) -> Any:
    """The outcome of a smoke cell in this process."""
    job = contract_suite.smoke_job(f"neural_ode/{name}", entry)
    spec = config.task_spec(f"neural_ode/{name}")
    resolved = config.resolve_parts(spec, config.entry(entry), parts or {})
    return execute.call(replace(job, params={**job.params, **params}, parts=resolved))


# The solver


def test_a_step_is_of_order_five_and_its_estimate_of_the_embedded_order():
    """y' = -y. Local errors are of order 6, the difference of both solutions of order 5, the global error of order 5."""
    field, one = Decay(), torch.ones(1, 1, dtype=DTYPE)
    local, estimates, whole = [], [], []
    for steps in (4, 8, 16):
        size = torch.tensor(1 / steps, dtype=DTYPE)
        end, estimate = ordinary.embedded_step(field, UNIT[0], one, size)
        local.append(abs(float(end) - math.exp(-1 / steps)))
        estimates.append(abs(float(estimate)))
        y = one
        for _ in range(steps):
            y, _ = ordinary.embedded_step(field, UNIT[0], y, size)
        whole.append(abs(float(y) - math.exp(-1)))
    for errors, order in ((local, 6), (estimates, 5), (whole, 5)):
        orders = [math.log2(a / b) for a, b in zip(errors[:-1], errors[1:], strict=True)]
        assert orders[-1] == pytest.approx(order, abs=0.25), (order, orders)


def test_weights_of_the_method_are_consistent():
    """Rows sum to their nodes, both solutions to 1; the last row is the solution, so that its slope serves the next step."""
    for node, weights in zip(ordinary.NODES, ordinary.WEIGHTS, strict=True):
        assert sum(weights) == pytest.approx(node, abs=1e-14)
    assert sum(ordinary.EMBEDDED) == pytest.approx(1) and sum(ordinary.ERROR) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_a_solution_costs_two_evaluations_and_six_a_step(tolerance):
    path = solved(tolerance=tolerance)
    rejected = (path.solver_evaluations - 2) / ordinary.STAGES - len(path.steps)
    assert rejected >= 0 and rejected == int(rejected)
    assert float(path.steps[-1].start) < 1 <= float(path.steps[-1].start + path.steps[-1].size)
    assert all(
        torch.equal(a.end, b.state) and float(b.start) == pytest.approx(float(a.start + a.size))
        for a, b in zip(path.steps[:-1], path.steps[1:], strict=True)
    )


def test_the_recorded_error_is_that_of_the_step_computed_anew_and_the_solver_accepted_it():
    path = solved()
    for step in path.steps:
        recorded, anew = float(path.error_of(step)), float(path.error(step.start, step.state, step.size))
        assert recorded == pytest.approx(anew, rel=1e-6) and 0 < recorded <= 1
    assert len(path.steps) > 4


def test_a_state_between_steps_is_near_the_solution_there():
    field = network().field
    path, state = solved(field=field), torch.randn(16, 4, generator=generator(1), dtype=DTYPE)
    for time in (0.0, 0.3, 0.77):
        exact_state = ordinary.solve(field, state, torch.tensor([0.0, time + 1e-12], dtype=DTYPE), 1e-9, LIMIT).outputs[
            -1
        ]
        assert torch.allclose(path.at(time)[0], exact_state, atol=2e-3)


def test_both_adjoints_give_the_gradient():
    gradients = []
    for sensitivity in SENSITIVITIES:
        model = network()
        path = solved(sensitivity, 1e-9, model.field)
        penalty = flows.local(path=path, generator=generator(3), progress=0.0, strength=0.1)
        (path.outputs[-1].square().mean() + penalty).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.field.parameters()]))
    assert torch.allclose(*gradients, rtol=1e-5, atol=1e-7)


# Penalties


def test_the_penalty_of_a_constant_field_is_zero_and_so_is_its_gradient():
    field = Constant()
    path = ordinary.solve(field, torch.zeros(3, 1, dtype=DTYPE), UNIT, 1e-6, LIMIT)
    for penalty in (flows.local, flows.whole, flows.taylor, flows.published):
        value = penalty(path=path, generator=generator(), progress=0.0)
        assert float(value) < 1e-12, penalty
    flows.local(path=path, generator=generator(), progress=0.0).backward()
    assert abs(float(field.rate.grad)) < 1e-6


def test_the_mean_of_the_biased_rule_is_the_global_penalty_over_the_number_of_steps():
    path = solved()
    whole = float(flows.whole(path=path, generator=generator(), progress=0.0, strength=1.0))
    mean = sum(float(path.error(s.start, s.state, s.size) * s.size) for s in path.steps) / len(path.steps)
    assert mean == pytest.approx(whole / len(path.steps), rel=1e-6)
    draws = generator()
    values = [
        float(flows.local(path=path, generator=draws, progress=0.0, strength=1.0, sampling="step")) for _ in range(300)
    ]
    assert sum(values) / len(values) == pytest.approx(mean, rel=0.1)


@pytest.mark.parametrize("sampling", flows.SAMPLINGS)
def test_a_local_penalty_has_no_gradient_in_the_state(sampling):
    field = network().field
    state = torch.randn(16, 4, generator=generator(1), dtype=DTYPE, requires_grad=True)
    path = ordinary.solve(field, state, UNIT, 1e-6, LIMIT)
    penalty = flows.local(path=path, generator=generator(), progress=0.0, sampling=sampling)
    in_state, *in_weights = torch.autograd.grad(penalty, [state, *field.parameters()], allow_unused=True)
    assert in_state is None and all(float(g.abs().max()) > 0 for g in in_weights)


@pytest.mark.parametrize("entry", ["local_unbiased", "local_biased", "global_error", "taylor_flow"])
def test_a_strength_of_zero_is_unregularised_training(entry):
    """To roundings: outside of a cell's own process last bits depend on where in memory a matrix lies."""
    plain = run("unregularized_flow")
    zero = run(entry, parts={"flow_regularizer.strength": 0.0})
    assert plain.status == zero.status == "ok"
    for name in plain.metrics.keys() - {"step_evaluations"}:
        assert zero.metrics[name] == pytest.approx(plain.metrics[name], rel=1e-10)
    (steps, losses), (own_steps, own_losses) = plain.curves["loss"], zero.curves["loss"]
    assert list(steps) == list(own_steps) and list(losses) == pytest.approx(list(own_losses), rel=1e-10)


def test_the_second_derivative_is_that_of_the_path():
    """Against central differences of the slope along the path; and its gradient reaches the weights."""
    field = network().field
    path = solved(field=field)
    second, h = path.acceleration(), 1e-5
    assert second.shape == (len(path.steps), 16, 4) and second.requires_grad
    step = path.steps[2]
    slope = step.slopes[0]
    ahead, behind = (field(step.start + s * h, step.state + s * h * slope) for s in (1, -1))
    assert torch.allclose(second[2], (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-6)
    assert all(g is not None for g in torch.autograd.grad(second.square().mean(), [*field.parameters()]))


def test_audit_a_first_slope_held_constant_leaves_a_gradient_that_is_not_the_penaltys():
    """The error's weights sum to 0, so that errors are small differences of large slopes; freezing one leaves the rest."""
    field = network().field
    path = solved(field=field)
    step = path.steps[3]
    size, state = 0.1 * step.size, step.state.detach()
    with torch.no_grad():
        first = field(step.start, state)
    gradients = []
    for slope in (None, first):
        penalty = path.error(step.start, state, size, slope)
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(penalty, [*field.parameters()])]))
    whole, frozen = gradients
    assert float(frozen.norm()) > 100 * float(whole.norm())


def test_audit_the_first_size_that_a_solver_tries_has_hardly_an_error():
    path = solved()
    step = path.steps[3]
    size = path.initial_size(step.start, step.state.detach())
    assert 0 < float(size) < 0.5 * float(step.size)
    assert float(path.error(step.start, step.state, size)) < 0.05 * float(path.error_of(step))


def test_the_first_size_is_the_one_that_torchdiffeq_tries(monkeypatch):
    tried: list[float] = []
    monkeypatch.setattr(
        ordinary.Recorder, "callback_step", lambda self, t, y, dt: tried.append(float(dt)), raising=False
    )
    path = solved()
    assert float(path.initial_size(UNIT[0], path.steps[0].state)) == pytest.approx(tried[0], rel=1e-9)


def test_an_end_is_drawn_around_the_end():
    times = torch.tensor([0.0, 0.5, 1.0], dtype=DTYPE)
    draws = generator()
    ends = [float(ended(times, flows.steer, draws)[-1]) for _ in range(200)]
    assert 0.75 < min(ends) < 0.78 and 1.22 < max(ends) < 1.25


# The stochastic equation


def ou_path(noise: float, tolerance: float = 1e-3, rows: int = 4000) -> stochastic.StochasticPath:
    state, times = torch.ones(rows, 1, dtype=DTYPE), torch.tensor([0.0, 0.5, 1.0], dtype=DTYPE)
    sigma = torch.tensor([noise], dtype=DTYPE)
    return stochastic.solve(Decay(), sigma, state, times, tolerance, LIMIT, generator(5))


def test_moments_of_the_stochastic_solver_are_those_of_the_process():
    """dx = -x dt + 0.5 dW from 1: mean exp(-t), variance 0.125 (1 - exp(-2t))."""
    path = ou_path(0.5)
    for time, x in zip((0.5, 1.0), path.outputs[1:], strict=True):
        assert float(x.mean()) == pytest.approx(math.exp(-time), abs=0.02)
        assert float(x.var()) == pytest.approx(0.125 * (1 - math.exp(-2 * time)), rel=0.08)


def test_every_trial_of_the_stochastic_solver_is_three_evaluations():
    path = ou_path(0.5, rows=50)
    trials = (path.solver_evaluations - 2) / stochastic.TRIAL
    assert trials == int(trials) >= len(path.steps) > 2
    assert float(sum(step.size for step in path.steps)) == pytest.approx(1)
    assert all(float(path.error_of(step)) <= 1.05 for step in path.steps)


def test_closed_moments_are_those_of_paths_drawn_from_the_process():
    _, problem = made("sde", noise=0.7)
    start, law = start_law(20000, Seeds(100, "x").stream("data", "a")), problem.hidden["law"]
    times = problem.public["times"]
    paths = simulated(start, times, Seeds(100, "x").stream("data", "b"), **law)
    assert float((moments(paths) - exact(start, times, **law)).abs().max()) < 0.02


def test_the_error_of_a_deterministic_drift_is_that_of_two_half_steps():
    path = ou_path(1e-12, rows=3)
    state, size = torch.full((3, 1), 2.0, dtype=DTYPE), torch.tensor(0.1, dtype=DTYPE)
    halves = 2 * (1 - 0.05) ** 2
    expected = abs(2 * 0.9 - halves) / (path.tolerance * 3)
    assert float(path.error(UNIT[0], state, size)) == pytest.approx(expected, rel=1e-6)


def test_audit_the_increment_of_a_step_is_no_error_of_it():
    """A constant drift is solved exactly in one step: its error is 0 where the step's length is not."""
    field, sigma, state = Constant(2.0), torch.tensor([1e-9], dtype=DTYPE), torch.zeros(5, 1, dtype=DTYPE)
    path = stochastic.solve(field, sigma, state, UNIT, 1e-3, LIMIT, generator())
    step = path.steps[0]
    assert float(path.error_of(step)) == 0 and float(path.scaled(step.end - step.state, step.state, step.end)) > 100


def test_audit_states_between_steps_of_torchsde_lose_variance():
    """dx = dW in one step of length 1: half way the variance is 1/4, not 1/2. So intervals are solved one by one."""
    import torchsde

    state, times = torch.zeros(4000, 1, dtype=DTYPE), torch.tensor([0.0, 0.5, 1.0], dtype=DTYPE)
    recorder = stochastic.Recorder(Constant(0.0), torch.ones(1, dtype=DTYPE), LIMIT, None)
    motion = torchsde.BrownianInterval(0.0, 1.0, size=(4000, 1), dtype=DTYPE, entropy=1)
    between = torchsde.sdeint(recorder, state, times, bm=motion, method="euler", dt=1.0)[1]
    assert float(between.var()) == pytest.approx(0.25, rel=0.1)
    path = stochastic.solve(Constant(0.0), torch.ones(1, dtype=DTYPE), state, times, 1e-3, LIMIT, generator())
    assert float(path.outputs[1].var()) == pytest.approx(0.5, rel=0.1)


# The scores


@pytest.mark.parametrize("name", ["annuli", "digits", "spiral", "sde"])
def test_the_scorer_solves_by_itself_and_counts_only_what_is_good_enough(name):
    task, problem = made(name)
    net = task.network().draw(generator())
    scores = task.score(problem, Solution(None, {"weights": net.vector()}), execute.Scorer(task, problem))
    path = task.prediction(net, *task.question(problem.hidden["test"]), None)
    assert scores["prediction_evaluations"] == path.solver_evaluations
    strict, _ = made(name, required=2.0 if task.quality == "accuracy" else 1e-9)
    scores = strict.score(problem, Solution(None, {"weights": net.vector()}), execute.Scorer(task, problem))
    assert scores["test_evaluations"] == WORST and scores["prediction_evaluations"] < WORST


def test_the_true_right_side_solves_the_spiral():
    """tanh(x) is x for small x: a network of two units with tiny inner and large outer weights is A y^3."""
    task, problem = made("spiral", width=2, tolerance=1e-9)
    net, tiny = task.network(), 1e-4
    y, times = problem.hidden["test"]["y"], task.clock()
    damping, turn = (
        Seeds(100, task.name).stream("data", "system").uniform(2, dtype=DTYPE) * torch.tensor([0.04, 0.4])
    ).tolist()
    matrix = torch.tensor([[-0.08 - damping, 1.8 + turn], [-1.8 - turn, -0.08 - damping]], dtype=DTYPE)
    weights = [tiny * torch.eye(2, dtype=DTYPE), torch.zeros(2), matrix / tiny, torch.zeros(2)]
    vector = torch.cat([w.flatten().double() for w in weights])
    net.load(vector)
    assert task.judge(task.prediction(net, y[0], times, None).outputs, problem.hidden["test"]) < 1e-5


# Bad input


@pytest.mark.parametrize(
    ("name", "params", "reason"),
    [
        ("annuli", {"tolerance": 0.0}, "task.tolerance=0.0: it has to be above 0"),
        ("sde", {"tolerance": -1e-3}, "task.tolerance=-0.001"),
        ("annuli", {"sensitivity": "forward"}, "there are backpropagation, adjoint"),
        ("annuli", {"augmented": -1}, "give 0 or more"),
        ("annuli", {"batch": 1000}, "take a smaller batch"),
        ("spiral", {"segment": 11}, "task.segment=11"),
        ("spiral", {"batch": 1000}, "pieces of trajectories"),
        ("sde", {"batch": 1000}, "particles"),
        ("digits", {"test": 2000}, "there are 1797 digits"),
    ],
)
def test_parameters_without_sense_are_errors(name, params, reason):
    with pytest.raises(BenchError, match=reason):
        made(name, **params)


@pytest.mark.parametrize(
    ("part", "arguments", "reason"),
    [
        (flows.local, {"strength": -1.0}, "flow_regularizer.strength=-1.0"),
        (flows.whole, {"strength": math.nan}, "flow_regularizer.strength=nan"),
        (flows.published, {"fade": math.inf}, "flow_regularizer.fade=inf"),
        (flows.local, {"sampling": "everywhere"}, "there are time, step"),
    ],
)
def test_arguments_of_penalties_without_sense_are_errors(part, arguments, reason):
    with pytest.raises(BenchError, match=reason):
        part(path=solved(tolerance=1e-3), generator=generator(), progress=0.0, **arguments)


def test_an_end_that_leaves_no_interval_is_an_error():
    with pytest.raises(BenchError, match="lies in"):
        flows.steer(before=0.0, end=1.0, generator=generator(), width=1.0)
    with pytest.raises(BenchError, match="above 0"):
        ended(UNIT, lambda **_: 0.0, generator())


def test_a_stiff_system_ends_the_solver_instead_of_hanging():
    stiff, state = Decay(1e7), torch.ones(2, 1, dtype=DTYPE)
    with pytest.raises(Diverged, match="more than 302 evaluations"):
        ordinary.solve(stiff, state, UNIT, 1e-6, ordinary.limit_of(50))
    with pytest.raises(Diverged, match="more than 302 evaluations"):
        stochastic.solve(stiff, torch.ones(1, dtype=DTYPE), state, UNIT, 1e-3, ordinary.limit_of(50), generator())
    with pytest.raises(Diverged, match="the solver gave up"):
        ordinary.solve(Decay(math.nan), state, UNIT, 1e-6, LIMIT)


def test_weights_that_diverge_are_a_status_and_weights_that_are_stiff_a_score():
    task, problem = made("annuli")
    vector = task.network().draw(generator()).vector()
    scorer = execute.Scorer(task, problem)
    broken = task.score(problem, Solution(None, {"weights": vector * math.nan}), scorer)
    assert math.isnan(broken[task.rank])
    exacting, _ = made("annuli", tolerance=1e-12)
    stiff = exacting.score(problem, Solution(None, {"weights": vector * 30}), scorer)
    assert stiff["test_evaluations"] == stiff["prediction_evaluations"] == WORST and stiff["test_accuracy"] == 0
    for tensors in ({}, {"weights": vector[1:]}, {"weights": "all"}):
        with pytest.raises(BenchError, match="no tensor `weights` of shape"):
            task.score(problem, Solution(None, tensors), scorer)


def test_a_rate_that_blows_up_the_weights_is_a_diverged_cell():
    outcome = run("unregularized_flow", parts={"optimizer.lr": 1e6})
    assert outcome.status == "diverged", outcome.reason


@pytest.mark.parametrize("name", ["annuli", "sde"])
def test_a_field_that_cannot_be_solved_is_worth_the_worst_while_training(name):
    task, problem = made(name, tolerance=1e-9)
    value = task.monitor(problem, lambda state, times: torch.full((len(state), 2), math.nan) if name == "annuli" else
                         state.new_full((len(times), *state.shape), math.nan))  # fmt: skip
    assert value == {f"val_{task.quality}": task.worst}
    outcome = run("unregularized_flow", name, {"optimizer.lr": 100.0}, tolerance=1e-9, steps=40)
    assert outcome.status == "diverged" or outcome.metrics["test_evaluations"] == WORST, outcome.reason


def test_a_penalty_that_does_not_fit_says_what_does():
    outcome = run("global_error", sensitivity="adjoint")
    assert outcome.status == "failed" and "a local penalty" in outcome.reason
    for entry in ("taylor_flow", "local_published"):
        outcome = run(entry, "sde")
        assert outcome.status == "failed" and "take another flow_regularizer" in outcome.reason
    with pytest.raises(BenchError):
        Path.initial_size(ou_path(0.1, rows=2), UNIT[0], UNIT)


# Claims


def swept(entry: str, *rows: tuple[float, float, float]) -> list[Any]:
    """Records of (strength, validation evaluations, test evaluations)."""
    records = []
    for strength, val, test in rows:
        made = record(entry, status="ok", val_evaluations=val, test_evaluations=test, test_accuracy=1 - test / 1000)
        made.config = {"flow_regularizer": {"strength": strength}}
        records.append(made)
    return records


def test_the_strength_is_chosen_on_validation_data_and_compared_with_none():
    rows = swept("a", (0.0, 80, 80), (0.1, 40, 44), (1.0, 50, 20))
    assert best_ratio({"a": rows}, of="a", metric="test_evaluations") == pytest.approx(44 / 80)
    assert best_difference({"a": rows}, of="a", metric="test_accuracy") == pytest.approx(0.036)
    other = swept("b", (0.1, 22, 22))
    assert best_ratio({"a": rows, "b": other}, of="a", over="b", metric="test_evaluations") == pytest.approx(2)
    rows[1].status = "diverged"
    assert best_ratio({"a": rows}, of="a", metric="test_evaluations") == pytest.approx(20 / 80)
    with pytest.raises(BenchError, match="strength"):
        best_ratio({"b": other}, of="b", metric="test_evaluations")
