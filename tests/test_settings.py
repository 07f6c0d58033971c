"""Settings of a run: typed, of `configs/config.yaml`, changed by overrides."""

from __future__ import annotations

import pytest

from bench.contract import BenchError
from bench.planning import config, settings
from bench.records.record import Limits


def test_an_override_sets_what_it_names_and_nothing_else():
    usual = settings.defaults()
    words = ["preset=smoke", "tuned=false", "limits.seconds=5", "limits.memory_mb=1e3", "workers=3", "results=here"]
    found = config.parse([*words, "wandb=offline"]).settings
    assert (found.preset, found.tuned, found.workers, found.results, found.wandb) == (
        "smoke",
        False,
        3,
        "here",
        "offline",
    )
    assert found.limits == Limits(5.0, 1000)
    assert type(found.limits.seconds) is float and type(found.limits.memory_mb) is int
    assert (found.seed, found.reuse, found.transport) == (usual.seed, usual.reuse, usual.transport)
    assert settings.defaults() == usual and usual.preset == "small"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("limits=5", "no setting 'limits'; did you mean limits.seconds"),
        ("limits.second=5", "did you mean limits.seconds"),
        ("worker=5", "did you mean workers"),
        ("workers=1.5", "workers=1.5: expected a whole number above 0 like 2"),
        ("workers=0", "workers=0: expected a whole number above 0"),
        ("workers=true", "workers=True: expected a whole number above 0"),
        ("limits.seconds=inf", "expected a number above 0 like 600"),
        ("limits.seconds=null", "expected a number above 0 like 600"),
        ("retry=1", "retry=1: expected bool like False"),
        ("results=7", "results=7: expected str like 'results'"),
        ("reuse=ledge", "no choice of reuse 'ledge'; did you mean ledger"),
        ("reuse=3", "reuse=3: expected str like 'local'"),
    ],
)
def test_an_unknown_setting_or_a_wrong_value_is_named(word, said):
    with pytest.raises(BenchError) as error:
        config.parse([word])
    assert said in str(error.value)


def test_a_mapping_of_settings_is_whole():
    with pytest.raises(BenchError, match="missing required field `preset`; configs/config.yaml shows them all"):
        settings.of({"seed": 0})
