"""Any model of the neuraloperator library (MIT licence) by name; the library is an optional extra."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from torch import Tensor, nn

from bench.contract import BenchError


class ChannelsFirst(nn.Module):
    """(batch, x.., channels_in) -> (batch, x.., channels_out) around a model that wants channels first."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """One prediction; see the class for the shapes."""
        return self.model(x.movedim(-1, 1).contiguous()).movedim(1, -1)


def named(
    channels_in: int,
    channels_out: int,
    grid: tuple[int, ...],
    periodic: bool,
    name: str,
    modes: int = 12,
    width: int = 20,
    **arguments: Any,
) -> nn.Module:
    """The model `name` of neuralop.models, such as FNO, TFNO or UNO, with `modes` wave numbers a direction.

    Other arguments go to the model as they are. On a domain that is not periodic it is padded by an eighth, where it can be.
    BenchError for a name that the library lacks, or arguments that the model does not take.
    """
    from neuralop import models

    known = {
        key: value for key, value in vars(models).items() if inspect.isclass(value) and issubclass(value, nn.Module)
    }
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)[:6]
        raise BenchError(f"neuralop.models has no model {name!r}; nearest: {', '.join(near)}")
    kept = tuple(min(2 * modes - 1, points) for points in grid)
    usual: dict[str, Any] = {"n_modes": kept, "hidden_channels": width, "positional_embedding": None}
    if not periodic:
        usual["domain_padding"] = 0.125
    takes = inspect.signature(known[name]).parameters
    options = {key: value for key, value in usual.items() if key in takes} | arguments
    try:
        return ChannelsFirst(known[name](in_channels=channels_in, out_channels=channels_out, **options))
    except (TypeError, ValueError, AssertionError) as error:
        raise BenchError(f"neuralop's {name} cannot be made of {options}: {error}") from error
