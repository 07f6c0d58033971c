"""`instability/lm_shakespeare`: `instability/lm_proxy` on tiny Shakespeare, as a row of its own."""

from __future__ import annotations

from tasks.instability.lm_proxy import PAPER, SMOKE, LanguageModel


class Shakespeare(LanguageModel):
    """The same model, grid and metrics on characters of a text; `bar` is the loss of a bigram model."""

    name = "instability/lm_shakespeare"
    presets = {preset: {**sizes, "text": "shakespeare"} for preset, sizes in
               (("smoke", SMOKE), ("small", {}), ("paper", PAPER))}  # fmt: skip
