"""The two tasks: protocol, splits, files, cells end to end."""

import hashlib
import os
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.surrogates import pushforward
from bench.contract import BenchError, Misfit, Problem, Solution, Unavailable
from bench.data import cache_dir
from bench.execute import Job, Scorer, call
from bench.parts import locate
from bench.planning import config
from bench.seeds import Seeds
from tasks.pde import base, fields, rollout
from tasks.pde.advection_1d import Advection
from tasks.pde.burgers_1d import Burgers
from tasks.pde.files import reading, writing
from tasks.pde.files.fields import Fields
from tasks.pde.generate import burgers

NAMES = ("pde/advection_1d", "pde/burgers_1d")
SOLVERS = ("persistence", "spectral_16", "spectral_32", "spectral_64", "spectral_128", "spectral_512")
ENTRIES = (*SOLVERS, "finite_volume_64", "finite_volume_256", "fno", "unet", "conv")


def cell(name: str, entry: str, cache: Path, seed: int = 0, task: dict | None = None, **parts: object) -> dict:
    spec = config.task_spec(name)
    return call(
        Job(
            target=spec.target,
            params=config.parameters(spec, "smoke", task or {}),
            parts=config.resolve_parts(spec, config.entry(entry), parts),
            seed=seed,
            cache=str(cache),
        )
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


# The protocol -------------------------------------------------------------------------------------


def test_windows_are_all_windows_once_an_epoch_in_a_seeded_order():
    values = torch.arange(2 * 3 * 6).reshape(2, 3, 6, 1).float()  # (samples, points, frames, channels)

    def first(count: int, seed: int) -> torch.Tensor:
        batches = rollout.windows(values, 2, 1, 4, torch.Generator().manual_seed(seed))
        return torch.cat([next(batches) for _ in range(count)])

    epoch = first(2, 0)
    assert epoch.shape == (8, 3, 3, 1)
    epoch = epoch[..., 0]
    expected = {tuple(values[s, 0, i : i + 3, 0].tolist()) for s in range(2) for i in range(4)}
    assert {tuple(w[0].tolist()) for w in epoch} == expected
    assert bool((epoch[:, 1] == epoch[:, 0] + 6).all())  # the points of one sample
    torch.testing.assert_close(epoch, first(2, 0)[..., 0])
    assert not torch.equal(epoch, first(2, 1)[..., 0])


def test_a_rollout_feeds_predictions_back():
    class Fibonacci(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.shape == (4, 2, 3) and bool((x[..., 2] == coordinate).all())
            return x[..., 0:1] + x[..., 1:2]

    coordinate = torch.tensor([0.25, 0.75])
    context = torch.tensor([1.0, 1.0])[:, None].expand(4, 2, 2, 1)
    out = rollout.rollout(Fibonacci(), context, rollout.Frame.of([coordinate], context, rollout.frame(Fibonacci())), 5)
    assert out.shape == (4, 2, 5, 1) and out[3, 1, :, 0].tolist() == [2, 3, 5, 8, 13]


def test_a_model_sees_channels_and_frames_in_order_and_normalised():
    """Two channels of very different size, two frames of context, a 2-D grid."""
    values = torch.randn(6, 4, 5, 3, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 1e3]) + 7
    axes = [torch.arange(4.0), torch.arange(5.0)]
    frame = rollout.Frame.of(axes, values, rollout.frame(torch.nn.Identity()))
    seen = []

    class Last(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x[..., 2:4]

    window = values[:, :, :, :2]
    out = frame.advance(Last(), window)
    torch.testing.assert_close(out[..., 0, :], window[..., 1, :])  # it gave the last frame back
    (x,) = seen
    assert x.shape == (6, 4, 5, 6)
    assert bool((x[..., 4] == axes[0][:, None]).all()) and bool((x[..., 5] == axes[1]).all())
    torch.testing.assert_close(x[..., :4].std(dim=(0, 1, 2)), torch.ones(4), atol=0.2, rtol=0)


@pytest.mark.parametrize("entry", ["conv", "deeponet", "fno", "unet"])
@pytest.mark.parametrize("grid", [(16,), (16, 16), (8, 8, 8)])
def test_a_correction_starts_from_persistence_and_learns(entry, grid):
    """The output layer is found and set to zero in every surrogate, and its gradient is not zero there."""
    torch.manual_seed(0)
    part = dict(config.entry(entry).parts["surrogate"])
    model = locate(part.pop("_target_"))(channels_in=2 + len(grid), channels_out=2, grid=grid, periodic=True, **part)
    values = torch.randn(3, *grid, 2, 2)
    frame = rollout.Frame.of([torch.arange(float(n)) for n in grid], values, rollout.correction(model))
    out = frame.advance(model, values[..., :1, :])
    torch.testing.assert_close(out, values[..., :1, :])
    (out - values[..., 1:, :]).square().sum().backward()
    assert any(weight.grad is not None and bool(weight.grad.any()) for weight in model.parameters())


def test_constants_stay_in_the_window_and_out_of_the_prediction():
    """Each step sees the given channel unchanged, beside what was predicted, and predicts the others only."""
    given = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    context = torch.stack([given, torch.zeros(3, 8)], dim=-1)[:, :, None]  # (batch, x, 1 frame, 2 channels)
    frame = rollout.Frame(torch.zeros(8, 1), torch.zeros(2), torch.ones(2), lambda last, output: output, constants=1)

    class Adds(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.testing.assert_close(x[..., 0], given)
            return x[..., 1:2] + x[..., 0:1]

    out = rollout.rollout(Adds(), context, frame, 3)
    torch.testing.assert_close(out, given[:, :, None, None] * torch.tensor([1.0, 2.0, 3.0])[:, None])


def test_the_relative_loss_weighs_strong_and_weak_fields_alike():
    target = torch.randn(2, 64, 3, 1, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([1e-3, 1e2])[:, None, None, None]
    loss = rollout.relative_loss(1.1 * target * scale, target * scale)
    assert float(loss) == pytest.approx(0.1, rel=2e-3)
    exact = (target * 1.0).requires_grad_()
    rollout.relative_loss(exact, target).backward()
    assert exact.grad is not None and bool(torch.isfinite(exact.grad).all())


def test_a_surrogate_of_the_wrong_shape_is_named():
    context = torch.zeros(2, 8, 2, 1)
    with pytest.raises(BenchError, match=r"returned \(2, 8, 3\).*return \(batch, x.., channels_out\) = \(2, 8, 1\)"):
        rollout.rollout(torch.nn.Identity(), context, rollout.Frame.of([torch.zeros(8)], context, torch.add), 1)


# Data and splits ----------------------------------------------------------------------------------


def test_the_splits_are_disjoint_and_the_targets_stay_hidden(cache):
    task = Burgers(Burgers.Params(**Burgers.presets["smoke"]))
    data = task.prepare(cache, 0)
    problem = task.problem(data, Seeds(0, task.name))
    test, valid, train = problem.hidden["test"], problem.hidden["valid"], problem.public["train"]
    assert [len(split) for split in (test, valid, train)] == [4, 4, 8]
    order = Seeds(0, task.name).stream("split", "samples").permutation(16)
    torch.testing.assert_close(torch.cat([test, valid, train]).movedim(2, 1), torch.from_numpy(data.values)[order])
    assert sorted(problem.public) == ["axes", "channels", "constants", "equation", "periodic", "rest", "t", "train"]
    assert problem.public["equation"] == {"name": "burgers", "constants": 0, "nu": 0.1}
    assert problem.public["t"].tolist() == pytest.approx(np.linspace(0, 0.4, 9).tolist())
    other = task.problem(data, Seeds(1, task.name))
    assert not torch.equal(other.public["train"], train) and not torch.equal(other.hidden["test"], test)


def test_the_cached_file_is_pdebenchs_and_its_name_tells_parameters_apart(cache):
    small = Advection(Advection.Params(**Advection.presets["smoke"]))
    small.prepare(cache, 0)
    path = small.generated_file(cache, 0)
    raw = reading.read(path)
    seed = int.from_bytes(hashlib.blake2b(b"pde/advection_1d/3/0/0", digest_size=16).digest(), "big")
    waves = fields.Waves.draw(16, seed)
    exact = fields.advection(waves, fields.grid(32), np.linspace(0, 0.4, 9), 0.4)
    np.testing.assert_array_equal(raw.values[..., 0], exact.astype(np.float32))
    before = path.stat().st_mtime_ns
    small.prepare(cache, 0)
    assert path.stat().st_mtime_ns == before
    names = {path.name}
    for changed in ({"points": 64}, {"beta": 0.5}, {"test": 5}, {"final_time": 0.5}):
        names.add(Advection(Advection.Params(**{**base.SMOKE, **changed})).generated_file(cache, 0).name)
    assert len(names) == 5
    same = Advection(Advection.Params(**{**base.SMOKE, "steps": 99, "batch": 1, "reduced_resolution": 2}))
    assert same.generated_file(cache, 0) == path


def test_striding_is_plain(cache):
    params = {**base.SMOKE, "reduced_resolution": 4, "reduced_resolution_t": 2}
    whole, thin = Advection(Advection.Params(**base.SMOKE)), Advection(Advection.Params(**params))
    np.testing.assert_array_equal(thin.prepare(cache, 0).values, whole.prepare(cache, 0).values[:, ::2, ::4])


def test_no_frame_to_predict_is_an_error(cache):
    with pytest.raises(BenchError, match="initial_step=9 leaves no frame"):
        Burgers(Burgers.Params(**{**base.SMOKE, "initial_step": 9})).prepare(cache, 0)


# Files of PDEBench --------------------------------------------------------------------------------


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A small file as PDEBench's generator writes it: 6 samples, 21 frames, 32 points, nu = 0.1."""
    t = np.linspace(0, 0.4, 21)
    values = burgers.solve(fields.Waves.draw(6, 5), 32, t, 0.1).astype(np.float32)
    held = Fields(values[..., None], (fields.grid(32),), t, ("u",), {"Nu": 0.1})
    writing.write(tmp_path / "1D_Burgers_Sols_Nu0.1.hdf5", held, [held], "scalar")
    return tmp_path / "1D_Burgers_Sols_Nu0.1.hdf5"


def settings(path: Path, **more: object) -> dict:
    sizes = {"points": 32, "frames": 21, "final_time": 0.4, "nu": 0.1, "train": 4, "valid": 1, "test": 1}
    return {"file": str(path), **sizes, **more}


def test_a_file_runs_end_to_end_with_context_and_strides(foreign, tmp_path):
    task = settings(foreign, initial_step=3, reduced_resolution_t=2)
    exact = cell("pde/burgers_1d", "spectral_512", tmp_path, task=task)
    learned = cell("pde/burgers_1d", "fno", tmp_path, task=task)
    assert exact.status == learned.status == "ok", learned.reason
    assert exact.metrics["nrmse"] < 1e-5 < learned.metrics["nrmse"]
    assert exact.origin == foreign.name
    assert not (tmp_path / "pde").exists()  # nothing was generated


def test_the_file_is_part_of_the_cells_identity(foreign, tmp_path):
    assert Burgers(Burgers.Params(**settings(foreign))).data_files(tmp_path) == {"file": foreign}
    assert Burgers(Burgers.Params()).data_files(tmp_path) == {}


def test_a_file_that_differs_from_the_parameters_names_the_settings_that_fit(foreign, tmp_path):
    with pytest.raises(BenchError, match="task.points=32 task.final_time=0.4 task.nu=0.1$"):
        Burgers(Burgers.Params(file=str(foreign))).prepare(tmp_path, 0)
    with pytest.raises(BenchError, match="holds 6 samples, 7 are wanted"):
        Burgers(Burgers.Params(**settings(foreign, train=5))).prepare(tmp_path, 0)
    with pytest.raises(BenchError, match="no attribute 'beta'"):
        Advection(Advection.Params(file=str(foreign))).prepare(tmp_path, 0)
    with pytest.raises(Unavailable, match="no such file"):
        Burgers(Burgers.Params(**settings(foreign.with_name("gone.hdf5")))).prepare(tmp_path, 0)


def test_an_early_download_on_the_wrong_domain_is_refused(foreign, tmp_path):
    old = reading.read(foreign)
    moved = replace(old, axes=(2 * old.axes[0] - 1,))
    writing.write(foreign, moved, [moved], "scalar")
    with pytest.raises(BenchError, match="spans a length of 2, not 1"):
        Burgers(Burgers.Params(**settings(foreign))).prepare(tmp_path, 0)


def test_a_missing_file_makes_the_cell_unavailable_and_a_broken_one_fails_it(foreign, tmp_path):
    gone = cell("pde/burgers_1d", "persistence", tmp_path, task=settings(foreign.with_name("gone.hdf5")))
    assert gone.status == "unavailable" and "gone.hdf5" in gone.reason
    foreign.write_bytes(foreign.read_bytes()[:3000])
    broken = cell("pde/burgers_1d", "persistence", tmp_path, task=settings(foreign))
    assert broken.status == "failed" and str(foreign) in broken.reason


def test_pdebenchs_own_data_agree_with_the_converged_solver(tmp_path):
    """PDEBench's published generator against a converged solution: two schemes, one equation."""
    path = cache_dir() / "pdebench" / "1D_Burgers_Sols_Nu0.01.hdf5"
    if not path.is_file():
        pytest.skip(f"{path} is not there; SWEEPSTAKES_DATA names the folder that holds pdebench/")
    sizes = {"points": 128, "frames": 201, "final_time": 2.0, "nu": 0.01, "train": 12, "valid": 4, "test": 4}
    task = {"file": str(path), **sizes, "reduced_resolution_t": 5, "initial_step": 10}
    found = {entry: cell("pde/burgers_1d", entry, tmp_path, task=task) for entry in ("persistence", "spectral_128")}
    assert found["persistence"].metrics["nrmse"] > 0.5
    assert found["spectral_128"].metrics["nrmse"] < 0.01


# Cells --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_runs_and_gives_every_metric(name, entry, cache):
    outcome = cell(name, entry, cache)
    assert outcome.status == "ok", outcome.reason
    assert set(outcome.metrics) == {metric.name for metric in config.task_spec(name).cls.metrics}
    trained = entry in ("fno", "unet", "conv")
    assert outcome.costs.counts.get("steps", 0) == (8 if trained else 0)
    assert (outcome.costs.counts["parameters"] > 0) == trained


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_beats_the_floor_by_the_margin(name, cache):
    cls = config.task_spec(name).cls
    floor, best = (cell(name, entry, cache).metrics["nrmse"] for entry in (cls.floors[0], cls.reference))
    assert np.log(floor) - np.log(best) > cls.margin


def test_the_same_cell_gives_the_same_bits_and_another_seed_other_ones(cache):
    first, again, other = (cell("pde/burgers_1d", "fno", cache, seed=seed) for seed in (3, 3, 4))
    assert first.metrics == again.metrics and first.curves == again.curves
    assert first.metrics != other.metrics


def test_training_lowers_the_validation_error(cache):
    task = {"steps": 120, "evaluations": 4}
    outcome = cell("pde/advection_1d", "fno", cache, task=task)
    steps, values = outcome.curves["val_nrmse"]
    assert steps == [0, 30, 60, 90, 120]
    assert values[-1] < 0.3 * values[0]
    assert outcome.metrics["val_nrmse"] == values[-1]


class Silent:
    """A log that keeps nothing."""

    stop, incumbent = False, None

    def count(self, **amounts: int) -> None: ...

    def track(self, step: int, **values: float) -> None: ...

    def evaluate(self, step: int, predict: object, stage: str = "") -> dict[str, float]:
        return {}


class Doubler(torch.nn.Module):
    """Predicts its factor, 2 at the start, times the field: exact for fields that double with every frame."""

    def __init__(self, **sizes: object) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(2.0))
        self.gradients: list[bool] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.gradients.append(torch.is_grad_enabled())
        return self.factor * x[..., -2:-1]


@pytest.mark.parametrize(
    ("unrolling", "wanted"),
    [
        (pushforward.pushforward, [False, True]),
        (partial(pushforward.pushforward, free=2), [False, False, True]),
        (pushforward.autoregressive, [True] * 4),
        (partial(pushforward.autoregressive, seen=99), [True] * 5),
        (partial(pushforward.pushforward, free=99), [False] * 4 + [True]),
        (rollout.unrolled, [True]),
    ],
)
def test_the_loss_meets_the_frames_that_the_unrolling_says(unrolling, wanted):
    task = Advection(Advection.Params(frames=6, steps=1, batch=4, evaluations=1))
    values = (torch.rand(4, 8, 1, 1) + 1) * 2.0 ** torch.arange(6).view(1, 1, 6, 1)
    public = {
        "train": values, "axes": [torch.arange(8.0)], "t": torch.arange(6.0), "equation": {}, "channels": ["u"], "constants": 0,
        "periodic": True, "rest": torch.full((1,), 1e-6),
    }  # fmt: skip
    model, losses = Doubler(), []

    def loss(pred, target, epsilon):
        losses.append(float((pred - target).detach().abs().max()))
        assert pred.shape == target.shape and pred.shape[-2] == sum(wanted)
        return (pred - target).square().mean()

    parts = {
        "solver": None, "surrogate": lambda **sizes: model, "schedule": lambda step, steps: 1.0, "loss": loss,
        "optimizer": lambda model, steps: torch.optim.SGD(model.parameters(), 0.1), "unrolling": unrolling,
        "output_form": rollout.frame,
    }  # fmt: skip
    rollout.run(task.params, public, parts, Silent(), Seeds(0, "x"))
    assert model.gradients[: len(wanted)] == wanted and losses == [0.0]


def test_an_unrolling_longer_than_a_rollout_is_an_error(cache):
    with pytest.raises(BenchError, match=r"takes 9 \+ 1 frames; a rollout has 8"):
        task = Advection(Advection.Params(**base.SMOKE))
        public = task.problem(task.prepare(cache, 0), Seeds(0, task.name)).public
        parts = {"solver": None, "surrogate": Doubler, "unrolling": lambda unroll, frames: (9, 1)}
        parts["optimizer"] = lambda model, steps: torch.optim.SGD(model.parameters(), 0.1)
        task.run(public, parts, Silent(), Seeds(0, task.name))


@pytest.mark.parametrize("entry", ["unet_pushforward", "unet_autoregressive"])
def test_other_unrollings_run(cache, entry):
    assert cell("pde/advection_1d", entry, cache).status == "ok"


def test_unrolled_training_runs(cache):
    assert cell("pde/advection_1d", "fno", cache, task={"unroll": 99, "initial_step": 2}).status == "ok"


def test_a_solver_takes_no_surrogate_beside_it():
    spec = config.task_spec("pde/burgers_1d")
    with pytest.raises(Misfit, match="makes no sense beside"):
        config.resolve_parts(spec, config.entry("fno+spectral_64"), {})


def scored(pred: object) -> dict:
    """The outcome of a run whose `predict` answers `pred(context)`."""
    task = Advection(Advection.Params(**base.SMOKE))
    target = torch.randn(4, 32, 9, 1, generator=torch.Generator().manual_seed(0))
    scorer = Scorer(task, Problem({}, {"test": target, "valid": target, "rest": torch.tensor([1e-6])}))
    return scorer.finish({"status": "ok"}, pred)  # type: ignore[arg-type]


def test_an_exploded_rollout_counts_as_the_worst_and_a_nan_as_diverged():
    assert scored(lambda context: torch.full((4, 32, 8, 1), 1e30)).metrics["nrmse"] == base.WORST
    assert scored(lambda context: torch.full((4, 32, 8, 1), torch.nan)).status == "diverged"
    wrong = scored(lambda context: torch.zeros(4, 32, 1, 1))
    assert wrong.status == "failed" and "predict returned (4, 32, 1, 1)" in wrong.reason
    task = Advection(Advection.Params(**base.SMOKE))
    with pytest.raises(BenchError, match="no `predict`"):
        task.score(Problem({}, {}), Solution(), None)  # type: ignore[arg-type]


def test_planning_imports_no_torch():
    code = (
        "import sys; from bench.planning import config\n"
        "for name in ('pde/advection_1d', 'pde/burgers_1d'):\n"
        "    spec = config.task_spec(name)\n"
        "    for preset in spec.cls.presets:\n"
        "        spec.cls(spec.cls.Params(**config.parameters(spec, preset, {}))).budget\n"
        "    config.resolve_parts(spec, config.entry('fno'), {})\n"
        "print([m for m in ('torch', 'numpy', 'scipy', 'h5py') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(config.PROJECT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_presets_are_complete():
    for cls in (Advection, Burgers):
        assert set(cls.presets) == {"smoke", "small", "paper"}
        paper = asdict(cls.Params(**cls.presets["paper"]))
        assert (paper["points"], paper["frames"], paper["train"] + paper["valid"] + paper["test"]) == (
            1024,
            201,
            10_000,
        )
        assert len(range(0, paper["frames"], paper["reduced_resolution_t"])) == 41
        assert paper["unroll"] == 41 - paper["initial_step"]
