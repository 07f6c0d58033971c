"""Compressible flow: exact where a formula is known, conservative, symmetric, and of its stated order elsewhere."""

import math

import numpy as np
import pytest
import torch

from bench.contract import BenchError
from tasks.pde.generate import riemann
from tasks.pde.generate.compressible import FLOOR, advance, conservative, primitive
from tasks.pde.generate.gas import GAMMA, Flow, generate

AIR = 1.4
# Toro, Riemann Solvers, tables 4.1 to 4.3: density, pressure, velocity on both sides; p*, u*, rho*L, rho*R.
TORO = [
    ((1, 1, 0), (0.125, 0.1, 0), (0.30313, 0.92745, 0.42632, 0.26557)),
    ((1, 0.4, -2), (1, 0.4, 2), (0.00189, 0.0, 0.02185, 0.02185)),
    ((1, 1000, 0), (1, 0.01, 0), (460.894, 19.5975, 0.57506, 5.99924)),
    ((1, 0.01, 0), (1, 100, 0), (46.0950, -6.19633, 5.99242, 0.57511)),
    ((5.99924, 460.894, 19.5975), (5.99242, 46.0950, -6.19633), (1691.64, 8.68975, 14.2823, 31.0426)),
]
LEFT, RIGHT = (np.array([row[i] for row in TORO], dtype=float) for i in range(2))


def centres(points: int) -> torch.Tensor:
    return (torch.arange(points, dtype=torch.float64) + 0.5) / points


def box(points: int, dims: int) -> list[torch.Tensor]:
    return list(torch.meshgrid(*[centres(points)] * dims, indexing="ij"))


def fields(*parts: torch.Tensor | float) -> torch.Tensor:
    """One primitive sample from density, pressure and velocity."""
    parts = torch.broadcast_tensors(*(torch.as_tensor(part, dtype=torch.float64) for part in parts))
    return torch.stack(parts, dim=-1)[None]


def run(values: torch.Tensor, time: float, gamma: float = AIR, **options: object) -> torch.Tensor:
    """The primitive variables at `time`, on the unit square unless told otherwise; the floor must not act."""
    spacing = options.pop("spacing", [1 / points for points in values.shape[1:-1]])
    states, floored = advance(conservative(values, gamma), [time], spacing, gamma, **options)
    assert floored == 0
    return primitive(states[:, 0], gamma)


def bumps(points: int, dims: int) -> torch.Tensor:
    """A smooth state without symmetry, at rest nowhere."""
    x = box(points, dims)
    turn = 2 * math.pi
    waves = [sum(torch.sin(turn * (1 + (i + j) % 2) * x[j] + i + j) for j in range(dims)) for i in range(2 + dims)]
    return fields(1 + 0.1 * waves[0], 1 + 0.1 * waves[1], *(0.3 + 0.2 * wave for wave in waves[2:]))


def tube(row: int, points: int) -> torch.Tensor:
    left, right = torch.from_numpy(LEFT[row]), torch.from_numpy(RIGHT[row])
    return torch.where(centres(points)[:, None] < 0.5, left, right)[None]


# The exact Riemann solution.


@pytest.mark.parametrize("row", range(len(TORO)))
def test_star_states_are_toros(row):
    star = riemann.star(LEFT[row], RIGHT[row], AIR)
    np.testing.assert_allclose(star, TORO[row][2], rtol=2e-4, atol=6e-6)


@pytest.mark.parametrize("row", range(len(TORO)))
def test_the_exact_solution_conserves(row):
    """Over a box the waves do not leave, the content changes by the fluxes at its two ends alone."""
    left, right = LEFT[row], RIGHT[row]
    edge, cells = 40.0, 100_000
    rays = (np.arange(cells) + 0.5) / cells * 2 * edge - edge
    inside = conservative(torch.from_numpy(riemann.solution(left, right, rays, AIR)), AIR).sum(0) * 2 * edge / cells

    def along(side: np.ndarray) -> torch.Tensor:  # state times distance, plus or minus flux times a unit of time
        return conservative(torch.from_numpy(side), AIR)

    def flux(side: np.ndarray) -> torch.Tensor:
        pressure, speed = side[1:]
        return along(side) * speed + torch.tensor([0.0, pressure * speed, pressure])

    wanted = edge * (along(left) + along(right)) + flux(left) - flux(right)
    torch.testing.assert_close(inside, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_the_exact_solution_is_batched_and_mirrors():
    rays = np.linspace(-30, 30, 301) + 1e-3
    batch = riemann.solution(LEFT, RIGHT, np.broadcast_to(rays, (5, 301)), AIR)
    assert batch.shape == (5, 301, 3)
    for row in range(5):
        np.testing.assert_allclose(batch[row], riemann.solution(LEFT[row], RIGHT[row], rays, AIR), rtol=1e-13)
    flip = np.array([1, 1, -1])
    np.testing.assert_allclose(riemann.solution(RIGHT * flip, LEFT * flip, -rays, AIR) * flip, batch, rtol=1e-9)


@pytest.mark.parametrize(
    ("left", "right", "gamma", "message"),
    [
        ((1, 1, -9), (1, 1, 9), AIR, "vacuum"),
        ((1, -1, 0), (1, 1, 0), AIR, "positive"),
        ((1, 1, 0), (1, 1, 0), 1.0, "gamma"),
    ],
)
def test_riemann_refuses(left, right, gamma, message):
    with pytest.raises(BenchError, match=message):
        riemann.star(np.array(left, dtype=float), np.array(right, dtype=float), gamma)


# The solver.


def test_sod_converges_to_the_exact_solution():
    errors = []
    for points in (50, 100, 200):
        exact = riemann.solution(LEFT[0], RIGHT[0], (centres(points).numpy() - 0.5) / 0.2, AIR)
        out = run(tube(0, points), 0.2, boundary="outgoing")[0]
        errors.append(float((out - torch.from_numpy(exact)).abs().mean()))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert errors[-1] < 4e-3 and (orders > 0.8).all() and (orders < 1.2).all()


@pytest.mark.parametrize(("row", "time", "bound"), [(1, 0.15, 0.02), (2, 0.012, 0.05), (3, 0.035, 0.05)])
def test_strong_tubes_stay_positive_and_near_the_exact_solution(row, time, bound):
    out = run(tube(row, 200), time, boundary="outgoing")[0]
    exact = riemann.solution(LEFT[row], RIGHT[row], (centres(200).numpy() - 0.5) / time, AIR)
    assert float(out[:, :2].min()) > FLOOR
    error = (out - torch.from_numpy(exact)).abs().mean(0) / np.abs(exact).max(0)
    assert float(error.max()) < bound


def test_an_advected_density_wave_is_second_order():
    errors = []
    for points in (32, 64, 128):
        x = centres(points)
        out = run(fields(1 + 0.3 * torch.sin(2 * math.pi * x), 1.0, 1.0), 0.5)[0]
        exact = 1 + 0.3 * torch.sin(2 * math.pi * (x - 0.5))
        errors.append(float((out[:, 0] - exact).abs().mean()))
        torch.testing.assert_close(out[:, 1:], torch.ones(points, 2, dtype=torch.float64), rtol=1e-11, atol=0)
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (orders > 1.7).all() and errors[-1] < 2e-3


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_periodic_domains_conserve(dims):
    state = conservative(bumps(16, dims), AIR)
    out, _ = advance(state, [0.1, 0.2], [1 / 16] * dims, AIR, eta=0.01, zeta=0.02)
    assert out.shape == (1, 2, *(16,) * dims, 2 + dims) and float((out[:, 1] - state).abs().max()) > 0.01
    total = state.flatten(1, -2).sum(1)
    for i in range(2):
        torch.testing.assert_close(out[:, i].flatten(1, -2).sum(1), total, rtol=1e-12, atol=0)


@pytest.mark.parametrize("boundary", ["periodic", "outgoing"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_uniform_flow_stays(dims, boundary):
    state = conservative(fields(1.3, 0.7, 0.5, -0.2, 0.1)[..., : 2 + dims].expand(1, *(8,) * dims, -1), AIR)
    out, _ = advance(state, [0.3], [0.125] * dims, AIR, 0.01, 0.01, boundary)
    assert torch.equal(out[:, 0], state)


def test_a_shear_wave_decays_at_its_rate():
    x = box(32, 2)[0][:, :8]
    wave = torch.sin(2 * math.pi * x)
    out = run(fields(2.0, 1.0, 0.0, 1e-3 * wave), 0.5, eta=0.08, spacing=[1 / 32, 1 / 32])[0]
    amplitude = 2 * float((out[..., 3] * wave).mean()) / 1e-3
    assert amplitude == pytest.approx(math.exp(-0.04 * (2 * math.pi) ** 2 * 0.5), rel=0.01)


def test_a_standing_sound_wave_decays_at_its_rate():
    eta, zeta, k, sound = 0.006, 0.012, 2 * math.pi, math.sqrt(AIR)
    rate = (4 / 3 * eta + zeta) * k**2 / 2
    time = 2 * math.pi / math.sqrt((sound * k) ** 2 - rate**2)
    wave = torch.sin(k * centres(64))
    # One whole period of the damped oscillation after a start at rest, save for a small term in the velocity.
    out = run(fields(1 + 1e-5 * wave, 1 + AIR * 1e-5 * wave, 0.0), time, eta=eta, zeta=zeta)[0]
    amplitude = 2 * float(((out[:, 0] - 1) * wave).mean()) / 1e-5
    assert amplitude == pytest.approx(math.exp(-rate * time), rel=0.01)


def test_viscous_stress_and_work_in_three_dimensions():
    """v = a sin(k x): what viscosity adds to the change of momentum and energy is known in closed form."""
    eta, zeta, step = 0.3, 0.2, 1e-6
    k, a = 2 * math.pi * torch.tensor([1.0, 1, -1], dtype=torch.float64), torch.tensor([0.5, -0.2, 0.3]).double()
    errors = []
    for points in (16, 32):
        angle = sum(k[i] * x for i, x in enumerate(box(points, 3)))
        state = conservative(fields(1.0, 1.0, *(part * torch.sin(angle) for part in a)), AIR)
        with_it, without = (
            advance(state, [step], [1 / points] * 3, AIR, *viscosity)[0][0, 0] for viscosity in [(eta, zeta), (0, 0)]
        )
        force = -(eta * (k @ k) * a + (zeta + eta / 3) * (k @ a) * k)
        work = eta * ((k @ k) * (a @ a) + (k @ a) ** 2) + (zeta - 2 / 3 * eta) * (k @ a) ** 2
        wanted = torch.stack([work * torch.cos(2 * angle), *(part * torch.sin(angle) for part in force)], dim=-1)
        added = (with_it - without)[..., 1:] / step
        errors.append(float((added - wanted).abs().max() / wanted.abs().max()))
    assert errors[0] < 0.1 and 3.5 < errors[0] / errors[1] < 4.5


def test_flow_along_one_axis_is_the_same_in_two_dimensions():
    line = bumps(32, 1)
    plane = fields(*(part[:, None].expand(32, 8) for part in line[0].unbind(-1)), 0.0)
    # The time step counts the waves along both axes, so it differs: both are made small.
    options = {"eta": 0.01, "zeta": 0.01, "courant": 0.05}
    thin, wide = run(line, 0.1, **options)[0], run(plane, 0.1, spacing=[1 / 32] * 2, **options)[0]
    torch.testing.assert_close(wide[..., :3], thin[:, None].expand(32, 8, 3), rtol=0, atol=1e-5)
    assert float(wide[..., 3].abs().max()) == 0 and float((wide - wide[:, :1]).abs().max()) == 0


@pytest.mark.parametrize("dims", [2, 3])
def test_swapping_axes_swaps_components(dims):
    values = bumps(12, dims)
    channels = [0, 1, 3, 2, 4][: 2 + dims]
    options = {"eta": 0.01, "zeta": 0.02}
    swapped = run(values.transpose(1, 2)[..., channels], 0.1, **options)
    torch.testing.assert_close(swapped.transpose(1, 2)[..., channels], run(values, 0.1, **options), rtol=1e-12, atol=0)


def test_a_sample_does_not_depend_on_its_batch():
    state = conservative(torch.cat([bumps(16, 2), tube(2, 16)[:, :, None, [0, 1, 2, 2]].expand(1, 16, 16, 4)]), AIR)
    before = state.clone()
    both, _ = advance(state, [0.01, 0.02], [1 / 16] * 2, AIR)
    assert torch.equal(state, before)
    for i in range(2):
        torch.testing.assert_close(both[i : i + 1], advance(state[i : i + 1], [0.01, 0.02], [1 / 16] * 2, AIR)[0])


def test_the_floor_is_counted():
    values = fields(1.0, 1.01 * FLOOR, 0.01 * torch.sin(2 * math.pi * centres(64)))  # expands, and so cools
    out, floored = advance(conservative(values, AIR), [0.5], [1 / 64], AIR)
    assert floored > 0 and float(primitive(out, AIR)[..., 1].min()) > 0.999 * FLOOR


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eta": -1.0}, "negative"),
        ({"zeta": math.nan}, "negative"),
        ({"gamma": 1.0}, "gamma"),
        ({"courant": 0.0}, "courant"),
        ({"courant": 1.0}, "courant"),
        ({"boundary": "wall"}, "'wall'"),
        ({"times": [0.2, 0.1]}, "increase"),
        ({"spacing": [0.1, 0.1]}, "shape"),
        ({"state": torch.ones(1, 3, 3)}, "too coarse"),
        ({"state": torch.zeros(1, 8, 3)}, "initial state"),
    ],
)
def test_the_solver_refuses(changes, message):
    arguments = {"state": conservative(bumps(16, 1), AIR), "times": [0.1], "spacing": [1 / 16]}
    with pytest.raises(BenchError, match=message):
        advance(**(arguments | changes))


def test_a_breakdown_names_its_time():
    state = conservative(bumps(16, 1), AIR)
    state[0, 3] *= 1e200
    with pytest.raises(BenchError, match="at t = 0"):
        advance(state, [0.1], [1 / 16], AIR)


# The trajectories.


@pytest.mark.parametrize(
    ("kind", "dims", "points"),
    [
        ("random", 1, 32),
        ("random", 2, 12),
        ("random", 3, 8),
        ("shock", 1, 32),
        ("turbulence", 2, 12),
        ("turbulence", 3, 8),
    ],
)
def test_trajectories(kind, dims, points):
    options = {"points": points, "frames": 3, "final_time": 0.1, "dims": dims, "mach": 0.5}
    made = generate(Flow(kind, **options), 2, 7)
    assert made.values.shape == (2, 3, *(points,) * dims, 2 + dims) and made.values.dtype == np.float64
    assert made.names == ("density", "pressure", "Vx", "Vy", "Vz")[: 2 + dims]
    assert made.attributes["floored"] == 0 and ("M" in made.attributes) == (dims > 1)
    lower, length = (-1, 2) if dims == 1 else (0, 1)
    assert len(made.axes) == dims and made.axes[-1][0] == pytest.approx(lower + length / points / 2)
    np.testing.assert_array_equal(made.t, [0, 0.05, 0.1])
    np.testing.assert_array_equal(made.values, generate(Flow(kind, **options), 2, 7).values)
    assert np.abs(made.values - generate(Flow(kind, **options), 2, 8).values).max() > 1e-3
    assert (made.values[..., :2] > 0).all() and np.abs(np.diff(made.values, axis=1)).max() > 1e-3
    if kind != "shock":
        content = made.values[..., 0].reshape(2, 3, -1).sum(-1)
        np.testing.assert_allclose(content, content[:, :1].repeat(3, 1), rtol=1e-12)


def test_random_lines_have_their_ranges():
    made = generate(Flow("random", points=256, frames=2, final_time=1e-6), 200, 0).values[:, 0]
    for channel, low in ((0, 1), (1, 10)):
        least, size = made[..., channel].min(1), np.ptp(made[..., channel], axis=1)
        assert least.min() > low and least.max() < 10.1 * low and size.min() > 0.99 * low and size.max() < 10 * low
        assert abs(np.log10(least / low).mean() - 0.5) < 0.1 and abs(np.log10(size / low).mean() - 0.5) < 0.1
    assert np.abs(made[..., 2]).max() < 2
    assert np.abs(np.fft.rfft(made[..., 2], axis=1)[:, 4:]).max() < 1e-3 * 256


@pytest.mark.parametrize(("kind", "dims"), [("random", 2), ("random", 3), ("turbulence", 2), ("turbulence", 3)])
def test_boxes_are_stirred_at_their_mach_number(kind, dims):
    made = generate(Flow(kind, points=16, frames=2, final_time=1e-9, dims=dims, mach=0.5), 4, 3).values[:, 0]
    made = made.reshape(4, -1, 2 + dims)
    sound = np.sqrt(GAMMA * made[..., 1].mean(1) / made[..., 0].mean(1))
    speed = np.sqrt((made[..., 2:] ** 2).sum(-1)).mean(1)
    np.testing.assert_allclose(speed / sound, 0.5, rtol=0.02)


@pytest.mark.parametrize("dims", [2, 3])
def test_turbulence_starts_without_divergence(dims):
    velocity = generate(Flow("turbulence", points=16, frames=2, final_time=1e-9, dims=dims), 2, 1).values[:, 0, ..., 2:]
    waves = np.fft.fftn(velocity, axes=range(1, dims + 1))
    numbers = np.stack(np.meshgrid(*[np.fft.fftfreq(16, 1 / 16)] * dims, indexing="ij"), axis=-1)
    divergence = (numbers * waves).sum(-1)
    assert np.abs(divergence).max() < 1e-12 * np.abs(waves).max() * 16


def test_tubes_follow_the_exact_solution():
    made = generate(Flow("shock", points=64, frames=2, final_time=0.05, refine=8), 8, 2)
    left, right = made.values[:, 0, 0], made.values[:, 0, -1]
    # Where the states met, from the total mass, which frame 0 holds exactly.
    share = (made.values[:, 0, :, 0] - right[:, :1]).mean(1) / (left - right)[:, 0]
    rays = (made.axes[0] - (2 * share[:, None] - 1)) / 0.05
    exact = riemann.solution(left, right, rays, GAMMA)
    error = np.abs(made.values[:, 1] - exact).mean((0, 1)) / np.abs(exact).mean((0, 1))
    assert error.max() < 0.03


def test_refining_draws_the_same_flow_and_converges():
    made = [
        generate(Flow("random", points=16, frames=2, final_time=0.05, eta=0.05, dims=2, refine=refine), 2, 5).values
        for refine in (1, 2, 4)
    ]
    start = [np.abs(each[:, 0] - made[2][:, 0]).mean() for each in made[:2]]
    end = [np.abs(each[:, 1] - made[2][:, 1]).mean() for each in made[:2]]
    assert start[0] > 3 * start[1] and end[0] > 3 * end[1] > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "wind"}, "'wind'"),
        ({"kind": "shock", "dims": 2}, "dimensions"),
        ({"dims": 4}, "dimensions"),
        ({"points": 7}, "points"),
        ({"refine": 0}, "refine"),
        ({"final_time": 0.0}, "final_time"),
        ({"boundary": "wall"}, "'wall'"),
        ({"eta": -1.0}, "negative"),
    ],
)
def test_trajectories_refuse(changes, message):
    with pytest.raises(BenchError, match=message):
        generate(Flow(**({"kind": "random"} | changes)), 1, 0)
