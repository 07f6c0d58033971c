"""`instability/lm_loss`: the model and text of `instability/lm_proxy` at one rate, the optimizer's own, ranked by the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench import slots
from bench.contract import Log, Slot, Solution
from tasks.instability.lm_proxy import LanguageModel

if TYPE_CHECKING:
    from bench.seeds import EntrySeeds

WORST = 10.0  # nats above the entropy, three times what an even guess has: what a diverged run counts as


class Loss(LanguageModel):
    """Which optimizer, tuned, comes nearest to the entropy of the text within the budget?"""

    name = "instability/lm_loss"
    version = 1
    slots = tuple(  # type: ignore[assignment]  # the optimizer brings its rate along
        Slot(
            "optimizer",
            slots.optimizer,
            {"_target_": "bench.optim.named", "name": "AdamW", "lr": 1e-2, "betas": [0.9, 0.95]},
        )
        if slot.name == "optimizer"
        else slot
        for slot in LanguageModel.slots
    )
    metrics = tuple(  # type: ignore[assignment]
        replace(metric, diverged=WORST) if metric.name == "excess" else metric for metric in LanguageModel.metrics
    )
    derived = ()  # type: ignore[assignment]
    rank = "excess"
    objective = "val_loss"
    floors = ("untrained",)
    reference = "adam"
    margin = 0.5

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        part = parts["optimizer"]
        return super().run(
            public, {**parts, "optimizer": lambda model, steps, lr: part(model=model, steps=steps)}, log, seeds
        )
