"""Hard constraints: weights of the basis functions by nonlinear least squares, over all of space or by experts.

Source: Chalapathi, Du and Krishnapriyan 2024 (arXiv 2402.13412).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from baselines.constraints.implicit import differentiable
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
        beside = self._beside(parameters)
        w, linearise = self._solved(jets, beside, parameters)
        if self._training == "hard":
            w = differentiable(linearise, w, system.ridge)
        own = w.view(len(parameters), self._count, -1)[:, self._owners(system.x)]
        return system.objective(torch.einsum("camn,cmn->cam", jets, own), parameters, 1.0).sqrt().mean()

    def field(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(C, T, X) on the tensor grid of t (T,) and x (X,)."""
        system = self._system
        w, _ = self._solved(system.basis(parameters, system.t, system.x), self._beside(parameters), parameters)
        values = system.basis(parameters, t.repeat_interleave(len(x)), x.repeat(len(t)))[:, 0]
        own = w.view(len(parameters), self._count, -1)[:, self._owners(x)]
        return torch.einsum("ctxn,cxn->ctx", values.view(len(parameters), len(t), len(x), system.size), own)

    def _owners(self, x: Tensor) -> Tensor:
        """The expert of each x; on a periodic domain what lies beyond the last edge is the first expert's."""
        return torch.bucketize(x, self.edges) % self._count

    def _beside(self, parameters: Tensor) -> Tensor | None:
        """Jets (C, 4, T E, N) of the basis at the edges, for interface rows."""
        if not self._interface:
            return None
        times = self._system.times
        return self._system.basis(parameters, times.repeat_interleave(len(self.edges)), self.edges.repeat(len(times)))

    def _solved(self, jets: Tensor, beside: Tensor | None, parameters: Tensor) -> tuple[Tensor, Any]:
        """Weights, (C K, N), or (C, K N) where interfaces couple them, and the rows that they minimise, with gradients."""
        system, k, cases = self._system, self._count, len(parameters)
        rows = (
            parameters.repeat_interleave(k, dim=0),
            system.t[self._points].repeat(cases, 1),
            system.x[self._points].repeat(cases, 1),
        )
        scales = self._scales.repeat(cases, 1)

        def problem(jets: Tensor, beside: Tensor | None) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
            own = jets[:, :, self._points].transpose(1, 2).reshape(cases * k, 4, -1, system.size)
            apart = lambda w: system.linearise(own, w, scales, rows)  # noqa: E731
            if beside is None:
                return apart
            return lambda w: self._coupled(apart, beside, w)

        start = system.start.repeat(cases, k) if self._interface else system.start.expand(cases * k, -1)
        held = problem(jets.detach(), None if beside is None else beside.detach())
        solves = 1 if self._interface else k
        per_solve = self._points.numel() // solves + (beside.shape[2] * 2 if beside is not None else 0)
        return system.minimise(held, start, solves, per_solve), problem(jets, beside)

    def _coupled(self, apart: Any, beside: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of all experts and those of the interfaces, in the weights (C, K N) of all experts."""
        cases, k, size = len(w), self._count, self._system.size
        r, jacobian = apart(w.view(cases * k, size))
        blocks = jacobian.view(cases, k, -1, size)
        whole = torch.einsum("ckrn,kj->ckrjn", blocks, torch.eye(k, dtype=w.dtype)).reshape(cases, -1, k * size)
        jump, scale = self._differences(beside), (self._interface / beside.shape[2]) ** 0.5
        jump = jump * scale
        rows = torch.cat([r.view(cases, -1), (jump @ w[..., None])[..., 0]], dim=1)
        return rows, torch.cat([whole, jump], dim=1)

    def _differences(self, beside: Tensor) -> Tensor:
        """(C, 2 T E, K N): the jumps in value and in slope, times a stretch's length, that weights make at the edges."""
        cases, _, points, size = beside.shape
        left = torch.arange(len(self.edges)).repeat(points // len(self.edges)) % self._count
        right = (left + 1) % self._count
        hot = torch.eye(self._count, dtype=beside.dtype)
        sides = hot[left] - hot[right]
        value, slope = beside[:, 0], beside[:, 2] / self._count
        both = torch.stack([value, slope], dim=1)
        return torch.einsum("csmn,mk->csmkn", both, sides).reshape(cases, 2 * points, -1)


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
