"""The reference of `pinn/sine_pipe`: Fourier modes along the pipe, even or odd polynomials across it, Gauss-Newton steps.

u and v are (1 - s^2) times a sum of modes in x and Chebyshev polynomials in s = y / R(x), so the walls are exact. u and p are
even in s, v is odd. The residuals at more points than there are coefficients are made small in the sense of least squares.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from bench.contract import BenchError
from tasks.pinn.flow import Jets
from tasks.pinn.pipe import Pipe

DTYPE = torch.float64
STEPS, ENOUGH = 30, 1e-11  # Gauss-Newton steps at most; the relative change of coefficients that ends them


class PipeFlow:
    """The flow through a pipe; its call (x, y), each (n,), gives u, v, p (n, 3). BenchError if no flow is reached."""

    def __init__(self, pipe: Pipe, modes: int = 14, degree: int = 8) -> None:
        self.pipe, self.modes, self.degree = pipe, modes, degree
        x = torch.arange(4 * modes, dtype=DTYPE) * (math.tau / (4 * modes))
        s = torch.cos(math.pi * (torch.arange(2 * degree, dtype=DTYPE) + 0.5) / (4 * degree))  # the upper half
        grid_x, grid_s = (part.flatten() for part in torch.meshgrid(x, s, indexing="ij"))
        parts = [self.basis(grid_x, grid_s, field) for field in range(3)]
        sizes = [part.value.shape[1] for part in parts]
        coefficients = torch.zeros(sum(sizes), dtype=DTYPE)
        for _ in range(STEPS):
            step = self.step(parts, coefficients.split(sizes))
            coefficients = coefficients + step
            if not bool(coefficients.isfinite().all()):
                break
            if float(step.norm()) <= ENOUGH * float(coefficients.norm()):
                self.coefficients = coefficients.split(sizes)
                return
        raise BenchError(
            f"task.reynolds={pipe.reynolds}, task.amplitude={pipe.amplitude}: no steady flow was reached; lower one of them"
        )

    def step(self, parts: list[Jets], coefficients: tuple[Tensor, ...]) -> Tensor:
        """The Gauss-Newton step of all coefficients."""
        (u, v, _), nu = parts, 1 / self.pipe.reynolds
        fields = [Jets(*(matrix @ c for matrix in part)) for part, c in zip(parts, coefficients, strict=True)]
        flow = Jets(*(torch.stack(columns, dim=-1) for columns in zip(*fields, strict=True)))
        (U, V), p = (field for field in fields[:2]), parts[2]

        def carried(part: Jets) -> Tensor:
            return U.value[:, None] * part.dx + V.value[:, None] * part.dy - nu * (part.dxx + part.dyy)

        along = [carried(u) + U.dx[:, None] * u.value, U.dy[:, None] * v.value, p.dx]
        across = [V.dx[:, None] * u.value, carried(v) + V.dy[:, None] * v.value, p.dy]
        mass = [u.dx, v.dy, torch.zeros_like(p.value)]
        jacobian = torch.cat([torch.cat(rows, dim=1) for rows in (along, across, mass)])
        residual = torch.cat(self.pipe.residual(flow))
        q, r = torch.linalg.qr(
            jacobian
        )  # the least-squares driver's last bits depend on where in memory its matrix lies
        return torch.linalg.solve_triangular(r, -(q.T @ residual)[:, None], upper=True)[:, 0]

    def basis(self, x: Tensor, s: Tensor, field: int) -> Jets:
        """Values and derivatives (n, functions) of the functions of u, v or p at x, s (n,), in x and y."""
        k = torch.arange(self.modes + 1, dtype=DTYPE)
        angle = x[:, None] * k
        waves = [torch.cat(pair, dim=1) for pair in (
            (angle.cos(), angle[:, 1:].sin()), (-k * angle.sin(), k[1:] * angle[:, 1:].cos()),
            (-(k**2) * angle.cos(), -(k[1:] ** 2) * angle[:, 1:].sin()),
        )]  # fmt: skip
        shapes = across(s, self.degree, odd=field == 1, walls=field < 2)

        def product(i: int, j: int) -> Tensor:
            return (waves[i][:, :, None] * shapes[j][:, None, :]).flatten(1)

        R, R_x, R_xx = (part[:, None] for part in self.pipe.half_width(x))
        s_x, s_xx = -s[:, None] * R_x / R, -s[:, None] * (R_xx / R - 2 * (R_x / R) ** 2)
        value, by_s, by_ss = product(0, 0), product(0, 1), product(0, 2)
        dx = product(1, 0) + s_x * by_s
        dxx = product(2, 0) + 2 * s_x * product(1, 1) + s_x**2 * by_ss + s_xx * by_s
        jets = Jets(value, dx, by_s / R, dxx, by_ss / R**2)
        return jets if field < 2 else Jets(*(part[:, 1:] for part in jets))  # the pressure's constant is left out

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        s = y / self.pipe.half_width(x)[0]
        return torch.stack([self.basis(x, s, i).value @ c for i, c in enumerate(self.coefficients)], dim=-1)


def across(s: Tensor, degree: int, odd: bool, walls: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Chebyshev polynomials of even or odd degree at s (n,) and their two derivatives, each (n, degree); walls: times 1 - s^2."""
    T = [torch.ones_like(s), s]
    D = [torch.zeros_like(s), torch.ones_like(s)]
    DD = [torch.zeros_like(s), torch.zeros_like(s)]
    for _ in range(2 * degree):
        T, D, DD = (
            [*T, 2 * s * T[-1] - T[-2]],
            [*D, 2 * T[-1] + 2 * s * D[-1] - D[-2]],
            [*DD, 4 * D[-1] + 2 * s * DD[-1] - DD[-2]],
        )
    t, d, dd = (torch.stack(rows[int(odd) : 2 * degree : 2], dim=-1) for rows in (T, D, DD))
    if not walls:
        return t, d, dd
    s = s[:, None]
    gate = 1 - s * s
    return gate * t, gate * d - 2 * s * t, gate * dd - 4 * s * d - 2 * t


@cache
def solved(pipe: Pipe, modes: int = 14, degree: int = 8) -> PipeFlow:
    """The flow of a pipe, computed once."""
    return PipeFlow(pipe, modes, degree)
