"""CPU time of one FNO training step, against neuraloperator's FNO, side by side in one run.

Both networks have the same layers: 12 modes, width 20, 4 layers, GELU, a head of 128, no lifting network, no padding, no
positional channels; in one dimension that is 43,137 parameters. A step is forward, relative L2 loss, backward and an Adam
update, for 50 samples on 256 points, or 5 on 64 x 64, in float32 on one thread. The networks take turns in rounds; the
ratio is that of the medians. Before that, the outputs of the project's FNO are compared with the same weights applied
through torch.fft.

    python benchmarks/fno_step.py [--json] [--rounds 15]

`make perf` brings neuraloperator; without it only the project's own time is measured.
"""

from __future__ import annotations

import argparse
import json
import operator
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from baselines.surrogates.fno import FNO, SpectralConv
from tasks.pde.rollout import relative_loss

BATCH, POINTS, CHANNELS, MODES, WIDTH, LAYERS, HEAD = 50, 256, 11, 12, 20, 4, 128
SQUARE, SQUARE_BATCH = (64, 64), 5
STEPS = 10  # in a round
TOLERANCE = 1e-5
RATIO = 1.3  # what `make perf` asks for


def spectral_by_fft(layer: SpectralConv, x: Tensor) -> Tensor:
    """What `layer` computes on (points, batch, width), by a full FFT and complex weights."""
    points, width = x.shape[0], x.shape[-1]
    modes = layer.weight.shape[0]
    spectrum = torch.fft.rfft(x, dim=0)
    mixed = torch.zeros_like(spectrum)
    weight = torch.complex(layer.weight[..., :width], layer.weight[..., width:])
    mixed[:modes] = torch.einsum("mbi,mio->mbo", spectrum[:modes], weight)
    return torch.fft.irfft(mixed, points, dim=0)


def by_fft(model: FNO, x: Tensor) -> Tensor:
    """What `model` computes, with every spectral layer done by a full FFT."""
    hidden = model.lift(x.transpose(0, 1))
    for i, (spectral, pointwise) in enumerate(zip(model.spectral, model.pointwise, strict=True)):
        assert isinstance(spectral, SpectralConv)
        hidden = spectral_by_fft(spectral, hidden) + pointwise(hidden)
        hidden = functional.gelu(hidden) if i < len(model.spectral) - 1 else hidden
    return model.head(hidden).transpose(0, 1)


def deviation() -> float:
    """Largest difference between the network's output and its FFT version, relative to the largest output."""
    torch.manual_seed(0)
    model = FNO(CHANNELS, 1, (POINTS,), True, MODES, WIDTH, LAYERS, HEAD)
    x = torch.randn(BATCH, POINTS, CHANNELS)
    with torch.no_grad():
        reference = by_fft(model, x)
        return float((model(x) - reference).abs().max() / reference.abs().max())


def stepper(model: nn.Module, channels_first: bool, grid: tuple[int, ...], batch: int) -> Callable[[], None]:
    """One training step of `model` on fixed data."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.randn(batch, *grid, CHANNELS), torch.randn(batch, *grid, 1)
    if channels_first:
        x = x.movedim(-1, 1).contiguous()

    def step() -> None:
        optimizer.zero_grad()
        out = model(x)
        relative_loss((out.movedim(1, -1) if channels_first else out).unsqueeze(-1), y.unsqueeze(-1)).backward()
        optimizer.step()

    return step


def others(dims: int) -> nn.Module:
    """neuraloperator's FNO with the same layers; it keeps one wave number less than twice MODES along an axis, or two."""
    from neuralop import models

    model: nn.Module = models.FNO(
        n_modes=(2 * (MODES - 1),) * dims,
        in_channels=CHANNELS,
        out_channels=1,
        hidden_channels=WIDTH,
        n_layers=LAYERS,
        lifting_channel_ratio=0,
        projection_channel_ratio=HEAD / WIDTH,
        positional_embedding=None,
        use_channel_mlp=False,
    )
    return model


def milliseconds(step: Callable[[], None]) -> float:
    """CPU milliseconds of a step, over a round."""
    start = time.process_time()
    for _ in range(STEPS):
        step()
    return (time.process_time() - start) / STEPS * 1e3


@dataclass(frozen=True)
class Measured:
    """Medians in CPU milliseconds; None where neuraloperator is not installed."""

    own_ms: float
    neuraloperator_ms: float | None
    ratio: float | None
    deviation_from_fft: float
    torch: str
    neuraloperator: str | None


def measure(rounds: int, grid: tuple[int, ...] = (POINTS,), batch: int = BATCH) -> Measured:
    """Compare outputs, then time the steps."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    own = FNO(CHANNELS, 1, grid, True, MODES, WIDTH, LAYERS, HEAD)
    steps = {"own": stepper(own, False, grid, batch)}
    rival = find_spec("neuralop") is not None
    if rival:
        steps["neuraloperator"] = stepper(others(len(grid)), True, grid, batch)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        milliseconds(step)
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(milliseconds(step))
    middle = {name: statistics.median(values) for name, values in times.items()}
    return Measured(
        own_ms=middle["own"],
        neuraloperator_ms=middle.get("neuraloperator"),
        ratio=middle["neuraloperator"] / middle["own"] if rival else None,
        deviation_from_fft=deviation(),
        torch=torch.__version__,
        neuraloperator=version("neuraloperator") if rival else None,
    )


def rows(rounds: int = 8) -> list[tuple[str, float, str, float, Callable[[float, float], bool]]]:
    """(what, figure, unit, limit, how it must compare) for `make perf`; no ratio without neuraloperator."""
    found = measure(rounds)
    figures: list[tuple[str, float, str, float, Callable[[float, float], bool]]] = [
        ("FNO against its FFT version, relative deviation", found.deviation_from_fft, "", TOLERANCE, operator.le)
    ]
    if found.ratio is not None:
        figures.append(("FNO training step, neuraloperator's CPU time over ours", found.ratio, "x", RATIO, operator.ge))
    square = measure(rounds, SQUARE, SQUARE_BATCH)
    if square.ratio is not None:
        figures.append(("the same in two dimensions, 5 x 64 x 64", square.ratio, "x", RATIO, operator.ge))
    return figures


def main() -> int:
    """Measure and print; exit code 1 if the FNO differs from its FFT version."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=15, help=f"rounds of {STEPS} steps")
    options = parser.parse_args()
    found = measure(options.rounds)
    if options.json:
        print(json.dumps(asdict(found)))
    else:
        print(f"FNO step, batch {BATCH} x {POINTS} points, one thread, torch {found.torch}")
        print(f"  own             {found.own_ms:8.2f} ms CPU   (off its FFT version by {found.deviation_from_fft:.1e})")
        if found.ratio is None:
            print("  neuraloperator  not here: `make perf` brings it")
        else:
            print(f"  neuraloperator  {found.neuraloperator_ms:8.2f} ms CPU   (version {found.neuraloperator})")
            print(f"  ratio           {found.ratio:8.2f}")
    return int(found.deviation_from_fft > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
