"""Data and training of the language-model proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.contract import BenchError, Log, Problem, Solution
from bench.seeds import EntrySeeds, Seeds
from bench.train import fit
from tasks.instability import chain
from tasks.instability.transformer import Size, Transformer

SHARES = (0.9, 0.05)  # of a text that go to training and to validation; the rest, its end, is for testing
CHUNK = 1024  # contexts that pass through the model at once
LEARNED = 0.5  # nats above the chain's entropy: a model that ends below has learned the chain and the copies


def chain_problem(p: Any, seeds: Seeds) -> Problem:
    """Training texts (rows, row), and held-out contexts with the exact law of the token after each."""
    if not 0 < p.back <= p.length < p.row:
        raise BenchError(f"back={p.back}, length={p.length}, row={p.row}: they must satisfy back <= length < row")
    matrix = chain.transition_matrix(p.vocab, seeds.stream("data", "matrix"))
    shapes = {"train": (p.rows, p.row), "val": (p.held_out, p.length), "test": (p.held_out, p.length)}
    train, *held_out = (
        chain.sample(matrix, shape, p.copy, p.back, seeds.stream("data", name)) for name, shape in shapes.items()
    )
    val, test = ((contexts, chain.next_law(matrix, contexts, p.copy, p.back)) for contexts in held_out)
    entropy = float(chain.entropy(test[1]).mean())
    hidden = {"val": val, "test": test, "entropy": entropy, "bar": entropy + LEARNED}
    return Problem({"train": train.short(), "vocab": p.vocab}, hidden)


def text_problem(p: Any, tokens: Tensor, vocab: int, origin: str, seeds: Seeds) -> Problem:
    """The start of a text for training; from its end, contexts that do not overlap, each with the token after it.

    The text's parts are the same for all seeds; which contexts are drawn from them is not.
    """
    cut = [int(sum(SHARES[:i]) * len(tokens)) for i in (1, 2)]

    def contexts(part: Tensor, name: str) -> tuple[Tensor, Tensor]:
        blocks = part[: len(part) // (p.length + 1) * (p.length + 1)].view(-1, p.length + 1)
        if len(blocks) < p.held_out:
            raise BenchError(
                f"held_out={p.held_out}: the text has {len(blocks)} contexts of length {p.length} to test on"
            )
        blocks = blocks[seeds.stream("split", name).permutation(len(blocks))[: p.held_out]]
        return blocks[:, :-1].contiguous(), functional.one_hot(blocks[:, -1], vocab).double()

    train, *held_out = tokens.tensor_split(cut)
    val, test = map(contexts, held_out, ("val", "test"))
    hidden = {"val": val, "test": test, "bar": cross_entropy(bigram(train, vocab)[test[0][:, -1]], test[1])}
    return Problem({"train": train[None].short(), "vocab": vocab}, hidden, origin)


def bigram(tokens: Tensor, vocab: int) -> Tensor:
    """Log frequencies (vocab, vocab) of each token after each, in `tokens` (length,), every pair counted once more."""
    pairs = torch.bincount(tokens[:-1] * vocab + tokens[1:], minlength=vocab * vocab).view(vocab, vocab).double() + 1
    return (pairs / pairs.sum(dim=1, keepdim=True)).log()


def batches(train: Tensor, size: int, length: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless windows (size, length + 1) at random places of random rows of `train` (rows, row)."""
    offsets = torch.arange(length + 1)
    rows, row = train.shape
    while True:
        start = torch.randint(row - length, (size, 1), generator=generator)
        yield train[torch.randint(rows, (size, 1), generator=generator), start + offsets].long()


def run(
    p: Any,
    public: Mapping[str, Any],
    parts: Mapping[str, Any],
    log: Log,
    seeds: EntrySeeds,
    build: Callable[..., Transformer] = Transformer,
) -> Solution:
    """Train a transformer on all positions of random windows; predict(contexts) gives logits of the token after them.

    build(size, attention, generator=) makes the model.
    """
    train, vocab = public["train"], int(public["vocab"])
    size = Size(vocab, p.length, p.width, p.heads, p.layers)
    model = build(size, parts["attention"], generator=torch.Generator().manual_seed(seeds("init")))
    optimizer = parts["optimizer"](model=model, steps=p.steps, lr=p.lr)
    draws = batches(train, p.batch, p.length, torch.Generator().manual_seed(seeds("order")))
    watched = next(batches(train, 4 * p.batch, p.length, torch.Generator().manual_seed(seeds("noise"))))[:, :-1]

    def loss(batch: Tensor) -> Tensor:
        logits, targets = model(batch[:, :-1]), batch[:, 1:]
        total = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return sum((term(logits=logits, targets=targets) for term in parts["regularizer"]), start=total)

    return fit(
        model, optimizer, loss, draws, p.steps, log,
        forward=lambda contexts: torch.cat([model(c)[:, -1] for c in contexts.split(CHUNK)]),
        schedule=parts["schedule"], clip=p.clip, eval_every=max(1, p.steps // p.evaluations),
        probe_state={"model": model, "tokens": watched, "optimizer": optimizer},
    )  # fmt: skip


def next_logits(predict: Callable[..., Any], contexts: Tensor, vocab: int) -> Tensor:
    """Logits (n, vocab) in float64 of the token after each context. BenchError for another shape."""
    logits = predict(contexts)
    if logits.shape != (len(contexts), vocab):
        raise BenchError(
            f"predict returned {tuple(logits.shape)}; the next token's logits are {(len(contexts), vocab)}"
        )
    return logits.double()


def cross_entropy(logits: Tensor, law: Tensor) -> float:
    """Mean over contexts of -sum_v law_v log softmax(logits)_v, in nats: the loss expected over the token to come."""
    return float(-(law * logits.log_softmax(dim=-1)).sum(dim=-1).mean())
