"""Sequence to sequence (Krishnapriyan et al. 2021, arXiv 2109.01050): one network for each of a row of windows in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from baselines.pinn.arguments import checked


class Windows(nn.Module):
    """`windows` networks of equal shares of the budget, each starting where the one before has ended, with its weights.

    Every window has all collocation points, their times shrunk into it; its network sees its own time from 0 to the final time.
    """

    def __init__(
        self, *, equation: Any, field: Callable[..., Any], points: Any, windows: int = 10, initial_weight: float = 100.0
    ) -> None:
        checked("Windows", initial_weight=initial_weight)
        checked("Windows", least=1, windows=windows)
        super().__init__()
        self.equation, self.points, self.windows, self.initial_weight = equation, points, windows, initial_weight
        self.nets = nn.ModuleList(field() for _ in range(windows))
        self.latest = 0
        self.start = equation.initial(points.start)

    def stages(self) -> Iterator[float]:
        """Shares of the budget, each yielded once its window alone may be trained."""
        place, end = self.points.start, torch.full_like(self.points.start, self.equation.final)
        for number, net in enumerate(self.nets):
            if number:
                before: Any = self.nets[number - 1]
                with torch.no_grad():
                    self.start = self.equation.mean + before(place, end)
                net.load_state_dict(before.state_dict())
            self.latest = number
            for other in self.nets:
                other.requires_grad_(other is net)
            yield 1 / self.windows

    def loss(self) -> Tensor:
        """Of the window that is trained."""
        net: Any = self.nets[self.latest]
        points = self.points
        n = net.jet(points.x, points.t)
        u = n._replace(value=self.equation.mean + n.value, dt=self.windows * n.dt)
        misfit = self.equation.mean + net(points.start, torch.zeros_like(points.start)) - self.start
        total: Tensor = self.equation.residual(u).square().mean() + self.initial_weight * misfit.square().mean()
        return total

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """The window of each time answers; times beyond the windows trained so far are answered by the last of these."""
        scaled = t / self.equation.final * self.windows
        number = scaled.long().clamp(max=self.latest)
        local = (scaled - number) * self.equation.final
        out = torch.empty_like(x)
        for index in number.unique().tolist():
            mine = number == index
            out[mine] = self.equation.mean + self.nets[index](x[mine], local[mine])
        return out
