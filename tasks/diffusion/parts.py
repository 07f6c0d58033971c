"""The slot of `diffusion/initial_noise`, as a typed stub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.contract import Slot

if TYPE_CHECKING:
    from torch import Generator


def policy(*, dimension: int, steps: int, generator: Generator) -> Any:
    """A search for good samples of `dimension` numbers by a sampler of `steps` steps; it draws from `generator` only.

    `update(sampler)` is one step of the search (see `tasks.diffusion.sampling.Sampler`). `start(e)` makes initial noise (n, d)
    of standard normal e (n, d). An optional `correct(x, step)` adds to the denoiser's noise, and then the
    stochastic sampler is used.
    """
    raise NotImplementedError


POLICY = Slot("policy", policy, {"_target_": "tasks.diffusion.plain.Plain"})
