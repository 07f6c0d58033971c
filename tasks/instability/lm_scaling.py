"""`instability/lm_scaling`: the proxy at several widths and depths, a slot for the output, and probes of early failure signs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.contract import Curves, Log, Metric, Problem, Slot, Solution
from bench.seeds import EntrySeeds
from tasks.instability.lm_proxy import PAPER, SMOKE, LanguageModel

if TYPE_CHECKING:
    from torch import nn

GRID = {
    "smoke": (1e-2, 3e-1),
    "small": (3e-3, 1e-2, 3e-2, 1e-1),
    "paper": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
}


def output(*, width: int) -> nn.Module:
    """A module from output logits to output logits, (batch, length, vocab) both; width: of the layer before the head."""
    raise NotImplementedError


class Scaling(LanguageModel):
    """The same text, model and metrics as `instability/lm_proxy`. `width` and `layers` are there to be swept; the grid of
    rates starts lower, since a wider model wants a lower rate.
    """

    name = "instability/lm_scaling"
    presets = {"smoke": SMOKE, "small": {"width": 64, "held_out": 512}, "paper": PAPER}
    # the base's tuples are typed by their lengths, hence what mypy is told
    metrics = (  # type: ignore[assignment]
        *LanguageModel.metrics,
        Metric(
            "gradient_rms", "1", "max", "RMS of the first MLP layer's last gradient, after clipping",
            scale="log", source="probe",
        ),
        Metric("gradient_over_eps", "1", "max", "gradient_rms over Adam's eps", scale="log", source="probe"),
        Metric(
            "update_rms", "1", "max", "RMS of the first MLP layer's last Adam update before the rate", source="probe"
        ),
    )  # fmt: skip
    slots = (  # type: ignore[assignment]
        *LanguageModel.slots,
        Slot("output", output, {"_target_": "tasks.instability.scaling.Same"}),
    )
    derived = tuple(replace(metric, grid=GRID) for metric in LanguageModel.derived)  # type: ignore[assignment]
    probes = {**LanguageModel.probes, "scaling": "tasks.instability.scaling.probe"}

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        from tasks.instability import scaling, training

        build = partial(scaling.ScalingModel, output=parts["output"])
        return training.run(self.params, public, parts, log, seeds, build)

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        curves = {name: log.curve(name)[1] for name in ("gradient_rms", "gradient_over_eps", "update_rms")}
        return super().score(problem, solution, log) | {
            name: values[-1] if values else None for name, values in curves.items()
        }
