"""What `bench verify` holds, by simulation, and what it costs beside the cells it runs.

`python -m benchmarks.verifying` prints the tables that `docs/statistics.md` shows; `tests/test_verify.py` asserts the figures
that verification rests on. For `make perf`: three fresh seeds and one replay of a small toy row, in CPU seconds of the process
tree, over those of a `bench run` of the same four cells in the same folder, in one run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from bench.checking import selection
from bench.checking.speedrun import p_pooled
from bench.tables.statistics import Array
from benchmarks.harness import Row, folder, python

CLAIMED = (3, 5, 10, 20)
REPEATS = 20000
STEPS = (0.1, 0.3, 0.5, 1.0)

Lines = dict[str, Callable[[int], float]]  # of a table: what its line is called, and its figure by claimed seeds


def rows() -> Iterator[Row]:
    """Verify against running as many cells."""
    words = ("task=toy/line", "entry=line_sgd")
    bench = ("-P", "-m", "bench")
    with folder() as where:
        python(where, *bench, "run", *words, "seed=range(5)")
        run = min(python(where, *bench, "run", *words, "seed=range(10,14)", "reuse=none")[0] for _ in range(2))
        verify = min(python(where, *bench, "verify", "line_sgd", "--seeds", "3")[0] for _ in range(2))
    yield "verify, three fresh seeds and a replay, of running four cells", verify / run, "x", 1.5, float.__le__


def draws(noise: str, claimed: int, choice: int = 1, repeats: int = REPEATS) -> tuple[Array, Array]:
    """(the best `claimed` of `choice` times as many seeds, 20 fresh ones), [repeats, seeds] each; choice 1 is an honest row."""
    rng = np.random.default_rng([claimed, choice])
    own, fresh = rng.uniform(size=(repeats, claimed * choice)), rng.uniform(size=(repeats, selection.LOOKS[-1].seeds))
    return np.sort(selection.NOISES[noise](own), axis=1)[:, :claimed], selection.NOISES[noise](fresh)


def disputed(noise: str, claimed: int, count: int | None, choice: int = 1) -> float:
    """The share of rows that `bench verify` disputes. count: fresh seeds, None for up to three looks."""
    return float(selection.examine(*draws(noise, claimed, choice), selection.looks(count))[0].mean())


def disputed_by_t(noise: str, claimed: int, count: int, choice: int = 1) -> float:
    """The same by Student's pooled t test at the same level, which is exact for normal noise only."""
    pairs = zip(*draws(noise, claimed, choice, repeats=4000), strict=True)
    return float(np.mean([p_pooled(own, fresh[:count]) < selection.ALPHA for own, fresh in pairs]))


def seeds_taken(claimed: int, choice: int) -> float:
    """The mean number of fresh seeds, in any noise."""
    return float(selection.examine(*draws("normal", claimed, choice), selection.LOOKS)[1].mean())


def disputed_in_steps(step: float, noise: str, claimed: int) -> float:
    """The share of honest rows that three looks dispute where values come in steps of `step` standard deviations."""
    own, fresh = draws(noise, claimed)
    size = step * fresh.std()
    return float(selection.examine(np.floor(own / size), np.floor(fresh / size), selection.LOOKS)[0].mean())


def power_in_steps(step: float, noise: str, claimed: int) -> float:
    """What `bench verify` prints where values come in steps of `step` standard deviations."""
    return selection.power(claimed, selection.LOOKS, step)[noise]


def _table(title: str, lines: Lines, form: str = ".3f") -> None:
    print(f"\n**{title}**\n\n| | " + " | ".join(f"{n} claimed" for n in CLAIMED) + " |\n|---|" + "---|" * len(CLAIMED))
    for name, figure in lines.items():
        print(f"| {name} | " + " | ".join(format(figure(n), form) for n in CLAIMED) + " |", flush=True)


def main() -> None:
    """Print every table, in Markdown; about ten seconds of one core."""
    noises = [*selection.NOISES]
    for title, choice in (
        ("Honest rows that are disputed, nominal 0.010", 1),
        ("Power: rows disputed that are the best of ten times as many seeds", selection.CHOICE),
    ):
        lines: Lines = {
            f"three looks, {noise}": partial(disputed, noise, count=None, choice=choice) for noise in noises
        }
        for count in (5, 10, 20):
            lines[f"{count} fresh seeds, any noise"] = partial(disputed, "normal", count=count, choice=choice)
        for count in (5, 20):
            for noise in noises:
                lines[f"t test, {count} fresh seeds, {noise}"] = partial(
                    disputed_by_t, noise, count=count, choice=choice
                )
        _table(title, lines)
    taken: Lines = {"honest": partial(seeds_taken, choice=1)}
    taken["best of ten times as many"] = partial(seeds_taken, choice=selection.CHOICE)
    _table("Fresh seeds that three looks take, on average", taken, ".1f")
    tied: Lines = {
        f"steps of {step:g}, {noise}": partial(disputed_in_steps, step, noise) for step in STEPS for noise in noises
    }
    _table("Honest rows that three looks dispute where values come in steps of so many standard deviations", tied)
    tied = {f"steps of {step:g}, {noise}": partial(power_in_steps, step, noise) for step in STEPS for noise in noises}
    _table("Power of three looks where values come in steps of so many standard deviations", tied)


if __name__ == "__main__":
    main()
