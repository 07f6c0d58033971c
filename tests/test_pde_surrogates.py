"""The networks: identities, symmetries, shapes."""

import pytest
import torch

from baselines.surrogates.conv import Conv
from baselines.surrogates.unet import UNet
from bench.train import parameter_count
from benchmarks.fno_step import TOLERANCE, by_fft, deviation
from tasks.pde.fno import FNO, SpectralConv, transforms


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
    model, x = FNO(3, 2, 22, modes=40, width=6), torch.randn(2, 22, 3)  # all modes, with the Nyquist one
    assert model.spectral[0].weight.shape[0] == 12
    torch.testing.assert_close(model(x), by_fft(model, x), atol=1e-5, rtol=1e-5)


def test_gradients_agree_with_the_fft_version():
    torch.manual_seed(0)
    model, x = FNO(2, 1, 32, modes=6, width=8), torch.randn(4, 32, 2)
    ours = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    theirs = torch.autograd.grad(by_fft(model, x).square().sum(), list(model.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_the_fno_has_pdebenchs_number_of_parameters():
    model = FNO(channels_in=11, channels_out=1, points=256)
    # 23,937 when a complex weight counts once, as PDEBench's FNO1d(12, 20) does; its 19,200 weights count twice here.
    assert parameter_count(model) == 23_937 + 4 * 12 * 20 * 20


def test_a_spectral_layer_passes_low_waves_only_and_commutes_with_shifts():
    torch.manual_seed(0)
    layer, x = SpectralConv(4, 3, 16), torch.randn(16, 2, 4)
    assert float(torch.fft.rfft(layer(x), dim=0)[3:].abs().max()) < 1e-5
    torch.testing.assert_close(layer(x.roll(5, dims=0)), layer(x).roll(5, dims=0))


MODELS = [
    lambda i, o, n: FNO(i, o, n, width=8),
    lambda i, o, n: UNet(i, o, n, width=4),
    lambda i, o, n: Conv(i, o, n, width=8),
]


@pytest.mark.parametrize("make", MODELS, ids=["fno", "unet", "conv"])
@pytest.mark.parametrize("points", [6, 20, 32])
def test_shapes_and_gradients(make, points):
    torch.manual_seed(0)
    model = make(4, 2, points)
    out = model(torch.randn(3, points, 4))
    assert out.shape == (3, points, 2)
    with torch.no_grad():  # the head of Conv starts at zero, which hides the rest
        for p in model.parameters():
            p.add_(0.01)
    model(torch.randn(3, points, 4)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def test_conv_starts_from_persistence_and_commutes_with_shifts():
    torch.manual_seed(0)
    model, x = Conv(4, 1, 32), torch.randn(2, 32, 4)
    torch.testing.assert_close(model(x), x[..., 2:3])  # the last frame; the coordinate follows it
    torch.nn.init.normal_(model.head.weight)
    torch.testing.assert_close(model(x.roll(7, dims=1)), model(x).roll(7, dims=1), atol=1e-5, rtol=1e-5)


def test_unet_commutes_with_shifts_of_its_coarsest_cell():
    torch.manual_seed(0)
    model, x = UNet(2, 1, 32, width=4), torch.randn(2, 32, 2)
    torch.testing.assert_close(model(x.roll(8, dims=1)), model(x).roll(8, dims=1), atol=1e-5, rtol=1e-5)
    assert len(UNet(2, 1, 6, width=4).down) == 1


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel=4"):
        Conv(2, 1, 16, kernel=4)
