"""Sizes that the tasks in two dimensions share."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.pde import base


@dataclass
class Params(base.Params):
    """As base.Params, with the defaults of the `small` preset in two dimensions."""

    points: int = 32
    frames: int = 11
    train: int = 48
    valid: int = 8
    test: int = 16
    steps: int = 600
    batch: int = 4
    evaluations: int = 3
