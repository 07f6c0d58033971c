"""The two-dimensional generators against exact solutions and invariants."""

import math

import numpy as np
import pytest
from scipy import fft
from scipy.integrate import simpson, solve_ivp
from scipy.linalg import expm

from bench.contract import BenchError
from tasks.pde.generate import darcy, diffusion_reaction, incompressible, shallow_water

GENERATORS = (darcy, diffusion_reaction, incompressible, shallow_water)
QUICK = {
    darcy: {},
    diffusion_reaction: {"frames": 2, "final_time": 0.1},
    incompressible: {"frames": 2, "final_time": 0.01},
    shallow_water: {"frames": 2, "final_time": 0.2},
}


def name(value: object) -> str:
    return getattr(value, "__name__", str(value)).rsplit(".", 1)[-1]


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


# All four


@pytest.mark.parametrize("module", GENERATORS, ids=name)
def test_the_seed_decides_the_samples_and_their_number_does_not(module):
    three, two = (module.generate(samples, 3, 16, **QUICK[module]) for samples in (3, 2))
    assert three.values.dtype == np.float64 and np.isfinite(three.values).all()
    np.testing.assert_array_equal(three.values[:2], two.values)
    for key, constant in three.constants.items():
        np.testing.assert_array_equal(constant[:2], two.constants[key])
    other = module.generate(2, 4, 16, **QUICK[module])
    assert (np.abs(other.values - two.values).max(axis=(1, 2, 3, 4)) > 1e-3).all()


@pytest.mark.parametrize("module", GENERATORS, ids=name)
@pytest.mark.parametrize(
    "wrong", [{"samples": 0}, {"points": 7}, {"frames": 0}, {"final_time": 0.0}, {"final_time": math.nan}], ids=str
)
def test_bad_sizes_are_refused(module, wrong):
    with pytest.raises(BenchError, match=next(iter(wrong))):
        module.generate(**{"samples": 1, "seed": 0, "points": 8, **QUICK[module], **wrong})


@pytest.mark.parametrize(
    ("module", "wrong"),
    [
        (darcy, {"beta": 0.0}),
        (darcy, {"beta": -1.0}),
        (darcy, {"frames": 2}),
        (diffusion_reaction, {"du": -1e-3}),
        (diffusion_reaction, {"dv": math.nan}),
        (diffusion_reaction, {"refine": 0}),
        (incompressible, {"nu": -0.1}),
        (incompressible, {"nu": 0.0}),
        (shallow_water, {"refine": 0}),
    ],
    ids=name,
)
def test_bad_parameters_are_refused(module, wrong):
    with pytest.raises(BenchError, match=next(iter(wrong))):
        module.generate(1, 0, 8, **wrong)


# Darcy


def poisson(x: np.ndarray) -> np.ndarray:
    """The solution of -lap u = 1 on the unit square, zero on the boundary, as a double sine series."""
    k = math.pi * np.arange(1, 2002, 2)[:, None]
    sines = np.sin(k * x)
    return sines.T @ (16 / (k * k.T * (k**2 + k.T**2))) @ sines


def test_darcy_of_constant_permeability_meets_the_series_at_second_order():
    errors = []
    for points in (16, 32, 64):
        x = (np.arange(points) + 0.5) / points
        errors.append(np.abs(darcy.steady(np.ones((points, points)), 1.0) - poisson(x)).max())
    assert errors[-1] < 4e-5
    assert np.log2(np.array(errors[:-1]) / errors[1:]).min() > 1.9


def test_darcy_is_exact_across_layers_but_for_the_source_within_a_cell():
    """The harmonic mean carries the exact flux; the source between a face and a centre adds h^2 / (8 a) to u."""
    n, h = 32, 1 / 32
    a = np.where(np.arange(n) % 8 < 3, 0.1, 1.0)
    matrix = darcy.operator(np.repeat(a[:, None], n, axis=1)).toarray().reshape(n, n, n, n)
    across = matrix[:, 5, :, 5] - 2 * n**2 * np.diag(a)  # one column of cells, without what it conducts along y
    x = h * np.arange(n)  # left faces
    inflow = np.sum(h / a * (x + h / 2)) / np.sum(h / a)  # a u' = inflow - x, and u is zero at both ends
    rise = h / a * (inflow - x - h / 2)
    exact = np.cumsum(rise) - rise + h / 2 / a * (inflow - x - h / 4)
    np.testing.assert_allclose(np.linalg.solve(across, np.ones(n)), exact + h**2 / 8 / a, atol=1e-12)


def test_both_direct_methods_solve_the_same_darcy_system():
    for a in darcy.permeability(np.random.default_rng(0), 3, 24):
        np.testing.assert_allclose(darcy.steady_banded(a, 2.0), darcy.steady(a, 2.0), rtol=1e-11)


def test_darcy_solves_its_equation_and_lets_out_what_it_takes_in():
    data = darcy.generate(4, 0, 64, beta=3.0)
    assert data.values.shape == (4, 1, 64, 64, 1) and data.constants["nu"].shape == (4, 64, 64)
    assert data.names == ("u",) and data.attributes == {"beta": 3.0}
    for u, a in zip(data.values[:, 0, ..., 0], data.constants["nu"], strict=True):
        assert set(np.unique(a)) == {0.1, 1.0}
        matrix = darcy.operator(a)
        assert abs(matrix - matrix.T).max() == 0
        assert np.abs(matrix @ u.ravel() - 3).max() < 1e-12 * np.abs(matrix).max() * u.max()
        assert u.min() > 0
        edges = (a[0] * u[0], a[-1] * u[-1], a[:, 0] * u[:, 0], a[:, -1] * u[:, -1])
        assert 2 * sum(edge.sum() for edge in edges) == pytest.approx(3, rel=1e-11)
    np.testing.assert_allclose(darcy.generate(4, 0, 64, beta=6.0).values, 2 * data.values, rtol=1e-12)


def test_the_transient_is_the_matrix_exponential():
    a = darcy.permeability(np.random.default_rng(0), 1, 12)[0]
    matrix = darcy.operator(a, faithful=True).toarray()
    final = np.linalg.solve(matrix, np.full(144, 0.3))
    for t in (0.2, 1.75):
        exact = final + expm(-t * matrix) @ (7 - final)
        np.testing.assert_allclose(darcy.transient(a, 0.3, 7.0, t).ravel(), exact, atol=2e-8)


def test_pdebenchs_snapshot_shows_its_initial_state_at_small_beta():
    small, large = (darcy.generate(4, 1, 32, beta=beta, faithful=True) for beta in (0.01, 100.0))
    np.testing.assert_array_equal(small.constants["nu"], large.constants["nu"])

    def distance(data, beta):
        """The largest, relative to the steady states of the same stencil."""
        pairs = zip(data.values[:, 0, ..., 0], data.constants["nu"], strict=True)
        source = np.full(32 * 32, beta)
        return max(relative(u.ravel(), darcy.factor(darcy.operator(a, True)).solve(source)) for u, a in pairs)

    assert distance(small, 0.01) > 0.3 and distance(large, 100.0) < 1e-3
    assert small.t == 1.75


# Diffusion-reaction


def test_the_laplacian_is_the_five_point_stencil_without_flux():
    field = np.random.default_rng(0).standard_normal((12, 12))
    padded = np.pad(field, 1, mode="edge")
    stencil = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2] - 4 * field
    spectral = fft.idctn(diffusion_reaction.laplacian(12) * fft.dctn(field))
    np.testing.assert_allclose(spectral, stencil * 6**2, atol=1e-11)


def test_without_reaction_a_cosine_decays_at_the_rate_of_its_eigenvalue():
    n, t = 16, np.array([0.0, 0.5, 2.0])
    wave = np.cos(3 * math.pi * (np.arange(n) + 0.5) / n)[:, None] * np.cos(math.pi * (np.arange(n) + 0.5) / n)
    model = diffusion_reaction.Model(du=0.02, dv=0.05, reaction=0)
    out = diffusion_reaction.evolve(np.stack([wave, wave])[None], t, model)[0]
    rate = diffusion_reaction.laplacian(n)[3, 1]
    assert rate == pytest.approx(-10 * (math.pi / 2) ** 2, rel=0.03)
    for channel, diffusion in enumerate((0.02, 0.05)):
        exact = np.exp(diffusion * rate * t)[:, None, None] * wave
        np.testing.assert_allclose(out[:, channel], exact, atol=1e-13)


def test_without_diffusion_every_cell_follows_the_ordinary_equation():
    start, t = diffusion_reaction.white(np.random.default_rng(0), 1, 8), np.linspace(0, 5, 11)
    out = diffusion_reaction.evolve(start, t, diffusion_reaction.Model(0, 0))

    def slope(_, y):
        u, v = y.reshape(2, 8, 8)
        return np.stack([u - u**3 - 5e-3 - v, u - v]).ravel()

    exact = solve_ivp(slope, (0, 5), start.ravel(), "DOP853", t, rtol=1e-11, atol=1e-12).y
    np.testing.assert_allclose(out[0].reshape(11, -1), exact.T, atol=2e-7)


def test_the_means_change_by_the_reaction_alone():
    t = np.linspace(0, 1, 201)
    data = diffusion_reaction.generate(1, 0, 24, 201, 1.0, smooth=True)
    u, v = np.moveaxis(data.values[0], -1, 0)
    gained = simpson((u - u**3 - 5e-3 - v).mean(axis=(1, 2)), x=t), simpson((u - v).mean(axis=(1, 2)), x=t)
    np.testing.assert_allclose([(f[-1] - f[0]).mean() for f in (u, v)], gained, atol=1e-9)


@pytest.mark.parametrize("smooth", [False, True])
def test_the_time_steps_of_the_diffusion_reaction_are_accurate_to_1e_6(smooth):
    data, finer = (diffusion_reaction.generate(1, 0, 64, 21, 1.0, smooth, refine=refine) for refine in (1, 2))
    assert data.names == ("u", "v") and data.values.shape == (1, 21, 64, 64, 2)
    for frame in range(21):
        assert relative(data.values[0, frame], finer.values[0, frame]) < 1e-6


def test_the_diffusion_reaction_is_of_fourth_order_in_time():
    def at(refine: int) -> np.ndarray:
        return diffusion_reaction.generate(1, 0, 16, 5, 1.0, smooth=True, refine=refine).values[0, -1]

    exact = at(8)
    assert 3.6 < math.log2(relative(at(1), exact) / relative(at(2), exact)) < 4.4


def test_smooth_states_converge_on_finer_grids_and_white_noise_does_not():
    coarse, middle, fine = (diffusion_reaction.generate(1, 2, n, 3, 0.2, smooth=True).values for n in (24, 72, 216))
    np.testing.assert_allclose(middle[:, 0, 1::3, 1::3], coarse[:, 0], atol=1e-12)  # the same functions
    first, second = relative(coarse, middle[:, :, 1::3, 1::3]), relative(middle, fine[:, :, 1::3, 1::3])
    assert second < 1e-3 and 7 < first / second < 10  # second order: a ninth
    coarse, middle = (diffusion_reaction.generate(1, 2, n, 2, 1.0).values for n in (16, 48))
    assert relative(coarse[:, 1], middle[:, 1, 1::3, 1::3]) > 0.5


# Incompressible flow


def square(n: int) -> tuple[np.ndarray, np.ndarray]:
    x = 2 * math.pi * (np.arange(n) + 0.5) / n
    return x[:, None] + 0 * x, x + 0 * x[:, None]


def test_the_taylor_green_vortex_decays_exactly():
    (x, y), nu, t = square(32), 0.02, np.array([0.0, 0.3, 1.0])
    flow = incompressible.Flow(32, nu)
    state = flow.transform(np.stack([4 * math.pi * np.sin(x) * np.sin(y), np.ones((32, 32))]))
    decay = np.exp(-8 * math.pi**2 * nu * t)[:, None, None]
    out = flow.frames(state, t)
    np.testing.assert_allclose(out[..., 0], decay * np.sin(x) * np.cos(y), atol=1e-12)
    np.testing.assert_allclose(out[..., 1], -decay * np.cos(x) * np.sin(y), atol=1e-12)
    np.testing.assert_allclose(out[..., 2], 1, atol=1e-13)


def test_a_shear_flow_carries_the_smoke():
    """V = (sin y, 0) without viscosity: s(x, y, t) = s(x - t V, y, 0), the wave numbers being multiples of 2 pi."""
    (x, y), t = square(64), np.array([0.0, 0.3])
    flow = incompressible.Flow(64, 0.0)
    state = flow.transform(np.stack([-2 * math.pi * np.cos(y), np.cos(x)]))
    out = flow.frames(state, t, refine=4)[1]
    np.testing.assert_allclose(out[..., 0], np.sin(y), atol=1e-12)
    np.testing.assert_allclose(out[..., 2], np.cos(x - 2 * math.pi * 0.3 * np.sin(y)), atol=1e-8)


@pytest.mark.parametrize("faithful", [False, True])
def test_a_force_drives_a_shear_flow_from_rest(faithful):
    (x, _), nu, t = square(32), 0.02, np.array([0.0, 0.3, 1.0])
    flow = incompressible.Flow(32, nu, np.stack([0 * x, np.sin(x)]), faithful)
    state = flow.transform(np.stack([0 * x, np.full((32, 32), 3.0)]))
    rate, push = 4 * math.pi**2 * nu, 3 if faithful else 1
    exact = push * ((1 - np.exp(-rate * t)) / rate)[:, None, None] * np.sin(x)
    np.testing.assert_allclose(flow.frames(state, t)[..., 1], exact, atol=1e-9)


def random_flow(n: int, nu: float, forced: bool) -> tuple[incompressible.Flow, np.ndarray]:
    rng, x = np.random.default_rng(1), (np.arange(n) + 0.5) / n
    velocity, vorticity = incompressible.swirl(rng, x)
    flow = incompressible.Flow(n, nu, incompressible.swirl(rng, x)[0] if forced else None)
    state = flow.transform(np.stack([vorticity, 1 + 0.1 * vorticity]))
    np.testing.assert_allclose(flow.values(flow.velocity(state[0])), velocity, atol=1e-12)
    assert (velocity**2).sum(axis=0).mean() == pytest.approx(1)
    return flow, state


def test_energy_is_made_by_the_force_and_lost_to_viscosity():
    flow, state = random_flow(48, 0.01, forced=True)
    state = flow.advance(state, 0.2)  # many wave numbers by now
    change = flow.slope(state)[0] - flow.nu * flow.square * state[0]
    velocity, vorticity = flow.values(flow.velocity(state[0])), flow.values(state[0])
    gained = (velocity * flow.values(flow.velocity(change))).sum(axis=0).mean()
    work, loss = (velocity * flow.force).sum(axis=0).mean(), flow.nu * (vorticity**2).mean()
    assert min(abs(work), loss) > 0.01
    assert gained == pytest.approx(work - loss, abs=1e-12)


def test_without_viscosity_energy_and_enstrophy_are_kept():
    flow, state = random_flow(48, 0.0, forced=False)
    later = flow.advance(state, 0.2)
    assert relative(later, state) > 0.3
    for weight in (flow.inverse, 1.0):
        before, after = ((flow.values(np.sqrt(weight) * s[0]) ** 2).mean() for s in (state, later))
        assert after == pytest.approx(before, rel=1e-7)


def test_generated_flow_is_free_of_divergence_and_keeps_its_smoke():
    data = incompressible.generate(1, 0, 64, 3, 0.2)
    assert data.names == ("Vx", "Vy", "particles") and data.values.shape == (1, 3, 64, 64, 3)
    assert data.constants["force_x"].shape == data.constants["force_y"].shape == (1, 64, 64)
    force = np.stack([data.constants["force_x"][0], data.constants["force_y"][0]], axis=-1)
    wave = 2j * math.pi * np.fft.fftfreq(64, 1 / 64)
    for vector in (*data.values[0, ..., :2], force):
        spectrum = np.fft.fft2(vector, axes=(0, 1), norm="forward")
        divergence = wave[:, None] * spectrum[..., 0] + wave * spectrum[..., 1]
        assert np.abs(divergence).max() < 1e-12
        assert np.abs(vector.mean(axis=(0, 1))).max() < 1e-13
    smoke = data.values[0, ..., 2]
    np.testing.assert_allclose(smoke.mean(axis=(1, 2)), 1, atol=1e-13)
    assert smoke.min() > -1e-3 and smoke.std() > 0.1


def test_the_flow_is_resolved_to_1e_6(monkeypatch):
    """On the stored grid of 16 points, computed on 64; against 128 points."""
    data = incompressible.generate(1, 0, 16, 4, 0.3)
    assert incompressible.resolution(16, 0.01) == 64 and incompressible.resolution(96, 0.01) == 96
    monkeypatch.setattr(incompressible, "resolution", lambda points, nu: 128)
    finer = incompressible.generate(1, 0, 16, 4, 0.3)
    np.testing.assert_allclose(finer.constants["force_x"], data.constants["force_x"], atol=1e-12)
    for channel in range(3):
        assert relative(data.values[..., channel], finer.values[..., channel]) < 1e-6
