"""Errors of predicted fields (batch, x[, y[, z]], frames, channels), which hold predicted frames only.

Channels are kept apart and trajectories averaged last, so that no value depends on how a test set is cut into batches.
`pdebench` returns the numbers of PDEBench's `metric_func` (Takamoto et al. 2022, arXiv 2210.07182, appendix B).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-6  # added to a target's RMS: a field at rest gives a large relative error instead of a division by zero
BANDS = {"low": (0, 4), "mid": (4, 12), "high": (12, None)}  # wave numbers, PDEBench's cuts


def _space(field: Tensor) -> tuple[int, ...]:
    return tuple(range(1, field.ndim - 2))


def _rms(field: Tensor) -> Tensor:
    """Root mean square over space: (batch, frames, channels)."""
    return field.square().mean(dim=_space(field)).sqrt()


def _checked(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if pred.shape != target.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and target {tuple(target.shape)} differ in shape")
    if not 4 <= pred.ndim <= 6:
        raise ValueError(f"expected (batch, x[, y[, z]], frames, channels), got {tuple(pred.shape)}")
    return pred.double(), target.double()


def _capped(errors: Tensor, cap: float) -> Tensor:
    return torch.nan_to_num(errors, nan=cap, posinf=cap).clamp(max=cap) if math.isfinite(cap) else errors


def relative_errors(pred: Tensor, target: Tensor, cap: float = math.inf, epsilon: float | Tensor = EPSILON) -> Tensor:
    """RMS(pred - target) / (RMS(target) + epsilon) over space: (batch, frames, channels).

    epsilon: one number, or one a channel. cap: the largest value, which NaN counts as too, so that one trajectory that
    explodes does not dominate the mean. ValueError for unequal shapes.
    """
    pred, target = _checked(pred, target)
    return _capped(_rms(pred - target) / (_rms(target) + epsilon), cap)


def horizon(pred: Tensor, target: Tensor, cap: float = math.inf, epsilon: float | Tensor = EPSILON) -> Tensor:
    """Relative error by rollout time, averaged over trajectories and channels: (frames,)."""
    return relative_errors(pred, target, cap, epsilon).mean(dim=(0, 2))


def nrmse(pred: Tensor, target: Tensor, cap: float = math.inf, epsilon: float | Tensor = EPSILON) -> float:
    """Mean relative error over trajectories, frames and channels; 1 is as bad as predicting zero."""
    return float(relative_errors(pred, target, cap, epsilon).mean())


def vrmse(pred: Tensor, target: Tensor, cap: float = math.inf, epsilon: float = EPSILON) -> float:
    """Mean of RMS(pred - target) / (standard deviation of target + epsilon), both over space; 1 is as bad as predicting every
    frame's mean (Ohana et al. 2024, The Well, arXiv 2412.00568, who add epsilon to the variance)."""
    pred, target = _checked(pred, target)
    deviation = target.var(dim=_space(target), unbiased=False).sqrt()
    return float(_capped(_rms(pred - target) / (deviation + epsilon), cap).mean())


def correlation_time(pred: Tensor, target: Tensor, threshold: float = 0.8) -> float:
    """Share of the rollout before the correlation over space (Pearson's, averaged over channels) first falls below
    `threshold`, averaged over trajectories. A frame without variation correlates with an equal frame only."""
    pred, target = _checked(pred, target)
    space = _space(pred)
    a, b = (field - field.mean(dim=space, keepdim=True) for field in (pred, target))
    product = (a * b).mean(dim=space)
    scale = (a.square().mean(dim=space) * b.square().mean(dim=space)).sqrt()
    flat = scale <= EPSILON**2
    correlation = torch.where(flat, (_rms(pred - target) < EPSILON).double(), product / scale.clamp(min=EPSILON**2))
    lost = ~(correlation.mean(dim=2) >= threshold)
    first = torch.where(lost.any(dim=1), lost.int().argmax(dim=1), lost.shape[1])
    return float(first.double().mean() / lost.shape[1])


def rmse(pred: Tensor, target: Tensor) -> float:
    """RMS error over space, averaged over trajectories, frames and channels."""
    pred, target = _checked(pred, target)
    return float(_rms(pred - target).mean())


def conserved(pred: Tensor, target: Tensor) -> float:
    """Absolute error of the spatial mean, averaged over trajectories, frames and channels."""
    pred, target = _checked(pred, target)
    return float((pred - target).mean(dim=_space(pred)).abs().mean())


def max_error(pred: Tensor, target: Tensor) -> float:
    """The largest absolute error anywhere."""
    pred, target = _checked(pred, target)
    return float((pred - target).abs().max())


def boundary(pred: Tensor, target: Tensor) -> float:
    """RMS error over the outermost cells, averaged over trajectories, frames and channels."""
    pred, target = _checked(pred, target)
    grid = pred.shape[1:-2]
    edge = torch.zeros(grid, dtype=torch.bool)
    for axis in range(len(grid)):
        for end in (0, -1):
            edge.select(axis, end).fill_(True)
    errors = (pred - target)[:, edge]
    return float(errors.square().mean(dim=1).sqrt().mean())


def fourier_bands(pred: Tensor, target: Tensor) -> dict[str, float]:
    """RMS error carried by wave numbers 0-3 (low), 4-11 (mid) and 12 up (high).

    In two and three dimensions the wave number is |k|, rounded down, over the full spectrum. By Parseval's identity the
    squares of one frame's three values add up to its squared RMS error. Averaged over trajectories, frames and channels;
    a band that the grid does not hold is 0.
    """
    pred, target = _checked(pred, target)
    grid = pred.shape[1:-2]
    power = torch.fft.fftn(pred - target, dim=_space(pred)).abs().square() / math.prod(grid) ** 2
    axes = torch.meshgrid(*(torch.fft.fftfreq(n, 1 / n, dtype=torch.float64) for n in grid), indexing="ij")
    number = torch.stack(axes).square().sum(dim=0).sqrt().floor()
    values = {}
    for name, (low, high) in BANDS.items():
        inside = (number >= low) & (number < (high or math.inf))
        values[name] = float(power[:, inside].sum(dim=1).sqrt().mean())
    return values


def _shell_errors(error: Tensor) -> Tensor:
    """|FFT(error)|^2 by wave number: (batch, channels, wave numbers, frames), PDEBench's way.

    1-D: every k of the half spectrum. Above: sums over integer shells floor(|k|), restricted to non-negative
    frequencies below half the grid, which leaves out half of a 2-D spectrum and three quarters of a 3-D one.
    """
    grid = error.shape[2:-1]
    if len(grid) == 1:
        return torch.fft.rfft(error, dim=2).abs().square()
    dims = tuple(range(2, 2 + len(grid)))
    power = torch.fft.fftn(error, dim=dims).abs().square()
    power = power[(slice(None), slice(None), *(slice(n // 2) for n in grid))].flatten(2, -2)
    axes = torch.meshgrid(*(torch.arange(n // 2) for n in grid), indexing="ij")
    radius = torch.stack(axes).double().square().sum(dim=0).sqrt().floor().long().flatten()
    shells = min(grid) // 2
    inside = radius < shells
    sums = power.new_zeros(*power.shape[:2], shells, power.shape[-1])
    return sums.index_add(2, radius[inside], power[:, :, inside])


def _boundary_errors(error: Tensor) -> Tensor:
    """RMS error on the outermost cells: (batch, channels, frames); in 3-D PDEBench also sums over channels."""
    batch, channels, *grid, frames = error.shape
    squares = error.square()
    faces = [squares.select(2 + axis, end) for axis, n in enumerate(grid) for end in (0, n - 1)]
    total = torch.stack([face.reshape(batch, channels, -1, frames).sum(dim=2) for face in faces]).sum(dim=0)
    cells = 2 * sum(math.prod(grid) // n for n in grid)
    if len(grid) == 3:
        total = total.sum(dim=1, keepdim=True)
    return (total / cells).sqrt()


def pdebench(
    pred: Tensor, target: Tensor, initial_step: int = 1, lengths: float | Sequence[float] = 1.0
) -> dict[str, float]:
    """PDEBench's metrics of one batch (shapes as above): RMSE, nRMSE, CSV, Max, BD, F_low, F_mid, F_high.

    Frames before `initial_step` are context and are left out. lengths: of the domain, one for all axes or one each. Kept
    quirks: no epsilon (a field at rest gives inf or nan); CSV and F are root mean squares over the batch, Max its maximum; a
    band of F is the mean of errors by wave number, nan if the grid holds none; F is multiplied by the lengths.
    """
    pred, target = _checked(pred, target)
    space = pred.ndim - 3
    pred, target = (field[..., initial_step:, :].movedim(-1, 1) for field in (pred, target))
    error = pred - target
    flat, reference = error.flatten(2, -2), target.flatten(2, -2)
    points = flat.shape[2]
    rms = flat.square().mean(dim=2).sqrt()
    sizes = [float(lengths)] * space if isinstance(lengths, (int, float)) else [float(n) for n in lengths]
    spectrum = _shell_errors(error).mean(dim=0).sqrt() / points * math.prod(sizes)
    values = {
        "RMSE": rms,
        "nRMSE": rms / reference.square().mean(dim=2).sqrt(),
        "CSV": flat.sum(dim=2).square().mean(dim=0).sqrt() / points,
        "Max": flat.abs().amax(dim=(0, 2)),
        "BD": _boundary_errors(error),
        **{f"F_{name}": spectrum[:, low:high].mean(dim=1) for name, (low, high) in BANDS.items()},
    }
    return {name: float(value.mean()) for name, value in values.items()}
