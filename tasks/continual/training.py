"""One run of several tasks in a row: stages, rates, counted passes, and what the parts store."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from bench.contract import Log, Solution
from bench.seeds import EntrySeeds
from bench.train import Loop, Stage, evaluation, parameter_count, run_stages

Batch = tuple[Tensor, Tensor]


def count_passes(model: nn.Module, log: Log) -> None:
    """Charge each sample that passes through the model in training mode or with a gradient, whoever passes it."""

    def charge(module: nn.Module, inputs: Any, output: Any) -> None:
        if module.training or torch.is_grad_enabled():
            log.count(passes=len(inputs[0]))

    model.register_forward_hook(charge)


def batches(data: Batch, size: int, order: Generator, memory: Callable[[Batch], Batch] | None) -> Iterator[Batch]:
    """Endless batches of `size`, in a new order each epoch, which drops its incomplete last batch."""
    x, y = data
    while True:
        for rows in torch.randperm(len(x), generator=order).split(size):
            if len(rows) == size:
                batch = x[rows], y[rows]
                yield memory(batch) if memory is not None else batch


class Density:
    """Shares of the weights that each update changes, stage by stage."""

    def __init__(self, model: nn.Module) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.before = self._copies()
        self.shares: list[list[float]] = [[]]

    def _copies(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.parameters]

    def look(self) -> None:
        """Compare with the weights at the last look."""
        now = self._copies()
        changed = sum(int((a != b).sum()) for a, b in zip(now, self.before, strict=True))
        self.shares[-1].append(changed / sum(p.numel() for p in now))
        self.before = now

    def means(self) -> tuple[float, float]:
        """(mean over all updates, mean over those after the first stage)."""
        flat, after = ([share for stage in part for share in stage] for part in (self.shares, self.shares[1:]))
        return sum(flat) / len(flat), sum(after) / max(1, len(after))


def stored(*holders: Any) -> int:
    """Numbers in all tensors of lists and dictionaries, at any depth. The parameters of a model, which is held anyway, do not
    count."""
    seen: set[int] = set()

    def numbers(node: Any) -> int:
        if node is None or id(node) in seen or isinstance(node, nn.Module | nn.Parameter):
            return 0
        seen.add(id(node))
        if isinstance(node, Tensor):
            return node.numel()
        if isinstance(node, Mapping):
            return sum(numbers(value) for value in node.values())
        return sum(map(numbers, node)) if isinstance(node, list | tuple) else 0

    return sum(map(numbers, holders))


def run(
    p: Any, steps: Sequence[int], public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds
) -> Solution:
    """Train on one task after another; the answer keeps a copy of the network as it was after each of them."""
    tasks = list(zip(public["x"], public["y"], strict=True))
    with log.phase("setup"):
        model = parts["model"](inputs=public["x"].shape[-1], classes=public["classes"], width=p.width)
        optimizer = parts["optimizer"](model=model, steps=sum(steps))
        noise = torch.Generator().manual_seed(seeds("noise"))
        penalty = parts["penalty"](model=model, generator=noise) if parts["penalty"] else None
        memory = parts["memory"](generator=noise) if parts["memory"] else None
        log.count(parameters=parameter_count(model))
        count_passes(model, log)
    order = torch.Generator().manual_seed(seeds("order"))
    rates = [group["lr"] for group in optimizer.param_groups]
    networks = [copy.deepcopy(model).eval()]
    density = Density(model)

    def loss(batch: Batch) -> Tensor:
        fit = functional.cross_entropy(model(batch[0]), batch[1])
        return fit if penalty is None else fit + penalty(model)

    def predict(x: Tensor, stage: int | None = None) -> Tensor:
        """Logits of the network now, or as it was after `stage` tasks."""
        network = model if stage is None or stage >= len(networks) else networks[stage]
        with evaluation(network, optimizer if network is model else None):
            logits: Tensor = network(x)
            return logits

    def at_step(step: int) -> None:
        density.look()
        if penalty is not None and hasattr(penalty, "after_step"):
            penalty.after_step(model)

    def stages() -> Iterator[Stage]:
        for stage, (data, updates) in enumerate(zip(tasks, steps, strict=True)):
            for group, base in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = base * parts["rate"](stage=stage)
            loop.eval_every = max(1, updates // p.evaluations)
            yield Stage(f"task{stage + 1}", updates, batches(data, p.batch, order, memory), data)
            with evaluation(model, optimizer):
                networks.append(copy.deepcopy(model))
            density.shares.append([])

    loop = Loop(model, loss, optimizer, 0, log, predict=predict, at_step=at_step)
    run_stages(loop, stages(), [part for part in (penalty, memory, optimizer) if part is not None])
    whole, after = density.means()
    states = [list(one.state.values()) for one in getattr(optimizer, "parts", [optimizer])]
    held = stored(states, *(vars(part) for part in (penalty, memory) if hasattr(part, "__dict__")))
    share = held / max(1, parameter_count(model))
    return Solution(predict, {"update_density": whole, "later_density": after, "stored": share})
