"""Measures over sizes and rates, on records whose answer is known: power laws, and losses written down by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bench.contract import BenchError
from bench.records.record import Record
from tasks.instability import scaling_claims as measures
from tests.test_claims import record

WIDTHS, RATES = (32, 64, 128), (1e-2, 3e-2)


def row(width: int, lr: float, entry: str = "plain", status: str = "ok", **metrics: float) -> Record:
    found = record(entry, status=status, initial_val_loss=4.0, **metrics)
    found.params = {"width": width, "lr": lr}
    return found


def power(a: float, b: float, factor: float = 1.0, widths=WIDTHS, rates=RATES, **more: float) -> list[Record]:
    """Records whose logits and gradients are factor * width^a * lr^b, in an order of no help."""
    made = []
    for lr in reversed(rates):
        for width in widths:
            value = factor * width**a * lr**b
            made.append(row(width, lr, max_attention_logit=value, gradient_rms=value, **more))
    return made


def losses(table: dict[int, dict[float, float | None]], entry: str = "plain") -> list[Record]:
    return [
        row(width, lr, entry, "diverged") if loss is None else row(width, lr, entry, final_loss=loss)
        for width, at in table.items()
        for lr, loss in at.items()
    ]


# extrapolation


@pytest.mark.parametrize(("a", "b"), [(2.0, 1.5), (-1.0, 0.3)])
def test_a_power_law_is_foretold_without_error(a, b):
    rows = power(a, b)
    for (predicted, largest), lr in zip(measures.predictions(rows, "gradient_rms"), RATES, strict=True):
        assert (largest.params["width"], largest.params["lr"]) == (128, lr)
        assert predicted == pytest.approx(math.log(128**a * lr**b))
    assert measures.extrapolation_error({"plain": rows}, entry="plain", metric="gradient_rms") == pytest.approx(0)


def test_the_error_is_in_decades():
    rows = power(2.0, 1.0)
    for one in rows:
        if one.params["width"] == 128:
            one.metrics["gradient_rms"] *= 100 if one.params["lr"] == RATES[0] else 0.1
    assert measures.extrapolation_error({"plain": rows}, entry="plain", metric="gradient_rms") == pytest.approx(1.5)


def test_more_smaller_widths_are_fitted_by_least_squares():
    rows = power(1.0, 0.0, widths=(8, 16, 32, 64), rates=(0.1,))
    rows[1].metrics["gradient_rms"] *= 2  # the middle of three: the line rises by a third of it and keeps its slope
    ((predicted, _),) = measures.predictions(rows, "gradient_rms")
    assert predicted == pytest.approx(math.log(64) + math.log(2) / 3)


def test_an_instability_is_foretold_by_the_logits_of_smaller_models():
    def wide(low: float, high: float) -> dict[str, Any]:
        rows = power(2.0, 1.0, factor=5.0)  # at width 128: 819 and 2458, on the two sides of 1e3
        for one in rows:
            one.metrics["final_loss"] = low if one.params["lr"] == RATES[0] else high
        return {"plain": rows}

    assert measures.instability_foretold(wide(1.6, 2.8), entry="plain") == 1.0
    assert measures.instability_foretold(wide(1.6, 1.7), entry="plain") == 0.5
    assert measures.instability_foretold(wide(2.8, 1.6), entry="plain") == 0.0


def test_exponents_of_gradients_and_logits():
    assert measures.gradient_growth({"plain": power(-2.0, -0.5)}, entry="plain") == pytest.approx(-0.5)
    assert measures.gradient_growth({"plain": power(-2.0, 0.3)}, entry="plain") == pytest.approx(0.3)
    one_width = {"plain": power(0.0, 2.5, widths=(32,)), "held": power(0.0, 0.7, widths=(32,))}
    assert measures.logit_growth(one_width, of="held", under="plain") == pytest.approx(1.8)


# losses


def test_sensitivity_is_the_papers_and_its_growth_that_of_the_outer_widths():
    """Of the worked example 4.5, 4.0, 9.0 with 7 at initialisation, 7/6; here 4 at initialisation."""
    table = {32: {0.01: 1.6, 0.03: 1.6}, 64: {0.01: 9.0, 0.03: 1.0}, 128: {0.01: 1.5, 0.03: None}}
    assert measures.sensitivity_growth({"plain": losses(table)}, entry="plain") == pytest.approx(1.25)
    other = losses({128: {0.01: 1.5, 0.03: 1.7}})
    change = measures.sensitivity_change({"plain": losses(table), "mu": other}, of="mu", under="plain")
    assert change == pytest.approx(0.1 - 1.25)


def test_carrying_a_rate_over_costs_what_it_is_above_the_best():
    plain = losses({32: {0.003: 1.8, 0.01: 1.6}, 128: {0.003: 1.5, 0.01: 1.7}})
    held = losses({32: {0.003: 1.8, 0.01: 1.6}, 128: {0.003: 1.6, 0.01: 1.5}})
    assert measures.regret_drop({"plain": plain, "mu": held}, of="mu", under="plain") == pytest.approx(0.2)
    assert measures.regret_drop({"plain": plain, "mu": plain}, of="mu", under="plain") == 0.0


def test_a_drop_of_the_loss_is_positive_if_the_entry_ends_lower():
    records = {"plain": losses({128: {0.03: 2.5}}), "small": losses({128: {0.03: 2.2}})}
    assert measures.loss_drop(records, of="small", under="plain") == pytest.approx(0.3)


# bad input


def test_plans_that_allow_no_answer_are_named():
    with pytest.raises(BenchError, match=r"widths \[32, 64\]; this measure needs 3 or more"):
        measures.predictions(power(1, 1, widths=(32, 64)), "gradient_rms")
    with pytest.raises(BenchError, match="needs 2 or more"):
        measures.sensitivity_growth({"plain": losses({32: {0.01: 1.6}})}, entry="plain")
    with pytest.raises(BenchError, match="one value allows no exponent"):
        measures.gradient_growth({"plain": power(1, 1, rates=(0.1,))}, entry="plain")


def test_a_metric_that_is_not_positive_and_a_cell_that_failed_are_named():
    rows = power(1, 1)
    rows[0].metrics["gradient_rms"] = 0.0
    with pytest.raises(BenchError, match="gradient_rms is 0.0; a power law needs it positive"):
        measures.extrapolation_error({"plain": rows}, entry="plain", metric="gradient_rms")
    rows[0].status = "timeout"
    with pytest.raises(BenchError, match="timeout"):
        measures.extrapolation_error({"plain": rows}, entry="plain", metric="gradient_rms")
