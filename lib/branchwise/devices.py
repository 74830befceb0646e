"""GPUs for the jobs of one machine: each takes as many as it needs, and nobody else has them meanwhile.

Snakemake counts GPUs (`--resources gpu=4`) and gives out none, so that every job would compute on the
first one. A job that takes some sees these alone (`CUDA_VISIBLE_DEVICES`), until its process ends,
however it ends. Under SLURM, which gives out GPUs itself, nothing is taken.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from branchwise.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
DRIVER = Path("/proc/driver/nvidia/gpus")
WAIT_S = 0.5
"""Seconds between two looks for GPUs that are free."""

_held: list[TextIO] = []
"""Open for as long as the process lives: the system lets go of their locks when it ends."""


def visible() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA takes them."""
    named = os.environ.get(VISIBLE)
    if named is not None:
        return [name for name in map(str.strip, named.split(",")) if name and name != "-1"]
    return [str(number) for number, _ in enumerate(DRIVER.iterdir())] if DRIVER.is_dir() else []


def take(count: int, say: Callable[[str], None]) -> list[str]:
    """Take so many GPUs of this machine for this process, and let it see no others; waits until as many
    are free, of which `say` hears. Returns their names: none where there are no GPUs, or SLURM gives them
    out.

    Call it before torch looks for devices. Raises UserError where the machine has fewer.
    """
    names = visible()
    if not count or not names or "SLURM_JOB_ID" in os.environ:
        return []
    if count > len(names):
        raise UserError(
            f"the experiment needs {count} GPUs a cell, and this machine has {len(names)} "
            f"({', '.join(names)})",
            "set `gpus:` to fewer, or another CUDA_VISIBLE_DEVICES",
        )
    has_said = False
    while not (taken := _free(names, count)):
        if not has_said:
            say(f"waiting for {count} of {len(names)} GPUs: other jobs of this machine have them")
            has_said = True
        time.sleep(WAIT_S)
    _held.extend(taken.values())
    os.environ[VISIBLE] = ",".join(taken)
    return list(taken)


def _free(names: list[str], count: int) -> dict[str, TextIO]:
    """So many free ones, each with the file whose lock holds it; none where too few are: who waits has
    nothing that another one waits for.
    """
    taken: dict[str, TextIO] = {}
    for name in names:
        file = _opened(name)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        taken[name] = file
        if len(taken) == count:
            return taken
    for file in taken.values():
        file.close()
    return {}


def _opened(name: str) -> TextIO:
    """The lock of a GPU, the same for all users of the machine."""
    safe = "".join(sign if sign.isalnum() or sign in "-." else "_" for sign in name)
    path = Path(tempfile.gettempdir()) / f"branchwise-gpu-{safe}.lock"
    try:
        file = path.open("a+", encoding="utf-8")
    except PermissionError:
        # Another user's: a lock needs no more than reading.
        return path.open(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} could not be opened: {error.strerror}", "check the folder") from error
    return file
