"""The list of papers: what its sentences rest on, and that docs/papers.md is what the ledger gives."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.board import papers as document
from bench.claims import papers
from bench.contract import BenchError
from bench.planning import config
from bench.planning.files import ClaimFile, PaperFile


def test_the_document_is_what_the_ledger_gives():
    assert document.PATH.read_text(encoding="utf-8") == document.page(document.published()), "run `make papers`"


def test_every_paper_has_its_families_and_a_claim_of_its_own():
    families = {name.split("/")[0] for name in config.names("task")}
    for number in config.names("paper"):
        file = config.load("paper", number, PaperFile)
        assert set(file.families) <= families
        assert config.load("claim", file.claim, ClaimFile).arxiv == number


def test_a_finding_that_rests_on_no_claim_of_its_paper_is_named():
    with pytest.raises(
        BenchError, match="its finding rests on deep_linear/saxe_finite_delay; claims of the paper: none"
    ):
        papers.tally([])
    elsewhere = SimpleNamespace(id="deep_linear/saxe_finite_delay", file=SimpleNamespace(arxiv="2001.00001"))
    with pytest.raises(BenchError, match="claims of the paper: none"):
        papers.tally([SimpleNamespace(claim=elsewhere)])


def test_verdicts_and_values_in_words():
    assert document.counted({"mixed": 1, "reproduced": 3, "inconclusive": 3}) == "3 inconclusive, 3 reproduced, 1 mixed"
    run = {"verdict": "reproduced", "measured": 0.94321, "interval": [0.5, 1.25]}
    assert document.measured(run) == "reproduced, 0.943 [0.5, 1.25]"
    assert document.measured(run | {"interval": None}) == "reproduced, 0.943"
    assert document.measured({"verdict": "error", "measured": None}) == "error"
    assert document.summary([{"measured": 2, "claims": 3}, {"measured": 0, "claims": 1}]) == (
        "1 of 2 papers have claims with records: 4 claims."
    )
