"""Hard constraints: weights of the basis functions by nonlinear least squares, over all of space or by experts.

Source: Chalapathi, Du and Krishnapriyan 2024 (arXiv 2402.13412).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from baselines.constraints.implicit import Linearise, differentiable, joined
from bench.contract import BenchError

TRAININGS = ("hard", "frozen", "soft", "none")


class Mixture:
    """`experts` stretches of x, each with weights of its own; one expert is the hard constraint without a mixture.

    Expert k minimises the mean square of the residuals at its own points and `weight` times that at all points with a condition,
    which every expert sees, and ridge^2 |w|^2. The basis is trained by the norm of all rows of the joined field, conditions
    weighing 1. interface: if above 0, mean squares of the jumps in value and in slope (times a stretch's length) at the
    edges join the objective with this weight, which couples all experts into one problem.

    training: "hard" differentiates the weights too, by the implicit function theorem; "frozen" holds them; "soft" trains the sum
    of the basis functions by a penalty of `weight`, so that least squares are solved at inference only; "none" leaves the
    basis as it starts.
    """

    def __init__(
        self, *, system: Any, experts: int = 1, weight: float = 1.0, interface: float = 0.0, training: str = "hard"
    ) -> None:
        for name, number in {"experts": experts, "weight": weight}.items():
            if not 0 < number < math.inf:
                raise BenchError(f"physics_constraint.{name}={number}: it has to be above 0 and finite")
        if not 0 <= interface < math.inf:
            raise BenchError(f"physics_constraint.interface={interface}: it may be neither negative nor infinite")
        if training not in TRAININGS:
            raise BenchError(f"physics_constraint.training={training!r}: there are {', '.join(TRAININGS)}")
        self._system, self._weight, self._training = system, weight, training
        self._count, self._interface = experts, interface if experts > 1 else 0.0
        self.edges, self._points, self._scales = _stretches(system, experts, weight)
        self.loss: Callable[[Tensor], Tensor] | None = self._loss if training != "none" else None

    def _loss(self, parameters: Tensor) -> Tensor:
        """The norm of the joined field's rows, mean over problems."""
        system = self._system
        jets = system.basis(parameters, system.t, system.x)
        if self._training == "soft":
            return system.objective(jets @ system.start, parameters, self._weight).sqrt().mean()
        jumps = self._jumps(parameters)
        w, linearise = self._solved(jets, jumps, parameters)
        if self._training == "hard":
            w = differentiable(linearise, w, system.ridge, jumps)
        own = w.view(len(parameters), self._count, -1)[:, self._owners(system.x)]
        return system.objective(torch.einsum("camn,cmn->cam", jets, own), parameters, 1.0).sqrt().mean()

    def field(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(C, T, X) on the tensor grid of t (T,) and x (X,)."""
        system = self._system
        w, _ = self._solved(system.basis(parameters, system.t, system.x), self._jumps(parameters), parameters)
        values = system.basis(parameters, t.repeat_interleave(len(x)), x.repeat(len(t)))[:, 0]
        own = w.view(len(parameters), self._count, -1)[:, self._owners(x)]
        return torch.einsum("ctxn,cxn->ctx", values.view(len(parameters), len(t), len(x), system.size), own)

    def _owners(self, x: Tensor) -> Tensor:
        """The expert of each x; on a periodic domain what lies beyond the last edge is the first expert's."""
        return torch.bucketize(x, self.edges) % self._count

    def _jumps(self, parameters: Tensor) -> Tensor | None:
        """Interface rows (C, 2 T E, K N): the jumps in value and in slope, times a stretch's length, that weights make at the
        edges, scaled to a weighted mean square; None without them."""
        if not self._interface:
            return None
        times, edges, k = self._system.times, len(self.edges), self._count
        jets = self._system.basis(parameters, times.repeat_interleave(edges), self.edges.repeat(len(times)))
        left = torch.arange(edges).repeat(len(times))
        sides = torch.eye(k, dtype=jets.dtype)
        sides = sides[left] - sides[(left + 1) % k]
        both = torch.stack([jets[:, 0], jets[:, 2] / k], dim=1)
        rows = torch.einsum("csmn,mk->csmkn", both, sides) * (self._interface / len(left)) ** 0.5
        return rows.reshape(len(parameters), 2 * len(left), -1)

    def _solved(self, jets: Tensor, jumps: Tensor | None, parameters: Tensor) -> tuple[Tensor, Linearise]:
        """Weights (C K, N), and the rows of each expert as a function of them, with gradients."""
        system, k, cases = self._system, self._count, len(parameters)
        rows = (
            parameters.repeat_interleave(k, dim=0),
            system.t[self._points].repeat(cases, 1),
            system.x[self._points].repeat(cases, 1),
        )
        scales = self._scales.repeat(cases, 1)

        def problem(jets: Tensor) -> Linearise:
            own = jets[:, :, self._points].transpose(1, 2).reshape(cases * k, 4, -1, system.size)
            return lambda w: system.linearise(own, w, scales, rows)

        apart = system.normal(problem(jets.detach()))
        if jumps is None:
            start = system.start.expand(cases * k, -1)
            return system.minimise(apart, start, k, self._points.shape[1]), problem(jets)
        jumps, size = jumps.detach(), system.size
        coupling = jumps.mT @ jumps

        def together(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            square, slope, bend = apart(w.view(-1, size))
            pull = (coupling @ w[..., None])[..., 0]
            square = square.view(cases, k).sum(dim=1) + (w * pull).sum(dim=1)
            return square, slope.view(cases, -1) + pull, joined(bend, cases) + coupling

        w = system.minimise(together, system.start.repeat(cases, k), 1, self._points.numel() + jumps.shape[1])
        return w.view(-1, size), problem(jets)


def _stretches(system: Any, experts: int, weight: float) -> tuple[Tensor, Tensor, Tensor]:
    """(edges (E,), points (K, R) of each expert's rows, their scales (K, R)). BenchError for more experts than columns.

    The columns that hold the equation are dealt out in stretches of nearly equal length. An edge lies midway between two
    stretches. Experts with fewer points have rows of scale 0.
    """
    inner = system.x[~system.on_condition].unique()
    if experts > len(inner):
        raise BenchError(
            f"physics_constraint.experts={experts}: there are {len(inner)} columns of points to deal out; "
            "take fewer experts or raise task.columns"
        )
    parts = torch.tensor_split(inner, experts)
    edges = [(a[-1] + b[0]) / 2 for a, b in zip(parts, parts[1:], strict=False)]
    if system.equation.periodic and experts > 1:
        edges.append((parts[-1][-1] + 1 + parts[0][0]) / 2)
    places = torch.stack(edges) if edges else inner.new_zeros(0)
    owner = torch.bucketize(system.x, places) % experts
    shared = system.on_condition.nonzero()[:, 0]
    own = [((owner == k) & ~system.on_condition).nonzero()[:, 0] for k in range(experts)]
    longest = max(map(len, own))
    points, scales = [], []
    for mine in own:
        padding = mine[:1].expand(longest - len(mine))
        points.append(torch.cat([mine, padding, shared]))
        scales.append(
            torch.cat(
                [
                    inner.new_full((len(mine),), len(mine) ** -0.5),
                    inner.new_zeros(len(padding)),
                    inner.new_full((len(shared),), (weight / max(1, len(shared))) ** 0.5),
                ]
            )
        )
    return places, torch.stack(points), torch.stack(scales)
