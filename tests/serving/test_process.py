"""Servers that live as long as a file."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from branchwise.errors import UserError
from branchwise.serving import process
from tests.serving.proxy import Proxy
from tests.serving.servers import free_port

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def started(tmp_path: Path) -> tuple[Path, int, str]:
    port = free_port()
    url, out = f"http://127.0.0.1:{port}/v1", tmp_path / "server.json"
    process.start([sys.executable, "-c", SERVER, str(port)], url, out, 30, print)
    return out, process.pid_of(out), url


def gone(pid: int) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if not process._lives(pid):
            return True
        time.sleep(0.1)
    return False


def test_it_ends_with_its_file(tmp_path: Path) -> None:
    out, pid, url = started(tmp_path)
    assert process.answers(url)
    assert json.loads(out.read_text())["url"] == url
    out.unlink()
    assert gone(pid) and process.answers(url) is None


def test_it_is_stopped_by_its_file(tmp_path: Path) -> None:
    out, pid, _ = started(tmp_path)
    process.stop(out)
    assert gone(pid) and not out.exists()


def test_its_file_goes_when_it_has_ended(tmp_path: Path) -> None:
    out, pid, _ = started(tmp_path)
    os.kill(pid, 9)
    until = time.monotonic() + 20
    while out.exists() and time.monotonic() < until:
        process._lives(pid)
        time.sleep(0.1)
    assert not out.exists()


def test_one_whose_starter_is_killed_while_it_loads_ends_too(tmp_path: Path) -> None:
    port, out = free_port(), tmp_path / "server.json"
    never = SERVER.replace("200", "503")  # still loading, it says
    code = f"""
from branchwise.serving import process
from pathlib import Path
process.start([{sys.executable!r}, "-c", {never!r}, "{port}"], "http://127.0.0.1:{port}/v1",
              Path({str(out)!r}), 60, print)
"""
    starter = subprocess.Popen([sys.executable, "-c", code])
    url = f"http://127.0.0.1:{port}/v1"
    until = time.monotonic() + 30
    while process.answers(url) != 503 and time.monotonic() < until:
        time.sleep(0.1)
    assert process.answers(url) == 503 and starter.poll() is None
    time.sleep(2)  # what says that it loads is not there yet
    assert starter.poll() is None and not out.exists()
    starter.kill()
    starter.wait()
    while process.answers(url) is not None and time.monotonic() < until:
        time.sleep(0.1)
    assert process.answers(url) is None


def test_files_of_servers_that_live_no_more_are_swept(tmp_path: Path) -> None:
    dead = tmp_path / "llama" / "dead.json"
    dead.parent.mkdir()
    process_of = {"pid": 2**22 + 1, "machine": platform.node()}
    dead.write_text(json.dumps(process_of))
    away = tmp_path / "llama" / "away.json"
    away.write_text(json.dumps({**process_of, "machine": "elsewhere"}))
    (tmp_path / "llama" / "broken.json").write_text("{")
    made, pid, _ = started(tmp_path)
    here = made.rename(tmp_path / "llama" / "here.json")
    # (To its watcher its file is gone.)
    assert gone(pid)
    assert process.sweep(tmp_path) == [dead, here]
    assert away.exists() and not dead.exists()


def test_all_servers_end_where_a_run_has_failed(tmp_path: Path) -> None:
    folder = tmp_path / "servers" / "llama"
    folder.mkdir(parents=True)
    out, pid, url = started(folder)
    assert process.sweep(tmp_path / "servers") == []
    assert process.sweep(tmp_path / "servers", end=True) == [out]
    assert gone(pid) and process.answers(url) is None


def test_one_that_ends_at_once_says_why_and_leaves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its watcher waited for as long as whoever had started it lived."""
    words = [sys.executable, "-c", "raise SystemExit('no such model')"]
    begun = []

    class Remembered(subprocess.Popen):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            begun.append(self)

    monkeypatch.setattr(subprocess, "Popen", Remembered)
    with pytest.raises(UserError, match="has ended; it said: no such model"):
        process.start(words, f"http://127.0.0.1:{free_port()}/v1", tmp_path / "a.json", 30, print)
    assert [one.poll() is None for one in begun] == [False, False]
    with pytest.raises(UserError, match="cannot be started"):
        process.start(["/no/such"], f"http://127.0.0.1:{free_port()}/v1", tmp_path / "a.json", 30, print)


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    with Proxy() as proxy, pytest.raises(UserError, match="somebody answers at"):
        process.start(["true"], proxy.url, tmp_path / "a.json", 5, print)


def test_places_are_filled_in() -> None:
    words = process.filled("llama-server -m <file> --port=<port>", {"file": "/a b.gguf", "port": "80"})
    assert words == ["llama-server", "-m", "/a b.gguf", "--port=80"]
    with pytest.raises(UserError, match="names <file>"):
        process.filled("x <file>", {"file": None, "port": "80"})
