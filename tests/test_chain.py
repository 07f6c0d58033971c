"""The chain of known entropy, against closed forms and enumeration."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch

from bench.seeds import Stream
from tasks.instability import chain, training


@cache
def matrix(vocab: int = 8) -> torch.Tensor:
    return chain.transition_matrix(vocab, Stream(3))


def test_the_stationary_law_is_stationary():
    law = chain.stationary(matrix())
    torch.testing.assert_close(law @ matrix(), law)
    assert float(law.sum()) == pytest.approx(1) and float(law.min()) > 0


def test_without_copies_the_mean_conditional_entropy_is_the_entropy_rate():
    """sum_i pi_i H(P_i) (Cover and Thomas, section 4.2)."""
    rate = float(chain.stationary(matrix()) @ chain.entropy(matrix()))
    contexts = chain.sample(matrix(), (20000, 4), 0.0, 2, Stream(0))
    entropies = chain.entropy(chain.next_law(matrix(), contexts, 0.0, 2))
    error = float(entropies.std()) / math.sqrt(len(entropies))
    assert float(entropies.mean()) == pytest.approx(rate, abs=4 * error)


def test_with_copies_the_mean_conditional_entropy_is_that_of_the_enumerated_process():
    """Two letters, copies from two back: the pair (x_{t-1}, x_t) is a chain of four states, solved exactly."""
    two, copy = torch.tensor([[0.9, 0.1], [0.4, 0.6]], dtype=torch.float64), 0.5
    pairs = torch.tensor([[i, j] for i in (0, 1) for j in (0, 1)])
    laws = chain.next_law(two, pairs, copy, back=2)
    moves = torch.zeros(4, 4, dtype=torch.float64)
    for row, (_, j) in enumerate(pairs.tolist()):
        for k in (0, 1):
            moves[row, 2 * j + k] = laws[row, k]
    joint = chain.stationary(moves)
    exact = float(joint @ chain.entropy(laws))
    contexts = chain.sample(two, (40000, 2), copy, 2, Stream(0))
    entropies = chain.entropy(chain.next_law(two, contexts, copy, 2))
    assert float(entropies.mean()) == pytest.approx(exact, abs=4 * float(entropies.std()) / 200)
    torch.testing.assert_close(joint.view(2, 2).sum(0), chain.stationary(two), msg="copies keep the marginal")


def test_the_law_of_the_next_token_is_what_is_drawn():
    """The mean surprise of the drawn token under `next_law` is that law's mean entropy, and a wrong copy rate loses."""
    draws = chain.sample(matrix(), (20000, 9), 0.5, 8, Stream(0))
    contexts, following = draws[:, :8], draws[:, 8]

    def surprise(copy: float) -> torch.Tensor:
        return -chain.next_law(matrix(), contexts, copy, 8).gather(1, following[:, None]).log().squeeze(1)

    law = chain.next_law(matrix(), contexts, 0.5, 8)
    gap = surprise(0.5) - chain.entropy(law)
    assert abs(float(gap.mean())) < 4 * float(gap.std()) / math.sqrt(len(gap))
    assert float(surprise(0.5).mean()) < min(float(surprise(0.3).mean()), float(surprise(0.7).mean()))


def test_the_entropy_of_a_mixture_lies_between_its_bounds():
    """(1-c) H(P_i) <= H((1-c) P_i + c delta) <= (1-c) H(P_i) + h(c), for every context."""
    contexts = chain.sample(matrix(), (500, 8), 0.3, 8, Stream(0))
    mixed = chain.entropy(chain.next_law(matrix(), contexts, 0.3, 8))
    lower = 0.7 * chain.entropy(matrix())[contexts[:, -1]]
    assert bool((mixed >= lower - 1e-12).all())
    assert bool((mixed <= lower - 0.3 * math.log(0.3) - 0.7 * math.log(0.7) + 1e-12).all())


def test_the_entropy_bounds_every_loss_and_only_the_law_attains_it():
    contexts = chain.sample(matrix(), (300, 8), 0.5, 8, Stream(0))
    law = chain.next_law(matrix(), contexts, 0.5, 8)
    bound = float(chain.entropy(law).mean())
    assert training.cross_entropy(law.log(), law) == pytest.approx(bound, rel=1e-12)
    for seed in range(20):
        other = law.log() + 0.1 * Stream(seed).normal(*law.shape, dtype=torch.float64)
        assert training.cross_entropy(other, law) > bound


# the model


def test_a_bigram_learns_a_chain_that_has_nothing_else():
    tokens = chain.sample(matrix(), (1, 6000), 0.0, 2, Stream(0))[0]
    loss = training.cross_entropy(training.bigram(tokens, 8), matrix())
    exact = training.cross_entropy(matrix().log(), matrix())
    assert exact < loss < exact + 0.05
