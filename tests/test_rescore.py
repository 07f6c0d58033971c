"""Kept predictions, and `bench rescore` after a change of a metric only."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench import keeping, key, rescore
from bench.contract import BenchError, Budget, Metric, Problem, Target
from bench.store import Store
from tests.test_recertify import edited  # noqa: F401 - a fixture
from tests.test_store import record

WORDS = ["task=toy/line", "entry=line_sgd,zero", "seed=range(2)", "preset=smoke"]
KEEP = "keep=predictions"
LINE = '"error": float(((solution.predict(x) - y) ** 2).mean()),'
METRIC = (LINE, '"error": float((solution.predict(x) - y).abs().mean()),')
OTHER_INPUTS = (LINE, LINE.replace("predict(x)", "predict(x + 1)"))
MONITOR = ('"val_error": float(((predict(x) - y) ** 2).mean())', '"val_error": float((predict(x) - y).abs().mean())')
DATA = ("y = 2 * x +", "y = 3 * x +")
VERSION = ('    name = "toy/line"', '    name = "toy/line"\n    version = 2')


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted((folder / "results" / "local").glob(f"*/*.{suffix}"))


def records(folder: Path, results: str = "results") -> dict[tuple[str, int, str], dict]:
    """(entry, seed, key) -> record."""
    found = {}
    for path in (folder / results / "local").glob("*/*.json"):
        one = json.loads(path.read_text())
        found[one["entry"], one["seed"], one["key"]] = one
    return found


@pytest.fixture
def kept(bench, tmp_path) -> dict:
    """Four cells of the unchanged task, run with their predictions kept."""
    done = bench("run", *WORDS, KEEP)
    assert done.returncode == 0, done.stderr
    assert all(one["kept"] is True and "unkept" not in one for one in records(tmp_path).values())
    return records(tmp_path)


def left(done) -> str:
    """The reason that all four cells were left with."""
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert not told["rescored"] and len(told["left"]) == 4
    (reason,) = {one["reason"] for one in told["left"]}
    return reason


def test_a_run_keeps_nothing_unless_told(bench, tmp_path):
    assert bench("run", *WORDS).returncode == 0
    assert not files(tmp_path, "pred") and not any("kept" in one for one in records(tmp_path).values())
    done = bench("run", *WORDS, KEEP, "transport=call", "reuse=none")
    assert done.returncode == 2 and "transport=pipe" in done.stderr


def test_keeping_changes_no_result(bench, kept, tmp_path):
    assert bench("run", *WORDS, "results=plain").returncode == 0
    plain = records(tmp_path, "plain")
    assert plain.keys() == kept.keys() and len(files(tmp_path, "pred")) == 4
    for name, one in plain.items():
        assert one["metrics"] == kept[name]["metrics"]
        assert one["costs"]["evaluations"] == kept[name]["costs"]["evaluations"]


def test_a_changed_score_gives_what_a_rerun_gives_and_trains_nothing(bench, edited, kept, tmp_path):  # noqa: F811
    new = edited(*METRIC)
    done = new("rescore", *WORDS, "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["modules"] == {"toy_package.task": 4} and told["golden"] == {"toy/line": ""}
    assert len(told["rescored"]) == 4
    assert all(list(one["changed"]) == ["error"] for one in told["rescored"])
    assert {one["cell"].split()[1]: one["as_before"] for one in told["rescored"]} == {
        "line_sgd": ["val_error"],
        "zero": [],
    }

    rescored = {name: one for name, one in records(tmp_path).items() if name not in kept}
    assert new("run", *WORDS, "results=rerun").returncode == 0
    rerun = records(tmp_path, "rerun")
    assert rescored.keys() == rerun.keys()
    old = {name[:2]: one for name, one in kept.items()}
    for name, one in rescored.items():
        assert one["metrics"] == rerun[name]["metrics"] != old[name[:2]]["metrics"]
        assert one["components"] == rerun[name]["components"]
        assert one["costs"] == old[name[:2]]["costs"], "nothing was trained"
        assert one["status"] == "ok" and one["kept"] is True
        before = old[name[:2]]["provenance"]
        assert one["provenance"]["rescored_from"] == {"key": old[name[:2]]["key"], "commit": before["commit"]}
        assert all(one["provenance"][part] == before[part] for part in ("isolation", "started", "transport"))
        points, others = Store(tmp_path / "results").curves(one), Store(tmp_path / "rerun").curves(rerun[name])
        assert {n: p.tolist() for n, p in points.items()} == {n: p.tolist() for n, p in others.items()}

    table = json.loads(new("table", *WORDS, "--format", "json").stdout)
    values = {row["entry"]: row["values"] for row in table}
    assert {row["missing"] for row in table} == {0} and {row["badge"] for row in table} <= {"", "claimed"}
    assert {(name[0], one["metrics"]["error"] in values[name[0]]) for name, one in rerun.items()} == {
        ("line_sgd", True),
        ("zero", True),
    }
    plan = json.loads(new("plan", *WORDS, "--format", "json").stdout)
    assert {one["state"] for one in plan["cells"]} == {"fresh"}
    shown = new("show", told["rescored"][0]["key"]).stdout
    assert f"rescored from {told['rescored'][0]['from']}" in shown
    again = new("rescore", *WORDS)
    assert again.returncode == 0 and "0 cells rescored, 4 were there" in again.stdout


def test_a_rescored_record_can_be_rescored_and_names_the_run(bench, edited, kept, tmp_path):  # noqa: F811
    assert edited(*METRIC)("rescore", *WORDS).returncode == 0
    done = edited(LINE, '"error": float((solution.predict(x) - y).abs().max()),')("rescore", *WORDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error changed in 2, at most by" in done.stdout and "as before: val_error" in done.stdout
    found = records(tmp_path)
    assert len(found) == 12
    origins = [one["provenance"].get("rescored_from") for one in found.values()]
    assert sorted(one["key"] for one in origins if one) == sorted(2 * [one["key"] for one in kept.values()])


def test_what_would_not_be_the_same_run_is_left_stale_with_the_reason(bench, edited, kept, tmp_path):  # noqa: F811
    words = (*WORDS, "--format", "json")
    assert "asks predict for other inputs than those kept, in call 1" in left(edited(*OTHER_INPUTS)("rescore", *words))
    assert "the public data changed" in left(edited(*DATA)("rescore", *words))
    assert left(edited(*VERSION)("rescore", *words)) == "not only code changed: version"
    monitor = edited(*MONITOR)
    sgd = [word.replace(",zero", "") for word in words]  # the other was never monitored
    told = json.loads(monitor("rescore", *sgd).stdout)
    assert all("val_error at step 5 was" in one["reason"] for one in told["left"]) and len(told["left"]) == 2
    plan = json.loads(monitor("plan", *words).stdout)
    assert {one["state"] for one in plan["cells"]} == {"stale"}
    assert records(tmp_path).keys() == kept.keys(), "nothing was written"


def test_a_score_that_fails_is_no_record(edited, kept, tmp_path):  # noqa: F811
    done = edited(LINE, LINE.replace("- y", "- z"))("rescore", *WORDS, "--format", "json")
    assert "NameError" in left(done)
    assert records(tmp_path).keys() == kept.keys()


def test_without_predictions_or_with_damaged_ones_a_cell_stays_stale(bench, edited, kept, tmp_path):  # noqa: F811
    new = edited(*METRIC)
    assert bench("run", *WORDS[:2], "seed=2", "preset=smoke").returncode == 0
    sgd = [one for one in kept.values() if one["entry"] == "line_sgd"]
    paths = [Store(tmp_path / "results").kept(one) for one in sgd]
    paths[0].write_bytes(paths[0].read_bytes()[:-5])
    paths[1].unlink()
    done = new("rescore", *WORDS[:2], "seed=range(4)", "preset=smoke", "--format", "json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert len(told["rescored"]) == 2 and all("zero" in one["cell"] for one in told["rescored"])
    reasons = {tuple(one["cell"].split()[1:4]): one["reason"] for one in told["left"]}
    assert "truncated" in reasons["line_sgd", "seed", str(sgd[0]["seed"])]
    assert "is gone" in reasons["line_sgd", "seed", str(sgd[1]["seed"])]
    assert "without keep=predictions" in reasons["zero", "seed", "2"]
    assert reasons["zero", "seed", "3"] == "this machine has no older record of it"
    plan = json.loads(new("plan", *WORDS, "--format", "json").stdout)
    assert {(one["entry"], one["state"]) for one in plan["cells"]} == {("line_sgd", "stale"), ("zero", "fresh")}


def test_diverged_cells_are_rescored_too(bench, edited, tmp_path):  # noqa: F811
    words = ["task=toy/line", "entry=line_sgd", "entry.optimizer.lr=1e30", "preset=smoke"]
    bench("run", *words, KEEP)
    ((name, before),) = records(tmp_path).items()
    assert before["status"] == "diverged" and before["kept"]
    assert edited(*METRIC)("rescore", *words).returncode == 0
    (after,) = [one for other, one in records(tmp_path).items() if other != name]
    assert (after["status"], after["reason"], after["costs"]) == ("diverged", before["reason"], before["costs"])


def test_predictions_survive_publishing_and_stay_here(bench, kept, tmp_path):
    def digests():
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files(tmp_path, "pred")}

    before = digests()
    assert bench("publish", *WORDS).returncode == 0
    assert digests() == before and len(before) == 4
    assert not list((tmp_path / "results" / "ledger").rglob("*.pred"))
    published = list(Store(tmp_path / "results").published())
    assert len(published) == 4 and not any("kept" in line for line in published)
    store = Store(tmp_path / "results")
    assert len(list(store.records())) == len(store.latest(one["key"] for one in kept.values())) == 4
    assert not store.reports
    shutil.rmtree(tmp_path / "results" / ".cache")
    assert len(Store(tmp_path / "results").latest(one["key"] for one in kept.values())) == 4


# ---------------------------------------------------------------- the parts


class Task:
    """Just what a scorer asks of a task."""

    metrics = (Metric("error", "1", "min", ""), Metric("steps_to", "1", "min", "", target=Target("gain", 0.5)))
    budget = Budget("steps", 3)

    def monitor(self, problem, predict):
        return {"gain": float(predict(problem.hidden["x"]).sum())}

    def score(self, problem, solution, log):
        found = solution.predict(problem.hidden["x"])
        error = float(found.sum())
        found.zero_()  # a score may write into what it is given
        return {"error": error}


X = torch.tensor([0.25, float("nan"), -0.0])
REPORT = {"status": "ok", "tensors": {"w": torch.ones(2)}, "predicts": True, "counts": {"steps": 3}, "curves": {}}


def keeper(limit: int = keeping.LIMIT) -> keeping.Keeper:
    one = keeping.Keeper(Task(), Problem({"n": 3}, {"x": X}))  # type: ignore[arg-type]
    one.limit = limit
    one.evaluate(1, lambda x: torch.zeros(3))
    one.evaluate(3, lambda x: torch.ones(3))
    one.finish(REPORT, lambda x: torch.full((3,), 2.0))
    return one


def rescored(monkeypatch, path: Path, task: type = Task) -> dict:
    scorer = keeping.execute.Scorer(task(), Problem({"n": 3}, {"x": X}))
    monkeypatch.setattr(keeping.execute, "opened", lambda job: (scorer, {}))
    return keeping.rescored(None, path)  # type: ignore[arg-type]


def test_a_file_holds_what_the_score_came_from(monkeypatch, tmp_path):
    one = keeper()
    path = tmp_path / "one.pred"
    path.write_bytes(one.content)
    found = keeping.read(path)
    assert found.head["curves"] == {"gain": [[1, 3], [0.0, 3.0]]} and found.head["reached"] == {"steps_to": 3}
    assert (len(found.monitored), len(found.scored)) == (1, 1)
    outcome = rescored(monkeypatch, path)
    assert outcome["metrics"] == {"error": 6.0, "steps_to": 3.0} and outcome["censored"] == []

    class Another(Task):
        metrics = (Task.metrics[0], Metric("steps_to", "1", "min", "", target=Target("gain", 0.6)))

    assert "the targets changed" in rescored(monkeypatch, path, Another)["reason"]

    class Longer(Task):
        budget = Budget("steps", 4)

    told = rescored(monkeypatch, path, Longer)["reason"]
    assert "the budget changed: ['steps', 3] then, ['steps', 4] now" in told

    class More(Task):
        def score(self, problem, solution, log):
            return super().score(problem, solution, log) | super().score(problem, solution, log)

    assert "calls predict more than the 1 times" in rescored(monkeypatch, path, More)["reason"]

    class Fewer(Task):
        def score(self, problem, solution, log):
            return {"error": 0.0}

    assert "calls predict 0 times, 1 calls are kept" in rescored(monkeypatch, path, Fewer)["reason"]

    class Swallows(Task):
        def score(self, problem, solution, log):
            try:
                solution.predict(-X)
            except BenchError:
                pass
            return {"error": 0.0}

    assert "other inputs" in rescored(monkeypatch, path, Swallows)["reason"], "whatever the score makes of the refusal"


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:20], lambda b: b"", lambda b: b[:-1] + b"\xff"])
def test_a_damaged_file_is_named(damage, tmp_path):
    path = tmp_path / "one.pred"
    path.write_bytes(damage(keeper().content))
    with pytest.raises(BenchError, match=r"one\.pred cannot be used"):
        keeping.read(path)


def test_what_is_too_large_is_not_kept_and_says_so():
    size = len(keeper().content) - len(keeping.MAGIC) - keeping.DIGEST
    assert keeper(size).content and not keeper(size).lost
    small = keeper(size - 1)
    assert small.content == b"" and "predictions take more than" in small.lost


def test_a_failed_run_or_call_keeps_nothing():
    one = keeper()
    one.finish({"status": "crashed", "reason": "…"}, None)
    assert (one.content, one.lost) == (b"", "")

    def fails(x):
        raise RuntimeError("no")

    calls = keeping.Calls(fails, 1000)
    with pytest.raises(RuntimeError):
        calls(X)
    assert calls.lost == "a call of predict failed" and not calls.frames


def test_a_module_that_trains_is_no_metric(tmp_path):
    parts = {"activation": {"_target_": "baselines.activations.pointwise.relu"}}
    task = "tasks.grokking.modular_addition"
    cell = SimpleNamespace(target=f"{task}.ModularAddition", parts=parts, components={"code": {}})
    training = rescore.trained_by(cell, key.Digests())  # type: ignore[arg-type]
    assert {"bench.train", "baselines.activations.pointwise"} <= training and task not in training

    def refused(code: dict, **more) -> str:
        path = tmp_path / "kept.pred"
        path.write_bytes(b"")
        cell.components = {"code": {name: "new" for name in code}, "seed": 0}
        old = record(kept=True, components={"code": code, "seed": 0}) | more
        return rescore.refusal(cell, old, path, training)  # type: ignore[arg-type]

    assert refused({task: "old", "bench.metrics.spectra": "old"}) == ""
    assert "trains with baselines.activations.pointwise" in refused(
        {task: "old", "baselines.activations.pointwise": "old"}
    )
    assert "trains with bench.train" in refused({"bench.train": "old"})
    assert "failed" in refused({}, status="failed")
    assert "too large" in refused({}, kept=False, unkept="too large")
