"""What happens to runs: processes that are killed, files that are damaged, clocks and disks that fail.

Each fault is given a run that is under way and a source of chance, and says in words what it did.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.trial import Trial

Fault = Callable[[Trial, random.Random], str]
HOUR_S = 3600


def kill_job(trial: Trial, chance: random.Random) -> str:
    """kill -9 of a job of the library."""
    jobs = [pid for pid, words in trial.processes().items() if "-m branchwise" in words]
    if not jobs:
        return "no job was running"
    one = chance.choice(jobs)
    words = trial.processes().get(one, "").partition("-m branchwise")[2].split()
    with contextlib.suppress(ProcessLookupError):
        os.kill(one, signal.SIGKILL)
    return f"killed {words[0] if words else 'a job that had ended'}"


def kill_snakemake(trial: Trial, chance: random.Random) -> str:
    """kill -9 of Snakemake, whose jobs go on."""
    trial.run.kill()
    return "killed snakemake"


def kill_all(trial: Trial, chance: random.Random) -> str:
    """kill -9 of the whole group of processes."""
    os.killpg(trial.run.pid, signal.SIGKILL)
    return "killed all"


def interrupt(trial: Trial, chance: random.Random) -> str:
    """Ctrl-C, and again where that takes too long for whoever waits."""
    os.killpg(trial.run.pid, signal.SIGINT)
    if chance.random() < 0.5:
        time.sleep(0.5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(trial.run.pid, signal.SIGINT)
        return "interrupted twice"
    return "interrupted"


def truncate(trial: Trial, chance: random.Random) -> str:
    """A result is cut off, while the run is under way or after it."""
    if chance.random() < 0.5:
        trial.wait()
    places = [trial.folder / "results", trial.folder / "figures"]
    files = [f for p in places for f in p.rglob("*") if f.is_file() and _is_result(f)]
    if not files:
        return "there was nothing to cut"
    file = chance.choice(sorted(files))
    size = file.stat().st_size
    left = chance.randrange(size) if size else 0
    os.truncate(file, left)
    return f"cut {file.relative_to(trial.folder)} from {size} to {left} bytes"


def _is_result(path: Path) -> bool:
    return path.suffix not in (".lock", ".damaged") and not path.name.startswith(".")


def corrupt_checkpoint(trial: Trial, chance: random.Random) -> str:
    """A byte of a trained checkpoint, or of the one that a training goes on from, is another."""
    end = time.monotonic() + trial.lasts_s
    while True:
        files = sorted((trial.folder / "results").rglob("*.safetensors"))
        if files or time.monotonic() > end:
            break
        time.sleep(0.1)
    if not files:
        return "there was no checkpoint"
    file = chance.choice(files)
    try:
        content = bytearray(file.read_bytes())
        at = chance.randrange(len(content))
        content[at] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
    except FileNotFoundError:
        return f"{file.name} was gone again"
    if chance.random() < 0.5:
        os.killpg(trial.run.pid, signal.SIGKILL)
        return f"changed byte {at} of {file.relative_to(trial.folder)}, and killed all"
    return f"changed byte {at} of {file.relative_to(trial.folder)}"


def clock_back(trial: Trial, chance: random.Random) -> str:
    """The clock is set back by an hour: what was made before is of the future."""
    moved = 0
    for place in ("results", "figures", ".snakemake"):
        for file in (trial.folder / place).rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                stat = file.lstat()
                os.utime(file, (stat.st_atime + HOUR_S, stat.st_mtime + HOUR_S), follow_symlinks=False)
                moved += 1
    return f"{moved} files are of the future"


def two_at_once(trial: Trial, chance: random.Random) -> str:
    """The plain command is given again while it runs."""
    other = trial.start()
    status = other.wait(timeout=20 * trial.lasts_s)
    return f"a second run ended with {status}"


def disk_full(trial: Trial, chance: random.Random) -> str:
    """The results lie on a small disk, which is full from some moment on; it is larger afterwards."""
    results = trial.folder / "results"
    used = sum(f.stat().st_size for f in results.rglob("*") if f.is_file())
    left = chance.randrange(1, 60_000)
    pages = (used + left) // 4096 + 1
    # A tmpfs counts whole pages, of its files and of nothing else.
    taken = int(subprocess.run(["df", "--output=used", "-B4096", results], **SAID).stdout.split()[1])
    subprocess.run(["mount", "-o", f"remount,size={4096 * max(taken, pages)}", results], check=True)
    trial.wait()
    subprocess.run(["mount", "-o", "remount,size=1g", results], check=True)
    return f"{left} bytes were left"


SAID = {"capture_output": True, "text": True, "check": True}

FAULTS: dict[str, Fault] = {
    "kill a job": kill_job,
    "kill snakemake": kill_snakemake,
    "kill all": kill_all,
    "interrupt": interrupt,
    "truncate": truncate,
    "corrupt a checkpoint": corrupt_checkpoint,
    "clock back": clock_back,
    "two at once": two_at_once,
    "disk full": disk_full,
}


def can_mount(folder: Path) -> bool:
    """Whether small disks can be had here: root, and a system that lets it mount."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    place = folder / "mounted"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True)
    if done.returncode == 0:
        subprocess.run(["umount", place], check=True)
    return done.returncode == 0
