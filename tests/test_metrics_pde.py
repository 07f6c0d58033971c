"""Closed forms of the PDE metrics, and PDEBench's definitions against plain loops."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics import pde


def fields(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wave(points: int, number: int) -> torch.Tensor:
    x = torch.arange(points, dtype=torch.float64) / points
    return torch.cos(2 * math.pi * number * x + 0.3)


def test_a_scaled_field_has_the_relative_error_of_the_scale():
    target = fields(3, 32, 5, 2)
    assert pde.nrmse(1.25 * target, target) == pytest.approx(0.25, rel=1e-5)
    assert pde.nrmse(torch.zeros_like(target), target) == pytest.approx(1.0, rel=1e-5)
    assert pde.nrmse(target, target) == 0.0


def test_a_field_at_rest_gives_a_finite_error_set_by_epsilon():
    target = torch.zeros(1, 8, 1, 1)
    assert pde.nrmse(target + 0.5, target) == pytest.approx(0.5 / pde.EPSILON)
    assert pde.nrmse(target, target) == 0.0


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 7), seed=st.integers(0, 100))
def test_means_do_not_depend_on_how_a_test_set_is_cut(cut, seed):
    target, pred = fields(8, 16, 3, 2, seed=seed), fields(8, 16, 3, 2, seed=seed + 1000)
    for metric in (pde.nrmse, pde.rmse, pde.conserved, pde.boundary):
        parts = [metric(pred[:cut], target[:cut]) * cut, metric(pred[cut:], target[cut:]) * (8 - cut)]
        assert metric(pred, target) == pytest.approx(sum(parts) / 8)


def test_the_cap_bounds_one_exploded_trajectory():
    target = fields(4, 16, 2, 1)
    pred = target.clone()
    pred[0] = 1e30
    pred[1, 3, 1] = math.nan
    assert pde.nrmse(pred, target, cap=10.0) == pytest.approx((10 + 10 + 10) / 8)
    assert math.isnan(pde.nrmse(pred, target))


def test_horizon_is_the_error_by_frame():
    target = fields(6, 32, 4, 1)
    pred = target * torch.tensor([1.0, 1.1, 1.2, 1.4])[:, None]
    torch.testing.assert_close(pde.horizon(pred, target), torch.tensor([0, 0.1, 0.2, 0.4]).double(), rtol=1e-5, atol=0)


def test_conserved_sees_the_mean_only():
    target = fields(2, 16, 3, 1)
    assert pde.conserved(target + wave(16, 3)[None, :, None, None], target) < 1e-15
    assert pde.conserved(target - 0.25, target) == pytest.approx(0.25)


def test_max_and_boundary_see_one_point():
    target = fields(2, 10, 1, 1)
    pred = target.clone()
    pred[1, 0, 0, 0] += 3.0
    assert pde.max_error(pred, target) == pytest.approx(3.0)
    assert pde.boundary(pred, target) == pytest.approx(math.sqrt(9 / 2) / 2)
    assert pde.rmse(pred, target) == pytest.approx(math.sqrt(9 / 10) / 2)


@pytest.mark.parametrize("points", [24, 25, 32])
@pytest.mark.parametrize(("number", "band"), [(0, "low"), (3, "low"), (4, "mid"), (11, "mid"), (12, "high")])
def test_a_wave_falls_into_its_band(points, number, band):
    error = wave(points, number)
    target = fields(1, points, 1, 1)
    found = pde.fourier_bands(target + error[None, :, None, None], target)
    assert found.pop(band) == pytest.approx(float(error.square().mean().sqrt()))
    assert all(value < 1e-12 for value in found.values())


@pytest.mark.parametrize("points", [7, 16, 31, 64])
def test_bands_obey_parseval(points):
    target, pred = fields(1, points, 1, 1), fields(1, points, 1, 1, seed=1)
    squares = sum(value**2 for value in pde.fourier_bands(pred, target).values())
    assert squares == pytest.approx(pde.rmse(pred, target) ** 2)


@pytest.mark.parametrize("grid", [(9, 12), (5, 6, 8)])
def test_bands_obey_parseval_in_more_dimensions(grid):
    target, pred = fields(2, *grid, 1, 1), fields(2, *grid, 1, 1, seed=1)
    power = (pred - target).square().mean(dim=tuple(range(1, 1 + len(grid)))).flatten()
    each = [pde.fourier_bands(pred[i : i + 1], target[i : i + 1]) for i in range(2)]
    for i, bands in enumerate(each):
        assert sum(value**2 for value in bands.values()) == pytest.approx(float(power[i]))


def test_a_diagonal_wave_counts_by_its_length():
    error = wave(32, 3)[:, None] * wave(32, 4)[None, :]  # |k| = 5
    target = fields(1, 32, 32, 1, 1)
    found = pde.fourier_bands(target + error[None, :, :, None, None], target)
    assert found["mid"] == pytest.approx(float(error.square().mean().sqrt())) and found["low"] < 1e-12


def test_the_boundary_counts_every_outer_cell_once():
    target = fields(1, 4, 5, 1, 1)
    pred = target.clone()
    pred[0, 0, 0] += 3.0  # a corner
    pred[0, 2, 2] += 9.0  # inside
    assert pde.boundary(pred, target) == pytest.approx(math.sqrt(9 / 14))


def test_channels_count_alike_whatever_their_size():
    target = fields(2, 16, 3, 2) * torch.tensor([1.0, 1e4])
    assert pde.nrmse(target * torch.tensor([1.1, 1.3]), target) == pytest.approx(0.2, rel=1e-5)
    at_rest = target * torch.tensor([1.0, 0.0])
    assert pde.nrmse(at_rest + 0.1, at_rest, epsilon=torch.tensor([0.0, 10.0])) < 0.1


def test_predicting_the_mean_has_a_vrmse_of_one():
    target = fields(3, 32, 4, 2) + 5.0
    assert pde.vrmse(target.mean(dim=1, keepdim=True).expand_as(target), target) == pytest.approx(1.0, rel=1e-5)
    assert pde.vrmse(target, target) == 0.0
    assert pde.vrmse(target * math.nan, target, cap=10.0) == 10.0


def test_correlation_time_is_the_share_of_frames_before_the_fields_part():
    target = fields(2, 64, 10, 1)
    pred = 3 * target + 1  # correlation does not see scale or offset
    assert pde.correlation_time(pred, target) == 1.0
    pred[0, :, 4:] = fields(64, 6, 1, seed=9)
    pred[1, :, 8:] *= -1
    assert pde.correlation_time(pred, target) == pytest.approx((0.4 + 0.8) / 2)
    assert pde.correlation_time(torch.full_like(target, math.nan), target) == 0.0
    flat = torch.ones(1, 8, 3, 1)
    assert pde.correlation_time(flat, flat) == 1.0 and pde.correlation_time(flat + 1, flat) == 0.0


def test_unequal_shapes_are_refused_rather_than_broadcast():
    with pytest.raises(ValueError, match="differ in shape"):
        pde.nrmse(fields(2, 8, 1, 1), fields(2, 8, 3, 1))
    with pytest.raises(ValueError, match="frames, channels"):
        pde.pdebench(fields(2, 8), fields(2, 8))


# PDEBench's definitions ---------------------------------------------------------------------------


def spelled_out(pred: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """The definitions as loops over (batch, x.., frames, channels), without a context, on the unit domain."""
    batch, *grid, frames, channels = pred.shape
    error = pred - target
    points = math.prod(grid)
    sums: dict[str, list[float]] = {
        name: [] for name in ("RMSE", "nRMSE", "CSV", "Max", "BD", "F_low", "F_mid", "F_high")
    }
    for t, c in itertools.product(range(frames), range(channels)):
        e, y = error[..., t, c], target[..., t, c]
        norms = [float(e[b].square().mean().sqrt()) for b in range(batch)]
        sums["RMSE"].append(sum(norms) / batch)
        sums["nRMSE"].append(sum(n / float(y[b].square().mean().sqrt()) for b, n in enumerate(norms)) / batch)
        sums["CSV"].append(math.sqrt(sum(float(e[b].sum()) ** 2 for b in range(batch)) / batch) / points)
        sums["Max"].append(float(e.abs().max()))
        edge = []
        for b in range(batch):
            # In 3-D the sum over the faces runs over the channels too.
            field = error[b, ..., t, :] if len(grid) == 3 else error[b, ..., t, c : c + 1]
            total = sum(
                float(field.select(axis, end).square().sum())
                for axis in range(len(grid))
                for end in (0, grid[axis] - 1)
            )
            edge.append(math.sqrt(total / (2 * sum(points // n for n in grid))))
        sums["BD"].append(sum(edge) / batch)
        spectrum = torch.fft.fftn(e, dim=tuple(range(1, 1 + len(grid)))).abs().square()
        top = grid[0] // 2 + 1 if len(grid) == 1 else min(grid) // 2
        shells = [0.0] * top
        for index in itertools.product(*(range(n // 2 + (len(grid) == 1)) for n in grid)):
            shell = math.floor(math.sqrt(sum(i * i for i in index)))
            if shell < top:
                shells[shell] += float(spectrum[(slice(None), *index)].mean())
        shells = [math.sqrt(s) / points for s in shells]
        for name, (low, high) in pde.BANDS.items():
            band = shells[low:high]
            sums[f"F_{name}"].append(sum(band) / len(band) if band else math.nan)
    return {name: sum(values) / len(values) for name, values in sums.items()}


@pytest.mark.parametrize("shape", [(3, 32, 4, 2), (2, 22, 3, 1), (2, 26, 30, 2, 2), (2, 8, 6, 5, 2, 2)])
def test_pdebench_equals_its_definitions_spelled_out(shape):
    pred, target = fields(*shape), fields(*shape, seed=1)
    assert pde.pdebench(pred, target, initial_step=0) == pytest.approx(spelled_out(pred, target), nan_ok=True)


def test_pdebench_leaves_the_context_out():
    target = fields(2, 32, 41, 1)
    pred = 1.1 * target
    pred[..., :10, :] = target[..., :10, :]
    assert pde.pdebench(pred, target, initial_step=10)["nRMSE"] == pytest.approx(0.1)
    # Counting ten context frames of 41 as predictions dilutes the error to 31/41, as numbers before October 2024 do.
    assert pde.pdebench(pred, target, initial_step=0)["nRMSE"] == pytest.approx(0.1 * 31 / 41)


def test_pdebench_keeps_its_quirks():
    target = fields(2, 22, 3, 1)
    found = pde.pdebench(target + 1, target)
    assert math.isnan(found["F_high"])  # no wave number 12 on 22 points
    assert pde.pdebench(target + 1, torch.zeros_like(target))["nRMSE"] == math.inf
    assert found["F_low"] == pytest.approx(1 / 4)  # the mean over k = 0..3 of errors that only k = 0 has
    assert pde.pdebench(target + 1, target, lengths=3.0)["F_low"] == pytest.approx(3 / 4)
    solid = fields(1, 6, 6, 6, 2, 2)
    assert pde.pdebench(solid + 0.1, solid)["BD"] == pytest.approx(0.1 * math.sqrt(2))  # inflated by sqrt(channels)
    flat = fields(1, 26, 26, 2, 2)
    assert pde.pdebench(flat + 0.1, flat)["BD"] == pytest.approx(0.1)


def test_pdebench_agrees_with_the_corrected_metrics_where_both_mean_the_same():
    target, pred = fields(4, 32, 5, 1), fields(4, 32, 5, 1, seed=1)
    theirs = pde.pdebench(pred, target, initial_step=0)
    assert theirs["RMSE"] == pytest.approx(pde.rmse(pred, target))
    assert theirs["nRMSE"] == pytest.approx(pde.nrmse(pred, target), rel=1e-5)
    assert theirs["BD"] == pytest.approx(pde.boundary(pred, target))
