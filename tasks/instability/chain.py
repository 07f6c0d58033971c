"""A source of text whose entropy is known: an order-1 chain, mixed with copies of the token a few places back.

The next token is, with probability `copy`, the one `back` places before it, else a draw from the row of the transition
matrix that belongs to the last token. The choices are independent, so given the past the law of the next token is known
exactly: `next_law`. Its entropy bounds the loss of every predictor from below (Gibbs' inequality).
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.seeds import Stream

SHARPNESS = 3.0  # of the rows: softmax(3 z), z standard normal; their entropy is near 1.3 nats for 32 tokens
MIXING = 64  # tokens of each row that are drawn and thrown away


def transition_matrix(vocab: int, stream: Stream) -> Tensor:
    """Row-stochastic (vocab, vocab), float64: rows softmax(3 z) of standard normal z."""
    noise = stream.normal(vocab, vocab, dtype=torch.float64)
    return torch.softmax(SHARPNESS * noise, dim=1)


def stationary(matrix: Tensor) -> Tensor:
    """The stationary law pi = pi P of a row-stochastic matrix (vocab, vocab): (vocab,), by its linear equations."""
    size = len(matrix)
    equations = torch.cat([matrix.T - torch.eye(size, dtype=matrix.dtype), torch.ones(1, size, dtype=matrix.dtype)])
    right = torch.zeros(size + 1, 1, dtype=matrix.dtype)
    right[-1] = 1
    return torch.linalg.lstsq(equations, right).solution.squeeze(1)


def entropy(law: Tensor) -> Tensor:
    """Entropy in nats of laws (..., vocab): (...)."""
    return torch.special.entr(law).sum(dim=-1)


def next_law(matrix: Tensor, tokens: Tensor, copy: float, back: int) -> Tensor:
    """The exact law of the token after each row of `tokens` (n, length >= back): (n, vocab)."""
    law = (1 - copy) * matrix[tokens[:, -1]]
    law[torch.arange(len(tokens)), tokens[:, -back]] += copy
    return law


def sample(matrix: Tensor, shape: tuple[int, int], copy: float, back: int, stream: Stream) -> Tensor:
    """Tokens int64 of `shape` (rows, length): independent rows of the mixed process after `MIXING` tokens of it.

    The first tokens come from the stationary law, which is also the mixed process's own marginal.
    """
    rows, length = shape
    cumulative = matrix.cumsum(dim=1)
    columns = [_drawn(stationary(matrix).clamp(min=0).cumsum(dim=0).expand(rows, -1), stream)]
    for step in range(1, MIXING + length):
        fresh = _drawn(cumulative[columns[-1]], stream)
        if step >= back:
            copied = stream.uniform(rows, dtype=torch.float64) < copy
            fresh = torch.where(copied, columns[-back], fresh)
        columns.append(fresh)
    return torch.stack(columns[MIXING:], dim=1)


def _drawn(cumulative: Tensor, stream: Stream) -> Tensor:
    """One draw (rows,) from each of the laws whose cumulative sums are (rows, vocab), by inversion."""
    points = stream.uniform(len(cumulative), 1, dtype=cumulative.dtype) * cumulative[:, -1:]
    return torch.searchsorted(cumulative.contiguous(), points, right=True).squeeze(1).clamp(max=cumulative.shape[1] - 1)
