"""Parts that train nothing: the floor, and finite differences on the points of the task."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

TOLERANCE = 1e-7  # of the integration in time, far below the error of the differences in space


class _Untrained:
    loss = None

    def __init__(self, *, system: Any) -> None:
        self.edges = torch.zeros(0, dtype=torch.float64)
        self.system = system


class Hold(_Untrained):
    """The floor: the initial field for all time; 0 where there is no time."""

    def field(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(C, T, X) on the tensor grid of t (T,) and x (X,)."""
        held = self.system.equation.initial(parameters, x.expand(len(parameters), -1))
        return held[:, None].expand(-1, len(t), -1).contiguous()


class FiniteDifferences(_Untrained):
    """Central differences of second order on the task's columns, integrated in time by BDF; cubic splines between points.

    A steady equation is one linear system.
    """

    def field(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(C, T, X) on the tensor grid of t (T,) and x (X,)."""
        return torch.stack([self._solved(one, t, x) for one in parameters[:, None]])

    def _solved(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        from scipy.integrate import solve_ivp

        equation, columns = self.system.equation, self.system.columns
        if equation.steady:
            return self._spline(columns, self._steady(parameters)[None], x).expand(len(t), -1)
        start = self._closed(equation.initial(parameters, columns[None])[0].numpy(), parameters)
        free = slice(None) if equation.periodic else slice(1, -1)

        def speed(_: float, inner: np.ndarray) -> np.ndarray:
            u = start.copy()
            u[free] = inner
            return -self._residual(self._closed(u, parameters), parameters).numpy()[free]

        times, place = np.unique(t.clamp(min=0).numpy(), return_inverse=True)
        span = (0.0, max(float(times[-1]), 1e-6))
        done = solve_ivp(
            speed,
            span,
            start[free],
            method="BDF",
            t_eval=times,
            rtol=TOLERANCE,
            atol=TOLERANCE,
            jac_sparsity=self._neighbours(len(start[free])),
        )
        frames = np.repeat(start[None], len(times), axis=0)
        frames[:, free] = done.y.T
        frames = np.stack([self._closed(frame, parameters) for frame in frames])
        return self._spline(columns, torch.from_numpy(frames[place]), x)

    def _neighbours(self, size: int) -> np.ndarray:
        """(size, size): which values a value's speed may depend on; the ends, which follow from theirs, reach one further."""
        apart = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
        apart = np.minimum(apart, size - apart) if self.system.equation.periodic else apart
        return (apart <= 2).astype(float)

    def _residual(self, u: np.ndarray, parameters: Tensor) -> Tensor:
        """The equation's residual (X,) of a field that stands still, by differences between neighbours."""
        columns = self.system.columns
        h, v = float(columns[1] - columns[0]), torch.from_numpy(u)
        after, before = v.roll(-1), v.roll(1)
        jets = torch.stack([v, torch.zeros_like(v), (after - before) / (2 * h), (after - 2 * v + before) / h**2])
        return self.system.equation.residual(jets[None], parameters, torch.zeros(1, len(v)), columns[None])[0]

    def _closed(self, u: np.ndarray, parameters: Tensor) -> np.ndarray:
        """u (X,) with end values that meet the conditions, which are linear in them; one-sided differences of second order."""
        equation, columns = self.system.equation, self.system.columns
        if equation.periodic:
            return u
        h, closed = float(columns[1] - columns[0]), u.copy()
        for end, first, second, sign in ((0, 1, 2, -1), (-1, -2, -3, 1)):
            place, time = columns[end].view(1, 1), torch.ones(1, 1, dtype=torch.float64)
            wrong = []
            for value in (0.0, 1.0):
                slope = sign * (3 * value - 4 * u[first] + u[second]) / (2 * h)
                jets = torch.tensor([[[value], [0.0], [slope], [0.0]]], dtype=torch.float64)
                wrong.append(float(equation.condition(jets, parameters, time, place)))
            closed[end] = wrong[0] / (wrong[0] - wrong[1])
        return closed

    def _steady(self, parameters: Tensor) -> Tensor:
        """The zero of the residual, which is linear in the inner values."""
        size = len(self.system.columns) - 2

        def residual(inner: np.ndarray) -> np.ndarray:
            u = np.zeros(size + 2)
            u[1:-1] = inner
            return self._residual(self._closed(u, parameters), parameters).numpy()[1:-1]

        at_zero = residual(np.zeros(size))
        matrix = np.stack([residual(unit) - at_zero for unit in np.eye(size)], axis=1)
        inner = np.linalg.solve(matrix, -at_zero)
        return torch.from_numpy(self._closed(np.concatenate([[0.0], inner, [0.0]]), parameters))

    def _spline(self, columns: Tensor, values: Tensor, x: Tensor) -> Tensor:
        from scipy.interpolate import CubicSpline

        nodes, heights = columns.numpy(), values.numpy()
        if not self.system.equation.periodic:
            return torch.from_numpy(CubicSpline(nodes, heights, axis=1)(x.numpy()))
        nodes, heights = np.append(nodes, 1.0), np.concatenate([heights, heights[:, :1]], axis=1)
        return torch.from_numpy(CubicSpline(nodes, heights, axis=1, bc_type="periodic")(x.numpy()))
