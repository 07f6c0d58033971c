"""Linear solvers: closed forms, identities of the methods, counted serving, tasks, measures, and what bad input is told."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from baselines.linear_solver import dcdm, direct, incomplete, krylov, multigrid, multilevel, training
from bench.contract import BenchError, Diverged, Exhausted, Solution
from bench.execute import Job, call
from bench.outcome import Costs
from bench.planning import config
from bench.seeds import Seeds
from tasks.linear_solver import claims, conjugate, scoring, sources
from tasks.linear_solver.serving import TOLERANCES, Server
from tasks.linear_solver.systems import Meter, System, pieces
from tests.test_claims import record

DTYPE = torch.float64
LOG: Any = SimpleNamespace(count=lambda **amounts: None)
TASKS = ("poisson_2d", "poisson_3d", "neumann_2d", "obstacles_2d")
CLASSICAL = {
    "cg": conjugate.gradients,
    "deflated": krylov.deflated,
    "incomplete": incomplete.cholesky,
    "v_cycle": multigrid.v_cycle,
    "amg_cg": multigrid.conjugate,
    "lu": direct.sparse_lu,
    "transform": direct.fast_transform,
}


def empty(side: int, dims: int = 2, boundary: str = "dirichlet", limit: int = 0) -> System:
    """A square or cube without obstacles; with `limit`, its products are counted."""
    domain = torch.ones((side,) * dims, dtype=torch.bool)
    return System(domain, boundary, Meter(LOG, "products", limit) if limit else None)


def obstructed(side: int = 16, boundary: str = "dirichlet") -> System:
    domain = torch.ones(side, side, dtype=torch.bool)
    domain[3:7, 5:9] = False
    domain[10, 2:6] = False
    return System(domain, boundary)


def systems() -> list[System]:
    made = [empty(8), empty(5, 3), empty(8, boundary="neumann"), obstructed()]
    return [*made, obstructed(boundary="neumann")]


def drawn(system: System, seed: int = 0) -> torch.Tensor:
    return system.project(torch.randn(system.shape, generator=torch.Generator().manual_seed(seed), dtype=DTYPE))


def solver(part: Any, system: System, **arguments: Any) -> Any:
    *_, prepare = part(system=system, generator=torch.Generator().manual_seed(0), **arguments)
    return prepare(system)


def iterations(solve: Any, b: torch.Tensor, tolerance: float, most: int = 1000) -> int:
    """The first iteration whose own residual is at most `tolerance` |b|."""
    for number, (_, size) in enumerate(itertools.islice(solve(b), most), 1):
        if size <= tolerance * float(b.norm()):
            return number
    raise AssertionError(f"not solved in {most} iterations")


def task_of(name: str, **params: Any) -> Any:
    spec = config.task_spec(f"linear_solver/{name}")
    return spec.cls(spec.cls.Params(**{**config.parameters(spec, "smoke", {}), **params}))


def run(name: str, part: Any, **params: Any) -> Any:
    """The outcome of a smoke cell with a part, given by its path or by an entry's name."""
    spec = config.task_spec(f"linear_solver/{name}")
    parts = (
        config.resolve_parts(spec, config.entry(part), {}) if "." not in part else {"linear_solver": {"_target_": part}}
    )
    return call(Job(spec.target, {**config.parameters(spec, "smoke", {}), **params}, parts, 100, ""))


# The systems


@pytest.mark.parametrize("system", systems(), ids=lambda s: f"{s.boundary}{s.dims}")
def test_products_are_those_of_the_symmetric_matrix(system):
    matrix, x = system.matrix(), torch.randn(3, *system.shape, dtype=DTYPE)
    assert abs(matrix - matrix.T).max() == 0
    assert torch.allclose(system.multiply(x).flatten(1), torch.from_numpy((matrix @ x.flatten(1).numpy().T).T))
    values = np.linalg.eigvalsh(matrix.toarray())
    assert (values[0] > 1e-3) != system.singular and values[int(system.singular)] > 1e-3
    rows = ~system.domain.reshape(-1).numpy()
    assert (matrix.toarray()[rows] == np.eye(len(rows))[rows]).all(), "rows of obstacles are those of the identity"


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
@pytest.mark.parametrize(("side", "dims"), [(9, 2), (5, 3)])
def test_transforms_solve_in_closed_form(boundary, side, dims):
    system = empty(side, dims, boundary)
    b = drawn(system)
    x = direct.spectral_inverse(system)(b)
    assert torch.allclose(system.apply(x), b, atol=1e-12)
    dense = torch.from_numpy(np.linalg.pinv(system.matrix().toarray()))
    assert torch.allclose((dense @ b.reshape(-1)).reshape(b.shape), system.project(x), atol=1e-12)


def test_an_eigenvector_has_its_eigenvalue():
    """sin(pi k i / (n + 1)) has 4 sin^2(pi k / (2 (n + 1))) along each axis."""
    n, k = 8, 3
    line = torch.sin(torch.pi * k * torch.arange(1, n + 1, dtype=DTYPE) / (n + 1))
    field = line[:, None] * line
    value = 8 * math.sin(math.pi * k / (2 * (n + 1))) ** 2
    assert torch.allclose(empty(n).multiply(field), value * field)


def test_products_are_charged_twice_where_a_derivative_is_recorded():
    system = empty(4, limit=7)
    system.multiply(torch.ones(3, 4, 4))
    system.multiply(torch.ones(2, 1, 4, 4, requires_grad=True))
    assert system.meter.spent == 7
    with pytest.raises(Exhausted, match="7 products are spent"):
        system.multiply(torch.ones(4, 4))
    assert system.meter.spent == 7


def test_the_derivative_of_a_product_is_a_product():
    system, weights = obstructed(), torch.randn(16, 16, dtype=DTYPE)
    x = torch.randn(16, 16, dtype=DTYPE, requires_grad=True)
    (gradient,) = torch.autograd.grad((weights * system.multiply(x)).sum(), x)
    assert torch.allclose(gradient, system.multiply(weights))


# Classical solvers


@pytest.mark.parametrize(("side", "count"), [(16, 28), (32, 59), (64, 119)])
def test_conjugate_gradients_take_the_known_counts_on_ones(side, count):
    assert iterations(solver(conjugate.gradients, empty(side)), torch.ones(side, side, dtype=DTYPE), 1e-8) == count


@pytest.mark.parametrize("system", systems(), ids=lambda s: f"{s.boundary}{s.dims}")
@pytest.mark.parametrize("name", CLASSICAL)
def test_every_classical_solver_solves(name, system):
    b = drawn(system)
    if name == "transform" and not system.domain.all():
        with pytest.raises(BenchError, match="here are obstacles; take sparse_lu"):
            solver(CLASSICAL[name], system)
        return
    for x, size in itertools.islice(solver(CLASSICAL[name], system)(b), 200):  # noqa: B007
        if size <= 1e-8 * float(b.norm()):
            break
    left = float((b - system.apply(x)).norm())
    assert left <= 1e-8 * float(b.norm()) and left == pytest.approx(size, rel=1e-3, abs=1e-12)


def test_direct_solvers_take_one_product():
    for name in ("lu", "transform"):
        assert iterations(solver(CLASSICAL[name], empty(12)), drawn(empty(12)), 1e-12) == 1


def test_an_incomplete_factor_of_a_tridiagonal_matrix_is_exact():
    n = 12
    matrix = sparse.diags(
        [[-1.0] * (n - 1), [2.0 + 0.1 * i for i in range(n)], [-1.0] * (n - 1)], [-1, 0, 1], format="csr"
    )
    lower = incomplete.factor(matrix)
    assert np.allclose(lower.toarray(), np.linalg.cholesky(matrix.toarray()))
    r = np.arange(1.0, n + 1)
    assert np.allclose(matrix @ incomplete.triangular(lower)(r), r)


def test_an_incomplete_factor_is_exact_on_its_pattern_and_a_modified_one_in_its_row_sums():
    matrix = obstructed().matrix()
    plain, modified = (incomplete.factor(matrix, share) for share in (0.0, 1.0))
    product = (plain @ plain.T).toarray()
    assert np.allclose(product[matrix.nonzero()], matrix.toarray()[matrix.nonzero()])
    assert np.allclose((modified @ modified.T).sum(axis=1), matrix.sum(axis=1))


def test_a_factor_with_an_indefinite_matrix_names_the_row():
    matrix = sparse.csr_matrix(np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(BenchError, match=r"row 1 has the pivot -3.*not positive definite"):
        incomplete.factor(matrix)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
def test_deflation_removes_the_deflated_modes(boundary):
    """Residuals stay orthogonal to the space; a solution within it is there before the first product of a solve."""
    system = obstructed(boundary=boundary)
    space = krylov.block_constants(system, 4)
    solve = krylov.deflated_by(system, space)
    for _, (x, _) in zip(range(10), solve(drawn(system)), strict=False):
        left = drawn(system) - system.apply(x)
        assert float((space.flatten(1) @ left.reshape(-1)).abs().max()) < 1e-9
    inside = system.project((space * torch.arange(1.0, len(space) + 1, dtype=DTYPE)[:, None, None]).sum(0))
    x, size = next(solve(system.apply(inside)))
    assert size < 1e-10 and torch.allclose(system.project(x), inside)


def test_deflating_the_lowest_modes_leaves_the_rest_of_the_spectrum():
    """With the 8 lowest eigenvectors deflated the count is that of a right-hand side without them, of the smaller condition."""
    system, b = empty(16), drawn(empty(16))
    vectors = torch.from_numpy(np.linalg.eigh(system.matrix().toarray())[1][:, :8].T.copy()).reshape(-1, 16, 16)
    rest = b - torch.einsum("kxy,xy,kij->ij", vectors, b, vectors)
    free = iterations(solver(conjugate.gradients, system), rest, 1e-8)
    deflated = iterations(krylov.deflated_by(system, vectors), b, 1e-8) - 1  # its start is yielded too
    assert abs(deflated - free) <= 1 and deflated < iterations(solver(conjugate.gradients, system), b, 1e-8)


def test_blocks_of_deflation_have_two_cells_a_side_at_least():
    assert len(krylov.block_constants(empty(8), 16)) == len(krylov.block_constants(empty(8), 4)) == 16
    assert krylov.block_constants(empty(9), 2).flatten(1).sum(1).tolist() == [25, 20, 20, 16]


# The deep conjugate direction method


def test_the_identity_with_two_directions_is_conjugate_gradients():
    system, b = empty(16), drawn(empty(16))
    ours = [size for _, size in itertools.islice(dcdm.conjugate_directions(system, lambda r: r, 2)(b), 60)]
    known = [size for _, size in itertools.islice(solver(conjugate.gradients, system)(b), 60)]
    assert ours[:20] == pytest.approx(known[:20], rel=1e-12) and ours == pytest.approx(known, rel=1e-4)


def test_the_inverse_converges_in_one_step():
    for system in (empty(16), empty(6, 3), empty(12, boundary="neumann")):
        solve = dcdm.conjugate_directions(system, direct.spectral_inverse(system), 2)
        assert iterations(solve, drawn(system), 1e-12) == 1


def test_a_v_cycle_as_the_guess_is_multigrid_conjugate_gradients():
    system, b = empty(16), drawn(empty(16))
    cycle = multigrid.cycle_of(system, multigrid.made_by("ruge_stuben", 10))
    both = (dcdm.conjugate_directions(system, cycle, 2), krylov.preconditioned(system, cycle))
    assert len({iterations(solve, b, 1e-8) for solve in both}) == 1


@pytest.mark.parametrize("directions", [0, 2, None])
def test_directions_are_a_orthogonal_to_those_that_are_kept(directions):
    """With a guess that is not linear: to two only, to all, or to none; and the residual is orthogonal to the last one."""
    system, b = empty(8), drawn(empty(8))
    points = [torch.zeros_like(b)]
    points += [
        x for x, _ in itertools.islice(dcdm.conjugate_directions(system, lambda r: r + r.abs(), directions)(b), 6)
    ]
    steps = [after - before for before, after in itertools.pairwise(points)]
    lengths = [krylov.dot(step, system.apply(step)) ** 0.5 for step in steps]
    angle = [
        [abs(krylov.dot(one, system.apply(other))) / (a * c) for other, c in zip(steps, lengths, strict=True)]
        for one, a in zip(steps, lengths, strict=True)
    ]
    assert abs(krylov.dot(b - system.apply(points[-1]), steps[-1])) < 1e-10
    assert (max(angle[5][3], angle[5][4]) < 1e-10) is (directions != 0)
    assert (max(angle[5][:3]) < 1e-10) is (directions is None)


def test_the_published_networks_form_is_homogeneous_and_takes_other_sizes():
    torch.manual_seed(0)
    net = dcdm.UNet(2, 4, 16)
    r = torch.randn(2, 1, 16, 16)
    assert torch.allclose(net(3 * r), 3 * net(r), atol=1e-5) and net(torch.randn(1, 1, 27, 27)).shape[-2:] == (27, 27)
    assert dcdm.UNet(3, 4, 8)(torch.randn(1, 1, 9, 9, 9)).shape == (1, 1, 9, 9, 9)


@pytest.mark.parametrize(("dims", "side"), [(2, 12), (2, 9), (3, 6)])
def test_the_learned_preconditioner_is_symmetric_and_positive_definite_whatever_its_weights(dims, side):
    torch.manual_seed(0)
    net = multilevel.Multilevel(dims, 3, side).double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn_like(weight))
        cells = side**dims
        matrix = net(torch.eye(cells, dtype=DTYPE).reshape(cells, 1, *(side,) * dims)).reshape(cells, cells)
    assert torch.allclose(matrix, matrix.T, atol=1e-10) and float(torch.linalg.eigvalsh(matrix)[0]) > 0


def test_ritz_vectors_of_all_dimensions_are_eigenvectors():
    """A random start meets one direction in each eigenspace, so that there are as many as there are different eigenvalues."""
    system = empty(4)
    vectors = training.ritz_vectors(system, 16, torch.Generator().manual_seed(0))
    images = system.apply(vectors)
    values = (vectors * images).flatten(1).sum(1)
    assert torch.allclose(images, values[:, None, None] * vectors, atol=1e-8) and (values.diff() > 1e-6).all()
    assert len(vectors) == len(np.unique(np.linalg.eigvalsh(system.matrix().toarray()).round(8)))


def test_ritz_vectors_of_a_singular_system_leave_the_constant_out():
    system = empty(12, boundary="neumann")
    vectors = training.ritz_vectors(system, 72, torch.Generator().manual_seed(0))
    values = (vectors * system.apply(vectors)).flatten(1).sum(1)
    assert (
        float(values[0]) == pytest.approx(4 * math.sin(math.pi / 24) ** 2)
        and float(vectors.sum((1, 2)).abs().max()) < 1e-9
    )


def test_the_training_loss_is_0_at_any_multiple_of_the_inverse_and_1_at_most():
    system = empty(8)
    r = training.residuals(
        training.ritz_vectors(system, 20, torch.Generator().manual_seed(0)), 3, torch.Generator()
    ).double()
    exact = torch.stack([direct.spectral_inverse(system)(one[0])[None] for one in r])
    assert float(training.misfit(system, r, 7 * exact)) < 1e-12
    assert torch.allclose(r.flatten(1).norm(dim=1), torch.ones(3, dtype=DTYPE), atol=1e-6)
    poor = training.misfit(system, r, r)
    assert float(poor) > 0.01


def test_training_lowers_the_products_of_a_solve():
    trained, fresh = (run("poisson_2d", "dcdm", training=n).metrics["products"] for n in (4000, 60))
    assert trained < 0.7 * fresh


# The tasks


def test_a_served_solve_counts_products_until_the_true_residual_is_below_each_tolerance():
    server = Server(conjugate.prepared, "dirichlet", LOG, 1000, 1000, charged=False)
    b = torch.ones(16, 16, dtype=DTYPE)
    answer = server.solve(b, b > 0)
    assert answer["products"].tolist() == [iterations(solver(conjugate.gradients, empty(16)), b, t) for t in TOLERANCES]
    assert answer["products"][1] == 28 and answer["history"].shape == (29, 2)
    for x, tolerance in zip(answer["x"], TOLERANCES, strict=True):
        assert float((b - empty(16).apply(x)).norm()) <= tolerance * float(b.norm())


def test_a_solver_that_overstates_its_residual_gains_nothing():
    def prepare(system: Any) -> Any:
        exact = conjugate.prepared(system)
        return lambda b: ((x, 0.0) for x, _ in exact(b))

    domain = torch.ones(16, 16, dtype=torch.bool)
    answers = [
        Server(one, "dirichlet", LOG, 1000, 1000, charged=False).solve(domain.double(), domain)["products"].tolist()
        for one in (prepare, conjugate.prepared)
    ]
    assert answers[0] == answers[1]


def test_the_scorer_believes_residuals_alone():
    task = task_of("poisson_2d")
    problem = task.problem(None, Seeds(100, task.name))
    b = problem.hidden["test"][0]

    def liar(b: torch.Tensor, domain: torch.Tensor) -> Any:
        return {
            "x": torch.zeros(2, *b.shape),
            "products": torch.ones(2, dtype=torch.int64),
            "history": torch.ones(1, 2),
        }

    counts = task.counts(problem, "test", liar)
    assert not counts.solved.any() and (counts.products == task.params.products).all()
    with pytest.raises(BenchError, match="an answer is"):
        task.counts(problem, "test", lambda b, domain: b)
    exact = direct.spectral_inverse(empty(8))(b)
    free = {"x": torch.stack([exact, exact]), "products": torch.zeros(2, dtype=torch.int64)}
    assert not scoring.counts([b], [b.isfinite()], "dirichlet", lambda *_: free, 100).solved.any(), (
        "0 products are none"
    )


def test_a_solve_ends_at_its_budget_and_counts_as_it():
    outcome = run("poisson_2d", "cg", side=16, products=5)
    assert outcome.status == "ok" and outcome.metrics["products"] == pytest.approx(5) and outcome.metrics["solved"] == 0
    assert outcome.costs.counts["products"] == 30, "six right-hand sides"


@pytest.mark.parametrize("name", TASKS)
def test_right_hand_sides_have_norm_1_and_fit_their_domains(name):
    task = task_of(name, test=8)
    problem = task.problem(None, Seeds(100, task.name))
    assert set(problem.public) == {"side"}, "what is solved arrives after training"
    for b, domain in zip(problem.hidden["test"], problem.hidden["domains_test"], strict=True):
        assert System(domain, task.boundary).checked(b).norm() == pytest.approx(1)
    assert (name == "obstacles_2d") == (not problem.hidden["domains_test"].all())


def test_a_solver_may_be_trained_on_another_side():
    task = task_of("poisson_2d", trained_on=6)
    problem = task.problem(None, Seeds(100, task.name))
    assert problem.public == {"side": 6} and problem.hidden["test"].shape == (4, 8, 8)
    assert run("poisson_2d", "learned_preconditioner", trained_on=6).metrics["solved"] == 1


def test_training_is_charged_apart_and_repaid_by_the_products_that_are_saved():
    outcome = run("poisson_2d", "learned_preconditioner", side=16, training=3000)
    metrics, counts = outcome.metrics, outcome.costs.counts
    assert 2900 < counts["training_products"] == metrics["training_products"] <= 3000
    assert metrics["solved"] == 1 and metrics["over_cg"] < 1 < metrics["break_even"] < math.inf
    assert scoring.break_even(torch.tensor([10, 20]), torch.tensor([40, 50]), 600) == 20
    assert scoring.break_even(torch.tensor([40]), torch.tensor([40]), 600) is None
    plain = run("poisson_2d", "cg")
    assert plain.metrics["over_cg"] == pytest.approx(1) and "break_even" not in plain.metrics
    assert run("poisson_2d", "deflated_cg").metrics["setup_products"] == 16


def test_exhibits_show_a_solution_and_residuals():
    task = task_of("poisson_3d")
    problem = task.problem(None, Seeds(100, task.name))
    shown = task.exhibit(problem, Solution(Server(conjugate.prepared, "dirichlet", LOG, 100, 100, charged=False).solve))
    assert shown["solution"].arrays["x"].shape == (6, 6)
    early = task.exhibit(problem, Solution(Server(conjugate.prepared, "dirichlet", LOG, 2, 100, charged=False).solve))
    assert {*early} == {"residuals"}, "an unsolved right-hand side has no picture"
    assert {*sources.KINDS} < {*shown["residuals"].arrays} and shown["residuals"].arrays["white"][-1] <= 1e-8


# Measures of claims


def test_measures():
    cost = Costs(cpu={"train": 12.0, "setup": 0.0, "predict": 1.0})
    kinds = {f"products_{kind}": 4.0 + place for place, kind in enumerate(claims.KINDS)}
    net = record("net", products=4.0, tight_products=8.0, break_even=50.0, **kinds)
    rival = record("cg", products=40.0, tight_products=60.0)
    net.costs, rival.costs = cost, Costs(cpu={"train": 0.0, "setup": 0.0, "predict": 7.0})
    net.params = {"val": 2, "test": 4, "side": 32}
    records = {"net": [net], "cg": [rival]}
    assert claims.ratio(records, of="net", over="cg", metric="products") == 0.1
    assert claims.growth_ratio(records, of="net", over="cg") == pytest.approx(2 / 1.5)
    assert claims.spread(records, of="net") == 7 / 4 and claims.break_even(records, of="net") == 50
    assert claims.time_ratio(records, of="net", over="cg") == pytest.approx(1 / 7)
    assert claims.break_even_time(records, of="net", over="cg") == pytest.approx(12)
    net.costs = Costs(cpu={"train": 12.0, "predict": 8.0})
    del net.metrics["break_even"]
    assert claims.break_even_time(records, of="net", over="cg") == claims.NEVER == claims.break_even(records, of="net")
    with pytest.raises(BenchError, match=r"two values of task\.side"):
        claims.size_growth(records, of="net")


# Bad input


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("poisson_2d", {"products": 0}, "task.products=0: it has to be above 0"),
        ("poisson_2d", {"training": 0}, "task.training=0: it has to be above 0"),
        ("poisson_2d", {"side": 3}, "task.side=3: it has to be 4 or more"),
        ("poisson_2d", {"trained_on": -1}, "task.trained_on=-1: it has to be 4 or more"),
        ("obstacles_2d", {"obstacles": -1}, "task.obstacles=-1: it has to be 0 or more"),
    ],
)
def test_parameters_that_make_no_sense(name, params, said):
    with pytest.raises(BenchError) as error:
        task_of(name, **params)
    assert said in str(error.value)


def test_domains_and_right_hand_sides_that_have_no_solution():
    walled = torch.ones(6, 6, dtype=torch.bool)
    walled[3] = False
    assert pieces(walled) == 2 and System(walled, "dirichlet").matrix().shape == (36, 36)
    with pytest.raises(BenchError, match="singular in more than the constant"):
        System(walled, "neumann")
    with pytest.raises(BenchError, match="boundary='open': there are dirichlet and neumann"):
        System(walled, "open")
    with pytest.raises(BenchError, match="at least one cell"):
        System(~torch.ones(6, 6, dtype=torch.bool), "dirichlet")
    with pytest.raises(BenchError, match="its mean is not 0, so the singular system has no solution"):
        empty(6, boundary="neumann").checked(torch.ones(6, 6))
    with pytest.raises(BenchError, match="it is not 0 there"):
        System(walled, "dirichlet").checked(torch.ones(6, 6))
    for b, said in (
        (torch.zeros(6, 6), "norm 0.0"),
        (torch.full((6, 6), math.nan), "norm nan"),
        (torch.ones(5, 6), "shape"),
    ):
        with pytest.raises(BenchError, match=said):
            empty(6).checked(b)


@pytest.mark.parametrize("part", [conjugate.gradients, krylov.deflated, incomplete.cholesky])
def test_a_matrix_that_is_not_positive_definite_is_an_error(part):
    system = empty(6)
    system._matrix.setdiag(1.0)
    system.diagonal.fill_(1.0)
    with pytest.raises(BenchError, match="not positive definite"):
        iterations(solver(part, system), drawn(system), 1e-8)


def nan_solver(*, system: Any, generator: Any) -> Any:
    """A solver whose iterates are not numbers."""
    yield lambda of: lambda b: ((b * math.nan, math.nan) for _ in range(3))


def silent_solver(*, system: Any, generator: Any) -> Any:
    """A part that yields nothing."""
    yield from ()


def test_a_solver_that_returns_nan_or_nothing_fails_with_the_reason():
    outcome = run("poisson_2d", "tests.test_linear_solver.nan_solver")
    assert outcome.status == "failed" and "the solver's residual is nan after 0 products" in outcome.reason
    outcome = run("poisson_2d", "tests.test_linear_solver.silent_solver")
    assert outcome.status == "failed" and "yielded no solver within task.training=400" in outcome.reason


@pytest.mark.parametrize(
    ("part", "arguments", "said"),
    [
        (krylov.deflated, {"blocks": 0}, "linear_solver.blocks=0"),
        (incomplete.cholesky, {"modified": 2.0}, "linear_solver.modified=2.0: a share from 0 to 1"),
        (multigrid.conjugate, {"kind": "other"}, "linear_solver.kind='other': there are ruge_stuben"),
        (multigrid.conjugate, {"coarsest": 0}, "linear_solver.coarsest=0: a coarsest level"),
        (dcdm.dcdm, {"directions": -1}, "linear_solver.directions=-1: it has to be 0 or more, or null for all"),
        (dcdm.dcdm, {"rate": 0.0}, "linear_solver.rate=0.0: it has to be above 0"),
        (multilevel.learned, {"batch": 0}, "linear_solver.batch=0: it has to be above 0"),
    ],
)
def test_arguments_that_make_no_sense(part, arguments, said):
    with pytest.raises(BenchError) as error:
        solver(part, empty(8, limit=500), **arguments)
    assert said in str(error.value)


def test_a_training_that_diverges_says_so():
    with pytest.raises(Diverged, match=r"take a smaller linear_solver\.rate"):
        for _ in dcdm.dcdm(system=empty(8, limit=5000), generator=torch.Generator().manual_seed(0), rate=1e12):
            pass


# Findings about published code (docs/audits.md)


def test_audit_an_absolute_tolerance_is_another_one_unless_the_norm_is_1():
    """Of b and of 1000 b conjugate gradients have equal counts at a relative tolerance, and other ones at an absolute one."""
    b = drawn(empty(16))
    solve = solver(conjugate.gradients, empty(16))
    absolute = [iterations(solve, c * b, 1e-4 / float((c * b).norm())) for c in (1, 1000)]
    relative = [iterations(solve, c * b, 1e-4) for c in (1, 1000)]
    assert relative[0] == relative[1] and absolute[1] > absolute[0] > relative[0] - 1


def test_audit_an_index_from_0_is_one_less_than_the_count():
    b = torch.ones(16, 16, dtype=DTYPE)
    sizes = [size for _, size in itertools.islice(solver(conjugate.gradients, empty(16))(b), 40)]
    index = next(place for place, size in enumerate(sizes) if size <= 1e-8 * float(b.norm()))
    assert index == 27 and index + 1 == 28


def test_audit_eigenvectors_of_the_lower_half_do_not_see_the_upper():
    matrix = torch.diag(torch.arange(1.0, 6.0)) + torch.diag(torch.ones(4), 1) + torch.diag(torch.ones(4), -1)
    broken = matrix.clone()
    broken[0, 1] = 0
    assert torch.equal(torch.linalg.eigh(broken)[0], torch.linalg.eigh(matrix)[0])
    assert not torch.allclose(torch.linalg.eigh(broken, UPLO="U")[0], torch.linalg.eigh(matrix)[0])
