"""Made times for tables and figures, as timing jobs write them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from branchwise.config import Cell, Experiment
from branchwise.config.timing import Contest, contests, times_identity, times_path
from branchwise.reporting.times import Times, of_records
from branchwise.results import Identity, write_json
from branchwise.times import TimedRun, TimesRecord

REPEATS = (1.0, 0.9, 1.3)
"""Of each run, as shares of the median one."""
AGAIN = 1.01
"""What the A/A runs take, as a share of the first ones."""

Walls = Callable[[Cell], Mapping[str, float]]
"""Cell -> group -> median wall time in seconds; the ideal is half of it."""


def record_of(contest: Contest, walls: Walls, identity: Identity) -> TimesRecord:
    """The file of one timing job."""
    runs = []
    timed = [(cell, False) for cell in contest.cells]
    timed.append((next(c for c in contest.cells if c.strategy == contest.reference), True))
    for place, (cell, again) in enumerate(timed):
        for group, wall_s in walls(cell).items():
            for repeat, share in enumerate(REPEATS):
                seconds = wall_s * share * (AGAIN if again else 1)
                runs.append(
                    TimedRun(
                        **{"strategy": cell.strategy, "decoder": cell.decoder, "again": again},
                        **{"group": group, "repeat": repeat, "place": place, "wall_s": seconds},
                        **{"ideal_s": seconds / 2, "cpu_s": seconds, "load": 0.5, "process": 1},
                        hardware="a processor, 1 threads",
                    )
                )
    return TimesRecord(
        **{"dataset": contest.dataset, "model": contest.model, "reference": contest.reference},
        **{"identity": identity, "versions": {}, "commit": None, "dirty": None, "hardware": {}},
        **{"load_s": 1, "resolved": {"tree": {"resolved_products": "plain"}}, "num_unfit": 0},
        num_groups=len({run.group for run in runs}),
        repeats=len(REPEATS),
        runs=tuple(runs),
    )


def made_times(experiment: Experiment, walls: Walls) -> Times:
    """All times of an experiment."""
    nobody = Identity(settings={}, code="")
    return of_records({one: record_of(one, walls, nobody) for one in contests(experiment)})


def write_times(experiment: Experiment, walls: Walls, folder: Path) -> None:
    """The files of all timing jobs of an experiment."""
    for contest in contests(experiment):
        record = record_of(contest, walls, times_identity(experiment, contest))
        write_json(folder / times_path(experiment, contest), record)
