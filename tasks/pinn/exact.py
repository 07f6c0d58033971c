"""Solutions of the equation, exact or refined, on a grid of times and places. Only scorers call them.

Convection with diffusion: Fourier series. Burgers: Hopf 1950 and Cole 1951, in the frame that moves at `beta + shift`, by the
trapezoidal rule on log-weights, since the potential spans exp(1/nu). Reaction: in closed form. Reaction with diffusion: Fourier
in space and a fourth-order Runge-Kutta method with an integrating factor in time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.contract import BenchError
from tasks.pinn.equation import TURN, Equation

MODES = 256  # of the Fourier series
STEP = 2.5e-3  # of reaction with diffusion; halving it changes the solution by less than 1e-10 at nu = 3, rho = 5
ROUNDING = 1e-20  # a matrix of a smaller squared norm is 0
SPREADS, PER_SPREAD = (
    8,
    5,
)  # half width of the Cole-Hopf integral in spreads of the heat kernel beyond t, and its nodes in one


def solution(equation: Equation, times: Tensor, x: Tensor) -> Tensor:
    """u (m, n) at times (m,), in rising order, and places (n,), float64. BenchError for an equation that no task has."""
    if equation.advected:
        if equation.bump or equation.rho or not equation.nu:
            raise BenchError("Burgers' equation is solved here from shift + sin x, with diffusion and without reaction")
        drift = equation.beta + equation.shift
        return equation.shift + burgers(times, x[None] + equation.phase - drift * times[:, None], equation.nu)
    if not equation.rho:
        return convected(equation, times, x)
    if equation.beta:
        raise BenchError("reaction is solved here without convection; set beta to 0")
    return reacted_and_spread(equation, times, x) if equation.nu else reacted(equation, times, x)


def convected(equation: Equation, times: Tensor, x: Tensor) -> Tensor:
    """Convection at beta with diffusion nu of any initial state (m, n)."""
    if not equation.bump:
        decay = torch.exp(-equation.nu * times)[:, None]
        return equation.shift + decay * torch.sin(x[None] + equation.phase - equation.beta * times[:, None])
    k = torch.arange(MODES // 2, dtype=x.dtype)
    weights = _fourier(equation) * torch.exp(-(equation.nu * k.square() + 1j * equation.beta * k) * times[:, None])
    return _series(weights, x)


def burgers(times: Tensor, y: Tensor, nu: float) -> Tensor:
    """v (m, n) with v_t + v v_y = nu v_yy and v = sin y at first, at times (m,) and places y (m, n).

    v = <z> / t, where z has the density exp(-(1 - cos(y - z) + z^2 / (2 t)) / (2 nu)).
    """
    t = times[:, None, None]
    spread = torch.sqrt(2 * nu * t)
    nodes = 1 + 2 * math.ceil(PER_SPREAD * (SPREADS + math.sqrt(float(times.max()) / (2 * nu))))
    z = torch.linspace(-1, 1, nodes, dtype=y.dtype) * (t + SPREADS * spread)
    exponent = torch.cos(y[..., None] - z) - z.square() / (2 * t).clamp(min=1e-300)
    mean = (torch.softmax(exponent / (2 * nu), dim=-1) * z).sum(dim=-1) / times[:, None].clamp(min=1e-300)
    return torch.where(times[:, None] > 0, mean, torch.sin(y))


def reacted(equation: Equation, times: Tensor, x: Tensor) -> Tensor:
    """The logistic equation at every place (m, n)."""
    start, growth = equation.initial(x)[None], torch.exp(-equation.rho * times)[:, None]
    return start / (start + (1 - start) * growth)


def reacted_and_spread(equation: Equation, times: Tensor, x: Tensor) -> Tensor:
    """Reaction with diffusion (m, n)."""
    k = torch.arange(MODES // 2 + 1, dtype=x.dtype)
    grid = torch.arange(MODES, dtype=x.dtype) * (TURN / MODES)
    u, now, rows = torch.fft.rfft(equation.initial(grid)), 0.0, []

    def change(u: Tensor) -> Tensor:
        return torch.fft.rfft(equation.source(torch.fft.irfft(u, n=MODES)))

    for time in times.tolist():
        count = math.ceil((time - now) / STEP)
        h = (time - now) / max(1, count)
        half = torch.exp(-equation.nu * k.square() * h / 2)
        for _ in range(count):
            a = h * change(u)
            b = h * change(half * (u + a / 2))
            c = h * change(half * u + b / 2)
            d = h * change(half.square() * u + half * c)
            u = half.square() * (u + a / 6) + half * (b + c) / 3 + d / 6
        now = time
        rows.append(u[: MODES // 2] / MODES)
    return _series(torch.stack(rows), x)


def _fourier(equation: Equation) -> Tensor:
    """Fourier coefficients (MODES / 2,) of the initial state."""
    grid = torch.arange(MODES, dtype=torch.float64) * (TURN / MODES)
    return torch.fft.rfft(equation.initial(grid))[: MODES // 2] / MODES


def _series(weights: Tensor, x: Tensor) -> Tensor:
    """The real series of coefficients (m, modes) at x (n,)."""
    waves = torch.exp(1j * torch.arange(weights.shape[1], dtype=x.dtype)[:, None] * x)
    doubled = torch.full((weights.shape[1], 1), 2.0, dtype=x.dtype)
    doubled[0] = 1
    return (weights @ (doubled * waves)).real


def characteristics(equation: Equation, times: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement and state, each (m, n), that labels (n,) have at times (m,), in rising order from 0.

    Of Burgers' equation the characteristics are integrated by the classical Runge-Kutta method in the frame that moves at
    beta + shift; of the others they are straight.
    """
    if not equation.advected:
        d = equation.beta * times[:, None].expand(-1, len(labels))
        frame = Equation(
            nu=equation.nu, rho=equation.rho, shift=equation.shift, bump=equation.bump, phase=equation.phase
        )
        return d, solution(frame, times, labels)
    y = labels + equation.phase
    d, rows = torch.zeros_like(labels), [torch.zeros_like(labels)]

    def speed(time: Tensor, d: Tensor) -> Tensor:
        return burgers(time[None], (y + d)[None], equation.nu)[0]

    for time, after in zip(times, times[1:], strict=False):
        h = after - time
        a = speed(time, d)
        b = speed(time + h / 2, d + h / 2 * a)
        c = speed(time + h / 2, d + h / 2 * b)
        d = d + h / 6 * (a + 2 * b + 2 * c + speed(after, d + h * c))
        rows.append(d)
    moved = torch.stack(rows)
    state = equation.shift + burgers(times, y[None] + moved, equation.nu)
    return moved + (equation.beta + equation.shift) * times[:, None], state


def modes(snapshots: Tensor, tolerance: float = 1e-3) -> int:
    """The least rank of a matrix within `tolerance`, relative in Frobenius, of `snapshots` (m, n): an n-width as a count."""
    squares = torch.linalg.svdvals(snapshots).square()
    tails = squares.flip(0).cumsum(0).flip(0)  # tails[r]: what rank r leaves out
    return int((tails > max(tolerance**2 * float(squares.sum()), ROUNDING)).sum())
