"""A server on this machine that lives as long as a file: started for a run, and gone when the file is.

Whoever starts it gets the file with its process id once it answers. A watcher of its own ends it, with
all that it has started, when the file is removed, and removes the file when the server has ended by
itself.
"""

import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from branchwise.errors import UserError
from branchwise.files import write_text

_LOADING = 503
_SERVES = b"serves"
_POLL_S = 0.5
_END_S = 10.0
"""How long a server that is told to end may take before it is killed."""


def filled(command: str, places: Mapping[str, str | None]) -> list[str]:
    """The words of a command with its places filled in. Raises UserError for one that is not known."""
    words = []
    for word in shlex.split(command):
        for name, value in places.items():
            if f"<{name}>" in word:
                if value is None:
                    raise UserError(
                        f"`serve` names <{name}>, which this model does not have",
                        f"known here: {', '.join(n for n, v in places.items() if v is not None)}",
                    )
                word = word.replace(f"<{name}>", value)
        words.append(word)
    return words


def answers(base_url: str) -> int | None:
    """The status by which somebody answers at an address; None where nobody does."""
    try:
        with urllib.request.urlopen(f"{base_url}/models", timeout=5) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, OSError):
        return None


def is_ready(base_url: str) -> bool:
    """Whether a server answers, and not that it still loads its model."""
    return answers(base_url) not in (None, _LOADING)


def start(words: list[str], base_url: str, out: Path, wait_s: float, say: Callable[[str], None]) -> None:
    """Start a server and its watcher, wait until it answers, and write the file that it lives by.

    Raises UserError where somebody else answers there already, and where it ends or does not answer in
    time, with the end of its log.
    """
    if answers(base_url) is not None:
        raise UserError(
            f"somebody answers at {base_url} already",
            "stop that server, or leave out `serve` of the decoder to use it",
        )
    log = out.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    say(f"starting {shlex.join(words)}")
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True)
        except OSError as error:
            raise UserError(
                f"{words[0]} cannot be started: {error.strerror}", "install it, or correct `serve`"
            ) from None
    # However this process ends, the watcher hears of it, and lives on.
    watcher = subprocess.Popen(
        [sys.executable, "-m", "branchwise", "serve", "--watch", str(out), "--pid", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + wait_s
    while not is_ready(base_url):
        if process.poll() is not None or time.monotonic() > until:
            _end(process.pid)
            # It would end the server's process id when this process ends: by then another's, maybe.
            watcher.kill()
            watcher.communicate()
            how = "has ended" if process.poll() is not None else f"does not answer after {wait_s:g} s"
            raise UserError(f"the server {how}; it said: {_tail(log)}", f"see {log}")
        time.sleep(_POLL_S)
    content = {"pid": process.pid, "url": base_url, "command": words, "machine": platform.node()}
    write_text(out, json.dumps(content) + "\n")
    assert watcher.stdin is not None
    watcher.stdin.write(_SERVES)
    watcher.stdin.close()


def watch(out: Path, pid: int, told: IO[bytes]) -> None:
    """End the server when its file is removed, or is another's, or whoever started it has ended before
    it answered, of which `told` hears; remove the file when the server has ended.
    """
    if told.read() != _SERVES:
        _end(pid)
        return
    while _lives(pid):
        try:
            if pid_of(out) != pid:
                break
        except UserError:
            break
        time.sleep(_POLL_S)
    else:
        out.unlink(missing_ok=True)
    _end(pid)


def sweep(folder: Path, end: bool = False) -> list[Path]:
    """Remove the files of servers of this machine that live no more; with `end` of all, which then end.
    Which these were.
    """
    gone = []
    for out in sorted(folder.glob("*/*.json")):
        try:
            content = json.loads(out.read_text(encoding="utf-8"))
            pid, machine = _pid_in(content), content["machine"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if machine == platform.node() and (end or not _lives(pid)):
            out.unlink(missing_ok=True)
            if end:
                _end(pid)
            gone.append(out)
    return gone


def stop(out: Path) -> None:
    """End the server of a file at once. Raises UserError where there is none."""
    pid = pid_of(out)
    out.unlink(missing_ok=True)
    _end(pid)


def pid_of(out: Path) -> int:
    """The process id in a server's file. Raises UserError where it holds none."""
    try:
        return _pid_in(json.loads(out.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(
            f"{out} is no file of a running server", "see `branchwise serve --help`"
        ) from None


def _pid_in(content: Any) -> int:
    """The process id that a file gives. Raises ValueError, KeyError or TypeError for what is none: 0 and
    1 would stand for whole groups of processes when a signal is sent.
    """
    pid = content["pid"]
    if isinstance(pid, bool) or not isinstance(pid, int) or not 1 < pid < 2**31:
        raise ValueError(f"{pid!r:.40} is no process id")
    return pid


def _lives(pid: int) -> bool:
    with suppress(ChildProcessError):  # where it is our own child, let it go
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _end(pid: int) -> None:
    """End a process and all of its session: told first, then killed."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, sign)
        except (ProcessLookupError, PermissionError):
            return
        until = time.monotonic() + _END_S
        while time.monotonic() < until and _lives(pid):
            time.sleep(0.05)


def _tail(log: Path) -> str:
    text = " ".join(log.read_text(encoding="utf-8", errors="replace").split())
    return text[-300:] or "nothing"
