"""`large_batch/diffusion_cifar10`: how far the weights wander on real pictures, at a constant rate."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.large_batch import cifar10
from tasks.large_batch.cifar10 import Cifar10
from tasks.large_batch.walk import Walk


@dataclass
class Params(cifar10.Params):
    """As those of `large_batch/cifar10`, on more pictures and with a denser curve."""

    train: int = 8192
    val: int = 200
    test: int = 1000
    epochs: int = 4
    evaluations: int = 128


class DiffusionCifar10(Walk, Cifar10):
    """CIFAR-10 and the network of `large_batch/cifar10`, at a constant rate, with the distance at every eighth update."""

    name = "large_batch/diffusion_cifar10"
    version = 2
    Params = Params
    presets = {
        "smoke": {"train": 512, "val": 50, "test": 100, "epochs": 1, "evaluations": 8},
        "small": {},
        "paper": {"train": 45000, "val": 5000, "test": 10000, "batch": 128, "epochs": 100},
    }
