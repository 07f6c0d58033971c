"""Errors of predicted fields, as pure functions of tensors.

Two conventions live here. The project's own functions take one-channel 1-D fields of shape (batch, points, frames) that
hold predicted frames only, and average over trajectories last, so that no value depends on how a test set is cut into
batches. `pdebench` takes (batch, x[, y[, z]], frames, channels) and returns the numbers that PDEBench's `metric_func`
(Takamoto et al. 2022, arXiv 2210.07182, appendix B) defines, with its quirks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-6  # added to a target's RMS: a field at rest gives a large relative error instead of a division by zero
BANDS = {"low": (0, 4), "mid": (4, 12), "high": (12, None)}  # wave numbers, PDEBench's cuts


def _rms(field: Tensor) -> Tensor:
    return field.square().mean(dim=1).sqrt()


def _checked(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if pred.shape != target.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and target {tuple(target.shape)} differ in shape")
    return pred.double(), target.double()


def relative_errors(pred: Tensor, target: Tensor, cap: float = math.inf, epsilon: float = EPSILON) -> Tensor:
    """RMS(pred - target) / (RMS(target) + epsilon) of every frame, over space: (batch, frames).

    cap bounds each value, and a value that is not a number counts as the cap: one trajectory that explodes then weighs
    as much as ten wrong ones, not as much as the exponent range allows. Raises ValueError for unequal shapes.
    """
    pred, target = _checked(pred, target)
    errors = _rms(pred - target) / (_rms(target) + epsilon)
    return torch.nan_to_num(errors, nan=cap, posinf=cap).clamp(max=cap) if math.isfinite(cap) else errors


def horizon(pred: Tensor, target: Tensor, cap: float = math.inf) -> Tensor:
    """Relative error by rollout time, averaged over trajectories: (frames,)."""
    return relative_errors(pred, target, cap).mean(dim=0)


def nrmse(pred: Tensor, target: Tensor, cap: float = math.inf) -> float:
    """Mean relative error over trajectories and frames; 1 is as bad as predicting zero."""
    return float(relative_errors(pred, target, cap).mean())


def rmse(pred: Tensor, target: Tensor) -> float:
    """RMS error over space, averaged over trajectories and frames."""
    pred, target = _checked(pred, target)
    return float(_rms(pred - target).mean())


def conserved(pred: Tensor, target: Tensor) -> float:
    """Absolute error of the spatial mean, averaged over trajectories and frames."""
    pred, target = _checked(pred, target)
    return float((pred - target).mean(dim=1).abs().mean())


def max_error(pred: Tensor, target: Tensor) -> float:
    """The largest absolute error anywhere."""
    pred, target = _checked(pred, target)
    return float((pred - target).abs().max())


def boundary(pred: Tensor, target: Tensor) -> float:
    """RMS error over the two outermost points, averaged over trajectories and frames."""
    pred, target = _checked(pred, target)
    return float(_rms((pred - target)[:, [0, -1]]).mean())


def fourier_bands(pred: Tensor, target: Tensor) -> dict[str, float]:
    """RMS error carried by wave numbers 0-3 (low), 4-11 (mid) and 12 up (high).

    By Parseval's identity the squares of one frame's three values add up to its squared RMS error. Averaged over
    trajectories and frames; a band that the grid does not hold is 0.
    """
    pred, target = _checked(pred, target)
    points = pred.shape[1]
    power = torch.fft.rfft(pred - target, dim=1).abs().square() / points**2
    power[:, 1 : (points + 1) // 2] *= 2  # the conjugate half; wave numbers 0 and points/2 have none
    return {name: float(power[:, low:high].sum(dim=1).sqrt().mean()) for name, (low, high) in BANDS.items()}


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
    """PDEBench's metrics of one batch: RMSE, nRMSE, CSV, Max, BD, F_low, F_mid, F_high.

    pred, target: (batch, x[, y[, z]], frames, channels); frames before `initial_step` are context and are left out.
    lengths: of the domain, one for all axes or one each. Kept quirks: no epsilon (a field at rest gives inf or nan);
    CSV and F are root mean squares over the batch, Max its maximum, so that they depend on the batch size; a band of F
    is the mean of per-wave-number errors, nan if the grid holds none of them; F is multiplied by the lengths.
    """
    pred, target = _checked(pred, target)
    space = pred.ndim - 3
    if space not in (1, 2, 3):
        raise ValueError(f"expected (batch, x[, y[, z]], frames, channels), got {tuple(pred.shape)}")
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
