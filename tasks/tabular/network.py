"""Networks of logistic units as plain tensors, so that the scorer can switch units off without asking the entry.

Source: Emami and Martínez-Muñoz, Sequential Training of Neural Networks with Gradient Boosting (arXiv 1909.12098).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.contract import BenchError, Diverged

if TYPE_CHECKING:
    from torch import Tensor

TRUNK = ("trunk", "trunk_bias")
NAMES = ("hidden", "hidden_bias", "out", "offset", "base")


def checked(network: Mapping[str, Tensor], inputs: int, outputs: int) -> Mapping[str, Tensor]:
    """The network itself. BenchError if a tensor is absent or has another shape, Diverged if a number is not finite.

    hidden (units, inputs), hidden_bias (units,), out (outputs, units), offset (outputs, units), base (outputs,); a deep one has
    trunk (width, inputs) and trunk_bias (width,) below, and hidden is then (units, width). `offset` is the part of the bias that
    came with a unit and goes with it.
    """
    if missing := [name for name in NAMES if name not in network]:
        raise BenchError(f"the network lacks {', '.join(missing)}; it has to hold {', '.join(NAMES)}")
    units = len(network["hidden_bias"])
    shapes = {"hidden_bias": (units,), "out": (outputs, units), "offset": (outputs, units), "base": (outputs,)}
    if "trunk" in network:
        width = len(network["trunk"])
        shapes |= {"trunk": (width, inputs), "trunk_bias": (width,), "hidden": (units, width)}
    else:
        shapes["hidden"] = (units, inputs)
    for name, shape in shapes.items():
        if name not in network or tuple(network[name].shape) != shape:
            found = tuple(network[name].shape) if name in network else "absent"
            raise BenchError(f"the network's {name} is {found}; expected {shape}")
        if not bool(network[name].isfinite().all()):
            raise Diverged(f"the network's {name} is not finite")
    return network


def size(network: Mapping[str, Tensor]) -> int:
    """Hidden units, those of the trunk included."""
    return len(network["hidden_bias"]) + (len(network["trunk_bias"]) if "trunk" in network else 0)


def outputs(network: Mapping[str, Tensor], x: Tensor, kept: int | None = None) -> Tensor:
    """Outputs (n, outputs) for x (n, inputs) with the first `kept` units of the last hidden layer; None keeps all."""
    if "trunk" in network:
        x = (x @ network["trunk"].T + network["trunk_bias"]).sigmoid()
    hidden = (x @ network["hidden"][:kept].T + network["hidden_bias"][:kept]).sigmoid()
    return network["base"] + network["offset"][:, :kept].sum(dim=1) + hidden @ network["out"][:, :kept].T
