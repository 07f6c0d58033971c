"""Downloads: from a server on this machine, with the right and the wrong checksum, and without one."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
from pathlib import Path

import pytest

from bench.contract import BenchError, Unavailable
from bench.data.download import download

CONTENT = b"pictures" * 300_000
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def url(tmp_path: Path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file.bin").write_bytes(CONTENT)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "served"))

        def log_message(self, *_):
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/file.bin"
    server.shutdown()


def test_a_file_arrives_whole_and_is_not_fetched_twice(url, tmp_path, capsys):
    target = tmp_path / "data" / "file.bin"
    assert download(url, target, MD5).read_bytes() == CONTENT
    assert "file.bin: " in capsys.readouterr().err
    assert download("http://127.0.0.1:1/none", target, MD5) == target
    assert [p.name for p in target.parent.iterdir()] == ["file.bin"]


def test_a_wrong_checksum_is_an_error_and_the_file_is_not_used(url, tmp_path):
    target = tmp_path / "file.bin"
    with pytest.raises(BenchError, match=f"MD5 {MD5}, expected 0000"):
        download(url, target, "0000")
    assert not target.exists() and (tmp_path / "file.bin.unexpected").exists()


def test_without_a_network_the_error_names_the_next_step(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match="check the network, or put file.bin into"):
        download(f"http://127.0.0.1:{port}/file.bin", tmp_path / "file.bin", MD5)
    assert not list(tmp_path.iterdir())


def test_an_answer_that_breaks_off_leaves_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nshort")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(Unavailable, match="IncompleteRead.*check the network"):
            download(f"http://127.0.0.1:{server.getsockname()[1]}/file.bin", tmp_path / "file.bin", MD5)
        thread.join(5)
    assert not list(tmp_path.iterdir())


def test_an_absent_file_is_unavailable(url, tmp_path):
    with pytest.raises(Unavailable, match="(?i)not found"):
        download(url + ".gone", tmp_path / "file.bin", MD5)
