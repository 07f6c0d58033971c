"""The trained diffusion model of digits: what it learns, where it is kept, and pictures that compress."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.contract import BenchError
from bench.seeds import Stream
from tasks.diffusion import process, rewards, trained
from tasks.diffusion.process import Mixture

DIMENSION = 4
CENTRES = Stream(1).normal(3, DIMENSION)
MIXTURE = Mixture(torch.full((3,), 1 / 3), CENTRES, torch.full_like(CENTRES, 0.09))


def test_training_comes_near_the_exact_denoiser_and_no_nearer_than_exact():
    """The loss of a denoiser is that of the exact one and its squared distance to it, so that the exact one is a bound."""
    network = trained.train(CENTRES, 0.3, 400, Stream(2))
    x, noise = MIXTURE.draw(4000, Stream(3)), Stream(4).normal(4000, DIMENSION)
    for t in (0.1, 0.5, 1.0):
        noisy = process.diffuse(x, t, noise)
        exact, learned = MIXTURE.noise(noisy, t), network(noisy, t)
        plain = process.deviation(torch.tensor(t)) * noisy  # of one normal law with variance 1
        losses = [float((guess - noise).square().mean()) for guess in (exact, learned, plain)]
        assert losses[0] < losses[1] < losses[0] + 0.35 * (losses[2] - losses[0])
        assert losses[1] - losses[0] == pytest.approx(float((learned - exact).square().mean()), abs=0.02)


def test_the_file_is_made_once_and_a_cut_one_anew(tmp_path):
    path = trained.cached(tmp_path, CENTRES, 0.3, 3, Stream(2))
    content, made_at = path.read_bytes(), path.stat().st_mtime_ns
    assert trained.cached(tmp_path, CENTRES, 0.3, 3, Stream(2)) == path and path.stat().st_mtime_ns == made_at
    path.write_bytes(content[: len(content) // 2])
    assert trained.cached(tmp_path, CENTRES, 0.3, 3, Stream(2)).read_bytes() == content
    other = (trained.cached(tmp_path, *asked) for asked in ((CENTRES, 0.3, 4, Stream(2)), (CENTRES, 0.3, 3, Stream(3))))
    assert len({path, *other}) == 3
    network = trained.network(torch.from_numpy(np.load(path)), DIMENSION)
    assert torch.equal(network.values, trained.train(CENTRES, 0.3, 3, Stream(2)).values)


def test_what_cannot_be_read_or_written_is_named(tmp_path):
    with pytest.raises(BenchError, match=r"parameters was given \(3,\)"):
        trained.network(torch.zeros(3), DIMENSION)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(BenchError, match="taken: cannot be written"):
        trained.cached(tmp_path / "taken", CENTRES, 0.3, 3, Stream(2))


def test_a_flat_picture_compresses_and_noise_does_not():
    """A constant picture has one coefficient, side times its value; of white noise c ~ N(0, v), where the mean is known."""
    reward = rewards.compressibility(8)
    assert float(reward(torch.ones(1, 64))) == pytest.approx(63 / 64, abs=1e-6)
    v = 0.25
    exact = 1 / math.sqrt(1 + v / rewards.QUANTUM**2)
    assert float(reward(math.sqrt(v) * Stream(5).normal(4000, 64)).mean()) == pytest.approx(exact, rel=0.02)
