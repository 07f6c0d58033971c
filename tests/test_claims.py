"""Claims: verdicts, what a claim file may say, rendering, the history of a predicate, and the shipped claims."""

from __future__ import annotations

import json
import math
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.claims import claim as claims
from bench.claims import closeness, preregistration, verdicts
from bench.claims import report as shown
from bench.claims.claim import Claim, Predicate
from bench.contract import BenchError
from bench.planning import config
from bench.planning.files import ClaimFile, Confirmatory, Setting, Tried
from bench.records.record import Provenance, Record, number
from tests import rows

ABOVE, BELOW, BETWEEN = Predicate("above", 0, math.inf), Predicate("below", -math.inf, 0), Predicate("between", -1, 1)
NUMBERS = st.floats(-5, 5)
ORDER = ["not reproduced", "inconclusive", "reproduced"]


def record(entry: str = "a", seed: int = 0, status: str = "ok", key: str = "", **metrics: float) -> Record:
    made = rows.record(entry, seed, status, task="toy/line", params={}, metrics=metrics, costs={"cpu_total": 2.0})
    made.key = key or made.key
    return made


def claim(predicate: Predicate = ABOVE, **changes: Any) -> Claim:
    def gap(records):
        return number(records["a"][0], "x", diverged=-9.0) - number(records["b"][0], "x")

    measure = changes.pop("measure", gap)
    file = ClaimFile(
        paper="Somebody 2020, On gaps", arxiv="2001.00001", statement="a | b: a has more.", kind="paper", measure="gap", unit="x",
        settings=(Setting("one", ("task=toy/line",)),), threshold="after", tried=Tried(2, "0-4"), above=0,
    )  # fmt: skip
    return Claim("toy/gap", Path("gap.yaml"), msgspec.structs.replace(file, **changes), predicate, measure)


def seeds(*gaps: float) -> dict[int, dict[str, list[Any]]]:
    return {n: {"a": [record("a", n, x=1 + gap)], "b": [record("b", n, x=1.0)]} for n, gap in enumerate(gaps)}


def judged(*gaps: float, of: Claim | None = None) -> verdicts.SettingOutcome:
    of = of or claim()
    return verdicts.judge(of, of.file.settings[0], seeds(*gaps))


# --- the verdict of an interval


@given(st.sampled_from([ABOVE, BELOW, BETWEEN]), st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS))
def test_a_narrower_interval_is_decided_no_later_and_never_the_other_way(predicate, outer, ends):
    lo, hi = sorted(outer)
    inner = sorted(min(max(end, lo), hi) for end in ends)
    wide, narrow = predicate.verdict(lo, hi), predicate.verdict(*inner)
    assert narrow == wide or wide == "inconclusive"


@given(NUMBERS, st.floats(0, 3), st.floats(0, 3))
def test_more_is_better_for_above_and_worse_for_below(lo, width, shift):
    first, second = (ABOVE.verdict(x, x + width) for x in (lo, lo + shift))
    assert ORDER.index(second) >= ORDER.index(first)
    mirrored = BELOW.verdict(-(lo + width), -lo)
    assert mirrored == first


@given(st.sampled_from([ABOVE, BELOW, BETWEEN]), NUMBERS)
def test_a_point_is_always_decided_and_agrees_with_its_margin(predicate, x):
    word = predicate.verdict(x, x)
    assert word in ("reproduced", "not reproduced")
    margin = predicate.margin(x)
    assert margin >= 0 if word == "reproduced" else margin <= 0


def test_ends_count_as_inside_only_for_between():
    assert ABOVE.verdict(0, 1) == "inconclusive" and ABOVE.verdict(-1, 0) == "not reproduced"
    assert BETWEEN.verdict(-1, 1) == "reproduced" and BETWEEN.verdict(1, 2) == "inconclusive"
    assert BETWEEN.verdict(1.1, 2) == "not reproduced" and ABOVE.verdict(math.nan, math.nan) == "inconclusive"
    assert [str(p) for p in (ABOVE, BELOW, BETWEEN)] == ["above 0", "below 0", "between -1 and 1"]
    assert str(Predicate("between", 1.999999, 2.000001)) == "between 1.999999 and 2.000001"


@given(st.lists(st.sampled_from(["reproduced", "not reproduced", "inconclusive", "not tested"]), min_size=1))
def test_settings_combine(words):
    found = verdicts.combine(words)
    tested = set(words) - {"not tested"}
    assert found == ("not tested" if not tested else next(iter(tested)) if len(tested) == 1 else "mixed")
    assert verdicts.combine([*words, "error"]) == "error"


# --- one setting


def test_the_interval_is_over_seeds():
    found = judged(0.1, 0.12, 0.11)
    assert (found.verdict, found.n, found.measured) == ("reproduced", 3, pytest.approx(0.11))
    assert found.lo < 0.1 and found.hi > 0.12 and len(found.records) == 6
    assert judged(-0.1, -0.12, -0.11).verdict == "not reproduced"
    assert judged(0.5, -0.4, 0.3).verdict == "inconclusive"


def test_one_or_two_seeds_decide_only_what_is_exact():
    assert judged(0.5).verdict == judged(0.5, 0.5).verdict == "inconclusive" and math.isnan(judged(0.5).lo)
    exact = claim(exact=True)
    assert judged(0.5, of=exact).verdict == "reproduced" and judged(-0.5, of=exact).verdict == "not reproduced"
    assert judged(0.5, -0.5, of=exact).verdict == "inconclusive"


def test_equal_seeds_decide_and_show_no_interval():
    outcome = judged(0.5, 0.5, 0.5)
    assert outcome.verdict == "reproduced" and outcome.measured == pytest.approx(0.5) and math.isnan(outcome.lo)
    finding = verdicts.Finding(claim(), (outcome,), "after")
    assert "0.5, all equal, n 3" in shown.text([finding])
    assert shown.as_dict(finding)["settings"][0]["interval"] is None


def test_a_measure_read_off_a_grid_is_good_to_half_its_step():
    outcome = judged(0.5, 0.5, 0.5, of=claim(step=0.5))
    assert (outcome.lo, outcome.hi, outcome.verdict) == (pytest.approx(0.25), pytest.approx(0.75), "reproduced")
    assert judged(0.5, 0.5, 0.5, of=claim(step=1.2)).verdict == "inconclusive"
    plain, wide = judged(0.4, 0.5, 0.7), judged(0.4, 0.5, 0.7, of=claim(step=0.2))
    assert (wide.lo, wide.hi) == pytest.approx((plain.lo - 0.1, plain.hi + 0.1))


def test_ratios_are_averaged_on_their_scale():
    ratio = claim(Predicate("above", 1, math.inf), scale="log", measure=lambda r: r["a"][0].metrics["x"])
    found = judged(1.0, 3.0, 7.0, of=ratio)  # 2, 4, 8
    assert found.measured == pytest.approx(4) and found.lo * found.hi == pytest.approx(16)
    assert "above 0" in judged(-1.0, 1.0, 1.0, of=ratio).error


def test_what_is_missing_leaves_a_setting_untested():
    cells = seeds(0.1, 0.1, 0.1)
    cells[1]["b"] = [None]
    cells[2]["b"] = [record("b", 2, "unavailable")]
    found = verdicts.judge(claim(), Setting("one", ()), cells)
    assert (found.verdict, found.missing, found.n, len(found.records)) == ("not tested", 2, 0, 4)


def test_a_failed_cell_reaches_the_measure():
    cells = seeds(0.1, 0.1, 0.1)
    cells[0]["a"] = [record("a", 0, "diverged")]
    assert verdicts.judge(claim(), Setting("one", ()), cells).values[0] == -10
    cells[0]["a"] = [record("a", 0, "oom", x=1.0)]
    found = verdicts.judge(claim(), Setting("one", ()), cells)
    assert found.verdict == "error" and found.error == "seed 0: toy/line a seed 0 (oom) has no x"


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "word", None])
def test_a_measure_that_gives_no_number_is_an_error(wrong):
    assert judged(0.1, of=claim(measure=lambda records: wrong)).verdict == "error"


def test_a_measure_that_raises_is_told_with_its_seed():
    found = judged(0.1, of=claim(measure=lambda records: records["c"]))
    assert found.error == "seed 0: KeyError: 'c'"


@settings(max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=6), st.floats(0, 1))
def test_adding_to_every_seed_never_hurts(gaps, more):
    first, second = judged(*gaps), judged(*(gap + more for gap in gaps))
    assert ORDER.index(second.verdict) >= ORDER.index(first.verdict)


# --- shown


def finding(*outcomes: verdicts.SettingOutcome, **changes: Any) -> verdicts.Finding:
    return verdicts.Finding(claim(**changes), outcomes, "after")


def test_rendering():
    good, bad = judged(0.1, 0.12, 0.11), replace(judged(-0.1, -0.12, -0.11), setting=Setting("two", ("task=toy/line",)))
    absent = verdicts.SettingOutcome(Setting("three", ()), "not tested", missing=4)
    both = [finding(good, bad, note="as declared"), finding(absent)]
    text = shown.text(both)
    assert "MIXED           NONE PLANNED    toy/gap  (paper; 12 CPU s)" in text and "note: as declared" in text
    assert "exploratory, wanted: above 0 (x), fixed after; tried 2 settings, seeds 0-4" in text
    assert "two: not reproduced: -0.11 [" in text and "three: not tested: 4 cells have no record" in text
    assert "2 claims, exploratory: 1 mixed, 1 not tested; confirmatory: 2 none planned" in text
    table = shown.markdown(both).splitlines()
    first = "| `toy/gap`: **mixed**, confirmatory: **none planned** | paper | a \\| b: a has more. *Somebody 2020"
    assert len(table) == 7 and table[2].startswith(first)
    assert {line.replace("\\|", "").count("|") for line in table[:5]} == {9}
    first, second = json.loads(shown.as_json(both))
    wanted = {"id": "toy/gap", "paper": "2001.00001", "kind": "paper", "verdict": "mixed", "n": 3, "threshold": "after"}
    assert wanted.items() <= first.items() and (first["confirmation"], first["confirmatory"]) == ("none planned", None)
    assert first["unit"] == "x" and first["measured"] == pytest.approx(-0.11)
    assert first["interval"][0] < -0.11 < first["interval"][1] and first["predicate"] == {"above": 0}
    assert first["cpu_seconds"] == 12 and first["tried"] == {"settings": 2, "seeds": "0-4"} and len(first["keys"]) == 6
    assert first["settings"][1]["name"] == "two" and len(first["settings"][0]["values"]) == 3
    assert (second["measured"], second["interval"], second["n"]) == (None, None, 0)
    assert json.loads(shown.as_json([finding(judged(0.5))]))[0]["interval"] is None
    error = finding(judged(0.1, of=claim(measure=lambda records: records["c"])))
    assert "KeyError" in shown.text([error]) and error.verdict == "error"
    assert shown.text([]) == "0 claims, exploratory: none; confirmatory: none; from 0 records of 0 CPU s"
    assert json.loads(shown.as_json([])) == []


# --- the confirmatory run

FRESH = Setting("fresh", ("task=toy/line", "task.p=2"))
PLANNED = Confirmatory(new="task.p", settings=(FRESH,), above=0.05)


def test_the_second_run_has_its_own_settings_and_bound_and_the_measure_of_the_claim():
    first = claim(confirmatory=PLANNED)
    second = first.second
    assert second.file.settings == (FRESH,) and second.predicate == Predicate("above", 0.05, math.inf)
    assert (second.file.threshold, second.second, second.measure) == ("before", None, first.measure)
    assert {"confirmatory", "measure"} <= {*second.fixing} and "confirmatory" not in first.fixing
    assert claim().second is None
    cells = seeds(0.04, 0.041, 0.042)
    assert verdicts.judge(first, FRESH, cells).verdict == "reproduced"
    assert verdicts.judge(second, FRESH, cells).verdict == "not reproduced"


@pytest.mark.parametrize(
    ("gaps", "threshold", "word"),
    [
        ((), "before", "not yet run"),
        ((0.1, 0.11, 0.12), "before", "confirmed"),
        ((0.1, 0.11, 0.12), "after (declared before)", "reproduced"),
        ((0.1, 0.11, 0.12), "before (unchecked: not committed)", "reproduced"),
        ((-0.1, -0.11, -0.12), "before", "not reproduced"),
        ((0.5, -0.4, 0.3), "before", "inconclusive"),
    ],
)
def test_only_a_second_run_that_was_fixed_before_confirms(gaps, threshold, word):
    first = claim(confirmatory=PLANNED)
    outcome = judged(*gaps, of=first.second) if gaps else verdicts.SettingOutcome(FRESH, "not tested", missing=4)
    second = verdicts.Finding(first.second, (replace(outcome, setting=FRESH),), threshold)
    both = verdicts.Finding(first, (judged(0.1, 0.12, 0.11),), "after", second)
    assert both.confirmation == word and len(both.records) == 6
    text, table = shown.text([both]), shown.markdown([both])
    assert f"REPRODUCED      {word.upper():15} toy/gap" in text and ("CONFIRMED" in text) == (word == "confirmed")
    assert f"confirmatory, wanted: above 0.05 (x), fixed {threshold}; new task.p" in text and f"1 {word}; from" in text
    assert table.splitlines()[3].split(" | ")[5:] == [
        shown._measured(outcome),
        "",
        f"{shown._verdict(second.claim, outcome)} |",
    ]
    told = shown.as_dict(both)
    assert told["confirmation"] == word and told["verdict"] == "reproduced" and told["predicate"] == {"above": 0}
    assert told["confirmatory"]["predicate"] == {"above": 0.05} and told["confirmatory"]["new"] == "task.p"
    assert told["confirmatory"]["verdict"] == outcome.verdict and told["confirmatory"]["threshold"] == threshold


def test_a_second_run_wants_fresh_seeds(tmp_path):
    plan = ("task=large_batch/prototypes", "entry=small_batch", "preset=smoke")
    first = (Setting("one", (*plan, "seed=range(3)")),)

    def survey(seeds: str) -> verdicts.Survey:
        again = Setting("again", (*plan, "task.train=256", f"seed={seeds}"))
        second = Confirmatory(new="task.train", settings=(again,), above=0)
        return verdicts.Survey([claim(settings=first, confirmatory=second)], [f"results={tmp_path}"])

    assert len([*survey("range(3,5)").merged.cells()]) == 5
    with pytest.raises(BenchError, match="claim toy/gap, confirmatory: its first run had seeds 1, 2 too"):
        survey("range(1,5)")


# --- how narrow a verdict is


def qualifier(values: list[float], predicate: Predicate, **changes: Any) -> str:
    of = claim(predicate, measure=lambda records: records["a"][0].metrics["x"] - 1, **changes)
    return closeness.qualified(of, [judged(*values, of=of)])


THREE = Predicate("below", -math.inf, 0.03)


@pytest.mark.parametrize(
    ("values", "predicate", "said"),
    [
        ([0.0205, 0.0193, 0.0264, 0.031, 0.0186], THREE, "narrowly, 1 of 5 seeds outside"),  # .0298 of .03
        ([0.0105, 0.0093, 0.0164, 0.012, 0.0086], THREE, ""),
        ([0.0105, 0.0093, 0.0164, 0.0299, 0.0086], THREE, "narrowly"),  # the interval ends at .025, one seed at .0299
        ([-0.2, -0.21, -0.22, 0.01, -0.23], ABOVE, "1 of 5 seeds inside"),
        ([0.5, -0.4, 0.3], ABOVE, ""),  # inconclusive says enough
        ([0.9, 0.91, 0.89], BETWEEN, ""),
        ([0.92, 0.95, 0.89], BETWEEN, "narrowly"),
        ([0.0, 0.0, 0.0], BETWEEN, ""),
    ],
)
def test_a_verdict_says_how_narrow_it_is(values, predicate, said):
    assert qualifier(values, predicate) == said


def test_ways_to_a_bound_are_measured_on_the_scale():
    ratio = claim(Predicate("below", -math.inf, 16.0), scale="log", measure=lambda r: r["a"][0].metrics["x"])
    outcome = verdicts.SettingOutcome(Setting("one", ()), "reproduced", 4.0, 2.0, 8.0, {0: 2.0, 1: 8.0})
    assert closeness.reach(ratio, outcome) == pytest.approx(0.5)
    assert closeness.reach(ratio, replace(outcome, measured=16.0)) == 0  # nothing comes nearer than the centre


@given(st.lists(st.floats(0.1, 5), min_size=3, max_size=6), st.floats(0.1, 10))
def test_how_narrow_does_not_depend_on_the_unit(values, unit):
    def reach(factor: float) -> float:
        of = claim(Predicate("below", -math.inf, 5.5 * factor))
        numbers = {seed: value * factor for seed, value in enumerate(values)}
        found = verdicts.SettingOutcome(
            Setting("one", ()), "reproduced", sum(numbers.values()) / len(values), values=numbers
        )
        return closeness.reach(of, found)

    assert reach(unit) == pytest.approx(reach(1), abs=1e-6)


def test_a_narrow_verdict_is_shown():
    narrow = finding(judged(0.2, 0.21, 0.22, 0.23, -0.0001, 0.2, 0.2))
    text, told = shown.text([narrow]), shown.as_dict(narrow)
    assert narrow.verdict == "reproduced" and "(paper; 1 of 7 seeds outside;" in text
    assert "one: reproduced, 1 of 7 seeds outside: 0.18" in text
    assert told["qualifier"] == told["settings"][0]["qualifier"] == "1 of 7 seeds outside"
    mixed = finding(judged(0.2, 0.21, 0.22, 0.23, -0.0001, 0.2, 0.2), judged(-0.1, -0.11, -0.12))
    assert shown.as_dict(mixed)["qualifier"] == "" and shown.as_dict(mixed)["settings"][0]["qualifier"]


# --- files

GOOD: dict[str, Any] = {
    "paper": "Somebody 2020", "arxiv": "2001.00001", "statement": "More.", "unit": "x", "threshold": "before", "kind": "paper",
    "settings": [{"name": "one", "plan": ["task=toy/line", "entry=zero", "seed=range(3)"]}], "above": 0,
    "measure": "tasks.grokking.claims.decay_gain", "tried": {"settings": 1, "seeds": "0-2"},
}  # fmt: skip
SECOND: dict[str, Any] = {
    "new": "task.p", "settings": [{"name": "fresh", "plan": [*GOOD["settings"][0]["plan"][:2], "task.p=2", "seed=range(3,6)"]}],
    "above": 0,
}  # fmt: skip


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]) -> str:
    path = folder / "claim.yaml"
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    monkeypatch.setattr(config, "names", lambda group: {"toy/mine": path})
    return "toy/mine"


def test_a_whole_claim_loads(tmp_path, monkeypatch):
    found = claims.load(written(tmp_path, monkeypatch, GOOD))
    assert (found.predicate, found.file.scale, found.file.exact, found.file.note) == (ABOVE, "linear", False, "")
    assert found.file.settings[0].plan[1] == "entry=zero"
    second = claims.load(written(tmp_path, monkeypatch, {**GOOD, "confirmatory": SECOND})).second
    assert second.predicate == ABOVE and second.file.settings[0].plan[2] == "task.p=2"
    between = claims.load(written(tmp_path, monkeypatch, {**GOOD, "above": ..., "between": [-1, 1]}))
    assert between.predicate == BETWEEN
    keyed = {"_target_": "tasks.grokking.claims.delay", "of": "adamw"}
    assert claims.load(written(tmp_path, monkeypatch, {**GOOD, "measure": keyed})).measure.keywords == {"of": "adamw"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"unit": ...}, "lacks `unit`"),
        ({"treshold": "after"}, "did you mean threshold"),
        ({"threshold": "later"}, "`before` or `after`"),
        ({"arxiv": 1705.0874}, "in quotes"),
        ({"paper": 3}, "`paper: 3`: expected text"),
        ({"above": ...}, "one of above, below, between is needed, not none"),
        ({"below": 1}, "not above and below"),
        ({"above": "much"}, "a finite number"),
        ({"above": ..., "between": [2, 1]}, r"expected \[low, high\]"),
        ({"tried": 3}, "settings: 3, seeds"),
        ({"kind": ...}, "lacks `kind`"),
        ({"kind": "theirs"}, "`paper`, `consequence`, `reading` or `check`"),
        ({"confirmatory": {**SECOND, "below": 1}}, "not above and below"),
        ({"confirmatory": {"settings": SECOND["settings"], "above": 0}}, "missing required field `new`"),
        (
            {"confirmatory": {**SECOND, "new": "task.q"}},
            "setting 'fresh' gives task.q no value that the first run did not",
        ),
        (
            {"confirmatory": {**SECOND, "new": "entry"}},
            "setting 'fresh' gives entry no value that the first run did not",
        ),
        ({"scale": "logit"}, "`linear` or `log`"),
        ({"exact": "yes"}, "`true` or `false`"),
        ({"settings": []}, "expected a list of names with plans"),
        ({"settings": [{"name": "one"}]}, "missing required field `plan` at"),
        ({"settings": [{"name": "one", "plan": ["workers=2"]}]}, "chooses no cells"),
        ({"settings": GOOD["settings"] * 2}, "two settings are named 'one'"),
        ({"measure": "delay"}, "a dotted path"),
        ({"measure": "tasks.grokking.claims.dela"}, "did you mean delay"),
        ({"measure": "tasks.groking.claims.delay"}, "did you mean grokking"),
        ({"measure": "nowhere.claims.delay"}, "no package 'nowhere'"),
        ({"measure": "tasks.grokking.claims"}, "is a module"),
        ({"measure": "tasks.grokking.claims.delay"}, "missing a required argument: 'of'"),
        ({"measure": {"_target_": "tasks.grokking.claims.decay_gain", "on": 1}}, "unexpected keyword argument 'on'"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, monkeypatch, change, says):
    with pytest.raises(BenchError, match=says) as told:
        claims.load(written(tmp_path, monkeypatch, {**GOOD, **change}))
    assert "claim.yaml" in str(told.value)


def test_patterns(monkeypatch):
    names = ["pde/a", "pde/b", "grokking/a"]
    monkeypatch.setattr(config, "names", lambda group: dict.fromkeys(names, Path()))
    arxiv = {"pde/b": "2001.00001"}
    monkeypatch.setattr(config, "load", lambda group, name, model: SimpleNamespace(arxiv=arxiv.get(name, "")))
    monkeypatch.setattr(claims, "load", lambda name: name)

    def chosen(*patterns: str) -> list[str]:
        found, wrong = claims.select(patterns)
        assert not wrong
        return [*found]

    assert chosen() == names and chosen("pde", "pde/a") == ["pde/a", "pde/b"]
    assert chosen("*/a") == ["pde/a", "grokking/a"] and chosen("2001.00001") == ["pde/b"]
    with pytest.raises(BenchError, match="did you mean pde/a"):
        claims.select(["pde/aa"])


def test_settings_of_the_run_only(tmp_path):
    with pytest.raises(BenchError, match="a claim's cells are its own"):
        verdicts.Survey([], ["preset=paper"])
    unknown = claim(settings=(Setting("one", ("task=large_batch/prototype", "entry=chance")),))
    with pytest.raises(BenchError, match="claim toy/gap, setting one: .*did you mean large_batch/prototypes"):
        verdicts.Survey([unknown], [f"results={tmp_path}"])


# --- before or after


FIXED = preregistration.Commit("f", "2026-05-05T00:00:00+00:00")
LATE, EARLY = "2026-05-06T00:00:00+02:00", "2026-05-04T23:00:00+00:00"


@pytest.mark.parametrize(
    ("made", "holds"),
    [
        ([], True),
        ([("child", EARLY), ("f", "")], True),
        ([("child", LATE), ("parent", LATE)], False),  # history, where it is known, decides against dates
        ([("foreign", LATE)], True),
        ([("foreign", EARLY)], False),
        ([(None, LATE)], True),
        ([(None, "")], False),
    ],
)
def test_precedence(made, holds):
    assert preregistration.precedes(FIXED, made, {"child": True, "f": True, "parent": False}.get) is holds


def test_the_history_of_a_predicate(tmp_path):
    def git(*words: str) -> str:
        names = ["-c", "user.name=t", "-c", "user.email=t@t"]
        return subprocess.run(
            ["git", "-C", str(folder), *names, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(text: str) -> str:
        path.write_text(text)
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", "x")
        return git("rev-parse", "HEAD")

    folder = tmp_path / "own" / "deep"
    folder.mkdir(parents=True)
    path = folder / "mine.yaml"
    path.write_text("above: 1\n")
    assert preregistration.History().check(path, ["above"], []) == "unchecked: not in a git checkout"
    git("init", "-q")
    assert preregistration.History().check(path, ["above"], []) == "unchecked: not committed"
    loose = commit("above: 0.5\n")
    fixed = commit("above: 1\nnote: a\n")
    later = commit("# says more\nnote: b\nabove: 1.0\n")
    assert preregistration.History().last_change(path, ["above"]).id == fixed
    assert preregistration.History().check(path, ["above"], [(fixed, ""), (later, "")]) == "before"
    assert preregistration.History().check(path, ["above"], [(later, ""), (loose, "")]) == "after"
    assert preregistration.History().check(path, ["above"], [("0" * 40, "2001-01-01T00:00:00+00:00")]) == "after"
    assert preregistration.History().check(path, ["above"], [("0" * 40, "2999-01-01T00:00:00+00:00")]) == "before"
    path.write_text("above: 2\n")
    assert preregistration.History().check(path, ["above"], [(later, "")]) == "unchecked: not committed"
    copy = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{folder}", str(copy)], check=True)
    assert preregistration.History().check(copy / "mine.yaml", ["above"], []) == "unchecked: the checkout is shallow"


@pytest.mark.parametrize(
    ("told", "shown_as"),
    [("before", "before"), ("after", "after (declared before)"), ("unchecked: why", "before (unchecked: why)")],
)
def test_a_declared_before_is_checked_and_an_after_is_believed(monkeypatch, told, shown_as):
    made = record()
    made.provenance = Provenance(commit="c", started=LATE)
    outcome = replace(judged(0.1), records=(made,))
    history = preregistration.History()
    monkeypatch.setattr(history, "check", lambda path, fields, data: told if data == {("c", LATE)} else "wrong")
    assert verdicts.threshold(claim(threshold="before"), [outcome], history) == shown_as
    assert verdicts.threshold(claim(threshold="after"), [outcome], history) == "after"


# --- the command, on a stranger's task

MEASURE = """def gap(records, *, of, over):
    return records[over][0].metrics["error"] - records[of][0].metrics["error"]
"""
TOY = """paper: Somebody 2020
arxiv: ""
statement: Training lowers the error.
kind: check
settings:
  - name: line
    plan: [task=toy/line, "entry=line_sgd,zero", "seed=range(3)", preset=smoke]
measure: {_target_: toy_measures.gap, of: line_sgd, over: zero}
above: 0
unit: error
threshold: before
tried: {settings: 1, seeds: 0-2}
"""


def test_the_command(bench, tmp_path):
    (tmp_path / "toy_measures.py").write_text(MEASURE)
    folder = tmp_path / "configs" / "claim" / "toy"
    folder.mkdir(parents=True)
    (folder / "training.yaml").write_text(TOY)
    (folder / "failing.yaml").write_text(TOY.replace("line_sgd", "raises"))
    empty = bench("claims", "toy")
    assert empty.returncode == 0 and "NOT TESTED      NONE PLANNED    toy/training" in empty.stdout, empty.stderr
    done = bench("claims", "toy/training", "--run", "workers=1", "--format", "json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["verdict"], told["n"], len(told["keys"])) == ("reproduced", 3, 6) and told["cpu_seconds"] > 0
    assert told["threshold"].startswith("before (unchecked: not in a git")
    again = bench("claims", "toy/training", "--run", "--format", "markdown")
    assert (
        "`toy/training`: **reproduced**, confirmatory: **none planned**" in again.stdout and "done" not in again.stderr
    )
    failing = bench("claims", "toy/failing", "--run")
    assert failing.returncode == 1 and "KeyError: 'error'" in failing.stdout
    assert bench("claims", "toy/trainin").returncode == bench("claims", "toy", "seed=1").returncode == 2


AGAIN = """confirmatory:
  new: task.noise
  settings:
    - name: another line
      plan: [task=toy/line, "entry=line_sgd,zero", task.noise=0.2, "seed=range(3,6)", preset=smoke]
  above: 0
"""


def test_a_second_run_confirms_once_it_was_committed_before_it_was_made(bench, tmp_path):
    (tmp_path / "toy_measures.py").write_text(MEASURE)
    path = tmp_path / "configs" / "claim" / "toy" / "training.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(TOY.replace("threshold: before", "threshold: after") + AGAIN)

    def told(*words: str) -> dict[str, Any]:
        done = bench("claims", "toy/training", "--format", "json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)[0]

    assert told()["confirmation"] == "not yet run"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q"], ["add", "configs"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    first = told("--run", "workers=1")
    assert (first["verdict"], first["threshold"], first["confirmation"]) == ("reproduced", "after", "confirmed")
    assert first["confirmatory"]["threshold"] == "before" and len(first["keys"]) == 12
    assert first["confirmatory"]["n"] == 3 and {*first["confirmatory"]["settings"][0]["values"]} == {"3", "4", "5"}
    path.write_text(path.read_text().replace("  above: 0", "  above: 0.001"))  # after the records
    subprocess.run([*git, "commit", "-q", "-a", "-m", "y", "--date", "2099-01-01T00:00:00"], check=True,
                   env={**os.environ, "GIT_COMMITTER_DATE": "2099-01-01T00:00:00"})  # fmt: skip
    later = told()
    assert (later["confirmation"], later["confirmatory"]["threshold"]) == ("reproduced", "after (declared before)")
