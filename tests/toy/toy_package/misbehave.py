"""Entries that go wrong, one way each: fillers of toy/line's slot `extra`."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time


def zero(public, log, seeds):
    """The floor: predict nothing."""
    from bench.contract import Solution

    return Solution(lambda x: x * 0)


def raises(model, log):
    raise ValueError("as it was told to")


def nan(model, log):
    model.weight.data.fill_(float("nan"))


def nan_on_odd_seed(model, log, limit=0.0):
    if model.weight.item() < limit:
        model.weight.data.fill_(float("nan"))


def chatty(model, log):
    for _ in range(1024):
        print("x" * 1023)
    raise RuntimeError("after a megabyte")


def exits(model, log):
    os._exit(3)


def segfaults(model, log):
    ctypes.string_at(0)


def sleeps(model, log):
    time.sleep(600)


def allocates(model, log):
    import torch

    kept = [torch.zeros(2**24) for _ in range(200)]
    raise AssertionError(f"{len(kept)} blocks of 64 MB were granted")


def breeds(model, log, mark=""):
    """A child in a session of its own, which would outlive us."""
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep(300)  # {mark}"], start_new_session=True)


def breeds_and_sleeps(model, log, mark=""):
    breeds(model, log, mark)
    time.sleep(600)
