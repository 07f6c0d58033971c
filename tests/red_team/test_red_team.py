"""Every cheat of docs/rules.md in a real cell: it is stopped, or it leaves a trace, and the test says which.

Stopped: the record is `failed` with a reason, or the cheat gained nothing. Detected: by `bench verify` on fresh seeds
(the entry is good on known seeds only), or by `bench.checking.oddities` from the record.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench.checking import oddities
from bench.contract import Entry, Misfit
from bench.execute import Job
from bench.planning import config
from bench.records.identity import Digests, components
from bench.records.record import Provenance
from bench.running import sandbox
from bench.running.pool import Pool
from bench.seeds import Seeds
from tests.rows import record

TOY = Path(__file__).resolve().parent.parent / "toy"
FRESH = (1 << 51) + 123_456_789  # as `bench verify` draws them
PUBLIC = 3
HERE = sandbox.available()


def needs(*names: str) -> Any:
    """Skip where the system has not what stops this cheat."""
    lacking = [f"{name}: {HERE[name]}" for name in names if HERE[name] != "on"]
    return pytest.mark.skipif(bool(lacking), reason="; ".join(lacking))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A user's folder: results and data of which the pool was told, and a home of no concern to an entry."""
    made = tmp_path_factory.mktemp("user")
    for name in ("results", "data", "home", "entry"):
        (made / name).mkdir()
        (made / name / "kept.txt").write_text("secret")
    return made


@pytest.fixture(scope="module")
def pool(folder) -> Iterator[Pool]:
    sys.path.insert(0, str(TOY))
    try:
        with pytest.MonkeyPatch.context() as patch, Pool(1, [folder / "results", folder / "data"]) as running:
            patch.setenv("A_USERS_TOKEN", "secret")
            yield running
    finally:
        sys.path.remove(str(TOY))


@pytest.fixture(scope="module")
def digests() -> Digests:
    return Digests()


@pytest.fixture
def cell(pool, folder, digests):
    """cell("cheat", …arguments of the cheat) -> the outcome, shaped as the record that it becomes."""

    def run(cheat: str, slot="procedure", seed=PUBLIC, seconds=60.0, memory_mb=4000, **arguments: Any):
        part = {"_target_": f"tests.red_team.cheats.{cheat}", **arguments}
        trained = {"optimizer": {"_target_": "bench.optim.named", "name": "SGD", "lr": 0.1}} if slot == "extra" else {}
        params = {"steps": 20, "noise": 0.1, "nap": 0.0}
        limits = {"seconds": seconds, "memory_mb": memory_mb}
        target, parts = "toy_package.task.Line", trained | {slot: part}
        _, reads = components(digests, target, parts, {})
        job = Job(target, params, parts, seed, str(folder / "data"), reads=reads, **limits)
        ((_, outcome, _),) = list(pool.run([("cell", "cell", job)]))
        about = {name: getattr(outcome, name) for name in outcome.__struct_fields__}
        return SimpleNamespace(**about, provenance=Provenance(isolation=dict(HERE)))

    return run


@pytest.fixture
def server(cell, pool) -> int:
    """The fork server's process, running."""
    cell("honest")
    return pool.server.pid


def reached(outcome: Any) -> str:
    """What a looking cheat got."""
    assert outcome.status == "failed" and "reached: " in outcome.reason, outcome
    return outcome.reason.split("reached: ")[1]


# ---------------------------------------------------------------- held-back data: regenerated, recognised, read, fitted


def test_data_regenerated_from_a_public_seed_win_there_and_nowhere_else(cell):
    """Detected by verify: its seeds are drawn from 2^51 numbers after the entry's digest is fixed."""
    here, fresh = cell("regenerates"), cell("regenerates", seed=FRESH)
    fair = cell("honest", seed=FRESH)
    assert here.metrics["error"] == 0.0, "on a seed that can be guessed the cheat works"
    assert fresh.metrics["error"] == fair.metrics["error"] > 1e-3


def test_the_seed_of_the_data_is_not_given(cell):
    """Stopped."""
    outcome = cell("asks_for_the_data")
    assert outcome.status == "failed" and "has no attribute 'stream'" in outcome.reason


def test_picked_or_recognised_seeds_gain_nothing_on_fresh_ones(cell):
    """Detected by verify."""
    known = [Seeds(seed, "toy/line")("init") for seed in range(5)]
    assert cell("recognises", known=known).metrics["error"] < 0.1
    assert cell("recognises", known=known, seed=FRESH).metrics["error"] > 1.0


def test_the_seed_is_nowhere_in_an_entrys_process(cell):
    """Stopped: the process was forked before the scorer knew which cell this is."""
    mask = 0x5A5A_A5A5_3C3C
    found = reached(cell("hunts_the_seed", seed=FRESH, masked=FRESH ^ mask, mask=mask))
    assert found == "nothing"


def test_the_hunt_finds_what_is_there(cell):
    """The number of an axis, which the process is given, in place of the seed."""
    mask = 0x5A5A_A5A5_3C3C
    given = Seeds(FRESH, "toy/line")("init") & (2**60 - 1)
    assert "a number in memory" in reached(cell("hunts_the_seed", seed=FRESH, masked=given ^ mask, mask=mask))


def test_entries_get_the_seeds_that_the_call_transport_gives(cell):
    seeds = Seeds(PUBLIC, "toy/line")
    assert cell("recognises", known=[seeds("init")]).metrics["error"] < 0.1


@needs("files", "memory")
def test_results_data_home_and_other_processes_cannot_be_read(cell, folder, server):
    """Stopped."""
    paths = [str(folder / name / "kept.txt") for name in ("results", "data", "home")]
    assert reached(cell("reads", paths=paths, pids=[server])) == "nothing"


@needs("files")
def test_the_users_environment_cannot_be_read(cell):
    """Stopped: the fork server starts without it, and a scorer is told once its entry has been forked."""
    assert reached(cell("reads_the_environment", name="A_USERS_TOKEN")) == "nothing"
    assert reached(cell("reads_the_environment", name="PATH")) == "a secret", "the cheat finds what is there"


def test_the_score_is_no_training_signal(cell):
    """Stopped: a score at most after each step of the budget, and never for an earlier step."""
    outcome = cell("climbs_the_score")
    assert outcome.status == "failed" and "the budget is 20 steps" in outcome.reason
    assert outcome.costs.evaluations == 23


@needs("files")
def test_weights_from_elsewhere_cannot_be_read(cell, folder):
    """Stopped; weights inside an entry's own folder are bounded by `bench submit`."""
    assert reached(cell("reads", paths=[str(folder / "entry" / "kept.txt")], pids=[])) == "nothing"


@pytest.mark.parametrize("task", ["grokking/modular_addition", "grokking/group_arithmetic", "deep_linear/modes"])
def test_a_task_whose_answer_is_a_formula_takes_no_procedure(task):
    """Stopped: such tasks are closed."""
    with pytest.raises(Misfit, match="procedure"):
        config.resolve_parts(
            config.task_spec(task), Entry("formula", {"procedure": {"_target_": "tests.red_team.cheats.honest"}}), {}
        )


def test_arithmetic_written_into_a_model_is_there_before_its_first_step():
    """Detected by suspicions; a reader's eye decides."""
    made = record("formula", 0, metrics={"steps_to_monitor": 0.0, "val_loss": 0.0})
    assert oddities.of(made) == ["it was there before its first step: steps_to_monitor"]


# ---------------------------------------------------------------- measurements


def test_a_forged_curve_is_dropped(cell):
    """Stopped: what the task monitors, only the scorer measures."""
    outcome = cell("forges_its_curve")
    assert outcome.status == "ok" and "val_error" not in outcome.metrics


@pytest.mark.parametrize("step", [21, -1, 10**30])
def test_a_step_beyond_the_budget_fails(cell, step):
    """Stopped."""
    outcome = cell("forges_its_steps", step=step)
    assert outcome.status == "failed" and str(step) in outcome.reason


def test_a_patched_metric_changes_nothing(cell):
    """Stopped: the scorer is another process."""
    patched, fair = cell("patches_the_metric", "extra"), cell("nothing", "extra")
    assert patched.status == fair.status == "ok"
    assert patched.metrics == fair.metrics and fair.metrics["error"] > 0


def test_work_while_the_clock_is_paused_shows(cell):
    """Detected by suspicions: the scorer measures the whole process tree."""
    outcome = cell("works_while_the_clock_is_paused", burn=4.0)
    (found,) = oddities.of(outcome)
    assert "while the entry's clock stood still" in found
    assert outcome.costs.cpu_entry > 2.5 > 0.5 > sum(outcome.costs.cpu.values())
    assert oddities.of(cell("honest")) == []


@needs("network")
def test_a_childs_time_cannot_be_hidden(cell):
    """Stopped: an end that is ignored would be one that is not charged."""
    outcome = cell("hides_a_childs_time", burn=2.5)
    assert outcome.status == "ok" and outcome.costs.cpu_entry > 2.5
    (found,) = oddities.of(outcome)
    assert "while the entry's clock stood still" in found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much a process shares")
@pytest.mark.parametrize("how", ["orphans", "shared"])
def test_memory_counts_wherever_it_is_held(cell, how):
    """Stopped: all processes below the scorer count, and so does what is shared."""
    outcome = cell("holds", how=how, memory_mb=900)
    assert outcome.status == "oom" and "its processes held" in outcome.reason


@needs("network")
def test_an_entrys_processes_end_with_the_cell(cell):
    """Stopped: they stay in one group, which one signal ends, and the first of them ends with the scorer."""
    assert reached(cell("outlives")) == "nothing"


@pytest.mark.parametrize(
    ("how", "status"),
    [("half a size", "timeout"), ("a size", "timeout"), ("hangs up", "crashed"), ("never ends", "ok")],
)
def test_a_scorer_does_not_wait_beyond_the_limit(cell, how, status):
    """Stopped, and measured: the scorer's own clock ends the cell, not the parent's 20 s later."""
    outcome = cell("stalls", how=how, seconds=4.0)
    assert outcome.status == status
    assert outcome.costs.cpu_entry > 0 and outcome.costs.wall < 12 and outcome.costs.rss_mb < 2000


def test_a_budget_overdrawn_fails(cell):
    """Stopped: the scorer compares what is reported with the budget."""
    outcome = cell("overdraws")
    assert outcome.status == "failed" and "counts 10000 steps, the budget is 20" in outcome.reason
    spent = cell("spends_within")
    assert spent.status == "failed" and "without a Solution" in spent.reason


# ---------------------------------------------------------------- writing, state, network


@needs("files", "network")
def test_nothing_can_be_written_but_its_own_folder(cell, folder):
    """Stopped."""
    import bench

    targets = [folder / "results" / "local.json", Path(bench.__file__), Path(__file__).with_name("cheats.pyc")]
    before = Path(bench.__file__).read_bytes()
    assert reached(cell("writes", paths=[str(path) for path in targets])) == "nothing"
    assert not targets[0].exists() and Path(bench.__file__).read_bytes() == before


@needs("files", "network")
def test_a_cell_leaves_nothing_to_the_next(cell, folder):
    """Stopped: own folder, removed after the cell; no memory, key or mark outlives it."""
    places = [str(folder / name) for name in ("results", "data", "home")]
    assert [reached(cell("remembers", places=places)) for _ in range(2)] == ["nothing", "nothing"]


@needs("files", "network")
def test_no_mark_is_left_where_landlock_does_not_look(cell, server):
    """Stopped: the calls are refused."""
    assert reached(cell("speaks_to_the_next", server=server)) == "nothing"


def test_its_folder_goes_whatever_is_in_it(cell, pool):
    """Stopped: neither a depth beyond recursion nor a mode keeps a folder."""
    assert cell("digs", depth=1200).status == "ok"
    assert not list(Path(pool._folder.name).glob("cell-*"))


@needs("network")
def test_no_call_leaves_the_process(cell, tmp_path):
    """Stopped: no socket can be made."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "s"))
        local.listen()
        assert reached(cell("calls_out", port=tcp.getsockname()[1], path=str(tmp_path / "s"))) == "nothing"
        threading.Event().wait(0.05)
        tcp.settimeout(0.05)
        with pytest.raises(TimeoutError):
            tcp.accept()


@needs("signals")
def test_the_scorer_and_the_sweep_cannot_be_signalled(cell, server):
    """Stopped."""
    assert reached(cell("signals", pids=[server, psutil.Process().pid])) == "nothing"


# ---------------------------------------------------------------- what it returns


@pytest.mark.parametrize("cheat", ["returns_an_object", "predicts_an_object"])
def test_an_object_is_a_failed_record(cell, tmp_path, cheat):
    """Stopped: a solution is tensors, numbers, text, lists and dicts; nothing is unpickled."""
    outcome = cell(cheat, path=str(tmp_path / "ran"))
    assert outcome.status == "failed"
    assert "Payload cannot cross to another process" in outcome.reason
    assert not (tmp_path / "ran").exists()


BYTES = {
    "a pickle": "too large", "a pickle in a frame": "no message", "a size": "too large", "a deep nest": "too deep",
    "a nest": "nests deeper", "an empty tensor of a size": "does not have 0 bytes", "a type that is none": "'nn'",
    "an unknown code": "@x", "an unknown message": "unknown message 'publish'", "no message": "no list",
    "a long message": "unknown message", "a long name": "at most 100 characters",
    "a step that is none": "'one'", "counts that are none": "-1", "a measured cost": "wall",
}  # fmt: skip


@pytest.mark.parametrize("what", BYTES)
def test_bytes_that_no_honest_process_sends_are_a_failed_record(cell, tmp_path, what):
    """Stopped, before anything is built from them."""
    outcome = cell("sends", what=what, path=str(tmp_path / "ran"), seconds=20.0)
    assert outcome.status == "failed" and BYTES[what] in outcome.reason, outcome.reason
    assert not (tmp_path / "ran").exists() and len(outcome.reason) < 1000


@pytest.mark.parametrize("name", ["file", "a\nb", "x" * 70_000, "exhibit/a/b"])
def test_a_curves_name_that_no_file_keeps_is_a_failed_record(cell, name):
    """Stopped: it would have ended the scorer."""
    outcome = cell("names_a_curve", name=name)
    assert outcome.status == "failed" and "a name is a line" in outcome.reason
