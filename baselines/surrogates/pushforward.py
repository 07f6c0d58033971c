"""Training on states that the surrogate has made itself."""

from __future__ import annotations


def pushforward(unroll: int, frames: int, free: int = 1) -> tuple[int, int]:
    """`free` frames through which no gradient flows, then the loss: the surrogate learns to come back from its own errors.

    Brandstetter, Worrall and Welling 2022 (arXiv 2202.03376), the pushforward trick. A rollout of fewer frames takes fewer.
    """
    free = min(free, frames - 1)
    return free, min(unroll, frames - free)


def autoregressive(unroll: int, frames: int, seen: int = 4) -> tuple[int, int]:
    """The loss sees `seen` frames of a rollout at least, with gradients through all of them."""
    return 0, min(max(unroll, seen), frames)
