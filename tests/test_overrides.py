"""The words of a run are what Hydra's grammar says, whoever reads them."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import BenchError
from bench.planning import overrides

ITEM = st.one_of(
    st.from_regex(overrides.WHOLE, fullmatch=True), st.from_regex(overrides.FLOAT, fullmatch=True),
    st.from_regex(overrides.TEXT, fullmatch=True), st.text("aeinfulrstTN01.5-+_/", min_size=1, max_size=6),
    st.sampled_from(["true", "False", "null", "NaN", "inf", "-inf", "007", "1_000", ".5", "5.", "1e3", "1E3", "a-1"]),
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.from_regex(r"[a-z_]\w{0,5}(\.[a-z]\w{0,3}){0,2}", fullmatch=True), st.lists(ITEM, min_size=1, max_size=3))
def test_a_plain_word_is_read_as_hydra_reads_it(key, items):
    word = f"{key}={','.join(items)}"
    mine = overrides.plain(word)
    if mine is not None:
        theirs = overrides._hydras(word)
        assert (mine.key, list(mine.values)) == (theirs.key, list(theirs.values))
        assert [type(value) for value in mine.values] == [type(value) for value in theirs.values]


@pytest.mark.parametrize("word", ["seed=range(5)", "task=glob(pde/*)", "x=range(0)", "entry=glob(mu?n)"])
def test_a_plain_range_or_glob_is_read_as_hydra_reads_it(word):
    mine, theirs = overrides.plain(word), overrides._hydras(word)
    assert mine is not None and list(mine.values) == list(theirs.values)
    assert (mine.glob is None) == (theirs.glob is None)
    assert [list(one) for one in mine.glob or ()] == [list(one) for one in theirs.glob or ()]


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("a=[1,2.5]", [[1, 2.5]]), ("a={b:1}", [{"b": 1}]), ("a='x y',b", ["x y", "b"]), ("a=range(1,7,2)", [1, 3, 5]),
        ("a=choice(x,2)", ["x", 2]), ("a=null", [None]), ("a=", [""]), ("a=1_000", [1000]),
    ],
)  # fmt: skip
def test_any_other_word_is_left_to_hydra(word, values):
    assert overrides.plain(word) is None
    assert list(overrides.read([word])[0].values) == values


def test_usual_words_do_not_import_hydras_parser(monkeypatch):
    monkeypatch.setattr(OverridesParser, "create", None)
    words = ["suite=core", "task=pde/burgers_1d,toy/line", "entry=fno+muon", "seed=range(5)", "task.nu=1e-3",
             "entry.optimizer.lr=0.1,1",
             "results=/tmp/a.b", "tuned=false", "limits.seconds=5", "task=glob(pde/*)"]  # fmt: skip
    assert [one.word for one in overrides.read(words)] == words


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("~task", "neither added nor deleted"),
        ("+a=1", "neither added nor deleted"),
        ("a=interval(0,1)", "key=value"),
        ("words", "key=value"),
    ],
)
def test_parts_of_the_grammar_that_a_run_does_not_use_are_refused(word, said):
    with pytest.raises(BenchError, match=said):
        overrides.read([word])


def test_a_key_of_one_value_takes_one():
    with pytest.raises(BenchError, match="suite=a,b: suite takes one value"):
        _ = overrides.read(["suite=a,b"])[0].value
