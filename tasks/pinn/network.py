"""Small networks that give a field together with its derivatives, for all points in one pass.

A *series* (1 + directions + seconds, n, channels) holds the value, its first derivatives along each coordinate, and its second
derivatives along the first `seconds` of them. A linear layer maps all of it by one product, and tanh by the chain rule, so that
a field with its derivatives costs about as many passes as it has parts, and its gradient one backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from tasks.pinn.equation import Jet
from tasks.pinn.flow import Jets

DTYPE = torch.float64


class TanhSeries(torch.autograd.Function):
    """tanh(z + bias) of series z with `seconds` second derivatives. By hand: what autograd keeps of it costs twice the time."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, bias: Tensor, seconds: int) -> Tensor:
        y = torch.tanh(z[0] + bias)
        slope = 1 - y * y
        out = torch.empty_like(z)
        out[0] = y
        torch.mul(z[1:], slope, out=out[1:])
        for first, second in pairs(len(z), seconds):
            out[second] -= 2 * y * out[first] * z[first]
        ctx.save_for_backward(z, y, slope)
        ctx.seconds = seconds
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (g,), (z, y, slope) = gradients, ctx.saved_tensors
        bend = -2 * y * slope  # tanh''; tanh''' is slope (6 y^2 - 2)
        back = g * slope
        back[0] += bend * (g[1:] * z[1:]).sum(dim=0)
        for first, second in pairs(len(z), ctx.seconds):
            along = g[second] * z[first]
            back[first] += 2 * bend * along
            back[0] += slope * (6 * y * y - 2) * along * z[first]
        return back, back[0].sum(dim=0), None


class TanhTaylor(torch.autograd.Function):
    """tanh(z + bias) of (1 + 3 d, n, channels): the value, then first, second and third derivatives along d directions."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, bias: Tensor) -> Tensor:
        first, second, third = z[1:].chunk(3)
        y = torch.tanh(z[0] + bias)
        d_1 = 1 - y * y
        d_2, d_3 = -2 * y * d_1, d_1 * (6 * y * y - 2)  # d_k: the k-th derivative of tanh
        square = first * first
        ctx.save_for_backward(z, y, d_1, square)
        rows = d_1 * first, d_1 * second + d_2 * square, d_1 * third + first * (3 * d_2 * second + d_3 * square)
        return torch.cat([y[None], *rows])

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (g,), (z, y, d_1, square) = gradients, ctx.saved_tensors
        (first, second, third), (g_1, g_2, g_3) = z[1:].chunk(3), g[1:].chunk(3)
        d_2, d_3, d_4 = -2 * y * d_1, d_1 * (6 * y * y - 2), y * d_1 * (16 - 24 * y * y)
        back = d_1 * g[0] + d_2 * (g_1 * first + g_2 * second + g_3 * third).sum(dim=0)
        back += d_3 * (g_2 * square + 3 * g_3 * first * second).sum(dim=0) + d_4 * (g_3 * square * first).sum(dim=0)
        of_first = d_1 * g_1 + 2 * d_2 * first * g_2 + 3 * (d_2 * second + d_3 * square) * g_3
        rows = of_first, d_1 * g_2 + 3 * d_2 * first * g_3, d_1 * g_3
        return torch.cat([back[None], *rows]), back.sum(dim=0)


def pairs(length: int, seconds: int) -> list[tuple[int, int]]:
    """Places of (first, second) derivative along the directions that have both, in a series of `length` parts."""
    return [(1 + i, length - seconds + i) for i in range(seconds)]


class Network(nn.Module):
    """tanh layers of the sizes `sizes`, the last one linear; Glorot's normal weights, biases of 0."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in zip(sizes, sizes[1:], strict=False):
            weight = torch.randn(inputs, outputs, dtype=DTYPE)
            self.weights.append(math.sqrt(2 / (inputs + outputs)) * weight)
            self.biases.append(torch.zeros(outputs, dtype=DTYPE))

    def series(self, inputs: Tensor, seconds: int) -> Tensor:
        """The outputs' series (parts, n, outputs) of the inputs' series (parts, n, inputs)."""
        *hidden, (weight, bias) = zip(self.weights, self.biases, strict=True)
        h = inputs
        for inner, shift in hidden:
            h = TanhSeries.apply(_linear(h, inner), shift, seconds)
        h = _linear(h, weight)
        return torch.cat([h[:1] + bias, h[1:]])

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        *hidden, (weight, bias) = zip(self.weights, self.biases, strict=True)
        h = inputs
        for inner, shift in hidden:
            h = torch.tanh(torch.addmm(shift, h, inner))
        return torch.addmm(bias, h, weight)


def _linear(series: Tensor, weight: Tensor) -> Tensor:
    """A product for all parts at once: (parts, n, inputs) by (inputs, outputs)."""
    return (series.flatten(0, 1) @ weight).unflatten(0, series.shape[:2])


class Field(nn.Module):
    """A scalar field of x in [0, 2 pi] and t in [0, final], `layers` hidden layers of `width`.

    periodic: x enters as (cos x, sin x), so that the field has that period (Dong and Ni 2021); else from -1 to 1, as t does.
    curved: whether `jet` has second derivatives in x.
    """

    def __init__(self, width: int, layers: int, final: float, periodic: bool = True, curved: bool = True) -> None:
        super().__init__()
        self.final, self.periodic, self.seconds = final, periodic, int(curved)
        self.network = Network([3 if periodic else 2, *[width] * layers, 1])

    def _inputs(self, x: Tensor, t: Tensor) -> list[Tensor]:
        """The network's inputs (n,)."""
        time = 2 * t / self.final - 1
        return [torch.cos(x), torch.sin(x), time] if self.periodic else [x / math.pi - 1, time]

    def jet(self, x: Tensor, t: Tensor) -> Jet:
        """The field and its derivatives at x, t (n,)."""
        inputs = self._inputs(x, t)
        zero = torch.zeros_like(x)
        late = torch.full_like(x, 2 / self.final)
        if self.periodic:
            cosine, sine, _ = inputs
            parts = [inputs, [-sine, cosine, zero], [zero, zero, late], [-cosine, -sine, zero]]
        else:
            parts = [inputs, [torch.full_like(x, 1 / math.pi), zero], [zero, late], [zero, zero]]
        series = torch.stack([torch.stack(part, dim=-1) for part in parts[: 3 + self.seconds]])
        out = self.network.series(series, self.seconds)[..., 0]
        return Jet(out[0], out[1], out[2], out[3] if self.seconds else zero)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """The field (n,) at x, t (n,)."""
        out: Tensor = self.network(torch.stack(self._inputs(x, t), dim=-1))
        return out[:, 0]


class Plane(nn.Module):
    """`outputs` fields of x and y on a rectangle from `corner` to `far`, each coordinate entering from -1 to 1."""

    def __init__(
        self, width: int, layers: int, corner: tuple[float, float], far: tuple[float, float], outputs: int = 3
    ) -> None:
        super().__init__()
        self.corner = torch.tensor(corner, dtype=DTYPE)
        self.scale = 2 / (torch.tensor(far, dtype=DTYPE) - self.corner)
        self.network = Network([2, *[width] * layers, outputs])

    def _inputs(self, x: Tensor, y: Tensor) -> Tensor:
        """(n, 2)."""
        return (torch.stack([x, y], dim=-1) - self.corner) * self.scale - 1

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The fields (n, outputs) at x, y (n,)."""
        return self.network(self._inputs(x, y))  # type: ignore[no-any-return]

    def jets(self, x: Tensor, y: Tensor) -> Jets:
        """The fields and their derivatives at x, y (n,), each (n, outputs)."""
        inputs = self._inputs(x, y)
        along = torch.diag(self.scale)[:, None].expand(-1, len(x), -1)
        series = torch.cat([inputs[None], along, torch.zeros_like(along)])
        return Jets(*self.network.series(series, seconds=2))

    def taylor(self, x: Tensor, y: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Value (n, outputs) and three derivatives along each of `directions` (d, 2), (3, d, n, outputs), at x, y (n,).

        It is for stream functions, whose momentum equation has third derivatives.
        """
        *hidden, (weight, bias) = zip(self.network.weights, self.network.biases, strict=True)
        count = len(directions)
        first = (directions * self.scale)[:, None].expand(-1, len(x), -1)
        z = torch.cat([self._inputs(x, y)[None], first, torch.zeros_like(first), torch.zeros_like(first)])
        for inner, shift in hidden:
            z = TanhTaylor.apply(_linear(z, inner), shift)
        out = _linear(z, weight)
        return out[0] + bias, out[1:].unflatten(0, (3, count))
