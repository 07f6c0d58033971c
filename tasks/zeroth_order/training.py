"""The training of `zeroth_order/train`: steps until the forward passes are spent, whoever makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.contract import BenchError, Diverged, Exhausted, Log, Solution
from bench.seeds import EntrySeeds
from tasks.zeroth_order.memory import PeakMemory
from tasks.zeroth_order.network import Network, Weights, cross_entropy
from tasks.zeroth_order.oracles import NetworkOracle, gradient

LOSSES = 100  # values of the training loss over a run, beside its first
FIRST = 4  # steps whose loss is always taken
GONE = 100.0  # nats; a run whose training loss is above has diverged

Step = Callable[[NetworkOracle, Tensor], tuple[Tensor, Tensor | None]]


def batches(x: Tensor, y: Tensor, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless epochs of shuffled batches; a last partial one is dropped."""
    while True:
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x) - size + 1, size):
            picked = order[start : start + size]
            yield x[picked], y[picked]


def stepper(network: Network, weights: Tensor, queries: int, passes: int, parts: Mapping[str, Any], seed: int) -> Step:
    """A step of the entry: oracle, weights -> (weights after it, the direction that stood for the gradient, if it has one)."""
    generator = torch.Generator().manual_seed(seed)
    if parts.get("searcher") is not None:
        searcher = parts["searcher"](dimension=network.dimension, evaluations=passes, generator=generator)
        return lambda oracle, now: (searcher(oracle, now), None)
    if parts.get("rule") is not None:
        estimate = parts["rule"](network=network, generator=generator)
    else:
        estimate = parts["estimator"](dimension=network.dimension, evaluations=queries, generator=generator)
    model = Weights(network, weights)
    optimizer = parts["optimizer"](model=model, steps=passes // queries)
    if getattr(optimizer, "wants_closure", False) or getattr(optimizer, "wants_graph", False):
        raise BenchError(
            "the optimizer asks for the loss or its graph; here it gets a direction, so take one that needs only that"
        )

    def step(oracle: NetworkOracle, now: Tensor) -> tuple[Tensor, Tensor]:
        direction = estimate(oracle, now)
        model.follow(direction)
        optimizer.step()
        return now, direction

    return step


def run(
    network: Network, batch: int, passes: int, queries: int, probed: int, public: Mapping[str, Any],
    parts: Mapping[str, Any], log: Log, seeds: EntrySeeds,
) -> Solution:  # fmt: skip
    """Train from a drawn start until the passes are spent; the last step that they do not cover is left out."""
    with log.phase("setup"):
        weights = network.start(torch.Generator().manual_seed(seeds("init")))
        spent = 0

        def count(**amounts: int) -> None:
            nonlocal spent
            log.count(**amounts)
            spent += amounts.get("evals", 0)

        oracle = NetworkOracle(network, count)
        step = stepper(network, weights, queries, passes, parts, seeds("noise"))
        log.count(parameters=network.dimension)

    def predict(x: Tensor) -> Tensor:
        with torch.no_grad():
            return network.outputs(weights, x)

    memory, due, heard = None, 0, 0
    log.evaluate(0, predict)
    for at, (oracle.x, oracle.y) in enumerate(
        batches(public["x"], public["y"], batch, torch.Generator().manual_seed(seeds("order")))
    ):
        probing = spent >= due * passes / probed
        if at < FIRST or spent >= heard * passes / LOSSES:
            heard += 1
            with torch.no_grad():
                loss = float(network.loss(weights, oracle.x, oracle.y))
            log.track(at, loss=loss)
            if not loss < GONE:
                raise Diverged(f"the training loss is {loss:g} at step {at}")
        if at >= passes:
            raise BenchError("the entry makes steps and asks for no evaluation")
        before = weights.clone() if probing else weights
        try:
            if memory is None:
                memory, (weights, direction) = measured(step, oracle, network, weights)
            else:
                weights, direction = step(oracle, weights)
        except Exhausted:
            break
        log.count(steps=1, samples=batch)
        if probing:
            due += 1
            state = {"taken": before - weights if direction is None else direction, "weights": before}
            log.probe(at + 1, network=network, x=oracle.x, y=oracle.y, **state)
            log.evaluate(at + 1, predict)
        log.incumbent = Solution(predict, {"weights": weights, "memory": memory})
    if log.incumbent is None:
        raise BenchError(f"one step takes more than the {passes} evaluations of the run; raise task.evaluations")
    return Solution(predict, {"weights": weights, "memory": memory})


def measured(step: Step, oracle: NetworkOracle, network: Network, weights: Tensor) -> tuple[float, Any]:
    """(peak of a step's tensors over that of a forward pass, what the step returns). The forward pass is not counted."""
    with torch.no_grad(), PeakMemory() as inference:
        network.loss(weights, oracle.x, oracle.y)
    with PeakMemory() as own:
        result = step(oracle, weights)
    return own.peak / inference.peak, result


def alignment(network: Network, x: Tensor, y: Tensor, taken: Tensor, weights: Tensor) -> dict[str, float]:
    """Cosine between the direction `taken` (d,) and the gradient on the batch, of all weights and of the hidden layers'.

    Left out where either is 0, as the gradient is once all units have saturated.
    """
    exact = gradient(lambda w: network.loss(w, x, y), weights)
    hidden = network.dimension - network.output_weights

    pairs = {"alignment": (taken, exact), "hidden_alignment": (taken[:hidden], exact[:hidden])}
    products = {name: (float(a @ b), float(a.norm() * b.norm())) for name, (a, b) in pairs.items()}
    return {name: inner / norms for name, (inner, norms) in products.items() if norms > 0}


def judge(predict: Callable[..., Any], x: Tensor, y: Tensor) -> tuple[float, float]:
    """(cross-entropy in nats, share classified right). BenchError unless there is a row of logits a sample."""
    logits = predict(x)
    if logits.ndim != 2 or len(logits) != len(y):
        raise BenchError(f"predictions of shape {tuple(logits.shape)} for {len(y)} digits; expected (digits, classes)")
    return float(cross_entropy(logits, y).mean()), float((logits.argmax(dim=1) == y).float().mean())


def late_mean(values: Sequence[float]) -> float | None:
    """Mean over the last half of a curve; None without one."""
    late = values[len(values) // 2 :]
    return sum(late) / len(late) if late else None
