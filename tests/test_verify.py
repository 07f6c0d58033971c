"""Verification: honest rows stand, chosen seeds and altered records do not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats as reference

from bench.checking import published_rows, verify
from bench.records import ledger, standing
from bench.records.store import Store
from bench.running import sweep
from tests import rows
from tests.conftest import toy_task

# ---------------------------------------------------------------- the test, by itself


def test_p_is_the_pooled_t_test_of_scipy():
    rng = np.random.default_rng(0)
    for n, k in ((5, 5), (3, 10), (10, 3)):
        x, y = rng.normal(size=n), rng.normal(0.3, 2.0, size=k)
        assert published_rows.p_better(x, y, "min") == pytest.approx(
            reference.ttest_ind(x, y, alternative="less").pvalue
        )
        assert published_rows.p_better(x, y, "max") == pytest.approx(
            reference.ttest_ind(x, y, alternative="greater").pvalue
        )


def test_p_without_spread_goes_by_the_sign():
    assert published_rows.p_better([1.0] * 3, [1.0 + 1e-15] * 3, "min") == 1.0
    assert (
        published_rows.p_better([1.0] * 3, [2.0] * 3, "min") == 0.0
        and published_rows.p_better([1.0] * 3, [2.0] * 3, "max") == 1.0
    )
    assert math.isnan(published_rows.p_better([], [1.0, 2.0, 3.0], "min"))
    assert math.isnan(published_rows.p_better([1.0, math.nan], [1.0, 2.0], "min"))


def rejections(claims: np.ndarray, fresh: np.ndarray) -> float:
    """Share of rows [repetitions, seeds] that would be disputed."""
    return float(
        np.mean(
            [published_rows.p_better(x, y, "min") < published_rows.ALPHA for x, y in zip(claims, fresh, strict=True)]
        )
    )


@pytest.mark.parametrize(("n", "k"), [(3, 3), (5, 5), (10, 3), (5, 10)])
def test_an_honest_claim_is_disputed_at_most_as_often_as_stated(n, k):
    rng = np.random.default_rng(n * 100 + k)
    repetitions = 4000
    share = rejections(rng.normal(size=(repetitions, n)), rng.normal(size=(repetitions, k)))
    error = math.sqrt(published_rows.ALPHA * (1 - published_rows.ALPHA) / repetitions)
    assert published_rows.ALPHA - 4 * error < share < published_rows.ALPHA + 4 * error


def test_an_honest_time_to_target_is_disputed_at_most_as_often_as_stated():
    """Times come in steps of 10, some seeds end at the budget."""
    rng = np.random.default_rng(1)
    times = np.minimum(1500, 10 * np.ceil(rng.lognormal(6.5, 0.6, size=(4000, 10)) / 10))
    assert (times == 1500).mean() > 0.05
    assert rejections(times[:, :5], times[:, 5:]) < 0.02


@pytest.mark.parametrize(("k", "power"), [(3, 0.55), (5, 0.65), (10, 0.8)])
def test_the_best_five_of_fifty_seeds_are_disputed(k, power):
    rng = np.random.default_rng(k)
    chosen = np.sort(rng.normal(size=(1500, 50)), axis=1)[:, :5]
    assert rejections(chosen, rng.normal(size=(1500, k))) > power


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
    done = bench("verify", "line_sgd", "task=toy/swept", "--seeds", "3", "--format", "json")
    (told,) = json.loads(done.stdout)
    assert told["verdict"] == "verified" and told["metric"] == "mean_error", done.stderr
    assert len(told["fresh"]["values"]) == 3 and len(told["claimed"]["keys"]) == 6
