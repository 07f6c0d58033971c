"""Verification: honest rows stand, chosen seeds and altered records do not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats as reference

from bench.checking import published_rows, selection, verify
from bench.records import ledger, standing
from bench.records.standing import Fresh
from bench.records.store import Store
from bench.running import sweep
from tests import rows
from tests.conftest import toy_task

# ---------------------------------------------------------------- the test, by itself


def test_p_is_the_exact_test_of_mann_and_whitney():
    rng = np.random.default_rng(0)
    for n, k in ((5, 5), (3, 10), (12, 20)):
        x, y = rng.normal(size=n), rng.normal(0.3, 2.0, size=k)
        for better, side in (("min", "less"), ("max", "greater")):
            expected = reference.mannwhitneyu(x, y, alternative=side, method="exact").pvalue
            assert selection.p_better(x, y, better) == pytest.approx(expected, rel=1e-12)


def test_a_tie_is_half_a_win_and_rounding_is_a_tie():
    for same in ([1.0 + 1e-15] * 4, [1.0 - 1e-15] * 4, [1.0] * 4):
        assert selection.p_better([1.0] * 3, same, "min") == pytest.approx(20 / 35), "six wins of twelve"
    assert selection.p_better([0.0] * 3, [0.0] * 4, "min") == pytest.approx(20 / 35)
    assert selection.p_better([1.0] * 5, [2.0] * 5, "min") == pytest.approx(1 / 252)
    assert selection.p_better([1.0] * 5, [2.0] * 5, "max") == pytest.approx(1.0)
    tied, untied = selection.p_better([1, 2, 2], [2, 3, 4], "min"), selection.p_better([1, 2, 4], [3, 5, 6], "min")
    assert tied == untied, "two ties are worth one win"
    assert math.isnan(selection.p_better([], [1.0, 2.0, 3.0], "min"))
    assert math.isnan(selection.p_better([1.0, math.nan], [1.0, 2.0], "min"))


def test_three_claimed_seeds_are_disputed_by_twenty_fresh_ones_alone():
    assert selection.can_dispute(3, selection.looks(None)) and selection.can_dispute(3, selection.looks(7))
    assert not selection.can_dispute(3, selection.looks(6)), "of 84 orders one is p = .012"


@pytest.mark.parametrize("count", [None, 5, 20])
@pytest.mark.parametrize("n", [3, 5, 10, 30])
def test_an_honest_claim_is_disputed_at_most_as_often_as_stated(n, count):
    """Over all looks, and so for every continuous noise: only the order of the draws enters."""
    plan, rng, repetitions = selection.looks(count), np.random.default_rng(n * 100), 20000
    share = selection.examine(rng.normal(size=(repetitions, n)), rng.normal(size=(repetitions, plan[-1].seeds)), plan)[
        0
    ].mean()
    assert share < selection.ALPHA + 2 * math.sqrt(selection.ALPHA / repetitions)
    assert share > 0.004 or n == 3, "nor is the level given away"


def test_an_honest_time_to_target_is_disputed_at_most_as_often_as_stated():
    """Times come in steps, some seeds end at the budget."""
    rng = np.random.default_rng(1)
    for step in (10, 100, 300):
        times = np.minimum(1500, step * np.ceil(rng.lognormal(6.5, 0.6, size=(20000, 25)) / step))
        assert (times == 1500).mean() > 0.05
        assert selection.examine(times[:, :5], times[:, 5:], selection.LOOKS)[0].mean() < selection.ALPHA


@pytest.mark.parametrize("noise", selection.NOISES)
def test_the_best_five_of_fifty_seeds_are_disputed_in_any_noise(noise):
    """Draws of the noise itself, all fifty of them, against the power that `verify` prints."""
    rng, draw = np.random.default_rng(5), selection.NOISES[noise]
    chosen = np.sort(draw(rng.uniform(size=(4000, 50))), axis=1)[:, :5]
    fresh = draw(rng.uniform(size=(4000, 20)))
    for count, least in ((None, 0.89), (5, 0.65), (10, 0.83), (20, 0.93)):
        plan = selection.looks(count)
        share = selection.examine(chosen, fresh, plan)[0].mean()
        assert share > least and selection.power(5, plan)[noise] == pytest.approx(share, abs=0.03)


def test_honest_rows_seldom_take_more_than_five_fresh_seeds():
    rng = np.random.default_rng(6)
    taken = selection.examine(rng.normal(size=(4000, 5)), rng.normal(size=(4000, 20)), selection.LOOKS)[1]
    assert (taken == 5).mean() > 0.75 and taken.mean() < 7.5


def test_a_row_that_is_clear_has_no_more_looks():
    claimed, fresh = np.arange(20.0)[None], np.array([[-1.0] * 5 + [30.0] * 15])
    assert selection.p_better(claimed[0], fresh[0], "min") < 0.004
    assert [made.tolist() for made in selection.examine(claimed, fresh, selection.LOOKS)] == [[False], [5]]


def test_power_is_told_for_the_step_in_which_values_come():
    assert selection.step_of([1.0, 2.0], [3.0, 4.5, 6.0]) == 0, "no two values are tied"
    assert selection.step_of([10.0, 20.0], [20.0, 30.0, 40.0]) == pytest.approx(1.0)
    assert selection.step_of([1.0, 1.0], [2.0, 2.0, 2.0]) is None, "nothing to select among equal seeds"
    fine, coarse = selection.power(5, selection.LOOKS), selection.power(5, selection.LOOKS, step=0.5)
    assert len(set(fine.values())) == 1 and all(coarse[noise] < fine[noise] for noise in fine)
    rng = np.random.default_rng(7)
    chosen = np.sort(np.round(rng.normal(size=(4000, 50)) / 0.5), axis=1)[:, :5]
    share = selection.examine(chosen, np.round(rng.normal(size=(4000, 20)) / 0.5), selection.LOOKS)[0].mean()
    assert coarse["normal"] == pytest.approx(share, abs=0.03)


def test_fresh_seeds_follow_from_digest_and_number_and_collide_with_none():
    seeds = published_rows.fresh_seeds("digest", "number", 50)
    assert seeds == published_rows.fresh_seeds("digest", "number", 50) and len(set(seeds)) == 50
    assert not set(seeds) & set(published_rows.fresh_seeds("digest", "other", 50))
    assert not set(seeds) & set(published_rows.fresh_seeds("else", "number", 50))
    assert min(seeds) >= 2**51 and max(seeds) < 2**52 and json.loads(json.dumps(float(seeds[0]))) == seeds[0]


# ---------------------------------------------------------------- records and lines


def record(**changes):
    """A record as far as `difference` and `other_arithmetic` look."""
    made = {"fingerprint": "a", "packages": {"torch": "1"}, "threads": 1}
    return rows.record("e", 0, **{"metrics": {"error": 0.5}, "provenance": made} | changes)


def test_the_difference_of_two_records():
    assert verify.difference(record(), record()) == 0
    assert verify.difference(record(), record(metrics={"error": 0.55})) == pytest.approx(0.05 / 0.55)
    for other in ({"status": "diverged"}, {"censored": ["error"]}, {"metrics": {"error": 0.5, "more": 1.0}}):
        assert math.isinf(verify.difference(record(), record(**other)))


def test_bits_are_asked_for_under_one_arithmetic_only():
    assert sweep.other_arithmetic(record(), record()) == []
    for name, value in (("fingerprint", "b"), ("packages", {"torch": "2"}), ("threads", 2)):
        other = record()
        setattr(other.provenance, name, value)
        assert sweep.other_arithmetic(record(), other) == [name]
    unknown = [record(provenance={"cpu": "a"}) for _ in range(2)]
    assert sweep.other_arithmetic(*unknown) == ["fingerprint"], "nobody knows what made them"


def test_the_latest_line_stands_and_damaged_ones_are_reported(tmp_path):
    store = Store(tmp_path)
    standing.append(store, rows.verification())
    standing.append(store, rows.verification("disputed", "2030-01-02"))
    standing.append(store, rows.verification("verified", "2030-01-03", params={"nu": 2}, set={"nu": 2}))
    standing.append(
        store, rows.verification("verified", "2030-01-04", repeated=True)
    )  # of a number that somebody chose
    with standing.path_of(store, "e").open("a") as stream:
        stream.write("{ half\n")
    assert standing.standing(store)["t", "small", "e"].verdict == "disputed"
    assert len(standing.lines(store)) == 2 and "cannot be read" in store.reports[0]


def test_a_badge_speaks_of_the_records_it_saw():
    verified, disputed = rows.verification(), rows.verification("disputed")
    assert standing.badge(None, ["a"]) == "claimed"
    assert [standing.badge(verified, keys) for keys in (["a", "b"], ["a"])] == ["verified"] * 2
    assert [standing.badge(verified, keys) for keys in (["a", "b", "c"], ["c"], [])] == ["claimed"] * 3
    assert [standing.badge(disputed, keys) for keys in (["a", "c"], ["c"])] == ["disputed", "claimed"]
    assert standing.badge(rows.verification("not comparable"), ["a", "b"]) == "claimed"


# ---------------------------------------------------------------- the verb


@pytest.fixture(autouse=True)
def one_draw(monkeypatch):
    """An honest row is disputed once in a hundred draws; a test draws the same number every time."""
    monkeypatch.setenv("SWEEPSTAKES_DRAWN", "1")


def test_the_number_comes_from_the_system_unless_it_is_repeated(monkeypatch):
    assert published_rows.drawn() == "1"
    monkeypatch.setenv("SWEEPSTAKES_DRAWN", "")
    assert (
        not published_rows.repeated()
        and len(published_rows.drawn()) == 32
        and published_rows.drawn() != published_rows.drawn()
    )


def lines_of(folder: Path, entry: str) -> list[dict]:
    return [json.loads(text) for text in (folder / "results" / "verified" / f"{entry}.jsonl").read_text().splitlines()]


def test_an_honest_row_is_verified_and_an_altered_or_chosen_one_disputed(bench, tmp_path):
    words = ("task=toy/line", "entry=line_sgd", "task.noise=0.5")
    assert bench("run", *words, "seed=range(120)").returncode == 0
    done = bench("verify", "line_sgd", "--seeds", "4")
    assert done.returncode == 0 and "verified" in done.stdout, done.stderr
    assert done.stdout.index("digest") < done.stdout.index("drawn") and "gives no badge" in done.stderr
    (told,) = lines_of(tmp_path, "line_sgd")
    assert (
        told["verdict"] == "verified"
        and told["repeated"]
        and told["claimed"]["seeds"] == list(range(120))
        and told["set"] == {"noise": 0.5}
    )
    assert told["replayed"]["equal"] and told["replayed"]["difference"] == 0 and len(told["fresh"]["values"]) == 4
    assert told["fresh"]["seeds"] == published_rows.fresh_seeds(told["entry_digest"], told["drawn"], 4)
    store = Store(tmp_path / "results")
    records = {r.seed: r for r in store.records()}
    assert set(told["fresh"]["seeds"]) <= set(records), "fresh seeds are records as any other"
    assert "standing" not in bench("show", records[0].key).stdout, "a repeated draw gives no badge"
    standing.append(
        store, rows.verification(keys=[records[0].key], fresh=Fresh(mean=0.1, seeds=[7, 8, 9], values=[0.1] * 3))
    )
    assert "standing verified on 2030-01-01 by 3 fresh seeds" in bench("show", records[0].key).stdout

    # the best eight of 120, published; then the same eight with better numbers. Fresh seeds follow from the code's digest,
    # so an edit anywhere draws others: forty of them miss this choice in about one draw of 300
    own = [records[seed] for seed in range(120)]
    best = sorted(own, key=lambda r: r.metrics["error"])[:8]
    for name, altered, seeds in (("chosen", 1.0, 40), ("altered", 0.999, 3)):
        folder = tmp_path / name
        other = Store(folder / "results")
        other.root.mkdir(parents=True)
        ledger.publish(other, [replace(r, metrics={n: v * altered for n, v in r.metrics.items()}) for r in best])
        done = bench("verify", "line_sgd", "--seeds", str(seeds), "--format", "json", cwd=folder)
        (told,) = json.loads(done.stdout)
        assert done.returncode == 1 and told["verdict"] == "disputed" and told["claimed"]["seeds"] != list(range(8))
        if name == "chosen":
            assert told["replayed"]["equal"] and told["p"] < 0.01 and "better than fresh ones" in told["reason"]
        else:
            assert not told["replayed"]["equal"] and "differs by 0.001" in told["reason"]

    # Three claimed seeds stay undecided after five fresh ones, whose best order is p = 1/56.
    folder = tmp_path / "few"
    other = Store(folder / "results")
    other.root.mkdir(parents=True)
    ledger.publish(other, best[:3])
    done = bench("verify", "line_sgd", cwd=folder)
    (told,) = lines_of(folder, "line_sgd")
    taken = len(told["fresh"]["seeds"])
    assert "undecided after 5 fresh seeds, 10 follow  toy/line line_sgd" in done.stdout, done.stdout + done.stderr
    assert ("undecided after 10 fresh seeds, 20 follow" in done.stdout) == (taken == 20) and taken in (10, 20)
    assert told["fresh"]["seeds"] == published_rows.fresh_seeds(told["entry_digest"], told["drawn"], 20)[:taken]
    assert (told["verdict"] == "disputed") == (told["p"] <= told["level"] == 0.004) == (done.returncode == 1)
    assert told["power"] == selection.power(3, selection.LOOKS) and f"{told['power']['normal']:.2f}" in done.stdout


def test_what_cannot_be_compared_says_why(bench, tmp_path):
    words = ("task=toy/line", "entry=line_sgd")
    assert bench("verify", "line_sgd").returncode == 2
    assert bench("run", *words, "seed=range(2)").returncode == 0
    done = bench("verify", "line_sgd")
    assert done.returncode == 0 and "2 seeds claimed" in done.stdout, done.stdout + done.stderr
    assert bench("verify", "line_sgd", "--seeds", "2").returncode == 2
    assert bench("run", *words, "seed=range(3)").returncode == 0
    store = Store(tmp_path / "results")
    old = [replace(r, version=7) for r in store.records()]
    elsewhere = Store(tmp_path / "old" / "results")
    elsewhere.root.mkdir(parents=True)
    ledger.publish(elsewhere, old)
    done = bench("verify", "line_sgd", cwd=tmp_path / "old")
    assert "version: the records are of toy/line@7, here is 1" in done.stdout, done.stdout + done.stderr


NOISY = '''"""An entry that draws from the system's entropy."""

import os


def noisy(model, log):
    model.weight.data += int.from_bytes(os.urandom(4), "big") * 1e-9
'''


def test_an_entry_that_does_not_repeat_itself_is_disputed(bench, tmp_path):
    for path, text in (
        ("entries/noisy.py", NOISY),
        ("configs/entry/noisy.yaml", "extra: {_target_: entries.noisy.noisy}\n"),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    assert bench("run", "task=toy/line", "entry=noisy", "seed=range(3)").returncode == 0
    done = bench("verify", "noisy", "--seeds", "3")
    assert done.returncode == 1 and "other numbers each time" in done.stdout, done.stdout + done.stderr


SWEPT = '''"""The toy task with a ranking metric over a swept parameter."""

from bench.contract import Derived, Metric
from toy_package.task import Line


class Swept(Line):
    """Mean error over two noises."""

    name = "toy/swept"
    derived = (Derived(Metric("mean_error", "1", "min", "mean over noises", diverged=10.0), "noise",
                       {"smoke": (0.1, 0.2), "small": (0.1, 0.4), "paper": (0.1, 0.4)},
                       lambda grid, rows: sum(row["error"] for row in rows) / len(rows)),)
    rank = "mean_error"
'''


def test_a_derived_metric_is_verified_by_its_groups(bench, tmp_path):
    for path, text in (("swept.py", SWEPT), ("configs/task/toy/swept.yaml", toy_task("swept.Swept"))):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert bench("run", "task=toy/swept", "entry=line_sgd", "seed=range(3)").returncode == 0
    done = bench("verify", "line_sgd", "task=toy/swept", "--seeds", "7", "--format", "json")
    (told,) = json.loads(done.stdout)
    assert told["verdict"] == "verified" and told["metric"] == "mean_error", done.stderr
    assert len(told["fresh"]["values"]) == 7 and len(told["claimed"]["keys"]) == 6
    done = bench("verify", "line_sgd", "task=toy/swept", "--seeds", "3", "--format", "json")
    (told,) = json.loads(done.stdout)
    assert told["verdict"] == "not comparable" and set(told["power"].values()) == {0}, (
        "no order of six seeds is rare enough"
    )
    assert "3 fresh seeds can never dispute 3 claimed ones; leave --seeds out" in told["reason"]
