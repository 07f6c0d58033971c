"""Fillers of the slot `inversion`, from a late state to the initial one: a floor that ignores it, and the classical estimate.

States are (batch, x, channels), with one channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad

Forward = Callable[[Tensor], Tensor]
ROUNDING = 1e-7  # of the observed RMS: what is observed without noise is still stored in float32
SETTLED = 1e-6  # relative change below which steps end
PRESENT = 1e-10  # share of the strongest wave's power from which on a wave number counts as present


def mean(observed: Tensor, forward: Forward, states: Tensor, noise: float) -> Tensor:
    """The mean of the training states, whatever is observed."""
    return states.mean(dim=(0, 1)).expand_as(observed)


def filtered(observed: Tensor, forward: Forward, states: Tensor, noise: float, iterations: int = 15) -> Tensor:
    """The most likely initial state when the noise is white and the states are Gaussian waves.

    Minimises |observed - forward(u)|^2 + s^2 sum_k |u_k|^2 / P_k: s is the noise, P_k the power of wave number k in the
    training states, whose phases are taken as random. A linear model is inverted by the first step, which is Wiener's filter
    (1949): wave k is amplified by F_k* P_k / (|F_k|^2 P_k + s^2), F_k the factor by which it had changed. Another model takes
    up to `iterations` Gauss-Newton steps, damped as by Levenberg (1944) and Marquardt (1963) where the sum would rise.
    """
    waves = basis(states[..., 0].double())
    target = observed[..., 0].double()
    variance = (max(noise, ROUNDING) ** 2 * target.square().mean(dim=1)).clamp(min=1e-30)

    def late(z: Tensor) -> Tensor:
        return forward((z @ waves.T).unsqueeze(-1))[..., 0].double()

    def cost(z: Tensor, reached: Tensor) -> Tensor:
        return (target - reached).square().sum(dim=1) + variance * z.square().sum(dim=1)

    z = torch.zeros(len(target), waves.shape[1], dtype=torch.float64)
    damping = torch.zeros(len(target), dtype=torch.float64)
    eye = torch.eye(waves.shape[1], dtype=torch.float64)
    value = cost(z, late(z))
    for _ in range(iterations):
        reached, slopes = linearised(late, z)
        normal = slopes.mT @ slopes
        right = (slopes.mT @ (target - reached)[..., None])[..., 0] - variance[:, None] * z
        step = torch.linalg.solve(normal + (variance + damping)[:, None, None] * eye, right)
        tried = cost(z + step, late(z + step))
        better, settled = tried < value, (tried - value).abs() < SETTLED * value
        z, value = torch.where(better[:, None], z + step, z), torch.where(better, tried, value)
        least = 1e-3 * normal.diagonal(dim1=1, dim2=2).amax(dim=1)
        damping = torch.where(better, damping / 10, (10 * damping).clamp(min=least))
        if bool(settled.all()):
            break
    return (z @ waves.T).unsqueeze(-1)


def basis(states: Tensor) -> Tensor:
    """(x, 2 K): sine and cosine of the wave numbers present in `states` (samples, x), each as large as it is in them."""
    n = states.shape[1]
    power = (torch.fft.rfft(states).abs() / n).square().mean(dim=0)[: (n + 1) // 2]
    power[1:] *= 2  # of sine and cosine each, which have the mean square 1/2
    present = torch.nonzero(power > PRESENT * power.max())[:, 0]
    angles = 2 * math.pi * present * torch.arange(n, dtype=states.dtype)[:, None] / n
    sizes = power[present].sqrt()
    turning = present > 0  # the mean has no sine
    return torch.cat([sizes * torch.cos(angles), (sizes * torch.sin(angles))[:, turning]], dim=1)


def linearised(function: Forward, z: Tensor) -> tuple[Tensor, Tensor]:
    """function(z) (batch, n) and its slopes (batch, n, unknowns) for z (batch, unknowns), in one pass of all directions."""
    batch, unknowns = z.shape
    repeated = z.repeat_interleave(unknowns, dim=0)
    directions = torch.eye(unknowns, dtype=z.dtype).repeat(batch, 1)
    with forward_ad.dual_level():
        value, slope = forward_ad.unpack_dual(function(forward_ad.make_dual(repeated, directions)))
    if slope is None:
        slope = torch.zeros_like(value)
    return value.unflatten(0, (batch, unknowns))[:, 0], slope.unflatten(0, (batch, unknowns)).mT
