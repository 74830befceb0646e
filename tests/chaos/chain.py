"""The demo, disturbed again and again until it is done: its scores are those that are committed.

python -m tests.chaos.chain      in a clone of the project; continuous integration runs it
"""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.chaos import faults
from tests.chaos.trial import Trial, plain

CONFIG = "config/demo.yaml"
FEW_TIMES = "config/demo_few_times.yaml"
LASTS_S = 300.0
NOTHING = "not there"
WITHIN_S = 6.0, 25.0
"""When a run is disturbed, counted from its beginning: while it plans, or while its jobs run."""


def down(trial: Trial, chance: random.Random) -> str:
    """The machine goes down, and comes back with its clock an hour behind."""
    what = faults.kill_all(trial, chance)
    trial.wait()
    return f"{what}, and {faults.clock_back(trial, chance)}"


CHAIN: list[faults.Fault] = [
    faults.kill_all,
    faults.interrupt,
    faults.kill_snakemake,
    down,
    faults.kill_job,
]
"""One after another: each of these runs goes on from the one before, and the last, of which a job is
killed, does all else.
"""


def main() -> int:
    """Disturb the demo; status 1 where it ends otherwise than the committed one."""
    folder, chance = Path.cwd(), random.Random(0)
    trial = Trial(folder, LASTS_S, few_times(folder))
    for fault in CHAIN:
        trial.run = trial.start()
        time.sleep(chance.uniform(*WITHIN_S))
        what = fault(trial, chance)
        print(f"{what}; the run ended with {trial.wait()}", flush=True)
    trial.close()
    done = subprocess.run(["make", "demo", f"CONFIG={FEW_TIMES}", *sys.argv[1:]], check=False)
    if done.returncode != 0:
        print((folder / "runs.out").read_text()[-3000:])
        return 1
    found, wanted = (_scores(folder / place) for place in ("results/cells", "resources/demo/cells"))
    other = [key for key in wanted if found.get(key) != wanted[key]]
    for key in other:
        print(f"{key}: {differing(found.get(key), wanted[key])}")
    print(f"{len(wanted) - len(other)} of {len(wanted)} scores are the committed ones")
    return 1 if other or not wanted else 0


def few_times(folder: Path) -> str:
    """The demo but for its times, which nobody looks at and which take half as long as all; its file."""
    config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    config |= {"timed_groups": 1, "repeats": 1}
    (folder / FEW_TIMES).write_text(yaml.safe_dump(config), encoding="utf-8")
    return FEW_TIMES


def differing(found: Any, wanted: Any, place: str = "") -> str:
    """Where two contents first differ, and how."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        pairs = {k: (found.get(k, NOTHING), wanted.get(k, NOTHING)) for k in [*wanted, *found]}
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        pairs = dict(enumerate(zip(found, wanted, strict=True)))
    else:
        return f"{place or 'all of it'} is {str(found)[:200]}, and {str(wanted)[:200]} is committed"
    key, (one, other) = next(item for item in pairs.items() if item[1][0] != item[1][1])
    return differing(one, other, f"{place}/{key}")


def _scores(cells: Path) -> dict[str, Any]:
    """Scores of all cells, without times."""
    files = sorted(cells.rglob("scores.json"))
    return {str(file.relative_to(cells)): plain(json.loads(file.read_text())) for file in files}


if __name__ == "__main__":
    sys.exit(main())
