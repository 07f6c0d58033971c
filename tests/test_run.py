"""Running cells: statuses, isolation, resume, two sweeps at once, exit codes; through the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.records.record import Record, decode


def records(folder: Path) -> list[Record]:
    return [decode(path.read_bytes()) for path in sorted((folder / "results" / "local").glob("*/*.json"))]


def test_every_way_to_go_wrong_is_a_record_with_a_reason(bench, tmp_path):
    mark = f"mark-{os.getpid()}"
    wrong = "raises,nan,chatty,exits,segfaults,sleeps,allocates,breeds,breeds_and_sleeps"
    done = bench(
        "run", "task=toy/line", f"entry={wrong}", "preset=smoke", "limits.seconds=5", "limits.memory_mb=600", "seed=1",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    found = {r.entry: r for r in records(tmp_path)}
    assert {name: r.status for name, r in found.items()} == {
        "raises": "failed", "nan": "diverged", "chatty": "failed", "exits": "crashed", "segfaults": "crashed",
        "sleeps": "timeout", "allocates": "oom", "breeds": "ok", "breeds_and_sleeps": "timeout",
    }  # fmt: skip
    assert "as it was told to" in found["raises"].traceback
    assert "exit code 3" in found["exits"].reason
    assert "SIGSEGV" in found["segfaults"].reason
    assert "limits.seconds=5" in found["sleeps"].reason
    assert len(found["chatty"].output) <= 4000
    assert all(r.provenance.started and r.provenance.cpu and r.components.code for r in found.values())
    time.sleep(0.2)
    left = [p for p in psutil.process_iter(["cmdline"]) if "time.sleep(300)  # " in " ".join(p.info["cmdline"] or [])]
    assert not left, f"children outlived their cell: {left} {mark}"


def test_a_second_run_does_nothing_and_reruns_follow_the_rules(bench, tmp_path):
    words = ["task=toy/line", "entry=line_sgd,raises,sleeps,exits", "preset=smoke", "limits.seconds=1"]
    bench("run", *words)
    again = bench("run", *words, "--format", "json")
    told = json.loads(again.stdout)
    assert told["ran"] == 1, "only `crashed` runs again, once"
    assert json.loads(bench("run", *words, "--format", "json").stdout)["ran"] == 0
    assert json.loads(bench("run", *words, "retry=true", "--format", "json").stdout)["ran"] == 1
    longer = [*words[:3], "limits.seconds=2"]
    assert json.loads(bench("run", *longer, "--format", "json").stdout)["ran"] == 1, "`timeout`, as the limit rose"


def test_kill_minus_nine_loses_only_what_ran_and_the_same_command_continues(environment, bench, tmp_path):
    words = ["run", "task=toy/line", "entry=line_sgd", "seed=range(8)", "task.nap=0.5", "workers=2"]
    sweep = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench", *words], cwd=tmp_path, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(records(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    tree = psutil.Process(sweep.pid).children(recursive=True)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    _, alive = psutil.wait_procs(tree, timeout=5)
    assert not alive, f"the killed sweep left processes: {alive}"
    before = len(records(tmp_path))
    done = json.loads(bench(*words, "--format", "json").stdout)
    assert done["ran"] == 8 - before and done["fresh"] == before
    assert sorted(r.seed for r in records(tmp_path)) == list(range(8))


def test_ctrl_c_stops_cleanly(environment, bench, tmp_path):
    words = ["run", "task=toy/line", "entry=line_sgd", "seed=range(12)", "task.nap=0.5"]
    sweep = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench", *words], cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    while not records(tmp_path):
        time.sleep(0.05)
    tree = psutil.Process(sweep.pid).children(recursive=True)
    sweep.send_signal(signal.SIGINT)
    _, errors = sweep.communicate(timeout=20)
    assert sweep.returncode == 130, errors
    assert "the same command continues" in errors and "Traceback" not in errors
    assert not psutil.wait_procs(tree, timeout=5)[1]
    kept = len(records(tmp_path))
    told = json.loads(bench(*words, "--format", "json").stdout)
    assert kept >= 1 and told["fresh"] == kept and told["ran"] == 12 - kept


def test_two_sweeps_on_one_store_share_the_work(environment, tmp_path):
    words = [
        "run",
        "task=toy/line",
        "entry=line_sgd",
        "seed=range(10)",
        "task.nap=0.2",
        "--format",
        "json",
        "workers=1",
    ]
    sweeps = [
        subprocess.Popen(
            [sys.executable, "-P", "-m", "bench", *words], cwd=tmp_path, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    told = [json.loads(sweep.communicate(timeout=100)[0]) for sweep in sweeps]
    found = records(tmp_path)
    assert sorted(r.seed for r in found) == list(range(10)), "each cell has one record"
    assert sum(t["ran"] for t in told) == 10
    assert not list((tmp_path / "results" / ".leases").glob("*"))


def test_pipe_and_call_give_the_same_record(bench, tmp_path):
    words = ["run", "task=toy/line", "entry=line_sgd", "seed=3"]
    bench(*words)
    bench(*words, "transport=call", "reuse=none")
    pipe, call = records(tmp_path)
    assert (pipe.provenance.transport, call.provenance.transport) == ("pipe", "call")
    assert pipe.metrics == call.metrics and pipe.metrics["error"] > 0
    assert pipe.costs.counts["steps"] == call.costs.counts["steps"] == 20


def test_hydras_own_multirun_makes_the_same_cells(bench, tmp_path):
    done = bench("task=toy/line", "entry=line_sgd,line_sgd+breeds", "seed=0,1", "preset=smoke", "-m")
    assert done.returncode == 0, done.stderr
    found = records(tmp_path)
    assert {(r.entry, r.seed) for r in found} == {(e, s) for e in ("line_sgd", "breeds+line_sgd") for s in (0, 1)}
    told = bench("run", "task=toy/line", "entry=line_sgd", "seed=range(2)", "preset=smoke", "--format", "json")
    assert json.loads(told.stdout)["fresh"] == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_stops_with_a_message_and_keeps_what_was_written(bench, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        done = bench("run", "task=toy/line", "entry=line_sgd", "seed=range(20)", "preset=smoke", f"results={small}")
        assert done.returncode == 2
        assert "No space left" in done.stderr and "results=PATH" in done.stderr and "Traceback" not in done.stderr
        kept = list((small / "local").glob("*/*.json"))
        assert kept and all(decode(path.read_bytes()).status == "ok" for path in kept)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_results_folder_that_cannot_be_one_is_a_usage_error(bench, tmp_path):
    (tmp_path / "results").write_text("a file")
    done = bench("run", "task=toy/line", "entry=line_sgd", "preset=smoke")
    assert done.returncode == 2 and "results" in done.stderr and "Traceback" not in done.stderr


def test_a_limited_file_size_is_told(environment, tmp_path):
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)); from bench.verbs.main import main; main()"
    words = ["run", "task=toy/line", "entry=line_sgd", "preset=smoke"]
    done = subprocess.run(
        [sys.executable, "-c", f"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); {code}", *words],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and "File too large" in done.stderr and "Traceback" not in done.stderr
