"""Where a result comes from: versions, commit and hardware."""

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from branchwise.decoding.contract import REMOTE
from branchwise.memory import forget_peak, peak_mib

_PACKAGES = ("branchwise", "torch", "transformers", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def commit() -> tuple[str | None, bool | None]:
    """The repository's commit and whether tracked files differ from it; None where this code is tracked
    by none (installed somewhere inside another project's, that one's commit would say nothing).
    """
    root = Path(__file__).parent

    def git(*args: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *args], capture_output=True, text=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None, None
    head = git("rev-parse", "HEAD")
    status = git("status", "--porcelain", "--untracked-files=no")
    return head, None if status is None else bool(status)


def hardware(device: torch.device | str, threads: int) -> dict[str, Any]:
    """What the cell ran on. No host name: it says nothing about the result."""
    facts: dict[str, Any] = {
        "device": REMOTE if isinstance(device, str) else device.type,
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": threads,
    }
    if not isinstance(device, str) and device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
        # A cell sees its own alone, see `branchwise.devices`.
        facts["gpus"] = torch.cuda.device_count()
        facts["gpu_memory_mib"] = torch.cuda.get_device_properties(device).total_memory // 2**20
    return facts


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def forget_peak_memory() -> None:
    """Count the peak from now on, where the system lets a process do so: one may answer several cells.
    What it still holds of those before counts, what it has given back does not.
    """
    forget_peak()
    if torch.cuda.is_initialized():
        for number in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(number)


def peak_memory_mib(device: torch.device | str) -> float:
    """Peak of this process's memory on GPUs, of its resident memory elsewhere, since it was forgotten."""
    if not isinstance(device, str) and device.type == "cuda":
        gpus = range(torch.cuda.device_count())
        return sum(torch.cuda.max_memory_allocated(number) for number in gpus) / 2**20
    if (peak := peak_mib()) is not None:
        return peak
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10
