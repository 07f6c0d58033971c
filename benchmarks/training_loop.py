"""CPU time of the shared training loop against a hand-written torch loop of the same model, side by side in one run.

Three models at their tasks' `small` sizes, on made-up data of the tasks' shapes: the grokking network (Adam, full batch),
the CIFAR network (SGD with momentum, batches of 32) and the transformer (AdamW, warm-up and cosine, clipping). Both loops
start from the same weights, see the same batches, set the same rates and keep every loss; the shared one also counts what
it spends, looks for divergence and for reached targets, and keeps curves, through the log that a cell has. The loops take
turns, and turns in going first, in many short rounds. A round's figure is its quickest step, since whatever else the machine
does only adds; the ratio is the median over rounds. The losses have to be equal bit for bit.

    python -m benchmarks.training_loop [--share 1]
"""

from __future__ import annotations

import argparse
import itertools
import operator
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from bench import schedules
from bench.contract import Budget
from bench.run_log import RunLog
from bench.seeds import Seeds
from bench.train import Loop
from tasks.grokking import arithmetic, network
from tasks.grokking.modular_addition import Params as Addition
from tasks.instability import transformer
from tasks.instability.lm_proxy import Params as Language
from tasks.large_batch import networks
from tasks.large_batch.cifar10 import Params as Pictures

RATIO = 1.05  # what `make perf` asks for
SILENT = 0.01  # and of a probe that is off, as a share of the training between two calls
STEPS = 10  # in a round
CALLS = 2000

Row = tuple[str, float, str, float, Callable[[float, float], bool]]


@dataclass
class Training:
    """A model about to be trained, as both loops take it."""

    model: nn.Module
    loss: Callable[[Any], Tensor]
    optimizer: Optimizer
    batches: Iterable[Any]
    schedule: Callable[[int, int], float]
    clip: float | None = None


def grokking() -> Training:
    """The quadratic network on all training pairs at once."""
    p = Addition()
    model = network.Quadratic(p.p, p.p, p.width)
    inputs = arithmetic.one_hot(torch.randint(p.p, (p.train, 2)), p.p)
    batch = inputs, torch.randint(p.p, (p.train,))
    adam = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-3)
    return Training(
        model, lambda pair: arithmetic.centred_mse(model(pair[0]), pair[1]), adam, itertools.repeat(batch),
        schedules.constant,
    )  # fmt: skip


def pictures() -> Training:
    """The convolutional network on shuffled batches."""
    p = Pictures()
    model = networks.ConvNet(3 * 32 * 32, 10)
    data = torch.randn(p.train, 3 * 32 * 32), torch.randint(10, (p.train,))
    sgd = torch.optim.SGD(model.parameters(), lr=p.lr, momentum=0.9, weight_decay=1e-4)
    draws = networks.batches(*data, p.batch, torch.Generator().manual_seed(0))
    return Training(model, lambda pair: functional.cross_entropy(model(pair[0]), pair[1]), sgd, draws, schedules.drops)


def language() -> Training:
    """The transformer on random windows."""
    p = Language()
    size = transformer.Size(p.vocab, p.length, p.width, p.heads, p.layers)
    model = transformer.Transformer(size, transformer.Dot, torch.Generator().manual_seed(0))
    adamw = torch.optim.AdamW(model.parameters(), lr=p.lr, betas=(0.9, 0.95), weight_decay=0.0)
    windows = [torch.randint(p.vocab, (p.batch, p.length + 1)) for _ in range(64)]

    def loss(batch: Tensor) -> Tensor:
        return functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())

    return Training(model, loss, adamw, itertools.cycle(windows), schedules.cosine, p.clip)


CASES: dict[str, tuple[Callable[[], Training], int]] = {  # with a number of rounds
    "grokking network": (grokking, 160),
    "CIFAR network": (pictures, 60),
    "transformer": (language, 60),
}


def by_hand(training: Training, steps: int) -> list[float]:
    """The losses of `steps` updates, as a torch user writes it."""
    rates = [group["lr"] for group in training.optimizer.param_groups]
    losses = []
    training.model.train()
    for step, batch in zip(range(steps), training.batches, strict=False):
        for group, rate in zip(training.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * training.schedule(step, steps)
        training.optimizer.zero_grad()
        loss = training.loss(batch)
        loss.backward()
        if training.clip is not None:
            nn.utils.clip_grad_norm_(training.model.parameters(), training.clip)
        training.optimizer.step()
        losses.append(loss.item())
    return losses


def run_log(steps: int) -> RunLog:
    """The log of a cell whose task has a probe that is switched off."""
    task: Any = SimpleNamespace(budget=Budget("steps", steps), probes={"network": "tasks.grokking.network.probe"})
    channel: Any = SimpleNamespace(evaluate=lambda step, predict: ({}, False))
    return RunLog(task, channel, Seeds(0, "benchmark").of_entry(), probes=False)


def shared(training: Training, steps: int) -> list[float]:
    """The same by the project's loop."""
    log = run_log(steps)
    Loop(
        training.model, training.loss, training.optimizer, steps, log, schedule=training.schedule, clip=training.clip
    ).run(training.batches)
    return [value for _, value in log.curves["loss"]]


LOOPS: dict[str, Callable[[Training, int], list[float]]] = {"by hand": by_hand, "shared": shared}


@dataclass(frozen=True)
class Measured:
    """CPU milliseconds of a step of each loop, the ratio, and whether every loss was the same."""

    by_hand: float
    shared: float
    ratio: float
    equal: bool


def ticking(batches: Iterable[Any], ticks: list[float]) -> Iterator[Any]:
    """The same batches; the CPU clock is read as each is drawn, so that two readings span one step."""
    for batch in batches:
        ticks.append(time.process_time())
        yield batch


def measure(make: Callable[[], Training], rounds: int) -> Measured:
    """Time both loops in turns; the first round only warms up."""
    quickest: dict[str, list[float]] = {name: [] for name in LOOPS}
    equal = True
    for turn in range(rounds + 1):
        losses = {}
        for name in list(LOOPS)[:: 1 if turn % 2 else -1]:
            torch.manual_seed(turn)
            training = make()
            ticks: list[float] = []
            losses[name] = LOOPS[name](replace(training, batches=ticking(training.batches, ticks)), STEPS)
            if turn:
                quickest[name].append(1e3 * min(after - before for before, after in itertools.pairwise(ticks)))
        equal = equal and losses["by hand"] == losses["shared"]
    hand, shared = quickest["by hand"], quickest["shared"]
    ratio = statistics.median(b / a for a, b in zip(hand, shared, strict=True))
    return Measured(statistics.median(hand), statistics.median(shared), ratio, equal)


def silent_probe() -> float:
    """CPU milliseconds that one call of a probe costs where probes are off."""
    log = run_log(1)
    state = {"network": nn.Linear(1, 1), "symbols": 1}
    spans = []
    for step in range(CALLS):
        start = time.process_time()
        log.probe(step, **state)
        spans.append(1e3 * (time.process_time() - start))
    return statistics.median(spans)


def rows(share: float = 1.0) -> list[Row]:
    """(what, figure, unit, limit, how it must compare) for `make perf`; share: of the rounds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measures = {name: measure(make, max(2, round(share * rounds))) for name, (make, rounds) in CASES.items()}
        silent = silent_probe() / (Addition().eval_every * measures["grokking network"].shared)
    finally:
        torch.set_num_threads(threads)
    return [
        *(
            (
                f"shared loop over one by hand, {name} ({measured.by_hand:.1f} ms)",
                measured.ratio,
                "x",
                RATIO,
                operator.le,
            )
            for name, measured in measures.items()
        ),
        (
            "models whose losses differ between the loops",
            sum(not measured.equal for measured in measures.values()),
            "",
            0,
            operator.le,
        ),
        ("a probe that is off, of the grokking network's training", silent, "x", SILENT, operator.le),
    ]


def main() -> int:
    """Measure and print; exit code 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of rounds")
    missed = 0
    for name, figure, unit, limit, holds in rows(parser.parse_args().share):
        missed += not holds(figure, limit)
        print(f"{'ok  ' if holds(figure, limit) else 'MISS'} {name:58} {figure:9.4g} {unit:2} (limit {limit:g})")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
