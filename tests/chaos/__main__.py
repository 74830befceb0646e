"""Runs of a grid, each with one random fault, then the plain command again: all must end the same.

make chaos RUNS=30 SEED=0      about a minute and a half a run, on two cores
"""

import argparse
import csv
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.faults import FAULTS, can_mount
from tests.chaos.trial import Trial

COLUMNS = ("run", "fault", "after_s", "what", "ended_with", "again_s", "left_to_do", "same")


def main() -> int:
    """Run them; status 1 where one ended otherwise than undisturbed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=FAULTS, help="this fault alone")
    parser.add_argument("--out", type=Path, help="CSV file of all runs")
    parser.add_argument("--keep", action="store_true", help="leave the folders of runs that went wrong")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="branchwise-chaos-"))
    names = [given.only] if given.only else list(FAULTS)
    if "disk full" in names and not can_mount(folder):
        print("no small disk can be mounted here: `disk full` is left out", flush=True)
        names.remove("disk full")
    began = time.monotonic()
    whole = Trial.of_grid(folder / "undisturbed", 600)
    whole.run = whole.start()
    if whole.wait() != 0:
        print((whole.folder / "runs.out").read_text())
        return 2
    lasts_s, wanted = time.monotonic() - began, whole.results()
    print(f"undisturbed: {lasts_s:.0f} s, {len(wanted)} files to compare", flush=True)
    rows = []
    for number in range(given.runs):
        chance = random.Random(f"{given.seed}/{number}")
        # Each fault as often as any other.
        name = names[number % len(names)]
        rows.append(disturb(folder / str(number), number, name, chance, lasts_s, wanted))
        print(", ".join(f"{rows[-1][column]}" for column in COLUMNS), flush=True)
        if given.out:
            write(given.out, rows)
        if rows[-1]["same"] == "yes" or not given.keep:
            shutil.rmtree(folder / str(number), ignore_errors=True)
    wrong = [row for row in rows if row["same"] != "yes"]
    print(f"{len(rows) - len(wrong)} of {len(rows)} runs ended as the undisturbed one")
    return 1 if wrong else 0


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """The runs until now."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def disturb(
    folder: Path, number: int, name: str, chance: random.Random, lasts_s: float, wanted: dict
) -> dict[str, object]:
    """One run with a fault, and the plain command after it."""
    trial = Trial.of_grid(folder, lasts_s)
    results = folder / "results"
    if name == "disk full":
        results.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", results], check=True)
    try:
        after_s = chance.uniform(0.05, 0.95) * lasts_s
        trial.run = trial.start()
        time.sleep(after_s)
        what = FAULTS[name](trial, chance)
        ended_with = trial.wait()
        began = time.monotonic()
        again = trial.again()
        row = {"run": number, "fault": name, "after_s": round(after_s, 1), "what": what}
        row |= {"ended_with": ended_with, "again_s": round(time.monotonic() - began, 1)}
        return row | judged(trial, again, wanted)
    finally:
        trial.close()
        if name == "disk full":
            subprocess.run(["umount", "--lazy", results], check=False)


def judged(trial: Trial, again: subprocess.CompletedProcess, wanted: dict) -> dict[str, object]:
    """How the run ended, after the plain command."""
    if again.returncode != 0:
        errors = [line for line in again.stderr.splitlines() if line.startswith("error")]
        return {"left_to_do": "", "same": f"no: {'; '.join(errors) or again.stderr[-600:]}"}
    left = sum(trial.planned().values())
    found = trial.results()
    other = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
    return {"left_to_do": left, "same": "yes" if not other else f"no: {', '.join(other[:3])} differ"}


if __name__ == "__main__":
    sys.exit(main())
