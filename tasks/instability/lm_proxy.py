"""A small decoder-only language model, trained at a grid of peak learning rates: how sharply does a wrong rate hurt?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import slots
from bench.contract import BenchError, Budget, Curves, Derived, Log, Metric, Problem, Slot, Solution, Task
from bench.data import text
from bench.metrics import trajectories
from bench.seeds import EntrySeeds, Seeds

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

GRID = {
    "smoke": (1e-2, 3e-1),
    "small": (1e-2, 3e-2, 1e-1, 3e-1),
    "paper": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
}


@dataclass
class Params:
    """text: chain or shakespeare. vocab, copy, back: of the chain (see tasks.instability.chain). rows, row: number and
    length of the chain's training texts. length: tokens of a context. held_out: contexts of each of validation and test.
    lr: peak learning rate. clip: bound on the gradient's norm. Defaults: the `small` preset.
    """

    text: str = "chain"
    vocab: int = 32
    copy: float = 0.5
    back: int = 8
    rows: int = 512
    row: int = 128
    length: int = 16
    held_out: int = 1024
    width: int = 32
    heads: int = 1
    layers: int = 2
    batch: int = 16
    steps: int = 200
    lr: float = 1e-2
    clip: float = 1.0
    evaluations: int = 4


SMOKE = {"rows": 128, "held_out": 256, "width": 16, "steps": 60, "evaluations": 2}
PAPER = {
    "rows": 65536, "row": 4096, "length": 512, "held_out": 4096, "width": 512, "heads": 8, "layers": 6, "batch": 256,
    "steps": 100000, "evaluations": 50,
}  # fmt: skip


def optimizer(*, model: nn.Module, steps: int, lr: float) -> Optimizer:
    """An optimizer over `model`'s named parameters for `steps` updates at the peak rate `lr`, which replaces its own."""
    raise NotImplementedError


def attention(*, heads: int, head_dim: int) -> nn.Module:
    """A module whose forward(q, k, rotate) gives attention scores (batch, heads, length, length) before mask and softmax.

    q, k: (batch, heads, length, head_dim), not yet rotated; rotate(x) applies the rotary embedding. One for each layer.
    """
    raise NotImplementedError


def regularizer(*, logits: Tensor, targets: Tensor) -> Tensor:
    """A scalar to add to the loss; logits (batch, length, vocab), targets (batch, length)."""
    raise NotImplementedError


def _sensitivity(name: str, loss: str, split: str) -> Derived:
    def reduce(grid: Sequence[float], rows: Sequence[Mapping[str, float]]) -> float:
        bars = [row["bar"] for row in rows if "bar" in row]
        if not bars:  # no rate of the grid gave a result
            return math.inf
        initial = max(row.get("initial_val_loss", -math.inf) for row in rows)
        return trajectories.lr_sensitivity([row.get(loss, math.inf) for row in rows], initial, max(bars))

    doc = f"mean over peak rates of min({split} loss, loss at initialisation), minus the least; that is at most `bar`"
    return Derived(Metric(name, "nats", "min", doc, diverged=3.0), "lr", GRID, reduce)


class LanguageModel(Task):
    """Predict the token after a context. The loss is measured after whole contexts only: no held-out target, and no
    token after it, ever reaches the entry. The loss at initialisation is that of the validation contexts.
    """

    name = "instability/lm_proxy"
    version = 2
    Params = Params
    presets = {"smoke": SMOKE, "small": {}, "paper": PAPER}

    rank = "lr_sensitivity"
    objective = "val_lr_sensitivity"
    positive = (
        "vocab",
        "rows",
        "row",
        "length",
        "held_out",
        "width",
        "heads",
        "layers",
        "batch",
        "steps",
        "lr",
        "evaluations",
    )
    metrics = (
        Metric("final_loss", "nats", "min", "test loss after training", diverged=math.inf),
        Metric("val_loss", "nats", "min", "validation loss after training", diverged="first"),
        Metric("excess", "nats", "min", "test loss above the entropy of the next token's law; of the chain only"),
        Metric(
            "bar", "nats", "min", "loss below which a run has learned: entropy + 0.5, or a bigram's loss for a text"
        ),
        Metric("max_lse", "1", "min", "largest log sum exp of the test logits"),
        Metric("mean_logit", "1", "max", "mean test logit"),
        Metric("max_attention_logit", "1", "min", "largest attention score after training", source="probe"),
        Metric("weight_norm", "1", "min", "Euclidean norm of all weights after training", source="probe"),
    )
    slots = (
        Slot("attention", attention, {"_target_": "tasks.instability.transformer.Dot"}),
        Slot(
            "optimizer", optimizer,
            {"_target_": "bench.optim.named", "name": "AdamW", "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.0},
        ),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.cosine", "warmup": 0.05}),
        Slot("regularizer", regularizer, many=True),
    )  # fmt: skip
    derived = (
        _sensitivity("lr_sensitivity", "final_loss", "test"),
        _sensitivity("val_lr_sensitivity", "val_loss", "validation"),
    )
    probes = {"transformer": "tasks.instability.transformer.probe"}
    floors = ("plain_attention",)
    reference = "qk_layernorm"
    margin = 0.05

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return {text.SHAKESPEARE: cache / text.SHAKESPEARE} if self.params.text == "shakespeare" else {}

    def prepare(self, cache: Path, pool: int) -> str | None:
        """The file's text, or None for the chain, which is drawn anew for each seed."""
        if self.params.text == "chain":
            return None
        if self.params.text == "shakespeare":
            return text.read(self.data_files(cache)[text.SHAKESPEARE])
        raise BenchError(f"task.text={self.params.text!r}: there are chain and shakespeare")

    def problem(self, data: str | None, seeds: Seeds) -> Problem:
        import torch

        from tasks.instability import training

        if data is None:
            return training.chain_problem(self.params, seeds)
        tokens, alphabet = text.characters(data)
        return training.text_problem(self.params, torch.tensor(tokens), len(alphabet), text.origin(data), seeds)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        from tasks.instability import training

        return training.run(self.params, public, parts, log, seeds)

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from tasks.instability import training

        contexts, law = problem.hidden["val"]
        return {"val_loss": training.cross_entropy(training.next_logits(predict, contexts, law.shape[1]), law)}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.instability import training

        contexts, law = problem.hidden["test"]
        logits = training.next_logits(solution.require_predict(), contexts, law.shape[1])
        loss = training.cross_entropy(logits, law)
        curves = {name: log.curve(name)[1] for name in ("val_loss", "max_attention_logit", "weight_norm")}
        return {
            "final_loss": loss,
            "excess": loss - problem.hidden["entropy"] if "entropy" in problem.hidden else None,
            "bar": problem.hidden["bar"],
            "max_lse": float(logits.logsumexp(dim=-1).max()),
            "mean_logit": float(logits.mean()),
            **{name: values[-1] if values else None for name, values in curves.items()},
        }
