"""Physics-informed networks: one small network for each trajectory, fitted to the equation instead of to data.

Raissi, Perdikaris and Karniadakis 2019 (J. Comput. Phys. 378), with the sizes that Takamoto et al. 2022 (PDEBench, arXiv
2210.07182) take. Three things differ from PDEBench's: no trajectory is fed to the network (PDEBench adds 30 % of the true one
to the loss on some equations), only the initial state; the residuals of a system are squared apart; and the signs of a
gas's pressure gradient and its viscosity are those of the equations. On a periodic domain the network sees the coordinate as
a point on a circle, so that it cannot be anything but periodic (Dong and Ni 2021, J. Comput. Phys. 435).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.contract import BenchError

EFFORT = 1.5  # updates for each value that is predicted of a trajectory
GAMMA = 5 / 3  # the ratio of specific heats of a monatomic gas


class Jet(NamedTuple):
    """A field at some points and its derivatives there, each (batch, points, channels)."""

    value: Tensor
    dx: Tensor
    dt: Tensor
    dxx: Tensor


Condition = Callable[[Jet, Mapping[str, Any]], Tensor]


@dataclass(frozen=True)
class Physics:
    """residual: of a jet inside the domain, (batch, points, equations), zero for a solution.

    left, right: the same of a jet at an end, for a domain that has ends; None where there is none. In a gas, equation i
    has the unit of channel i per unit of time; conditions have the unit of the field.
    """

    residual: Condition
    left: Condition | None = None
    right: Condition | None = None


def _advection(u: Jet, equation: Mapping[str, Any]) -> Tensor:
    return u.dt + equation["beta"] * u.dx


def _burgers(u: Jet, equation: Mapping[str, Any]) -> Tensor:
    return u.dt + u.value * u.dx - equation["nu"] / math.pi * u.dxx


def _reaction_diffusion(u: Jet, equation: Mapping[str, Any]) -> Tensor:
    return u.dt - equation["nu"] * u.dxx - equation["rho"] * u.value * (1 - u.value)


DIFFUSION = 5e-4  # m^2/s; the medium is that of PDEBench's diffusion and sorption
SORBED = (1 - 0.29) / 0.29 * 2880 * 3.5e-4  # solids per pores, times their density, times Freundlich's constant
FREUNDLICH = 0.874


def _sorption(u: Jet, equation: Mapping[str, Any]) -> Tensor:
    retardation = 1 + SORBED * FREUNDLICH * (u.value.clamp(min=0) + 1e-6) ** (FREUNDLICH - 1)
    return u.dt - DIFFUSION * u.dxx / retardation


def _saturated(u: Jet, equation: Mapping[str, Any]) -> Tensor:
    return u.value - 1


def _flushed(u: Jet, equation: Mapping[str, Any]) -> Tensor:
    return u.value + DIFFUSION * u.dx


def _gas(u: Jet, equation: Mapping[str, Any]) -> Tensor:
    """Mass, pressure and velocity, in the order of the channels: density, pressure, velocity."""
    (density, pressure, v), (density_x, pressure_x, v_x), (density_t, pressure_t, v_t) = (
        part.split(1, dim=-1) for part in (u.value, u.dx, u.dt)
    )
    viscosity = 4 / 3 * equation["eta"] + equation["zeta"]  # of a compression along a line
    mass = density_t + v * density_x + density * v_x
    heat = pressure_t + v * pressure_x + GAMMA * pressure * v_x - (GAMMA - 1) * viscosity * v_x.square()
    momentum = v_t + v * v_x + (pressure_x - viscosity * u.dxx[..., 2:]) / density.clamp(min=1e-3)
    return torch.cat([mass, heat, momentum], dim=-1)


def _outgoing(u: Jet, equation: Mapping[str, Any]) -> Tensor:
    return u.dx


PHYSICS: Mapping[str, Physics] = {
    "advection": Physics(_advection),
    "burgers": Physics(_burgers),
    "reaction_diffusion": Physics(_reaction_diffusion),
    "diffusion_sorption": Physics(_sorption, _saturated, _flushed),
    "compressible": Physics(_gas),
    "compressible, outgoing": Physics(_gas, _outgoing, _outgoing),
}


def physics(equation: Mapping[str, Any]) -> Physics:
    """The conditions that a solution of `equation` meets. BenchError for an equation that is not among PHYSICS."""
    name = str(equation["name"])
    if name == "compressible" and equation["boundary"] == "outgoing":
        name += ", outgoing"
    if name not in PHYSICS:
        known = ", ".join(name for name in PHYSICS if "," not in name)
        raise BenchError(f"the physics-informed network knows {known}, each in one dimension, not {name!r}")
    return PHYSICS[name]


class _TanhJet(torch.autograd.Function):
    """tanh(z + bias) of jets z (count, 4, points, width): by hand, as what autograd keeps of it costs twice the time."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, bias: Tensor) -> Tensor:
        y = torch.tanh(z[:, 0] + bias)
        slope = 1 - y * y
        out = torch.empty_like(z)
        out[:, 0] = y
        torch.mul(z[:, 1:], slope[:, None], out=out[:, 1:])
        out[:, 3] -= 2 * y * out[:, 1] * z[:, 1]
        ctx.save_for_backward(z, y, slope)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (g,), (z, y, slope) = gradients, ctx.saved_tensors
        bend = -2 * y * slope  # the second derivative of tanh; the third is -2 slope (1 - 3 y^2)
        back = g * slope[:, None]
        square = g[:, 3] * z[:, 1]
        back[:, 0] += bend * (g[:, 1:] * z[:, 1:]).sum(dim=1) - 2 * slope * (1 - 3 * y * y) * square * z[:, 1]
        back[:, 1] += 2 * bend * square
        return back, back[:, 0].sum(dim=1, keepdim=True)


class Networks(nn.Module):
    """`count` networks at once: (x, t) -> channels. tanh, `layers` hidden layers of `width`, Glorot's initialisation.

    The time enters in units of `final`; a coordinate as sine and cosine of its period, or from -1 to 1. start, length: of the
    domain. mean, scale: (count, 1, channels), what an output of 0 and of 1 stand for.
    """

    def __init__(
        self, mean: Tensor, scale: Tensor, domain: tuple[float, float, float], periodic: bool, width: int, layers: int
    ) -> None:  # fmt: skip
        super().__init__()
        self.mean, self.scale = mean, scale
        self.start, self.length, self.final = domain
        self.periodic = periodic
        count, _, channels = mean.shape
        sizes = [3 if periodic else 2, *[width] * layers, channels]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in zip(sizes, sizes[1:], strict=False):
            spread = math.sqrt(2 / (inputs + outputs))
            self.weights.append(spread * torch.randn(count, inputs, outputs))
            self.biases.append(torch.zeros(count, 1, outputs))

    def features(self, x: Tensor, t: Tensor) -> Tensor:
        """The inputs' jets (count, 4, points, features) at x, t (count, points)."""
        zero, time = torch.zeros_like(x), t / self.final
        late = [time, zero, torch.full_like(x, 1 / self.final), zero]
        if self.periodic:
            k = 2 * math.pi / self.length
            sine, cosine = torch.sin(k * (x - self.start)), torch.cos(k * (x - self.start))
            parts = [[sine, k * cosine, zero, -k * k * sine], [cosine, -k * sine, zero, -k * k * cosine], late]
        else:
            along = 2 * (x - self.start) / self.length - 1
            parts = [[along, torch.full_like(x, 2 / self.length), zero, zero], late]
        return torch.stack([torch.stack(part, dim=1) for part in parts], dim=-1)

    def jet(self, x: Tensor, t: Tensor) -> Jet:
        """The fields and their derivatives at x, t (count, points): Taylor series carried through all layers at once."""
        h = self.features(x, t)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = _TanhJet.apply(_linear(h, weight), bias)
        value, *slopes = _linear(h, self.weights[-1]).unbind(1)
        return Jet(self.mean + self.scale * (value + self.biases[-1]), *(self.scale * slope for slope in slopes))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """The fields (count, points, channels) at x, t (count, points)."""
        h = self.features(x, t)[:, 0]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = torch.tanh(torch.baddbmm(bias, h, weight))
        return self.mean + self.scale * torch.baddbmm(self.biases[-1], h, self.weights[-1])


def _linear(jets: Tensor, weight: Tensor) -> Tensor:
    """(count, 4, points, in) by (count, in, out): (count, 4, points, out)."""
    return torch.bmm(jets.flatten(1, 2), weight).unflatten(1, jets.shape[1:3])


def loss(
    networks: Networks, initial: Tensor, x: Tensor, t: Tensor, equation: Mapping[str, Any], sum_residuals: bool
) -> Tensor:
    """The sum over networks of the mean squares of the residual at x, t (count, points) and of the conditions.

    initial: (count, n, channels) on the cell centres. All are measured in the scales of the fields, and a residual in units
    of the final time. sum_residuals: a system's residuals are added up before they are squared, so that they may cancel.
    """
    held, final, scale = physics(equation), networks.final, networks.scale
    n = initial.shape[1]
    centres = networks.start + networks.length * (torch.arange(n) + 0.5) / n
    start = networks(centres.expand(len(initial), n), torch.zeros(len(initial), n)) - initial
    residual = final * held.residual(networks.jet(x, t), equation) / scale
    if sum_residuals:
        residual = residual.sum(dim=-1, keepdim=True)
    total = (start / scale).square().sum(dim=-1).mean(dim=1) + residual.square().sum(dim=-1).mean(dim=1)
    for condition, place in ((held.left, 0.0), (held.right, 1.0)):
        if condition is not None:
            edge = torch.full_like(t, networks.start + place * networks.length)
            total = total + (condition(networks.jet(edge, t), equation) / scale).square().sum(dim=-1).mean(dim=1)
    return total.sum()


def solve(
    initial: Tensor,
    axes: Sequence[Tensor],
    t: Tensor,
    equation: Mapping[str, Any],
    steps: int | None = None,
    width: int = 40,
    layers: int = 6,
    lr: float = 5e-3,
    points: int = 64,
    sum_residuals: bool = False,
) -> Tensor:
    """States (batch, n, times, channels) at times t after `initial` (batch, n, channels), one network a trajectory.

    `steps` updates by Adam, each at `points` new random points; the rate falls from `lr` to 0 along half a cosine. Unless
    given, there are EFFORT steps for each of a trajectory's n len(t) values. PDEBench takes 15,000 at a constant 1e-3, on
    1000 points that stay the same, which would take hours of one core for 32 trajectories instead of a minute.
    Weights and points are drawn from torch's own stream, which the task seeds. BenchError for an equation it does not know.
    """
    held = physics(equation)
    updates = steps if steps is not None else round(EFFORT * initial.shape[1] * len(t))
    start = initial.float()
    mean, scale = start.mean(dim=1, keepdim=True), start.std(dim=1, keepdim=True)
    scale = torch.where(scale > 1e-6, scale, 1.0)  # a constant state has no scale of its own
    cell = float(axes[0][1] - axes[0][0])
    domain = (float(axes[0][0]) - cell / 2, cell * len(axes[0]), float(t[-1]))
    with torch.enable_grad():  # predictions are served without gradients, yet these have to be fitted
        networks = Networks(mean, scale, domain, held.left is None, width, layers)
        optimizer = torch.optim.Adam(networks.parameters(), lr=lr, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
        for _ in range(updates):
            x = domain[0] + domain[1] * torch.rand(len(start), points)
            time = domain[2] * torch.rand(len(start), points)
            optimizer.zero_grad()
            loss(networks, start, x, time, equation, sum_residuals).backward()
            optimizer.step()
            schedule.step()
    x, time = torch.meshgrid(axes[0].float(), t.float(), indexing="ij")
    with torch.no_grad():
        states = networks(x.flatten().expand(len(start), -1), time.flatten().expand(len(start), -1))
    return states.detach().unflatten(1, x.shape)
