"""The machine: its devices and memory, its C compiler, a browser, and what killed runs left there."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from branchwise.config import Experiment
from branchwise.doctor.fact import Fact, ask, size
from branchwise.status.traces import holder_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""What the test of pages looks for on PATH."""


def free_memory() -> int | None:
    """Bytes of memory that a process could have now; None where the system does not say."""
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def devices() -> Iterator[Fact]:
    """GPUs with their free memory, processors, and free memory."""
    import torch

    found = []
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            found.append(f"{torch.cuda.get_device_name(number)}, {size(free)} of {size(total)} free")
    elif torch.backends.mps.is_available():
        found.append("Apple, by mps")
    yield Fact("GPU", "; ".join(found) or "none")
    memory = free_memory()
    free_words = "unknown" if memory is None else size(memory)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Fact("CPU", f"{cores} cores, {free_words} of memory free")


def compiler() -> Iterator[Fact]:
    """The C compiler, and whether the kernels' library builds with it (seconds, the first time)."""
    from branchwise.decoding.native.library import library

    name = os.environ.get("CC", "cc")
    answer = ask([name, "--version"])
    told = answer.output.splitlines()[0] if answer.is_good and answer.output else answer.complaint
    yield Fact("C compiler", f"{name}: {told}")
    made = library()
    if isinstance(made, str):
        remedy = "install one (`apt install gcc`, `xcode-select --install`), or name it in CC"
        slower = "the tree decoder multiplies by torch, slower and no less exactly"
        yield Fact("kernels", "not built", f"{made}; {remedy}: until then {slower}")
    else:
        yield Fact("kernels", f"built, {made._name}")


def browser() -> Iterator[Fact]:
    """What the test of pages opens them in."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    looked = f"none of {', '.join(BROWSERS)} on PATH"
    yield Fact(
        "browser", path or f"{looked}: the test that opens pages is skipped (`apt install chromium`)"
    )


def leftovers(experiment: Experiment, snakemake: Path = Path(".snakemake")) -> Iterator[Fact]:
    """Locks, those that live processes hold and those that killed ones left: these hinder nobody."""
    locks = sorted(Path(experiment.results, "journal").rglob("*.lock"))
    holders = {path: holder_of(path) for path in locks}
    held = [f"{path.stem} by process {who}" for path, who in holders.items() if who is not None]
    left = len(holders) - len(held)
    yield Fact("locks of cells", f"{len(held)} held, {left} of killed jobs, which do no harm")
    runs = snakemake / "branchwise.runs"
    num_locks = len(list((snakemake / "locks").glob("*.lock")))
    if not num_locks:
        yield Fact("locks of runs", "none")
    elif runs.exists() and _is_held(runs):
        yield Fact("locks of runs", f"{num_locks}, of a run that lives")
    else:
        yield Fact(
            "locks of runs", f"{num_locks} of a killed run: the next `snakemake` here removes them"
        )


def _is_held(path: Path) -> bool:
    """Whether a process holds a lock of any kind on a file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
