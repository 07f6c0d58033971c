"""Optimizers by name: every one of the libraries runs in the loop, or says why it cannot."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest
import pytorch_optimizer
import schedulefree
import torch
from torch import nn
from torch.nn import functional

from bench import optim
from bench.contract import BenchError
from bench.train import Loop

STEPS = 3
TORCH = sorted(n for n, c in vars(torch.optim).items() if inspect.isclass(c) and issubclass(c, torch.optim.Optimizer))
OTHER = sorted(c.__name__ for c in pytorch_optimizer.optimizer.OPTIMIZER_LIST)
FREE = sorted(name for name, c in vars(schedulefree).items() if inspect.isclass(c))
REFUSED = {
    "Optimizer", "SparseAdam", "AdaLOMO", "DeMo", "DistributedMuon", "LOMO", "LoRARite", "ScheduleFreeWrapper",
    "ScheduleFreeWrapperReference",
}  # fmt: skip
# by their papers' rules these leave the weights where they are at first: warm-up of the second moment, or weights above
# a threshold that are never trained
LATE = {"AdaShift", "RAdam", "ScheduleFreeRAdam", "RAdamScheduleFree", "RAdamScheduleFreeClosure", "SaRA"}
PARTLY = {"Magma"}  # skips whole tensors at random


class Silent:
    """A log that only counts."""

    def __init__(self) -> None:
        self.incumbent = None
        self.stop = False
        self.steps = 0

    def count(self, steps: int = 0, **_: int) -> None:
        self.steps += steps

    def track(self, step: int, **values: float) -> None:
        pass

    def evaluate(self, step: int, predict, stage: str = "") -> dict[str, float]:
        predict()
        return {}


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def trained(name: str, **arguments) -> tuple[list[torch.Tensor], nn.Module]:
    """(weights before, model after) a few steps with evaluations in between."""
    model = small()
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = optim.named(model=model, steps=STEPS, name=name, **arguments)
    log = Silent()

    def loss(batch) -> torch.Tensor:
        return functional.cross_entropy(model(batch[0]), batch[1])

    loop = Loop(
        model, loss, optimizer, STEPS, log,
        schedule=lambda step, steps: 1.0, clip=1.0, predict=lambda: model(x), eval_every=1,
    )  # fmt: skip
    loop.run([(x, y)] * STEPS)
    assert log.steps == STEPS
    return before, model


@pytest.mark.parametrize(
    "name", [*TORCH, *(f"pytorch_optimizer.{n}" for n in OTHER), *(f"schedulefree.{n}" for n in FREE)]
)
def test_every_optimizer_takes_finite_steps_or_says_why_not(name):
    short = name.rpartition(".")[2]
    if short in REFUSED:
        with pytest.raises(BenchError, match=f"{short}' cannot run here: it "):
            trained(name)
        return
    before, model = trained(name)
    after = list(model.parameters())
    assert all(p.isfinite().all() for p in after)
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    if short in PARTLY:
        assert any(moved)
    elif short not in LATE:
        assert all(moved), f"{name} leaves tensors untrained: {moved}"


def test_the_names_read_from_the_sources_are_those_of_the_libraries():
    listed = set(pytorch_optimizer.get_supported_optimizers())
    assert set(optim._exported("pytorch_optimizer", "optimizer")) == listed and len(listed) > 100
    assert set(optim._exported("torch", "optim")) == {name.lower() for name in TORCH}
    for name in (*TORCH, *OTHER):
        if name not in REFUSED:
            library, _, found = optim.resolve(name.lower()).rpartition(".")
            assert hasattr(sys.modules[library], found) and found.lower() == name.lower()


def test_torch_wins_over_the_other_library_and_a_dotted_path_is_taken_as_it_is():
    assert optim.resolve("adamw") == "torch.optim.AdamW" and optim.resolve("LION") == "pytorch_optimizer.Lion"
    assert optim.resolve("pytorch_optimizer.Muon") == "pytorch_optimizer.Muon"
    assert optim.resolve("mine.Optimizer") == "mine.Optimizer"


def test_a_name_that_does_not_exist_gets_the_nearest():
    with pytest.raises(BenchError, match=r"no optimizer 'adamww'.*nearest: .*AdamW"):
        optim.resolve("adamww")
    with pytest.raises(BenchError, match="give the dotted path of a class"):
        optim.resolve("zzzzzzzz")


def test_a_wrapper_is_refused_with_the_next_step():
    for name in ("SAM", "lookahead", "schedulefree.ScheduleFreeWrapper"):
        with pytest.raises(BenchError, match="wraps another optimizer.*write a function"):
            optim.resolve(name)


@pytest.mark.parametrize("name", ["SGD", "Lion", "schedulefree.SGDScheduleFree"])
def test_an_unknown_argument_is_an_error_that_lists_the_known_ones(name):
    with pytest.raises(BenchError, match=r"takes no 'weight_decy'; it takes lr, .*weight_decay"):
        optim.named(small(), 1, name, weight_decy=0.1)


class Wanting(torch.optim.SGD):
    """An optimizer of one's own that says what it wants."""

    wants_closure = True
    wants_graph = True


def test_the_marks_of_a_class_are_kept():
    found = optim.named(small(), 1, f"{__name__}.Wanting", lr=0.1)
    assert found.wants_closure and found.wants_graph
    plain = optim.named(small(), 1, "SGD", lr=0.1)
    assert not plain.wants_closure and not plain.wants_graph
    assert optim.named(small(), 1, "lbfgs").wants_closure


def test_a_value_that_the_class_refuses_is_an_error_of_the_configuration():
    with pytest.raises(BenchError, match=r"'SGD' cannot be made of .*'lr': -1.*Invalid learning rate"):
        optim.named(small(), 1, "SGD", lr=-1.0)


def test_a_class_in_a_module_of_the_current_folder(tmp_path: Path, monkeypatch):
    (tmp_path / "own_parts_here.py").write_text(
        "import torch\n\nclass Sign(torch.optim.SGD):\n    def __init__(self, params, lr=0.5):\n"
        "        super().__init__(params, lr=lr)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    made = optim.named(small(), 1, "own_parts_here.Sign", lr=0.25)
    assert type(made).__name__ == "Sign" and made.param_groups[0]["lr"] == 0.25
    with pytest.raises(BenchError, match="cannot import optimizer 'own_parts_here.Other'.*check the dotted path"):
        optim.named(small(), 1, "own_parts_here.Other")
    with pytest.raises(BenchError, match="takes no 'momentum'; it takes lr"):
        optim.named(small(), 1, "own_parts_here.Sign", momentum=0.9)


def test_a_rate_given_at_the_call_replaces_the_configured_one():
    from functools import partial

    part = partial(optim.named, name="SGD", lr=0.1)
    assert part(model=small(), steps=1, lr=0.3).param_groups[0]["lr"] == 0.3
    assert part(model=small(), steps=1).param_groups[0]["lr"] == 0.1


def test_muon_gets_the_matrices_and_adamw_the_rest():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3))
    joint = optim.named(model, 1, "Muon", lr=0.2, weight_decay=0.5)
    matrices, rest = joint.param_groups
    assert [p.shape for p in matrices["params"]] == [(3, 4)] and matrices["lr"] == 0.2
    assert {tuple(p.shape) for p in rest["params"]} == {(5, 4), (3,)}
    assert rest["lr"] == pytest.approx(0.02) and rest["weight_decay"] == 0.5
    joint.param_groups[0]["lr"] = joint.param_groups[1]["lr"] = 0.0
    before = [p.detach().clone() for p in model.parameters()]
    model(torch.tensor([1, 2])).sum().backward()
    joint.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)), "a schedule reaches both"
    joint.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(BenchError, match="this model has none"):
        optim.named(nn.Embedding(5, 4), 1, "Muon")


def test_muon_steps_in_an_orthogonal_direction():
    """Newton-Schulz takes every singular value of the first update near 1 (Jordan et al. 2024)."""
    torch.manual_seed(0)
    model = nn.Linear(32, 32, bias=False)
    before = model.weight.detach().clone()
    optimizer = optim.named(model, 1, "Muon", lr=1.0, weight_decay=0.0)
    model(torch.randn(64, 32)).square().sum().backward()
    optimizer.step()
    values = torch.linalg.svdvals(before - model.weight.detach())
    assert float(values.min()) > 0.3 and float(values.max()) < 1.3
    assert float(values.median()) == pytest.approx(1.0, abs=0.3)


def test_schedule_free_is_evaluated_at_its_average():
    """x_{t+1} = (1 - 1/(t+1)) x_t + z_{t+1}/(t+1), z by plain SGD at y = 0.1 z + 0.9 x (Defazio et al. 2024)."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, 1.0)
    optimizer = optim.named(model, 4, "schedulefree.SGDScheduleFree", lr=0.1, momentum=0.9)
    z = x = 1.0
    seen: list[float] = []
    log = Silent()
    loop = Loop(
        model, lambda batch: 0.5 * model.weight.square().sum(), optimizer, 4, log,
        predict=lambda: seen.append(float(model.weight)), eval_every=1,
    )  # fmt: skip
    loop.run([[0]] * 4)
    expected = [x]
    for step in range(4):
        z -= 0.1 * (0.1 * z + 0.9 * x)
        x += (z - x) / (step + 1)
        expected.append(x)
    assert seen == pytest.approx(expected, rel=1e-12)
