"""Trials of two laboratory tasks, with the timing and noise that the paper's code sets.

Inputs (trials, steps, 3): fixation cue, then two stimulus channels. Labels (trials, steps): 0 asks to fixate, 1 and 2 are
the choices, asked for at the last step alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.seeds import Stream

NOISE = math.sqrt(0.02)  # deviation of a stimulus channel at each step of 100 ms
COHERENCES = (0.0, 0.064, 0.128, 0.256, 0.512)
CHOICES = 2


def two_alternative_choice(count: int, stimulus: int, stream: Stream) -> tuple[Tensor, Tensor]:
    """Which of two noisy channels is larger on average? `stimulus` steps of evidence (1 + c) / 2 and (1 - c) / 2 for a
    coherence c of `COHERENCES`, then the step of decision, where every input is 0.
    """
    choice = stream.integers(CHOICES, count)
    coherence = torch.tensor(COHERENCES)[stream.integers(len(COHERENCES), count)]
    signed = torch.where(choice == 0, coherence, -coherence)
    inputs = torch.zeros(count, stimulus + 1, 3)
    inputs[:, :stimulus, 0] = 1.0
    means = torch.stack([1 + signed, 1 - signed], dim=-1) / 2
    noise = NOISE * stream.normal(count, stimulus, CHOICES)
    inputs[:, :stimulus, 1:] = means[:, None] + noise
    return inputs, _labels(choice, stimulus + 1)


def delayed_match(count: int, delay: int, stream: Stream) -> tuple[Tensor, Tensor]:
    """Is the test the sample again (choice 1) or the other of two stimuli (2)? One step of sample, `delay` steps of
    nothing, one step of test, one of decision. The stimuli are (1, 0) and (0, 1); the fixation cue is on throughout.
    """
    choice, sample = (stream.integers(CHOICES, count) for _ in range(2))
    inputs = torch.zeros(count, delay + 3, 3)
    inputs[:, :, 0] = 1.0
    stimuli = torch.eye(CHOICES)
    for step, shown in ((0, sample), (delay + 1, (sample + choice) % CHOICES)):
        inputs[:, step, 1:] = stimuli[shown] + NOISE * stream.normal(count, CHOICES)
    return inputs, _labels(choice, delay + 3)


def ideal_choice_accuracy(stimulus: int) -> float:
    """The most that any observer gets right of `two_alternative_choice`: the mean over c of Phi(c sqrt(T) / (sqrt(2) noise)).

    The difference of the channels is N(+-c, 2 noise^2) at each of T steps; the sign of its sum is sufficient.
    """
    arguments = [c * math.sqrt(stimulus) / (math.sqrt(2) * NOISE) for c in COHERENCES]
    return sum(0.5 * (1 + math.erf(z / math.sqrt(2))) for z in arguments) / len(arguments)


def ideal_match_accuracy() -> float:
    """The most that any observer gets right of `delayed_match`: q^2 + (1 - q)^2 with q = Phi(1 / (sqrt(2) noise)), the
    share of stimuli that can be told apart.
    """
    share = 0.5 * (1 + math.erf(1 / (2 * NOISE)))
    return share**2 + (1 - share) ** 2


def _labels(choice: Tensor, steps: int) -> Tensor:
    labels = torch.zeros(len(choice), steps, dtype=torch.long)
    labels[:, -1] = choice + 1
    return labels
