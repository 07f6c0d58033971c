"""The networks: identities, symmetries, shapes."""

import itertools

import pytest
import torch

from baselines.surrogates.conv import Conv
from baselines.surrogates.fno import FNO, SpectralConv, SpectralConvND, transforms
from baselines.surrogates.unet import UNet
from bench.train import parameter_count
from benchmarks.fno_step import TOLERANCE, by_fft, deviation


@pytest.mark.parametrize(("points", "modes"), [(16, 5), (17, 9), (16, 9), (64, 12)])
def test_thin_transforms_equal_the_truncated_fft(points, modes):
    forward, inverse = transforms(points, modes)
    x = torch.randn(points, 3, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft(x, dim=0)[:modes]
    torch.testing.assert_close(forward @ x, torch.cat([spectrum.real, spectrum.imag]), atol=2e-5, rtol=1e-5)
    back = torch.fft.irfft(spectrum, points, dim=0)
    torch.testing.assert_close(inverse @ torch.cat([spectrum.real, spectrum.imag]), back, atol=1e-5, rtol=1e-5)


def test_the_fno_equals_its_fft_version():
    assert deviation() < TOLERANCE
    model, x = FNO(3, 2, (22,), modes=40, width=6), torch.randn(2, 22, 3)  # all modes, with the Nyquist one
    assert model.spectral[0].weight.shape[0] == 12
    torch.testing.assert_close(model(x), by_fft(model, x), atol=1e-5, rtol=1e-5)


def test_gradients_agree_with_the_fft_version():
    torch.manual_seed(0)
    model, x = FNO(2, 1, (32,), modes=6, width=8), torch.randn(4, 32, 2)
    ours = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    theirs = torch.autograd.grad(by_fft(model, x).square().sum(), list(model.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_the_fno_has_pdebenchs_number_of_parameters():
    model = FNO(channels_in=11, channels_out=1, grid=(256,))
    # 23,937 when a complex weight counts once, as PDEBench's FNO1d(12, 20) does; its 19,200 weights count twice here.
    assert parameter_count(model) == 23_937 + 4 * 12 * 20 * 20


def test_a_spectral_layer_passes_low_waves_only_and_commutes_with_shifts():
    torch.manual_seed(0)
    layer, x = SpectralConv(4, 3, 16), torch.randn(16, 2, 4)
    assert float(torch.fft.rfft(layer(x), dim=0)[3:].abs().max()) < 1e-5
    torch.testing.assert_close(layer(x.roll(5, dims=0)), layer(x).roll(5, dims=0))


def by_rfftn(layer: SpectralConvND, x: torch.Tensor) -> torch.Tensor:
    """What `layer` computes on (x, y[, z], batch, width), by a full FFT and complex weights, wave vector by wave vector."""
    *grid, _, width = x.shape
    axes = tuple(range(len(grid)))
    spectrum = torch.fft.rfftn(x, dim=axes)
    weight = torch.complex(layer.weight[..., :width], layer.weight[..., width:]).view(
        *layer.kept, layer.last, width, -1
    )
    mixed = torch.zeros_like(spectrum)
    for index in itertools.product(*(range(n) for n in (*layer.kept, layer.last))):
        vector = (*(i - n // 2 for i, n in zip(index, layer.kept, strict=False)), index[-1])
        mixed[vector] = spectrum[vector] @ weight[index]
    return torch.fft.irfftn(mixed, s=grid, dim=axes)


@pytest.mark.parametrize(("grid", "modes"), [((16, 12), 4), ((9, 8), 40), ((8, 9, 10), 3)])
def test_the_spectral_layer_equals_its_fft_version_in_more_dimensions(grid, modes):
    torch.manual_seed(0)
    layer, x = SpectralConvND(4, modes, grid), torch.randn(*grid, 2, 4)
    torch.testing.assert_close(layer(x), by_rfftn(layer, x), atol=1e-5, rtol=1e-5)


MODELS = [
    lambda i, o, grid, periodic: FNO(i, o, grid, periodic, modes=4, width=8),
    lambda i, o, grid, periodic: UNet(i, o, grid, periodic, width=4),
    lambda i, o, grid, periodic: Conv(i, o, grid, periodic, width=8),
]


@pytest.mark.parametrize("make", MODELS, ids=["fno", "unet", "conv"])
@pytest.mark.parametrize("grid", [(6,), (20,), (32,), (12, 20), (8, 8, 8)], ids=str)
@pytest.mark.parametrize("periodic", [True, False], ids=["periodic", "ends"])
def test_shapes_and_gradients(make, grid, periodic):
    torch.manual_seed(0)
    model = make(4, 2, grid, periodic) if len(grid) == 1 else make(6, 2, grid, periodic)
    x = torch.randn(3, *grid, 4 if len(grid) == 1 else 6)
    assert model(x).shape == (3, *grid, 2)
    with torch.no_grad():  # the head of Conv starts at zero, which hides the rest
        for p in model.parameters():
            p.add_(0.01)
    model(x).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


@pytest.mark.parametrize("grid", [(32,), (16, 16)], ids=str)
def test_conv_commutes_with_shifts(grid):
    torch.manual_seed(0)
    channels, dims = 2, len(grid)
    model, x = Conv(3 * channels + dims, channels, grid), torch.randn(2, *grid, 3 * channels + dims)
    torch.testing.assert_close(model(x.roll(7, dims=1)), model(x).roll(7, dims=1), atol=1e-5, rtol=1e-5)


def test_unet_commutes_with_shifts_of_its_coarsest_cell():
    torch.manual_seed(0)
    model, x = UNet(2, 1, (32,), width=4), torch.randn(2, 32, 2)
    torch.testing.assert_close(model(x.roll(8, dims=1)), model(x).roll(8, dims=1), atol=1e-5, rtol=1e-5)
    assert len(UNet(2, 1, (6,), width=4).down) == 1


@pytest.mark.parametrize("kind", [UNet, Conv])
def test_only_on_a_ring_is_the_first_point_next_to_the_last(kind):
    torch.manual_seed(0)
    for periodic in (True, False):
        model, x = kind(2, 1, (64,), periodic, width=4), torch.randn(1, 64, 2)
        if kind is Conv:
            torch.nn.init.normal_(model.head.weight)
        else:  # group normalisation lets every point see every other through the mean
            for module in model.modules():
                if isinstance(module, torch.nn.GroupNorm):
                    module.forward = lambda field: field  # type: ignore[method-assign]
        moved = x.clone()
        moved[0, 0] += 1.0
        assert (float((model(moved) - model(x))[0, -1].detach().abs().max()) > 1e-6) == periodic


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel=4"):
        Conv(2, 1, (16,), kernel=4)
