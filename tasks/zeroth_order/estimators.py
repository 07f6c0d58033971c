"""The reference part: differences of function values along random directions, and the floor made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.zeroth_order.oracles import Oracle


def random_directions(
    law: str, count: int, dimension: int, generator: Generator, dtype: torch.dtype
) -> Tensor:  # fmt: skip
    """Independent directions (count, dimension) with covariance I: standard normal, or signs. BenchError for another law."""
    if law == "gaussian":
        return torch.randn(count, dimension, generator=generator, dtype=dtype)
    if law == "rademacher":
        return torch.randint(2, (count, dimension), generator=generator).to(dtype).mul_(2).sub_(1)
    raise BenchError(f"law={law}: directions are gaussian or rademacher")


class Differences:
    """(1/k) sum_i slope_i u_i, slope_i = (f(x + s u_i) - f(x - s u_i)) / 2s, or one-sided (f(x + s u_i) - f(x)) / s.

    s: `smoothing`. All k directions go into one product of matrices. Both kinds have the same mean for a symmetric law, the
    gradient of f smoothed over s u, and one-sided differences the larger variance. Spall 1992 (signs, SPSA); Nesterov and
    Spokoiny 2017 (normal).
    """

    def __init__(
        self, *, dimension: int, evaluations: int, generator: Generator, smoothing: float = 1e-3,
        law: Literal["gaussian", "rademacher"] = "gaussian", one_sided: bool = False,
    ) -> None:  # fmt: skip
        self.directions = evaluations - 1 if one_sided else evaluations // 2
        if self.directions < 1:
            raise BenchError(f"{evaluations} evaluations give no direction; a difference needs 2")
        if not smoothing > 0:
            raise BenchError(f"estimator.smoothing={smoothing}: a difference needs a step above 0")
        self.dimension, self.generator = dimension, generator
        self.smoothing, self.law, self.one_sided = smoothing, law, one_sided

    @property
    def second_moment(self) -> float:
        """1 plus the relative variance: (d + 1)/k for normal directions, (d - 1)/k for signs."""
        return 1 + (self.dimension + (1 if self.law == "gaussian" else -1)) / self.directions

    def slopes(self, f: Oracle, x: Tensor) -> tuple[Tensor, Tensor]:
        """Differences (k,) and their directions (k, d)."""
        u = random_directions(self.law, self.directions, self.dimension, self.generator, x.dtype)
        moved = self.smoothing * u
        if self.one_sided:
            values = f(torch.cat([x[None], x + moved]))
            return (values[1:] - values[0]) / self.smoothing, u
        values = f(torch.cat([x + moved, x - moved]))
        return (values[: self.directions] - values[self.directions :]) / (2 * self.smoothing), u

    def __call__(self, f: Oracle, x: Tensor) -> Tensor:
        slopes, u = self.slopes(f, x)
        return slopes @ u / self.directions
