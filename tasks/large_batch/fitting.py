"""Sizes that make no sense are refused, with the reason, instead of being cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.contract import BenchError, Log, Solution
from bench.seeds import EntrySeeds
from tasks.large_batch.base import LargeBatch
from tasks.large_batch.recipe import Recipe


class Fitting(LargeBatch):
    """The family's run, with the recipe checked first. Subclasses may adapt the recipe that a regime returns."""

    def adapted(self, recipe: Recipe, samples: int) -> Recipe:
        """The recipe as it is run on `samples` training samples."""
        return recipe

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        regime, samples = parts["regime"], len(public["x"])

        def fitting(recipe: Recipe) -> Recipe:
            chosen = regime(recipe=recipe)
            if not 1 <= chosen.batch <= samples:
                raise BenchError(
                    f"{self.name}: a batch of {chosen.batch} cannot be drawn from {samples} training samples; "
                    "lower the regime's growth, or raise task.train"
                )
            if chosen.ghost == 1:
                raise BenchError(f"{self.name}: a ghost batch of 1 has no variance; raise task.batch to 2 or more")
            return self.adapted(chosen, samples)

        return super().run(public, {**parts, "regime": fitting}, log, seeds)
