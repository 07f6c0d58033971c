"""The index is a shortcut to the files: right whatever happens to them or to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from bench.records import index as indexing
from bench.records.ledger import publish
from bench.records.record import encode
from bench.records.spelling import cell_digest, row_digest
from bench.records.store import Store
from tests.test_store import record


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Write an index for a store of any size, and trust files that were written a moment ago by their times."""
    monkeypatch.setattr(indexing, "WORTH", 1)
    monkeypatch.setattr(indexing, "SETTLING", 0)


def key(i: int) -> str:
    return f"{i:02x}" * 16


def filled(root, local=4, published=4) -> Store:
    store = Store(root)
    for i in range(local):
        store.put(record(key(i), seed=i, costs={"cpu_total": 1.0 + i}))
    publish(store, [record(key(100 + i), seed=100 + i) for i in range(published)])
    return store


def rows(store: Store) -> list:
    return sorted(store.index.refresh().execute("select * from records").fetchall())


def fresh(root) -> list:
    """What an index from nothing would hold."""
    store = Store(root)
    store.index.path = root / "elsewhere"
    return rows(store)


def test_queries_return_the_stored_records_and_nothing_else(tmp_path):
    store = filled(tmp_path)
    assert {k: r.seed for k, r in store.latest([key(1), key(2), key(100), key(99)]).items()} == {
        key(1): 1,
        key(2): 2,
    }
    assert {k: r.seed for k, r in store.by_key([key(1), key(101), key(99)]).items()} == {key(101): 101}
    one = record(seed=102)
    row = row_digest(one.task, one.version, one.params, one.config, one.seed)
    assert [r.key for r in store.of_rows([row, 5])[row]] == [key(102)]
    same = cell_digest(one.task, one.preset, one.entry, 3, one.params)
    assert [r.key for r in store.older([same]).values()] == [key(3)]
    assert store.index.costs(["toy/line"]) == {
        ("toy/line", "small", "line_sgd"): pytest.approx((1 + 2 + 3 + 4 + 4 * 1.0) / 8)
    }
    assert store.index.costs(["toy/other"]) == {}


def test_more_keys_than_one_query_takes(tmp_path):
    store = filled(tmp_path)
    assert set(store.latest([*(f"{i:032x}" for i in range(3000)), key(3)])) == {key(0), key(3)}


def test_a_process_that_only_reads_uses_the_file_and_reads_no_record_again(tmp_path, monkeypatch):
    rows(filled(tmp_path))
    assert (tmp_path / ".cache" / "index.sqlite").is_file()
    monkeypatch.setattr(Store, "read", lambda self, path: pytest.fail(f"{path} was read to index it"))
    monkeypatch.setattr(indexing, "decode", lambda line: pytest.fail("a line was read to index it"))
    assert len(rows(Store(tmp_path))) == 8


@pytest.mark.parametrize("kind", ["added", "removed", "second attempt", "line added", "line changed", "file removed"])
def test_changes_by_others_are_seen_at_the_next_query(tmp_path, kind):
    mine, theirs = filled(tmp_path), Store(tmp_path)
    before = rows(mine)
    path = tmp_path / "ledger" / "toy" / "line" / "line_sgd.jsonl"
    if kind == "added":
        theirs.put(record(key(9), seed=9))
        assert mine.latest([key(9)])[key(9)].seed == 9
    elif kind == "removed":
        theirs.attempts(key(1))[0].unlink()
        assert not mine.latest([key(1)])
    elif kind == "second attempt":
        theirs.put(record(key(1), metrics={"error": 7.0}))
        assert mine.latest([key(1)])[key(1)].metrics["error"] == 7.0
        theirs.attempts(key(1))[1].unlink()
        assert mine.latest([key(1)])[key(1)].metrics["error"] == 0.5
    elif kind == "line added":
        publish(theirs, [record(key(9), seed=9)])
        assert mine.by_key([key(9), key(101)]).keys() == {key(9), key(101)}
    elif kind == "line changed":
        publish(theirs, [record(key(9), seed=101, metrics={"error": 9.0})])
        assert mine.by_key([key(9), key(101)]).keys() == {key(9)}
    else:
        path.unlink()
        assert not mine.by_key([key(100), key(101)])
    assert rows(mine) == fresh(tmp_path) != (before if kind != "second attempt" else [])
    assert rows(Store(tmp_path)) == rows(mine)


def test_lines_that_moved_without_a_new_time_are_found(tmp_path):
    """Same size, same time, other order: only the line itself tells."""
    store = filled(tmp_path)
    path = tmp_path / "ledger" / "toy" / "line" / "line_sgd.jsonl"
    rows(store)
    stat, lines = path.stat(), path.read_text().splitlines(keepends=True)
    assert len({len(line) for line in lines}) == 1
    path.write_text("".join(reversed(lines)))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert {k: r.seed for k, r in store.by_key([key(100)]).items()} == {key(100): 100}


def test_a_unit_that_has_just_changed_is_read_again_despite_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, "SETTLING", 10**12)
    store = filled(tmp_path)
    rows(store)
    folder = tmp_path / "local" / "09"
    folder.mkdir()
    rows(store)
    stat = folder.stat()
    store.put(record(key(9), seed=9))
    os.utime(folder, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the clock did not tick
    assert store.latest([key(9)])


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_a_damaged_index_is_rebuilt_and_reported(tmp_path, content):
    expected = rows(filled(tmp_path))
    path = tmp_path / ".cache" / "index.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    store = Store(tmp_path)
    assert rows(store) == expected
    assert any("index.sqlite is damaged" in line for line in store.reports)
    assert not (again := Store(tmp_path)).reports and rows(again) == expected and not again.reports


def test_a_page_of_zeros_in_the_middle_is_noticed_where_it_matters(tmp_path):
    store = Store(tmp_path)
    publish(store, [record(f"{i:032x}", seed=i) for i in range(300)])
    rows(store)
    path = tmp_path / ".cache" / "index.sqlite"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : -4096] = bytes(len(content) - 4096 * 4)
    path.write_bytes(content)
    store = Store(tmp_path)
    assert set(store.by_key([f"{i:032x}" for i in range(300)])) == {f"{i:032x}" for i in range(300)}


def test_queries_work_where_no_index_can_be_written(tmp_path):
    store = filled(tmp_path)
    (tmp_path / ".cache").write_text("a file where the folder should be")
    assert len(rows(store)) == 8 and not store.reports


def test_another_ledger_is_another_index(tmp_path):
    rows(filled(tmp_path / "a"))
    rows(filled(tmp_path / "b", published=2))
    assert len(rows(Store(tmp_path / "a"))) == 8
    assert len(rows(Store(tmp_path / "a", tmp_path / "b" / "ledger"))) == 6


def test_damaged_records_are_moved_aside_once_and_bad_lines_reported(tmp_path):
    store = filled(tmp_path)
    store.attempts(key(1))[0].write_text("{")
    store.attempts(key(2))[0].write_bytes(encode(record(key(3))))
    path = tmp_path / "ledger" / "toy" / "line" / "line_sgd.jsonl"
    path.write_text(path.read_text() + "{broken\n" + path.read_text().splitlines()[0].replace(key(100), key(99)) + "\n")
    assert set(store.latest(map(key, range(9)))) == {key(0), key(3)}
    assert set(store.by_key(map(key, range(98, 110)))) == {key(99), *(key(100 + i) for i in range(4))}
    assert sum("another key" in line for line in store.reports) == 1
    assert sum("jsonl:5 cannot be read" in line for line in store.reports) == 1
    assert len(list((tmp_path / "quarantine").iterdir())) == 2
    again = Store(tmp_path)
    rows(again)
    assert any("jsonl:5" in line for line in again.reports), "the index remembers which lines are bad"


BUILD = """
import sys
from pathlib import Path
from bench.records import index
from bench.records.store import Store
index.WORTH = 1
for _ in range(int(sys.argv[2])):
    Path(sys.argv[1], ".cache", "index.sqlite").unlink(missing_ok=True)
    assert len(Store(Path(sys.argv[1])).index.refresh().execute("select * from records").fetchall()) == 300
"""


def test_two_processes_may_build_at_once(tmp_path):
    publish(Store(tmp_path), [record(f"{i:032x}", seed=i) for i in range(300)])
    command = [sys.executable, "-c", BUILD, str(tmp_path), "10"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    store = Store(tmp_path)
    assert len(rows(store)) == 300 and not store.reports
    assert [path.name for path in (tmp_path / ".cache").iterdir()] == ["index.sqlite"]


def test_a_builder_killed_at_any_moment_leaves_a_right_index_or_none(tmp_path):
    publish(Store(tmp_path), [record(f"{i:032x}", seed=i) for i in range(300)])
    for delay in (0.0, 0.01, 0.02, 0.04, 0.08):
        process = subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path), "1000"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not (tmp_path / ".cache").is_dir() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        store = Store(tmp_path)
        assert len(rows(store)) == 300 and not store.reports


def test_rows_and_cells_go_by_value_whatever_the_spelling_of_a_number():
    def row(value):
        return row_digest("toy/line", 1, {"x": value}, {"optimizer": {"lr": value}}, 0)

    assert row(1) == row(1.0) and row(0.5) == row(5e-1)
    assert len({row(1), row(2), row(True), row("1"), row(None)}) == 5
    assert cell_digest("toy/line", "small", "a", 0, {"x": 1.0}) == cell_digest("toy/line", "small", "a", 0, {"x": 1})
    assert cell_digest("toy/line", "small", "a", 0, {}) != cell_digest("toy/line", "small", "a", 1, {})
