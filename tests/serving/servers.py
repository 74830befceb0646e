"""Real servers that no one here wrote, on loopback: `transformers serve`, and llama.cpp's."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 180.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def transformers_server(folder: Path, log: Path) -> Iterator[str]:
    """`transformers serve` on a model folder; its base URL."""
    port = free_port()
    words = ["serve", str(folder), "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    start = "from transformers.cli.transformers import main; main()"
    with _running([sys.executable, "-c", start, *words], log, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def llama_server(file: Path, log: Path) -> Iterator[str]:
    """llama.cpp's own HTTP server, from a wheel, on a GGUF file; its base URL."""
    port = free_port()
    # Its threads wait for each other by spinning, which other tests would pay for.
    words = [sys.executable, "-m", "branchwise.serving.llama", str(file), str(port), "--threads", "1"]
    with _running(words, log, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def _running(words: list[str], log: Path, health: str) -> Iterator[None]:
    with log.open("wb") as file:
        env = {**os.environ, "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(words, stdout=file, stderr=file, env=env)
        try:
            _wait(process, health, log)
            yield
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen, health: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            with urllib.request.urlopen(health, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"no server after {START_S} s: {log.read_text(errors='replace')[-2000:]}")
