"""Exhibits: what a picture is drawn from says what the metrics say, and fits its budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from bench import execute
from bench.checking.contract_suite import smoke_job
from bench.contract import EXHIBIT_BYTES, BenchError, Exhibit, Problem, Solution, Task
from bench.data import cache_dir
from bench.planning import config
from bench.seeds import Seeds
from tasks.grokking.arithmetic import one_hot
from tasks.grokking.groups import group
from tasks.grokking.groups_network import exact as exact_of_group
from tasks.grokking.network import exact
from tasks.pde import exhibits


def size(shown: Mapping[str, Exhibit]) -> int:
    """Bytes of all arrays, whose dimensions and coordinates are checked on the way."""
    total = 0
    for one in shown.values():
        values = {name: array for name, array in one.arrays.items() if name not in one.axes}
        shapes = {tuple(array.shape) for array in values.values()}
        assert len(shapes) == 1 and len(next(iter(shapes))) == len(one.axes)
        lengths = dict(zip(one.axes, next(iter(shapes)), strict=True))
        assert all(one.arrays[axis].shape == (lengths[axis],) for axis in one.axes if axis in one.arrays)
        assert all(bool(array.isfinite().all()) for array in one.arrays.values()) and one.doc and one.unit
        total += sum(array.numel() * array.element_size() for array in one.arrays.values())
    return total


def opened(name: str, entry: str = "", **more: Any) -> tuple[Task, Problem]:
    """The task and its problem at smoke."""
    spec = config.task_spec(name)
    task = spec.cls(spec.cls.Params(**config.parameters(spec, "smoke", more)))
    return task, task.problem(task.prepare(cache_dir(), 0), Seeds(0, name))


@pytest.mark.parametrize("name", ["pde/advection_1d", "pde/incompressible_2d", "pde/compressible_2d", "pde/darcy_2d"])
def test_a_fields_picture_is_the_truth_what_was_predicted_and_the_difference(name):
    task, problem = opened(name)
    (target,) = problem.hidden["test"][:1, ..., task.params.initial_step :, task.constants :]
    shown = task.exhibit(problem, Solution(lambda context: target[None].expand(len(context), *target.shape) + 0.25))
    arrays = shown["sample"].arrays
    torch.testing.assert_close(arrays["error"], torch.full_like(arrays["truth"], 0.25))
    torch.testing.assert_close(arrays["prediction"], arrays["truth"] + 0.25)
    assert torch.equal(arrays["truth"], target), "it is small enough to be shown whole"
    assert size(shown) <= EXHIBIT_BYTES and shown["sample"].axes == (*"xyz"[: task.dims], "t", "channel")
    with pytest.raises(BenchError, match="no `predict`"):
        task.exhibit(problem, Solution())


def test_the_initial_state_found_is_shown_beside_the_true_one():
    task, problem = opened("pde/inverse_1d")
    arrays = task.exhibit(problem, Solution(lambda observed: observed))["sample"].arrays
    torch.testing.assert_close(arrays["truth"][:, 0], problem.hidden["test"][0, :, 0])
    torch.testing.assert_close(arrays["prediction"][:, 0], problem.hidden["observed_test"][0])


@pytest.mark.parametrize("shape", [(1024, 38, 1), (128, 128, 11, 4), (64, 64, 64, 11, 5), (100, 7, 1)])
def test_a_large_field_is_thinned_to_fit(shape):
    *grid, times, channels = shape
    axes, t = [torch.linspace(0, 1, points) for points in grid], torch.arange(float(times))
    target = (sum(torch.meshgrid(*axes, t, indexing="ij")))[..., None].expand(shape)
    one = exhibits.field(2 * target, target, axes, t)
    assert EXHIBIT_BYTES / 8 < size({"sample": one}) <= EXHIBIT_BYTES or target.numel() < 1000
    places = torch.meshgrid(*(one.arrays[axis] for axis in one.axes[:-1]), indexing="ij")
    torch.testing.assert_close(one.arrays["truth"][..., 0], sum(places))


@pytest.mark.parametrize("op", ["add", "div"])
def test_the_table_shows_what_is_right_and_what_was_trained_on(op):
    task, problem = opened("grokking/modular_addition", op=op)
    p = task.params.p
    if op == "add":
        network = exact(p)
        shown = task.exhibit(problem, Solution(lambda pairs: network(one_hot(pairs, p).double())))
        assert bool(shown["table"].arrays["right"].all())
    known = problem.hidden["train"][0]
    answers = {tuple(pair.tolist()): int(label) for pair, label in zip(*problem.hidden["train"], strict=True)}

    def by_heart(pairs):
        return torch.nn.functional.one_hot(
            torch.tensor([answers.get(tuple(pair), p) for pair in pairs.tolist()]), p + 1
        )

    shown = task.exhibit(problem, Solution(by_heart))
    assert torch.equal(shown["table"].arrays["right"], shown["table"].arrays["trained"])
    assert int(shown["table"].arrays["trained"].sum()) == len(known) and size(shown) <= EXHIBIT_BYTES


def test_a_groups_table_is_shown_alike_and_a_large_one_in_part():
    task, problem = opened("grokking/group_arithmetic", group="symmetric:3", ratio=2.0)
    network = exact_of_group(group("symmetric:3"))
    shown = task.exhibit(problem, Solution(lambda pairs: network(one_hot(pairs, 6).double())))
    assert bool(shown["table"].arrays["right"].all()) and shown["table"].arrays["right"].shape == (6, 6)
    assert int(shown["table"].arrays["trained"].sum()) == len(problem.public["labels"])
    task, problem = opened("grokking/modular_addition", p=211)
    shown = task.exhibit(problem, Solution(lambda pairs: torch.zeros(len(pairs), 211)))
    assert EXHIBIT_BYTES / 2 < size(shown) <= EXHIBIT_BYTES


def test_the_modes_are_shown_beside_the_closed_form():
    job = smoke_job("deep_linear/modes", "init_mode_aligned")
    task, problem = execute.open_problem(job)
    _, solution, _ = execute.run_entry(job, problem.public, execute._Direct(None), Seeds(0, task.name).of_entry())
    shown = task.exhibit(problem, solution)
    arrays = shown["modes"].arrays
    gap = ((arrays["network"] - arrays["theory"]).abs() / problem.hidden["s"]).max()
    assert float(gap) <= task.score(problem, solution, None)["trajectory_error"] * 1.01 < 0.1
    assert size(shown) <= EXHIBIT_BYTES and bool((arrays["time"].diff() > 0).all())
    many = {
        name: value.repeat_interleave(40, 0) for name, value in solution.tensors.items() if name in ("times", "maps")
    }
    assert size(task.exhibit(problem, Solution(tensors=solution.tensors | many))) <= EXHIBIT_BYTES


def test_a_task_has_no_exhibits_by_default():
    task, problem = opened("large_batch/prototypes")
    assert task.exhibit(problem, Solution()) == {}
