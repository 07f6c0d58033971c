"""`large_batch/cifar10_residual`: the regimes on real pictures with a residual network."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.large_batch import cifar10
from tasks.large_batch.base import shared_slots
from tasks.large_batch.cifar10 import Cifar10
from tasks.large_batch.fitting import Fitting


@dataclass
class Params(cifar10.Params):
    """As those of `large_batch/cifar10`; the large batch divides the training set."""

    train: int = 2048
    epochs: int = 3
    evaluations: int = 3


class Cifar10Residual(Fitting, Cifar10):
    """CIFAR-10 as in `large_batch/cifar10`, learned by a residual network of eight layers."""

    name = "large_batch/cifar10_residual"
    version = 2
    Params = Params
    presets = {
        "smoke": {"train": 512, "val": 100, "test": 100, "epochs": 1, "evaluations": 1},
        "small": {},
        "paper": {"train": 45000, "val": 5000, "test": 10000, "batch": 128, "epochs": 200},
    }
    slots = shared_slots("tasks.large_batch.residual.ResNet")
    margin = 0.1
