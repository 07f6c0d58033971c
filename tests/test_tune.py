"""Tuning: grids, equal trials, seeds apart, chosen on validation."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from bench.contract import BenchError
from bench.tune import FIRST_SEED, grid


def test_a_log_grid_spans_its_bounds():
    found = [setting["optimizer.lr"] for setting in grid({"optimizer.lr": [1e-3, 1e1]}, 5)]
    assert found == pytest.approx([1e-3, 1e-2, 1e-1, 1.0, 10.0])


def test_two_paths_each_see_every_value():
    found = grid({"a.x": [1, 16], "b.y": {"values": [0, 1, 2, 3, 4]}}, 5)
    assert len(found) == 5 and sorted(s["b.y"] for s in found) == [0, 1, 2, 3, 4]
    assert len({s["a.x"] for s in found}) == 5


@pytest.mark.parametrize("space", [[0, 1], [2, 1], {"values": [1]}])
def test_a_space_that_cannot_be_searched_is_an_error(space):
    with pytest.raises(BenchError, match="search of a.x"):
        grid({"a.x": space}, 4)


def test_tuning_chooses_by_validation_on_its_own_seeds(bench, environment, tmp_path):
    (tmp_path / "configs" / "entry").mkdir(parents=True)
    yaml = "optimizer: {lr: 0.1}\nsearch: {optimizer.lr: {values: [1.0e-5, 0.2, 1.0e+9]}}\n"
    (tmp_path / "configs" / "entry" / "mine.yaml").write_text(yaml)
    done = bench("tune", "task=toy/line", "entry=mine", "--trials", "3")
    assert done.returncode == 0, done.stderr
    chosen = OmegaConf.load(tmp_path / "configs" / "tuned" / "toy" / "line" / "mine.yaml")
    assert chosen["values"]["optimizer.lr"] == 0.2 and chosen.trials == 3 and chosen.objective == "val_error"
    assert min(chosen.seeds) == FIRST_SEED
    told = bench("plan", "task=toy/line", "entry=mine")
    assert "untuned" not in told.stdout
    assert "untuned" in bench("plan", "task=toy/line", "entry=mine", "entry.optimizer.lr=0.3").stdout
    assert bench("tune", "task=toy/line", "entry=mine", "seed=0").returncode == 2
