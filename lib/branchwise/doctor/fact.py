"""What a check says, and the commands that checks call."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

_GIB, _MIB = 2**30, 2**20
_TIMEOUT_S = 10.0


class Fact(NamedTuple):
    """What was found of one thing. `problem`: what is wrong with it and what to write or install, in a
    line, empty where nothing is; `needed`: whether the config cannot run with that problem.
    """

    what: str
    found: str
    problem: str = ""
    needed: bool = False


class Answer(NamedTuple):
    """What came of calling a command: its exit status (None: it could not be called, or was given up
    after a while), its output, and the first line of what it complained of.
    """

    status: int | None
    output: str
    complaint: str

    @property
    def is_good(self) -> bool:
        """Whether it did what it was asked."""
        return self.status == 0


def ask(command: Sequence[str], timeout_s: float = _TIMEOUT_S) -> Answer:
    """Call a command of this machine, for a while at most."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Answer(None, "", f"no answer within {timeout_s:g} s")
    except OSError as error:
        return Answer(None, "", error.strerror or str(error))
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return Answer(done.returncode, done.stdout, lines[0] if lines else f"exit status {done.returncode}")


def size(num_bytes: float) -> str:
    """Bytes in words."""
    if num_bytes >= _GIB:
        return f"{num_bytes / _GIB:.1f} GiB"
    return f"{num_bytes / _MIB:.1f} MiB" if num_bytes < 10 * _MIB else f"{num_bytes / _MIB:.0f} MiB"


def short(path: Path) -> Any:
    """A path below the user's home as people write it."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else path
