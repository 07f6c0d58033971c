"""Accuracy against worked examples, its limits, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.contract import BenchError
from bench.metrics.classification import accuracy, right

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=30)


def test_a_worked_example():
    scores = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0], [2.0, 0.0, 1.0], [-3.0, -2.0, -1.0]])
    assert right(scores, torch.tensor([0, 1, 1, 2])) == 3
    assert accuracy(scores, torch.tensor([0, 1, 1, 2])) == 0.75


@given(LABELS)
def test_one_hot_scores_are_always_right_and_their_opposites_never(labels):
    hot = torch.nn.functional.one_hot(torch.tensor(labels), 5).float()
    assert accuracy(hot, torch.tensor(labels)) == 1.0
    assert accuracy(-hot, torch.tensor(labels)) == 0.0


@given(LABELS, st.integers(0, 1000))
def test_order_of_samples_and_a_rising_function_of_scores_change_nothing(labels, seed):
    generator = torch.Generator().manual_seed(seed)
    scores, wanted = torch.randn(len(labels), 5, generator=generator), torch.tensor(labels)
    order = torch.randperm(len(labels), generator=generator)
    found = accuracy(scores, wanted)
    assert accuracy(scores[order], wanted[order]) == found
    assert accuracy(scores.softmax(-1), wanted) == found


def test_equal_scores_answer_the_first_class():
    assert right(torch.zeros(10, 10), torch.arange(10)) == 1


@pytest.mark.parametrize("place", [0, 1])
def test_a_score_that_is_no_number_is_wrong(place):
    scores = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    scores[0, place] = math.nan
    assert right(scores, torch.tensor([1, 1])) == 1
    assert right(scores, torch.tensor([0, 1])) == 1


@pytest.mark.parametrize("shape", [(4,), (3, 10), (4, 1, 10), ()])
def test_shapes_that_do_not_fit_are_an_error(shape):
    with pytest.raises(BenchError, match=r"scores \(samples, classes\) are wanted for 4 samples"):
        right(torch.zeros(shape), torch.zeros(4, dtype=torch.int64))


def test_the_accuracy_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no samples"):
        accuracy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
