"""Results of the future: made before a clock was set back.

What is made of such a file is older than it is. Snakemake then takes the clock for wrong, throws the
result away and fails, until the time of the file has come.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from branchwise.config import Experiment

SKEW_S = 5.0
"""Seconds by which clocks of machines that share a disk may differ."""


def brought_back(experiment: Experiment) -> int:
    """Set the times of results that are of the future to before now, the latest to now and the others as
    long before it as they were; how many these are.
    """
    now_ns = time.time_ns()
    limit = now_ns + int(SKEW_S * 1e9)
    later = {path: ns for path, ns in _times(experiment) if ns > limit}
    shift = max(later.values(), default=now_ns) - now_ns
    for path, ns in later.items():
        with suppress(FileNotFoundError):
            os.utime(path, ns=(now_ns, ns - shift))
    return len(later)


def _times(experiment: Experiment) -> Iterator[tuple[str, int]]:
    """When all files that runs have made were changed, of this experiment and of others that share its
    folders: paths, and nanoseconds since the epoch.
    """
    cells = (experiment.cells_folder, experiment.times_folder, experiment.trainings_folder)
    # Cells may lie elsewhere, and what lies beside them with them.
    away = [folder for folder in cells if not Path(folder).is_relative_to(experiment.results)]
    folders: list[str | Path] = [experiment.results, experiment.figures, *away]
    while folders:
        folder = folders.pop()
        # Other runs take away what they no longer need.
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path, entry.stat().st_mtime_ns
