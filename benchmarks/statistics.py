"""What the board's statistics hold, by simulation, and what they cost.

`python -m benchmarks.statistics` prints the tables that `docs/statistics.md` shows; `tests/test_stats_simulation.py` asserts
the rows that the board rests on. Every table has its own fixed seed, so that the same command prints the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from bench.tables import comparisons, statistics

Draw = Callable[[np.random.Generator, int, int], np.ndarray]  # (generator, entries or tasks, seeds) -> noise, mean 0

TASKS, SEEDS, ENTRIES, FEWER = (4, 10, 30), (3, 5, 10), (4, 6, 10, 20), (4, 8, 20)
FLOOR, REFERENCE = 1.0, 1e-3  # of the simulated metric, an error on a log scale


def normal(rng: np.random.Generator, rows: int, seeds: int) -> np.ndarray:
    """Equal variances."""
    return rng.normal(size=(rows, seeds))


def unequal(rng: np.random.Generator, rows: int, seeds: int) -> np.ndarray:
    """Standard deviations from 0.1 to 10, log-uniform."""
    return np.exp(rng.uniform(np.log(0.1), np.log(10), (rows, 1))) * rng.normal(size=(rows, seeds))


def half_quiet(rng: np.random.Generator, rows: int, seeds: int) -> np.ndarray:
    """Half the rows with a tenth of the others' deviation: the hardest case found for moderated variances."""
    return np.where(np.arange(rows) < rows // 2, 0.1, 1.0)[:, None] * rng.normal(size=(rows, seeds))


def skewed(rng: np.random.Generator, rows: int, seeds: int) -> np.ndarray:
    """Lognormal on the scale on which the mean is taken (sigma 1), so with a long tail of bad seeds."""
    return np.exp(rng.normal(size=(rows, seeds))) - np.exp(0.5)


def skewed_unequal(rng: np.random.Generator, rows: int, seeds: int) -> np.ndarray:
    """Lognormal noise whose standard deviations spread from 0.1 to 10 times: a wide row's tail is in all its pairs."""
    return np.exp(rng.uniform(np.log(0.1), np.log(10), (rows, 1))) * skewed(rng, rows, seeds)


def one_skewed(rng: np.random.Generator, rows: int, seeds: int) -> np.ndarray:
    """One lognormal row among copies of one that never varies."""
    return np.where(np.arange(rows) == 0, 1.0, 0.0)[:, None] * skewed(rng, rows, seeds)


def at_budget(rng: np.random.Generator, rows: int, seeds: int) -> np.ndarray:
    """Times of which three in ten miss the target, and so stand at the budget."""
    return np.minimum(rng.normal(size=(rows, seeds)), 0.5244)  # the normal's quantile of .7


NOISES: dict[str, Draw] = {"normal": normal, "unequal": unequal, "half quiet": half_quiet, "skewed": skewed}
FAR = 100.0  # standard deviations of the seeds that end well: a penalty declared by a metric


class Failing(NamedTuple):
    """Each seed of each entry fails with `chance`: it then has the penalty FAR, or the worst value of its seed."""

    chance: float = 0.0
    far: bool = True

    def draw(self, rng: np.random.Generator, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(values with penalties, which seeds failed), both [entries, seeds]."""
        failed = rng.uniform(size=values.shape) < self.chance
        worst = np.where(failed, -np.inf, values).max(axis=0)
        penalty = FAR if self.far else np.where(np.isinf(worst), values.max(), worst)
        return np.where(failed, penalty, values), failed


NEVER = Failing()
FAILING: dict[str, tuple[Draw, Failing]] = {
    "1 seed in 10 fails, far penalty": (normal, Failing(0.1)),
    "1 seed in 10 fails, worst value": (normal, Failing(0.1, far=False)),
    "1 seed in 50 fails, far penalty": (normal, Failing(0.02)),
    "1 seed in 50 fails, worst value": (normal, Failing(0.02, far=False)),
    "1 seed in 10 fails, unequal": (unequal, Failing(0.1)),
    "3 seeds in 10 at the budget": (at_budget, NEVER),
}
HARD: dict[str, tuple[Draw, Failing]] = {  # kept in part, or not at all
    "skewed, unequal": (skewed_unequal, NEVER),
    "one skewed among copies": (one_skewed, NEVER),
    "1 seed in 2 fails, far penalty": (normal, Failing(0.5)),
}


def interval_coverage(seeds: int, noise: Draw = normal, repeats: int = 20000) -> float:
    """How often a t interval over `seeds` holds the true mean."""
    x = noise(np.random.default_rng([1, seeds]), repeats, seeds)
    return float(np.mean([lo <= 0 <= hi for _, lo, hi in map(statistics.t_interval, x)]))


def share_coverage(seeds: int, samples: int, wrong: float, repeats: int = 4000) -> float:
    """How often the interval of an accuracy over `seeds` test sets of `samples` holds the true one. wrong: expected errors of a
    seed; with few of them the seeds are often all equal."""
    rng = np.random.default_rng([7, seeds, samples, round(10 * wrong)])
    right = 1 - wrong / samples
    x = rng.binomial(samples, right, (repeats, seeds)) / samples
    return float(np.mean([lo <= right <= hi for _, lo, hi in (statistics.interval(row, sample=samples) for row in x)]))


def date_coverage(seeds: int, deviation: float, place: float | None = None, repeats: int = 4000) -> float:
    """How often the interval of a date holds the true mean date, where a run is evaluated at whole numbers only.

    deviation: of the dates over seeds, in steps between evaluations. place: of the mean after an evaluation, in steps; None
    draws it anew for each repetition.
    """
    rng = np.random.default_rng([8, seeds, round(100 * deviation)])
    means = 50 + (rng.uniform(size=repeats) if place is None else np.full(repeats, place))
    read = np.ceil(means[:, None] + deviation * rng.normal(size=(repeats, seeds)))
    edges = np.array([statistics.interval(row, step=(1.0, 0.0))[1:] for row in read])
    return float(np.mean((edges[:, 0] <= means) & (means <= edges[:, 1])))


def aggregate_coverage(
    tasks: int, seeds: int, noise: Draw = normal, repeats: int = 4000, diverging: float = 0.0
) -> float:
    """How often the mean skill's interval holds the true mean skill, for log errors with `noise` of a spread that
    differs by the task (a tenth to a half of the way from floor to reference).

    diverging: chance of a seed to fail, which counts as skill 0 both in the truth and in the table.
    """
    rng = np.random.default_rng([2, tasks, seeds])
    gap = np.log(FLOOR / REFERENCE)
    held = 0
    for _ in range(repeats):
        level, spread = rng.uniform(0.5, 1.0, (tasks, 1)), rng.uniform(0.01, 0.05, (tasks, 1))
        errors = FLOOR * np.exp(-gap * (level + spread * noise(rng, tasks, seeds)))
        skills = statistics.skill(errors, FLOOR, REFERENCE, "log", "min")
        skills = np.where(rng.uniform(size=skills.shape) < diverging, 0.0, skills)
        _, lo, hi = statistics.aggregate(skills)
        held += bool(lo <= float(level.mean()) * (1 - diverging) <= hi)
    return held / repeats


def family_wise_error(
    entries: int,
    seeds: int,
    noise: Draw = normal,
    pairs: bool = False,
    repeats: int = 2000,
    failing: Failing = NEVER,
    draws: int = 3,
) -> float:
    """How often any pair is told apart that is equal, or a better entry is declared worse.

    pairs: entries equal two by two, the pairs 3 standard deviations apart; otherwise all are equal. draws: 3 are the draws on
    which rules were chosen; others tell how the rules do on draws that chose nothing.
    """
    rng, failures = (np.random.default_rng([draws, entries, seeds, pairs, *more]) for more in ((), (1,)))
    truth = 3.0 * (np.arange(entries) // 2) * pairs
    no_better = truth[:, None] >= truth[None, :]
    wrong = 0
    for _ in range(repeats):
        values, failed = failing.draw(failures, truth[:, None] + noise(rng, entries, seeds))
        wrong += bool((statistics.separated(values, "min", failed) & no_better).any())
    return wrong / repeats


def power(entries: int, seeds: int, gap: float, failing: Failing = NEVER, repeats: int = 2000) -> float:
    """How often two of the entries that lie `gap` standard deviations apart are separated, the others half way between."""
    rng = np.random.default_rng([4, entries, seeds])
    truth = np.zeros((entries, 1))
    truth[0], truth[1] = -gap / 2, gap / 2
    tables = (failing.draw(rng, truth + normal(rng, entries, seeds)) for _ in range(repeats))
    return float(np.mean([statistics.separated(values, "min", failed)[0, 1] for values, failed in tables]))


def skill_at_the_floor(seeds: int, measured: bool = False, repeats: int = 4000) -> tuple[float, float, float]:
    """(mean skill of an entry as good as its floor, its standard error, how often its 95 % interval covers 0).

    measured: the anchor is the floor's mean over as many seeds, else what it is over all seeds.
    """
    rng = np.random.default_rng([6, seeds, measured])
    means, held = [], 0
    for _ in range(repeats):
        errors, floor = FLOOR * np.exp(normal(rng, 1, seeds)[0]), FLOOR
        if measured:
            floor *= float(np.exp(normal(rng, 1, seeds).mean()))
        mean, lo, hi = statistics.t_interval(statistics.skill(errors, floor, REFERENCE, "log", "min"))
        means.append(mean)
        held += bool(lo <= 0 <= hi)
    return float(np.mean(means)), float(np.std(means) / np.sqrt(repeats)), held / repeats


def whole_board(entries: int = 50, tasks: int = 30, seeds: int = 10) -> float:
    """CPU seconds of one core for a whole board: rank ranges, aggregates, profiles, win matrices, leave-one-out."""
    import scipy.special  # noqa: F401  importing it is no work of the board's

    rng = np.random.default_rng(5)
    level = rng.uniform(0.2, 1.2, (entries, tasks, 1))
    errors = np.exp(-7 * level + 0.3 * rng.normal(size=(entries, tasks, seeds)))
    start = time.process_time()
    skills = statistics.skill(errors, FLOOR, REFERENCE, "log", "min")
    for task in range(tasks):
        statistics.rank_ranges(statistics.transform(errors[:, task], "log"), "min")
        comparisons.performance_profile(errors[:, task])
        comparisons.win_matrix(errors[:, task], "min")
    for entry in range(entries):
        statistics.aggregate(skills[entry])
    comparisons.performance_profile(errors)
    comparisons.win_matrix(errors, "min")
    comparisons.leave_one_out(skills.mean(axis=2))
    comparisons.seeds_to_separate(skills[0].mean(axis=0), skills[1].mean(axis=0))
    return time.process_time() - start


def rows() -> Iterator[tuple[str, float, str, float, Callable[[float, float], bool]]]:
    """For `make perf`."""
    yield "statistics of 50 entries x 30 tasks x 10 seeds", whole_board(), "s", 5.0, lambda a, b: a <= b


def _table(title: str, corner: str, across: tuple[int, ...], lines: dict[str, list[float]]) -> None:
    print(f"\n{title}\n\n| {corner} | " + " | ".join(f"n = {n}" for n in across) + " |")
    print("|---|" + "---|" * len(across))
    for name, figures in lines.items():
        print(f"| {name} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |", flush=True)


WRONG, DEVIATIONS = (0.1, 0.5, 1.0, 5.0), (0.05, 0.2, 0.5, 1.0, 3.0)


def good_to() -> None:
    """Print the coverage of intervals of values that are shares or are read off a grid."""
    lines = {
        f"{wrong:g} of {samples} wrong": [share_coverage(n, samples, wrong) for n in SEEDS]
        for samples in (500, 4000)
        for wrong in WRONG
    }
    _table("Coverage of the 95 % interval of an accuracy near 1", "expected errors of a seed", SEEDS, lines)
    lines = {f"{sd:g}": [date_coverage(n, sd) for n in SEEDS] for sd in DEVIATIONS}
    lines |= {f"{sd:g}, just after": [date_coverage(n, sd, 0.02) for n in SEEDS] for sd in DEVIATIONS}
    _table("Coverage of the 95 % interval of a date read at evaluations", "deviation in steps", SEEDS, lines)


def main() -> None:
    """Print every table, in Markdown; about two minutes of one core."""
    lines = {
        name: [interval_coverage(n, noise) for n in SEEDS] for name, noise in NOISES.items() if name != "half quiet"
    }
    _table("Coverage of the 95 % t interval of one entry", "noise", SEEDS, lines)
    good_to()
    lines = {f"{t} tasks": [aggregate_coverage(t, n) for n in SEEDS] for t in TASKS}
    lines |= {f"{t} tasks, skewed": [aggregate_coverage(t, n, skewed) for n in SEEDS] for t in TASKS}
    lines |= {f"{t} tasks, 1 seed in 10 fails": [aggregate_coverage(t, n, diverging=0.1) for n in SEEDS] for t in TASKS}
    _table("Coverage of the 95 % interval of a mean skill", "tasks", SEEDS, lines)
    skills = {
        "the floor's mean over all seeds": [skill_at_the_floor(n) for n in SEEDS],
        "the floor's mean over as many seeds": [skill_at_the_floor(n, measured=True) for n in SEEDS],
    }
    for title, place in (("Mean skill", 0), ("Coverage of 0 by the 95 % interval of the skill", 2)):
        lines = {name: [figures[place] + 0.0 for figures in row] for name, row in skills.items()}
        _table(f"{title} of an entry as good as its floor", "skill 0 is", SEEDS, lines)
    plain = {name: (noise, NEVER) for name, noise in NOISES.items()}
    for title, cases, sizes, pairs in (
        ("entries all equal", plain, ENTRIES, False),
        ("entries equal two by two", plain, ENTRIES, True),
        ("entries all equal, failing seeds and censored times", FAILING, FEWER, False),
        ("entries all equal, hard cases", HARD, FEWER, False),
    ):
        lines = {
            f"{k} entries, {name}": [family_wise_error(k, n, noise, pairs, failing=failing) for n in SEEDS]
            for name, (noise, failing) in cases.items()
            for k in sizes
        }
        _table(f"Family-wise error of rank ranges, nominal 0.05, {title}", "entries", SEEDS, lines)
    lines = {
        f"{k} entries, skewed, unequal": [family_wise_error(k, n, skewed_unequal, draws=41) for n in SEEDS]
        for k in FEWER
    }
    _table("Family-wise error of rank ranges on draws by which no rule was chosen", "entries", SEEDS, lines)
    lines = {
        f"{gap} standard deviations, {name}": [power(8, n, gap, failing) for n in SEEDS]
        for name, failing in (("no failures", NEVER), ("1 seed in 10 fails, far penalty", Failing(0.1)))
        for gap in (2, 3)
    }
    _table("Power of rank ranges: how often two of eight entries are told apart", "apart by", SEEDS, lines)
    print(f"\nWhole board, 50 entries x 30 tasks x 10 seeds: {whole_board():.2f} CPU s")


if __name__ == "__main__":
    main()
