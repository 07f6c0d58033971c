"""A small trained diffusion model of handwritten digits: made once for the seeds of a pool, kept in the cache, never charged.

A network of the noise (DDPM, Ho, Jain and Abbeel 2020, arXiv 2006.11239) is trained by the mean of |e(x_t, t) - z|^2 over digits
x_0 with pixel noise, times t and noise z, all drawn anew for every batch. The minimiser over all functions is the exact denoiser
of the digits with pixel noise, a mixture; a small network smooths between digits.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from bench.contract import BenchError, Diverged
from bench.seeds import Stream
from tasks.diffusion import process
from tasks.diffusion.sampling import FIRST, LAST

HIDDEN = 256  # units of each of the two hidden layers
FREQUENCIES = 8  # the network is told the sine and the cosine of so many multiples of log t
BATCH = 256
RATE = 2e-3  # of Adam; it falls to 0 along a cosine
FORM = 1  # raise it whenever the trained numbers change


class Network(nn.Module):
    """(points (n, d), time) -> E[z|x_t] (n, d), as s_t x, right for uncorrelated pixels of deviation 1, and a correction."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dimension + 2 * FREQUENCIES, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
            nn.Linear(HIDDEN, dimension),
        )  # fmt: skip

    def forward(self, x: Tensor, t: Tensor | float) -> Tensor:
        times = process.column(t, x)
        place = math.pi * torch.log(times / LAST) / math.log(FIRST / LAST)
        waves = place * torch.arange(1, FREQUENCIES + 1)
        told = torch.cat([x, waves.sin(), waves.cos()], dim=1)
        return process.deviation(times) * x + process.signal(times) * self.layers(told)

    @property
    def values(self) -> Tensor:
        """All parameters in one row."""
        return nn.utils.parameters_to_vector(self.parameters()).detach()


def network(values: Tensor, dimension: int) -> Network:
    """The network with these parameters, which no gradient changes. BenchError for another number of them."""
    made = Network(dimension)
    if values.shape != made.values.shape:
        raise BenchError(f"a denoiser of {len(made.values)} parameters was given {tuple(values.shape)}")
    nn.utils.vector_to_parameters(values.clone(), made.parameters())
    return made.requires_grad_(requires_grad=False)


def train(x: Tensor, deviation: float, updates: int, stream: Stream) -> Network:
    """The network after `updates` steps of Adam on x (samples, d) with pixel noise of `deviation`; Diverged if not finite."""
    d = x.shape[1]
    made = Network(d)
    with torch.no_grad():
        linear = [layer for layer in made.layers if isinstance(layer, nn.Linear)]
        for layer in linear:
            for part in (layer.weight, layer.bias):
                part.copy_((2 * stream.uniform(*part.shape) - 1) * layer.in_features**-0.5)
        linear[-1].weight.zero_()
    optimizer = torch.optim.Adam(made.parameters(), lr=RATE)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in range(updates):
        clean = x[stream.integers(len(x), BATCH)] + deviation * stream.normal(BATCH, d)
        noise, times = stream.normal(BATCH, d), LAST * (FIRST / LAST) ** stream.uniform(BATCH)
        loss = (made(process.diffuse(clean, times, noise), times) - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cosine.step()
    if not bool(made.values.isfinite().all()):
        raise Diverged("the denoiser's training ended in numbers that are not finite")
    return made.requires_grad_(requires_grad=False)


def cached(folder: Path, x: Tensor, deviation: float, updates: int, stream: Stream) -> Path:
    """The file (.npy) of the network's parameters, trained now if it is not there or not whole.

    Its name tells the digits, what was asked and the stream. Any number of processes may call: one trains, the others wait.
    BenchError for a folder that cannot be written.
    """
    asked = f"{FORM}/{deviation}/{updates}/{stream.key}".encode() + x.numpy().tobytes()
    path = folder / f"denoiser_{hashlib.blake2b(asked, digest_size=8).hexdigest()}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not whole(path, x.shape[1]):
                half = path.with_suffix(".half")
                with half.open("wb") as file:
                    np.save(file, train(x, deviation, updates, stream).values.numpy())
                half.replace(path)
    except OSError as error:
        raise BenchError(
            f"{folder}: cannot be written ({error.strerror}); free space or choose another folder"
        ) from error
    return path


def whole(path: Path, dimension: int) -> bool:
    """Whether the file holds as many finite numbers as the network has parameters."""
    try:
        values = np.load(path)
    except (FileNotFoundError, ValueError, EOFError):
        return False
    return values.shape == tuple(Network(dimension).values.shape) and bool(np.isfinite(values).all())
