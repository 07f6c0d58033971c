"""The classical solvers in the slot `solver`, and the problems that have more than one channel, dimension or an edge."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from bench.contract import BenchError
from bench.data import cache_dir
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.pde import base, classical
from tasks.pde.darcy_2d import Darcy
from tasks.pde.incompressible_2d import Incompressible

TASKS = [
    name
    for name in sorted(config.names("task"))
    if name.startswith("pde/") and config.task_spec(name).cls.reference.startswith("classical")
]


def cell(name: str, entry: str, cache: Path, task: dict | None = None) -> dict:
    spec = config.task_spec(name)
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", task or {}), parts, 0, str(cache)))


@pytest.mark.parametrize("grid", [(16,), (8, 12), (8, 8, 8)], ids=str)
def test_going_to_a_finer_grid_and_back_keeps_linear_fields_inside(grid):
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    field = sum((axis + 1) * (i + 1) for i, axis in enumerate(axes))[None, ..., None]
    back = classical.resized(classical.resized(field, 2.0), 0.5)
    inside = (slice(None), *(slice(1, -1) for _ in grid))
    torch.testing.assert_close(back[inside], field[inside])


def test_a_coarser_grid_takes_averages_and_keeps_the_mean():
    field = torch.randn(2, 8, 12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    half = classical.resized(field, 0.5)
    assert half.shape == (2, 4, 6, 3)
    torch.testing.assert_close(half[0, 0, 0], field[0, :2, :2].mean(dim=(0, 1)))
    torch.testing.assert_close(half.mean(dim=(1, 2)), field.mean(dim=(1, 2)))
    assert classical.resized(field, 1.0) is field


@pytest.mark.parametrize("name", TASKS)
def test_the_ladder_descends_and_stands_above_persistence(name, tmp_path_factory):
    """More points, less error, and the same answer whichever process asks."""
    entries = ("persistence", "classical_half", "classical", "classical_double")
    errors = {entry: cell(name, entry, cache_dir()).metrics["nrmse"] for entry in entries}
    best = config.task_spec(name).cls.reference
    assert errors[best] == min(errors.values())
    assert errors["persistence"] > 1.5 * errors["classical"], errors
    assert errors["classical_half"] > errors["classical"], errors


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("entry", ["classical", "classical_half"])
def test_the_entries_steps_cost_little_accuracy(name, entry):
    """Errors are at most a fifth larger than with much shorter steps: they are the grid's, or where it has none, below 1e-4."""
    spec = config.task_spec(name)
    task = spec.cls(spec.cls.Params(**spec.cls.presets["smoke"]))
    public = task.problem(task.prepare(cache_dir(), 0), Seeds(0, name)).public
    given, truth = public["train"][..., 0, :], public["train"][..., 1:, task.constants :].double()
    part = {name: value for name, value in config.entry(entry).parts["solver"].items() if name != "_target_"}
    arguments = {"initial": given, "axes": public["axes"], "t": public["t"][1:], "equation": public["equation"]}
    shorter = {"courant": part["courant"] / 4, "steps": 4 * part["steps"]}
    long, short = (classical.solve(**arguments, **options) for options in (part, part | shorter))
    size = truth.norm()
    assert float((long - truth).norm()) < 1.2 * float((short - truth).norm()) + 1e-4 * float(size)


@pytest.mark.parametrize("name", TASKS)
def test_samples_solved_together_are_solved_as_if_alone(name):
    """But for the step, which the fastest of the flows chooses for all."""
    spec = config.task_spec(name)
    task = spec.cls(spec.cls.Params(**spec.cls.presets["smoke"]))
    public = task.problem(task.prepare(cache_dir(), 0), Seeds(0, name)).public
    given = public["train"][:2, ..., 0, :]
    arguments = {"axes": public["axes"], "t": public["t"][1:], "equation": public["equation"]}
    both, one = (classical.solve(initial=initial, **arguments) for initial in (given, given[1:]))
    assert float((both[1:] - one).norm()) < 3e-3 * float(one.norm())


@pytest.mark.parametrize("wrong", [{"courant": 0.0}, {"courant": 1.0}, {"courant": math.nan}, {"steps": 0}], ids=str)
def test_steps_without_meaning_are_refused(wrong):
    equation = {"name": "shallow_water", "constants": 0}
    with pytest.raises(BenchError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        classical.solve(torch.ones(1, 8, 8, 1), [torch.arange(8.0)] * 2, torch.tensor([1.0]), equation, **wrong)


def test_an_equation_without_such_a_solver_is_named():
    with pytest.raises(BenchError, match=r"know reaction_diffusion, .*, not 'heat'"):
        classical.solve(
            torch.zeros(1, 8, 1), [torch.arange(8.0)], torch.tensor([1.0]), {"name": "heat", "constants": 0}
        )


def test_the_force_is_given_and_not_predicted():
    """Constants come first in the fields, go to the model, and are in no prediction and no score."""
    task = Incompressible(Incompressible.Params(**Incompressible.presets["smoke"]))
    problem = task.problem(task.prepare(cache_dir(), 0), Seeds(0, task.name))
    train = problem.public["train"]
    assert problem.public["channels"][: problem.public["constants"]] == ["force_x", "force_y"]
    assert bool((train[..., :1, :2] == train[..., :2]).all()) and train.shape[-1] == 5
    assert problem.public["rest"].shape == (3,)

    def predict(context: torch.Tensor) -> torch.Tensor:
        assert context.shape[-1] == 5
        frames = task.params.frames - task.params.initial_step
        return context[..., -1:, 2:].expand(*context.shape[:-2], frames, 3)

    scores = task.monitor(problem, predict)
    assert 0 < scores["val_nrmse"] < base.WORST


def test_darcy_is_one_step_from_the_permeability():
    task = Darcy(Darcy.Params(**Darcy.presets["smoke"]))
    problem = task.problem(task.prepare(cache_dir(), 0), Seeds(0, task.name))
    train = problem.public["train"]
    assert train.shape == (4, 16, 16, 2, 1)
    assert train[..., 0, 0].unique().tolist() == pytest.approx([0.1, 1.0])
    assert float(train[..., 1, 0].min()) > 0
    with pytest.raises(BenchError, match="leave frames=2"):
        Darcy(Darcy.Params(frames=3)).check()


def test_the_data_do_not_depend_on_how_many_shards_there_are():
    """A shard draws from a stream of its own, so more samples leave the first ones as they are."""
    cls = config.task_spec("pde/diffusion_sorption_1d").cls
    few = cls(cls.Params(**{**cls.presets["smoke"], "points": 16, "frames": 3}))
    shard = few.shards(0)
    first = shard(0, 3)
    assert shard(0, 5).values[:3] == pytest.approx(first.values, abs=1e-12)
    for other in (shard(50, 1), few.shards(1)(0, 1)):
        assert not math.isclose(other.values[0, 0, 0, 0], first.values[0, 0, 0, 0])


@pytest.mark.parametrize(
    ("name", "task", "reason"),
    [
        ("pde/compressible_1d", {"boundary": "open"}, "boundary='open'"),
        ("pde/compressible_1d", {"kind": "quiet"}, "quiet"),
        ("pde/compressible_1d", {"eta": -1.0}, "eta"),
        ("pde/reaction_diffusion_1d", {"nu": -1.0}, "nu"),
        ("pde/darcy_2d", {"beta": 0.0}, "beta > 0"),
        ("pde/incompressible_2d", {"nu": 0.0}, "nu > 0"),
        ("pde/diffusion_reaction_2d", {"points": 4}, "points >= 8"),
    ],
)
def test_a_wrong_parameter_is_named_and_leaves_no_file(name, task, reason, tmp_path):
    outcome = cell(name, "persistence", tmp_path, task)
    assert outcome.status == "failed" and reason in outcome.reason, outcome.reason
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".hdf5", ".h5")]
