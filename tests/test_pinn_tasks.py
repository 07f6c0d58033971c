"""The family pinn/: solutions, fields with their derivatives, formulations, optimizers, runs and bad input."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.optimizers.self_scaled import SelfScaled, updated
from baselines.pinn.eulerian import Causal, Curriculum, Eulerian
from baselines.pinn.lagrangian import Lagrangian, Series
from baselines.pinn.windows import Windows
from bench.contract import BenchError, Diverged, Exhausted
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.pinn import exact
from tasks.pinn.equation import TURN, Equation, Jet, Points
from tasks.pinn.network import Field
from tasks.pinn.objective import Objective, descend

DTYPE = torch.float64
TASKS = ("convection", "convection_diffusion", "burgers_shift", "reaction", "reaction_diffusion")
EQUATIONS = {
    "convection": Equation(beta=30.0, phase=0.7),
    "a bump, convection and diffusion": Equation(beta=3.0, nu=0.05, bump=0.4, phase=0.7),
    "convection_diffusion": Equation(beta=30.0, nu=0.1, phase=0.7),
    "burgers_shift": Equation(advected=True, shift=3.0, nu=0.02, phase=0.7),
    "reaction": Equation(rho=5.0, bump=math.pi / 4, phase=0.7),
    "reaction_diffusion": Equation(rho=5.0, nu=0.3, bump=math.pi / 4, phase=0.7),
}


def drawn(count: int = 50, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Places and times (n,)."""
    x, t = torch.rand(2, count, dtype=DTYPE, generator=torch.Generator().manual_seed(seed))
    return TURN * x, t


def collocation() -> Points:
    return Points(*drawn(), torch.linspace(0, TURN, 9, dtype=DTYPE)[:-1], torch.linspace(0, 1, 5, dtype=DTYPE))


def network(layers: int = 3, periodic: bool = True, final: float = 1.0) -> Field:
    return Field(8, layers, final, periodic)


def slope(of: Tensor, by: Tensor) -> Tensor:
    return torch.autograd.grad(of.sum(), by, create_graph=True)[0]


def automatic(field: Any, x: Tensor, t: Tensor) -> Jet:
    """Value and derivatives of field(x, t) by automatic differentiation."""
    x, t = x.clone().requires_grad_(), t.clone().requires_grad_()
    value = field(x, t)
    dx = slope(value, x)
    return Jet(value, dx, slope(value, t), slope(dx, x))


def small_cell(name: str, entry: str, over: Any = None, **params: Any) -> Any:
    spec = config.task_spec(f"pinn/{name}")
    parts = config.resolve_parts(spec, config.entry(entry), over or {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, 100, "."))


# Solutions


@pytest.mark.parametrize("name", EQUATIONS)
def test_solutions_start_at_the_initial_state_and_satisfy_their_equation(name):
    """By central differences, of second order: the bound is their own error."""
    equation, h, t = EQUATIONS[name], 2e-4, 0.4
    x = torch.linspace(0, TURN, 24, dtype=DTYPE)
    times = torch.tensor([0.0, t - h, t, t + h], dtype=DTYPE)
    start, before, u, after = exact.solution(equation, times, x)
    rounding = (
        1e-6 if name == "reaction_diffusion" else 1e-12
    )  # its wide bump has a small kink, which Fourier modes smooth
    assert torch.allclose(start, equation.initial(x), atol=rounding)
    left, right = (exact.solution(equation, times[2:3], x + side * h)[0] for side in (-1, 1))
    jet = Jet(u, (right - left) / (2 * h), (after - before) / (2 * h), (right - 2 * u + left) / h**2)
    assert float(equation.residual(jet).abs().max()) < 1e-3 * float(jet.dt.abs().max())
    wrong = jet._replace(dt=1.1 * jet.dt)
    assert float(equation.residual(wrong).abs().max()) > 0.05 * float(jet.dt.abs().max())


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_initial_state_has_the_derivatives_and_the_mean_it_says(name):
    equation, (x, t) = EQUATIONS[name], drawn()
    jets = zip(automatic(lambda x, t: equation.initial(x) + 0 * t, x, t), equation.initial_jet(x), strict=True)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in jets)
    grid = torch.arange(4096, dtype=DTYPE) * (TURN / 4096)
    assert float(equation.initial(grid).mean()) == pytest.approx(equation.mean, abs=1e-6)


def test_cole_and_hopfs_integral_is_converged_and_a_shift_is_a_change_of_frame(monkeypatch):
    times, x = torch.tensor([0.0, 1e-3, 0.5, 1.0], dtype=DTYPE), torch.linspace(0, TURN, 40, dtype=DTYPE)
    still, moved = (Equation(advected=True, nu=0.01, shift=c) for c in (0.0, 7.0))
    places = x[None] - 7 * times[:, None]
    shifted = torch.stack([exact.solution(still, times, row)[i] for i, row in enumerate(places)])
    assert torch.allclose(exact.solution(moved, times, x), 7 + shifted, atol=1e-12)
    coarse, thin = exact.solution(still, times, x), exact.burgers(times, x.expand(4, -1), 1e-4)
    assert bool(thin.isfinite().all()) and float(thin.abs().max()) <= 1 + 1e-12, "no overflow, and no new extremes"
    monkeypatch.setattr(exact, "PER_SPREAD", 2 * exact.PER_SPREAD)
    assert float((exact.solution(still, times, x) - coarse).abs().max()) < 1e-12


def test_reaction_with_diffusion_is_converged_and_has_both_limits(monkeypatch):
    times, x = torch.tensor([0.0, 0.3, 1.0], dtype=DTYPE), torch.linspace(0, TURN, 30, dtype=DTYPE)
    full = Equation(rho=5.0, nu=3.0, bump=math.pi / 4)
    slow, thin = Equation(rho=1e-12, nu=0.3, bump=0.5), Equation(rho=5.0, nu=1e-10, bump=0.6)
    assert torch.allclose(exact.reacted_and_spread(slow, times, x), exact.convected(slow, times, x), atol=1e-10)
    assert torch.allclose(exact.reacted_and_spread(thin, times, x), exact.reacted(thin, times, x), atol=1e-6)
    once = exact.solution(full, times, x)
    monkeypatch.setattr(exact, "STEP", exact.STEP / 2)
    assert float((exact.solution(full, times, x) - once).abs().max()) < 1e-10


def test_audit_the_published_reference_of_reaction_with_diffusion_is_at_other_times():
    """Splitting into reaction and diffusion by steps of 1/100, each state stored at j/99: its error is mostly one of time."""
    equation, n = Equation(rho=5.0, nu=3.0, bump=math.pi / 4), 256
    x, k = torch.arange(n, dtype=DTYPE) * (TURN / n), torch.fft.rfftfreq(n, 1 / n, dtype=DTYPE)
    u, rows = equation.initial(x), []
    for _ in range(100):
        rows.append(u)
        u = u * math.exp(0.05) / (u * math.exp(0.05) + 1 - u)
        u = torch.fft.irfft(torch.fft.rfft(u) * torch.exp(-3.0 * k.square() / 100), n=n)
    split = torch.stack(rows)
    errors = []
    for last in (0.99, 1.0):
        wanted = exact.solution(equation, torch.linspace(0, last, 100, dtype=DTYPE), x)
        errors.append(float((split - wanted).norm() / wanted.norm()))
    assert errors[1] > 1.5 * errors[0] > 0, errors


def test_the_mean_is_conserved_and_what_no_task_has_is_told():
    times, x = torch.linspace(0, 1, 5, dtype=DTYPE), torch.arange(512, dtype=DTYPE) * (TURN / 512)
    for name in ("convection", "a bump, convection and diffusion", "convection_diffusion", "burgers_shift"):
        means = exact.solution(EQUATIONS[name], times, x).mean(dim=1)
        assert float((means - means[0]).abs().max()) < 1e-9, name
    for equation, reason in (
        (Equation(advected=True), "with diffusion"),
        (Equation(beta=1.0, rho=1.0), "set beta to 0"),
    ):
        with pytest.raises(BenchError, match=reason):
            exact.solution(equation, times, x)


def test_fronts_that_move_need_many_modes_on_places_and_few_on_labels():
    """The paper's mechanism. A sine is carried in 2 modes at any speed, so that it cannot explain a failure there."""
    times, x = torch.linspace(0, 1, 100, dtype=DTYPE), torch.arange(256, dtype=DTYPE) * (TURN / 256)
    ranks = {}
    for c in (0.0, 10.0, 30.0):
        equation = Equation(advected=True, nu=0.01, shift=c)
        d, u = exact.characteristics(equation, times, x)
        of_labels = exact.modes(u - c), exact.modes(d - c * times[:, None])
        ranks[c] = exact.modes(exact.solution(equation, times, x) - c), *of_labels
    assert ranks[0.0] == (5, 3, 2) and ranks[10.0] == (34, 3, 2) and ranks[30.0] == (37, 3, 2)
    for beta, rank in ((1.0, 9), (10.0, 36), (30.0, 36)):
        bump = Equation(beta=beta, bump=math.pi / 16)
        d, u = exact.characteristics(bump, times, x)
        assert exact.modes(exact.solution(bump, times, x)) == rank
        assert (exact.modes(u), exact.modes(d), exact.modes(d - beta * times[:, None])) == (1, 1, 0)
        assert exact.modes(exact.solution(Equation(beta=beta), times, x)) == 2


def test_characteristics_carry_the_solution():
    equation, labels = Equation(advected=True, nu=0.02, shift=3.0, phase=0.7), drawn(20)[0]
    times = torch.linspace(0, 1, 400, dtype=DTYPE)
    d, u = exact.characteristics(equation, times, labels)
    at_end = exact.solution(equation, times[-1:], labels + d[-1])[0]
    assert torch.allclose(u[-1], at_end, atol=1e-12)
    speed = (d[2:] - d[:-2]) / (times[2] - times[0])
    assert float((speed - u[1:-1]).abs().max()) < 1e-3, "d_t = u along a label"


# Fields


@pytest.mark.parametrize("periodic", [True, False])
def test_derivatives_in_one_pass_are_those_of_automatic_differentiation(periodic):
    torch.manual_seed(0)
    field, (x, t) = network(periodic=periodic, final=0.7), drawn()
    wanted, series = automatic(field, x, t), field.jet(x, t)
    for a, b in zip(wanted, series, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    totals = [sum(((i + 1.0) * part).sin().sum() for i, part in enumerate(jet)) for jet in (wanted, series)]
    for a, b in zip(*(torch.autograd.grad(total, [*field.parameters()][:-1]) for total in totals), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    flat = Field(8, 3, 0.7, periodic, curved=False)
    flat.load_state_dict(field.state_dict())
    for a, b in zip(flat.jet(x, t)[:3], wanted, strict=False):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    turned = [float((field(x + TURN, t) - field(x, t)).abs().max())]
    assert (turned[0] < 1e-12) is periodic


FORMS: list[dict[str, Any]] = [
    {"periodic": False}, {}, {"hard": True}, {"moving": True}, {"moving": True, "hard": True},
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("name", EQUATIONS)
def test_a_formulation_on_places_gives_its_own_derivatives(name, form):
    torch.manual_seed(0)
    equation, (x, t) = EQUATIONS[name], drawn()
    made = Eulerian(equation=equation, field=network, points=collocation(), **form)
    for a, b in zip(automatic(made, x, t), made.state(x, t), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    start = collocation().start
    misfit = made(start, torch.zeros_like(start)) - equation.initial(start)
    assert (float(misfit.abs().max()) < 1e-13) is form.get("hard", False), "a hard form holds the initial state"


def emptied(module: nn.Module) -> Any:
    """The module with all weights 0."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
    return module


def test_a_form_that_moves_with_the_state_solves_convection_untrained():
    made = emptied(
        Eulerian(equation=EQUATIONS["convection"], field=network, points=collocation(), moving=True, hard=True)
    )
    assert float(made.loss()) < 1e-24


# Labels


def test_the_exact_displacement_and_state_leave_no_residual_on_labels():
    """d = beta t and u = u0(X), Mojgani et al.'s own example."""
    equation, (x, t) = EQUATIONS["convection"], drawn()
    made = Lagrangian(equation=equation, field=network, points=collocation())
    zero, held = torch.zeros_like(x), equation.initial_jet(x)
    place = Series(equation.beta * t, zero, zero + equation.beta, zero)
    assert all(float(r.abs().max()) < 1e-12 for r in made.residuals(place, Series(*held)))
    carried = Series(*(part for part in held))
    wrong = made.residuals(place._replace(dt=zero), carried)
    assert float(wrong[0].abs().min()) == equation.beta


def test_the_label_laplacian_is_that_on_places_and_the_published_one_is_not():
    """Characteristics of Burgers' equation, integrated: with 1/J d_X(1/J u_X) they leave no residual, with u_XX they do."""
    equation = Equation(advected=True, nu=0.05, shift=2.0)
    n, times = 256, torch.linspace(0, 0.8, 401, dtype=DTYPE)
    labels = torch.arange(n, dtype=DTYPE) * (TURN / n)
    d, u = exact.characteristics(equation, times, labels)
    k, middle, h = torch.fft.fftfreq(n, 1 / n, dtype=DTYPE), 300, float(times[1])

    def along(values: Tensor, power: int) -> Tensor:
        return torch.fft.ifft((1j * k) ** power * torch.fft.fft(values)).real

    def series(rows: Tensor) -> Series:
        now = rows[middle]
        return Series(now, along(now, 1), (rows[middle + 1] - rows[middle - 1]) / (2 * h), along(now, 2))

    place, state = series(d), series(u)
    assert float(place.dx.min()) < -0.5, "the labels are well compressed"
    worst = []
    for corrected in (True, False):
        made = Lagrangian(equation=equation, field=network, points=collocation(), corrected=corrected)
        worst.append([float(r.abs().max()) for r in made.residuals(place, state)])
    assert worst[0][0] < 1e-4 and worst[0][1] < 1e-4
    assert worst[1][1] > 0.05


@pytest.mark.parametrize("hard", [True, False])
def test_a_place_is_read_off_at_the_label_that_is_carried_there(hard):
    torch.manual_seed(1)
    made = Lagrangian(equation=EQUATIONS["burgers_shift"], field=network, points=collocation(), hard=hard)
    with torch.no_grad():
        made.place_net.network.weights[-1].mul_(0.2)  # labels do not cross
        made.place_net.network.biases[-1].fill_(5.0)
    x, t = drawn(200)
    t = t[:5].repeat(40)
    d, u = made.place(x, t), made.state(x, t)
    assert float((1 + d.dx).min()) > 0
    assert torch.allclose(made(x + d.value, t), u.value, atol=1e-9)
    assert torch.allclose(made(x + d.value + 3 * TURN, t), u.value, atol=1e-9)
    initial, scale = made.equation.initial, (lambda t: t) if hard else (lambda t: 1.0)
    start = initial if hard else lambda x: made.equation.mean
    parts = (lambda x, t: scale(t) * made.place_net(x, t), lambda x, t: start(x) + scale(t) * made.state_net(x, t))
    for part, jet in zip(parts, (d, u), strict=True):
        for a, b in zip(automatic(part, x, t), jet, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


# Stages


def test_a_curriculum_ends_at_the_tasks_own_equation():
    equation = EQUATIONS["burgers_shift"]
    made = Curriculum(equation=equation, field=network, points=collocation(), steps=4, easing=0.6)
    seen = [(share, made.equation.shift) for share in made.stages()]
    assert sum(share for share, _ in seen) == pytest.approx(1) and seen[-1] == (0.4, 3.0)
    assert [shift for _, shift in seen] == [0.75, 1.5, 2.25, 3.0] and made.equation == equation
    assert equation.eased(0.5).drift == 0.5 * equation.drift


def test_causal_weights_fall_with_the_losses_before_them():
    torch.manual_seed(0)
    made = Causal(
        equation=EQUATIONS["convection"], field=network, points=collocation(), epsilon=0.01, slices=5, rounds=2
    )
    plain = Eulerian(equation=EQUATIONS["convection"], field=network, points=collocation())
    plain.load_state_dict(made.state_dict())
    sizes = made.sizes.clone()
    assert float((made.losses() * sizes).sum() / len(made.points.x)) == pytest.approx(
        float(plain.residual().square().mean())
    )
    assert [share for share in made.stages()] == [0.5, 0.5]
    losses, start = made.losses().detach(), float(made.conditions())
    by_hand = [math.exp(-0.01 * (start + float(losses[:i].sum()))) for i in range(5)]
    assert torch.allclose(made.shares, torch.tensor(by_hand, dtype=DTYPE))


def test_each_window_starts_where_the_one_before_has_ended():
    torch.manual_seed(0)
    equation = EQUATIONS["convection"]
    made = Windows(equation=equation, field=network, points=collocation(), windows=4)
    start, trained = made.points.start, []
    assert torch.equal(made.start, equation.initial(start))
    for share in made.stages():
        assert share == 0.25
        trained.append([all(p.requires_grad for p in net.parameters()) for net in made.nets])
        with torch.no_grad():
            for weight in made.nets[made.latest].parameters():
                weight.add_(0.1)
        if made.latest:
            border = torch.full_like(start, made.latest / 4 - 1e-12)
            assert torch.allclose(made(start, border), made.start, atol=1e-9)
    assert trained == [[i == j for j in range(4)] for i in range(4)]
    net, (x, t) = made.nets[2], drawn()
    inside = 0.5 + t / 4 * 0.999
    wanted = automatic(made, x, inside)
    n = net.jet(x, (inside - 0.5) * 4)
    assert torch.allclose(wanted.dt, 4 * n.dt, atol=1e-9) and torch.allclose(wanted.value, equation.mean + n.value)


# Optimizers


class Bowl(nn.Module):
    """A quadratic, or Rosenbrock's function, of one parameter."""

    def __init__(self, curvatures: Tensor | None = None) -> None:
        super().__init__()
        self.curvatures = curvatures
        start = torch.tensor([-1.2, 1.0], dtype=DTYPE) if curvatures is None else torch.ones_like(curvatures)
        self.x = nn.Parameter(start)

    def loss(self) -> Tensor:
        if self.curvatures is not None:
            return (self.curvatures * self.x.square()).sum() / 2
        return (1 - self.x[0]).square() + 100 * (self.x[1] - self.x[0].square()).square()


def minimised(model: Any, optimizer: Any, limit: int) -> Objective:
    spent = [0]

    def count(evals: int) -> None:
        spent[0] += evals

    log: Any = SimpleNamespace(count=count, track=lambda *a, **k: None)
    objective = Objective(model, log, limit, 1, lambda spent: None)
    descend(objective, optimizer, lambda step, steps: 1.0, limit)
    assert spent[0] == objective.spent == limit
    return objective


@pytest.mark.parametrize("scaled", [True, False])
def test_the_self_scaled_update_maps_y_to_s_and_stays_symmetric(scaled):
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, dtype=DTYPE, generator=generator)
    H, s, y = root @ root.T, *torch.randn(2, 6, dtype=DTYPE, generator=generator)
    y = y if float(y @ s) > 0 else -y
    tau, rho, eye = (0.3 if scaled else 1.0), 1 / float(y @ s), torch.eye(6, dtype=DTYPE)
    left = eye - rho * torch.outer(s, y)
    by_hand = left @ H @ left.T / tau + rho * torch.outer(s, s)
    new = updated(H.clone(), s, y, tau)
    assert torch.allclose(new, by_hand) and torch.allclose(new @ y, s) and torch.allclose(new, new.T)


def test_the_self_scaled_method_reaches_minima():
    bowl = Bowl(torch.logspace(0, 4, 8, dtype=DTYPE))
    assert minimised(bowl, SelfScaled(bowl.parameters()), 120).least < 1e-20
    assert float(bowl.x.abs().max()) < 1e-9, "the best point is put back"
    valley = Bowl()
    assert minimised(valley, SelfScaled(valley.parameters()), 100).least < 1e-16
    with pytest.raises(BenchError, match="use LBFGS"):
        SelfScaled([torch.zeros(13000)])


def test_an_objective_keeps_its_best_weights_and_ends_at_its_budget():
    bowl = Bowl(torch.ones(3, dtype=DTYPE))
    wild = torch.optim.SGD(bowl.parameters(), lr=2.5)  # every step overshoots
    objective = minimised(bowl, wild, 7)
    assert objective.least == 1.5 and torch.equal(bowl.x.detach(), torch.ones(3, dtype=DTYPE))
    with pytest.raises(Diverged, match="evaluation"):
        minimised(bowl, torch.optim.SGD(bowl.parameters(), lr=1e200), 50)
    with pytest.raises(BenchError, match="gradient's own derivatives"):
        descend(objective, SimpleNamespace(wants_graph=True), lambda **k: 1.0, 1)
    idle = SimpleNamespace(wants_closure=True, step=lambda closure: None, param_groups=[])
    objective.begin(100)
    with pytest.raises(BenchError, match="without evaluating"):
        descend(objective, idle, lambda **k: 1.0, 1)

    def spent(evals: int) -> None:
        raise Exhausted("spent")

    objective.log = SimpleNamespace(count=spent)  # type: ignore[assignment]
    descend(objective, wild, lambda step, steps: 1.0, 5)


# Tasks


@pytest.mark.parametrize("name", TASKS)
def test_a_run_spends_its_budget_to_the_last_evaluation_and_shows(name):
    done = small_cell(name, "lpinn")
    assert done.status == "ok", done.traceback
    assert done.costs.counts["evals"] == 24 and {"field", "final"} <= done.exhibits.keys()
    losses = done.curves["loss"][1]
    assert len(losses) == 24 and min(losses) == done.metrics["loss"] < losses[0]
    assert ("mass_drift" in done.metrics) is ("reaction" not in name) and done.metrics["gap"] < 1e-12


@pytest.mark.parametrize(
    "entry", ["pinn_curriculum", "pinn_windows", "pinn_causal", "ssbfgs", "plain_adam", "lpinn_hard+ssbfgs"]
)
def test_every_way_of_training_spends_the_same(entry):
    done = small_cell("burgers_shift", entry)
    assert done.status == "ok" and done.costs.counts["evals"] == 24, done.reason


def test_the_floor_keeps_the_initial_state_and_is_exact_where_nothing_moves():
    done = small_cell("convection", "pinn_initial_state", beta=0.0)
    assert done.metrics["error"] < 1e-12 and done.costs.counts["evals"] == 0 and "loss" not in done.metrics
    moved = small_cell("convection", "pinn_initial_state")
    assert moved.metrics["error"] > 0.5 and moved.metrics["initial_error"] < 1e-12
    assert (moved.metrics["modes_eulerian"], moved.metrics["modes_lagrangian"]) == (2, 2)


def test_a_problem_of_another_seed_is_another_and_hides_its_solution():
    spec = config.task_spec("pinn/burgers_shift")
    task = spec.cls(spec.cls.Params(**config.parameters(spec, "smoke", {})))
    problem, other = (task.problem(None, Seeds(seed, task.name)) for seed in (100, 101))
    assert problem.public["phase"] != other.public["phase"] and not torch.equal(problem.public["x"], other.public["x"])
    assert not torch.equal(problem.hidden["val"]["u"], other.hidden["val"]["u"])
    assert not {"u", "val", "test"} & problem.public.keys() and problem.hidden["test"].shape == (8, 32)


# Bad input


@pytest.mark.parametrize(
    ("name", "params", "reason"),
    [
        ("convection_diffusion", {"nu": -0.1}, "task.nu=-0.1: it may not be negative"),
        ("convection_diffusion", {"nu": math.nan}, "task.nu=nan: it has to be a finite"),
        ("convection", {"beta": math.inf}, "task.beta=inf"),
        ("convection", {"bump": -1.0}, "task.bump"),
        ("convection", {"final": 0.0}, "task.final"),
        ("burgers_shift", {"nu": 0.0}, "task.nu=0.0: Burgers' equation wants"),
        ("reaction", {"rho": 0.0}, "task.rho"),
        ("reaction_diffusion", {"nu": -3.0}, "task.nu"),
        ("convection", {"evals": 0}, "task.evals"),
    ],
)
def test_parameters_without_a_solution_are_told(name, params, reason):
    cls = config.task_spec(f"pinn/{name}").cls
    with pytest.raises(BenchError, match=reason):
        cls(cls.Params(**params))


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (Eulerian, {"initial_weight": math.nan}), (Eulerian, {"edge_weight": -1.0}), (Lagrangian, {"place_weight": math.inf}),
        (Lagrangian, {"depth": 0}), (Windows, {"windows": 0}), (Causal, {"epsilon": -1.0}), (Causal, {"slices": 0}),
        (Curriculum, {"steps": 0}), (Curriculum, {"easing": 1.5}),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_told(made, wrong):
    with pytest.raises(BenchError, match="rest" if wrong == {"easing": 1.5} else f"formulation.{next(iter(wrong))}"):
        made(equation=EQUATIONS["convection"], field=network, points=collocation(), **wrong)


def test_weights_that_are_no_numbers_end_as_diverged():
    over = {"optimizer": {"_target_": "bench.optim.named", "name": "SGD", "lr": 1e300}}
    spec = config.task_spec("pinn/convection")
    parts = {**config.resolve_parts(spec, config.entry("pinn_soft"), {}), **over}
    done = call(Job(spec.target, config.parameters(spec, "smoke", {}), parts, 100, "."))
    assert done.status == "diverged" and "the loss is" in done.reason


def test_a_field_of_another_shape_is_told():
    spec = config.task_spec("pinn/convection")
    task = spec.cls(spec.cls.Params(**config.parameters(spec, "smoke", {})))
    problem = task.problem(None, Seeds(100, task.name))
    with pytest.raises(BenchError, match="one value a point"):
        task.monitor(problem, lambda x, t: torch.zeros(3))
