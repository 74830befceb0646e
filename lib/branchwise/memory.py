"""Main memory that this process takes, in MiB: now, and at most since that was last forgotten.

Of Linux alone; elsewhere both are None. Some containers do not let a peak be forgotten.
"""

import re
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_mib() -> float | None:
    """What the process has been given."""
    return _stated("VmRSS")


def peak_mib() -> float | None:
    """The most that it had been given at once; `getrusage` would count what had started it, too."""
    return _stated("VmHWM")


def forget_peak() -> bool:
    """Count the peak from now on; whether the system lets a process do so."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        return True
    return False


def _stated(key: str) -> float | None:
    found = re.search(rf"^{key}:\s*(\d+) kB", _STATUS.read_text(), re.M) if _STATUS.exists() else None
    return int(found[1]) / 2**10 if found else None
