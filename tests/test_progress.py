"""The line that tells how far a sweep is."""

from __future__ import annotations

import io

import pytest

from bench.running.sweep import Progress


def test_stored_costs_foretell_the_time_and_the_cells_so_far_correct_it():
    progress = Progress(total=3, fresh=0, workers=2, costs={"a": 10.0, "b": 20.0, "c": 30.0})
    assert progress.seconds_left() == 30
    progress.ended("a", "ok", 15.0)  # half as slow again as foretold
    assert progress.seconds_left() == pytest.approx(1.5 * 50 / 2)
    progress.ended("b", "failed", 9.0)
    assert progress.seconds_left() == pytest.approx(1.5 * 30 / 2)


def test_what_was_never_run_is_guessed_from_this_sweep_only():
    progress = Progress(total=4, fresh=0, workers=1, costs={"a": 10.0})
    assert progress.seconds_left() is None
    progress.ended("b", "ok", 6.0)
    assert progress.seconds_left() == pytest.approx(10 + 2 * 6)
    progress.ended("a", "ok", 20.0)
    assert progress.seconds_left() == pytest.approx(2 * 13)


def test_the_line_says_done_failed_left_and_what_runs():
    out = io.StringIO()
    progress = Progress(total=200, fresh=7, workers=1, costs=dict.fromkeys(map(str, range(200)), 2.0), out=out)
    progress.bad = 1
    progress.ended("0", "ok", 2.0)
    progress.show(["toy/line sgd seed 3"])
    said = out.getvalue()
    assert said.startswith("1/200 done, 1 not ok, 199 left, 7 fresh, ") and "a minute" in said
    assert "about 6.6 min left | toy/line sgd seed 3" in said
    progress.show(["other"])
    assert out.getvalue() == said, "not again within seconds"
