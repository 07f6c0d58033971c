"""The picture of one sample: the truth, what was predicted, and the difference."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from bench.contract import EXHIBIT_BYTES, Exhibit

SPACE = ("x", "y", "z")
MOST = EXHIBIT_BYTES * 9 // 10 // (3 * 4)  # float32 values in each of the three; a tenth is left for the coordinates


def field(pred: Tensor, target: Tensor, axes: Sequence[Tensor], t: Tensor) -> Exhibit:
    """Of a sample (x[, y[, z]], times, channels), on a grid as fine as fits; axes and t are its coordinates."""
    coordinates = dict(zip((*SPACE[: len(axes)], "t"), (*axes, t), strict=True))
    strides = [1] * len(coordinates)
    sizes = list(target.shape[:-1])
    while target.shape[-1] * math.prod(sizes) > MOST:
        longest = sizes.index(max(sizes))
        strides[longest] *= 2
        sizes[longest] = -(-target.shape[longest] // strides[longest])
    kept = tuple(slice(None, None, stride) for stride in strides)
    true, prediction = target[kept].float(), pred[kept].float()
    places = {name: axis[::stride].float() for (name, axis), stride in zip(coordinates.items(), strides, strict=True)}
    return Exhibit(
        "field", {"truth": true, "prediction": prediction, "error": prediction - true, **places},
        (*coordinates, "channel"), "field", "the first test sample: truth, prediction, and prediction less truth",
    )  # fmt: skip
