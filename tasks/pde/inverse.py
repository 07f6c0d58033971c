"""What the inverse problem is made of: the true dynamics, a learned model of them, and the search through either.

Fields are (batch, x, channels) here: one frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bench.contract import BenchError, Log, Solution
from bench.seeds import EntrySeeds
from tasks.pde import fields, rollout
from tasks.pde.generate import burgers

if TYPE_CHECKING:
    from tasks.pde.inverse_1d import Params

Array = NDArray[np.float64]
LARGEST = 10.0  # beyond this the state found is cut before its future is computed; true ones stay below 2


def evolved(waves: fields.Waves, points: int, t: Array, equation: str, nu: float = 0, beta: float = 0) -> Array:
    """States (samples, times, points) at times t, from 0 on, of u_t + beta u_x = 0 ("advection"), of u_t = (nu/pi) u_xx
    ("heat") or of u_t + u u_x = (nu/pi) u_xx ("burgers"), from `waves` at t = 0."""
    if equation == "burgers":
        return burgers.solve(waves, points, t, nu)
    x = fields.grid(points)
    if equation == "advection":
        return fields.advection(waves, x, t, beta)
    rates = nu / math.pi * (2 * math.pi * waves.numbers) ** 2
    decayed = (fields.Waves(waves.amplitudes * np.exp(-rates * time), waves.numbers, waves.phases) for time in t)
    return np.stack([wave(x) for wave in decayed], axis=1)


def reached(initial: Tensor, time: float, equation: str, **parameter: float) -> Tensor:
    """The true state (batch, x) at `time` after any `initial` (batch, x): of the waves that it consists of.

    Values beyond LARGEST are cut to it and those that are no numbers count as 0: the future of a state that a search has
    blown up is of no interest and takes forever.
    """
    u = torch.nan_to_num(initial.double()).clamp(-LARGEST, LARGEST).numpy()
    n = u.shape[1]
    numbers = np.arange((n + 1) // 2)
    # A wave a sin(2 pi k x + p) on cell centres has the transform -i n/2 a exp(i p + i pi k / n).
    spectrum = 2j / n * np.fft.rfft(u)[:, : len(numbers)] * np.exp(-1j * math.pi * numbers / n)
    spectrum[:, 0] /= 2
    waves = fields.Waves(np.abs(spectrum), np.broadcast_to(numbers, spectrum.shape).astype(float), np.angle(spectrum))
    states = evolved(waves, n, np.array([0.0, time]), equation, **parameter)
    return torch.from_numpy(states[:, -1])


def run(params: Params, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
    """Take the entry's solver as the model of the dynamics, or train its surrogate to be one; invert either."""
    states, noise = public["train"][..., 0, :], float(public["noise"])

    def inverter(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def predict(observed: Tensor) -> Tensor:
            estimate: Tensor = parts["inversion"](observed=observed, forward=forward, states=states, noise=noise)
            return estimate.detach().float()

        return predict

    if parts["solver"] is not None:
        log.count(parameters=0)
        return Solution(inverter(solved(parts["solver"], public)))
    axes, values = public["axes"], public["train"]
    torch.manual_seed(seeds("init"))
    channels = values.shape[-1]
    model = parts["surrogate"](
        channels_in=channels + len(axes), channels_out=channels, grid=(len(axes[0]),), periodic=bool(public["periodic"])
    )
    frame = rollout.Frame.of(axes, values, parts["output_form"](model=model))

    def loss(batch: Tensor) -> Any:
        pred = frame.advance(model, batch[..., :1, :])
        return parts["loss"](pred=pred, target=batch[..., 1:, :], epsilon=public["rest"])

    def late(initial: Tensor) -> Tensor:
        return frame.advance(model, initial.float().unsqueeze(-2)).squeeze(-2)

    batches = rollout.windows(values, 1, 1, params.batch, torch.Generator().manual_seed(seeds("order")))
    return rollout.fit(model, loss, inverter(late), batches, params, parts, log)


def solved(solver: Callable[..., Tensor], public: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """The late states (batch, x, channels) of initial ones, by a solver."""
    axes, time, equation = public["axes"], public["t"][-1:].double(), public["equation"]

    def forward(initial: Tensor) -> Tensor:
        return solver(initial=initial, axes=axes, t=time, equation=dict(equation)).squeeze(-2)

    return forward


def search(
    observed: Tensor,
    forward: Callable[[Tensor], Tensor],
    states: Tensor,
    noise: float,
    lr: float = 0.2,
    iterations: int = 100,
    latent: int = 64,
) -> Tensor:
    """Adam on the values of the initial state at `latent` points, or at all if there are fewer; linear between them.

    PDEBench's search (rate 0.2, 100 iterations, 64 points), but from the observed state on, in units of its RMS, and with a
    rate that falls to 0 along half a cosine. BenchError unless the grid is a multiple of `latent` and `forward` can be
    differentiated.
    """
    n = observed.shape[1]
    points = min(latent, n)
    if n % points:
        raise BenchError(f"a grid of {n} points is no multiple of latent={latent}")
    scale = observed.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-12)

    def spread(values: Tensor) -> Tensor:
        around = functional.pad((scale * values).movedim(1, -1), (1, 1), mode="circular")
        every = n // points
        fine = functional.interpolate(around, scale_factor=float(every), mode="linear")
        return fine[..., every:-every].movedim(-1, 1)

    start = observed.unflatten(1, (points, n // points)).mean(dim=2) / scale
    with torch.enable_grad():
        values = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([values], lr=lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
        for _ in range(iterations):
            misfit = ((forward(spread(values)) - observed) / scale).square().mean(dim=(1, 2)).sum()
            if not misfit.requires_grad:
                raise BenchError("a search needs a model that torch can differentiate; this one gives plain numbers")
            (values.grad,) = torch.autograd.grad(misfit, [values])
            optimizer.step()
            schedule.step()
    return spread(values.detach())
