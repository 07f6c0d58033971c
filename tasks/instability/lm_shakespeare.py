"""`instability/lm_shakespeare`: `instability/lm_proxy` on tiny Shakespeare, as a row of its own."""

from __future__ import annotations

from tasks.instability.lm_proxy import PAPER, SMOKE, LanguageModel


class Shakespeare(LanguageModel):
    """The same model, grid and metrics on characters of a text; `bar` is the loss of a bigram model."""

    name = "instability/lm_shakespeare"
    presets = {
        "smoke": {**SMOKE, "text": "shakespeare"},
        "small": {"text": "shakespeare"},
        "paper": {**PAPER, "text": "shakespeare", "held_out": 100},  # what a twentieth of the text holds
    }
