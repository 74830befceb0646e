"""The stage that takes times: alone on the machine, going on where it stopped, apart from the answers."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from branchwise.results import read_json
from branchwise.times import TimesRecord
from tests.workflow.project import (
    DRAWN,
    ONE_CELL,
    command,
    environment,
    planned,
    snakemake,
    trial,
    write_config,
)

pytestmark = pytest.mark.slow

ALONE = {"time": "timing", "depend": "dependencies", "bench": "benchmark"}
"""Rules whose jobs take times, and the files that they are in."""


def running_together(log: str) -> Iterator[list[str]]:
    """The rules of the jobs that ran at once, after every start in Snakemake's own log."""
    rules = dict(re.findall(r"^Finished jobid: (\d+) \(Rule: (\w+)\)", log, re.M))
    running: list[str] = []
    for start, end in re.findall(r"^Job (\d+): |^Finished jobid: (\d+) ", log, re.M):
        if start:
            running.append(start)
            yield [rules[number] for number in running]
        elif end in running:  # the target itself is never told to start
            running.remove(end)


def test_what_runs_together_is_read_from_a_log() -> None:
    log = (
        "Job 1: preparing\nJob 2: timing\nFinished jobid: 1 (Rule: prepare)\nJob 3: drawing\n"
        "Finished jobid: 2 (Rule: time)\nFinished jobid: 3 (Rule: draw)\nFinished jobid: 0 (Rule: all)\n"
    )
    assert list(running_together(log)) == [["prepare"], ["prepare", "time"], ["time", "draw"]]


def test_nothing_runs_beside_a_job_that_is_timed(finished: Path) -> None:
    logs = [path.read_text() for path in (finished / ".snakemake/log").glob("*.log")]
    (log,) = (text for text in logs if text.count("(Rule: time)") == 4)
    together = list(running_together(log))
    # Others do run two at a time, on the two cores that there are.
    assert max(map(len, together)) == 2
    assert [rules for rules in together if "time" in rules] == [["time"]] * 4


@pytest.mark.parametrize("rule", ALONE)
def test_a_rule_that_takes_times_claims_the_machine(root: Path, rule: str) -> None:
    """All cores keep its jobs alone on this machine, the resource and the profile on others."""
    text = (root / f"workflow/rules/{ALONE[rule]}.smk").read_text()
    (body,) = re.findall(rf"^rule {rule}:\n((?:    .*\n|\n)+)", text, re.M)
    assert "\n    threads: ALL_CORES\n" in body
    assert "\n        timing=1,\n" in body
    profiles = {
        name: yaml.safe_load((root / f"profiles/{name}/profile.yaml").read_text())
        for name in ("default", "slurm")
    }
    assert profiles["default"]["resources"] == {"timing": 1}
    assert profiles["slurm"]["set-resources"][rule] == {"slurm_extra": "'--exclusive'"}


def test_what_is_timed_decides_no_answer(finished: Path) -> None:
    """Repeats were part of every cell's settings: a change of them made all answers anew."""
    assert planned(finished, "--config", "repeats=3") == {**DRAWN, "time": 4}
    assert planned(finished, "--config", "timed_groups=2") == {**DRAWN, "time": 4}
    assert planned(finished, "--config", "groups_in_flight=2") == DRAWN
    files = sorted((finished / "results/times").rglob("*.json"))
    records = [read_json(path, TimesRecord) for path in files]
    assert [path.parent.name for path in files] == ["tree", "+decoders", "hf", "tree"]
    assert all(len({run.process for run in one.runs}) == 1 and one.load_s > 0 for one in records)


def test_times_of_an_excluded_strategy_are_no_times_of_this_grid(
    finished: Path, random_model_folder: Path
) -> None:
    """What runs in turn with what is part of what is timed."""
    fewer = trial(random_model_folder, strategies=["batch"], exclude=[{"decoder": "hf"}])
    write_config(finished, "fewer.yaml", fewer)
    assert planned(finished, config="config/fewer.yaml") == {**DRAWN, "time": 2}


def test_without_timed_groups_there_is_no_time_job_and_all_else(
    finished: Path, random_model_folder: Path
) -> None:
    untimed = trial(random_model_folder, experiment="untimed", timed_groups=0)
    write_config(finished, "untimed.yaml", untimed)
    assert planned(finished, config="config/untimed.yaml") == DRAWN
    done = snakemake(finished, config="config/untimed.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    cost = (finished / "results/tables/untimed/cost.csv").read_text()
    assert "passes" in cost
    assert " ms" not in cost
    drawn, timed = (
        {path.stem for path in (finished / "figures" / name).glob("*.svg")}
        for name in ("untimed", "trial")
    )
    assert "accuracy" in drawn
    # Of this grid, whose data sets have one size each, nothing is drawn by size.
    assert timed - drawn == {"quality_latency"}


def test_a_killed_timing_job_goes_on(project: Path, random_model_folder: Path) -> None:
    """The whole run is killed, its job too; what was timed is not timed again."""
    write_config(project, "trial.yaml", trial(random_model_folder, **ONE_CELL))
    many = ("tables", "--config", "timed_groups=3", "repeats=101")
    process = subprocess.Popen(
        command(project, *many),
        cwd=project,
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    journals = project / "results/journal/times"
    while not any(path.read_text().endswith("\n") for path in journals.rglob("*.jsonl")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((project / "results/times").rglob("*.json"))
    again = snakemake(project, *many)
    assert again.returncode == 0, again.stdout + again.stderr
    (log,) = (project / "logs/time").rglob("*.log")
    assert re.search(r"resumed: [12] of 3 groups came from the journal", log.read_text())
    (record,) = (read_json(path, TimesRecord) for path in (project / "results/times").rglob("*.json"))
    assert len({run.process for run in record.runs}) == 2
    assert len(record.runs) == 3 * 101 * 2
    assert not list(journals.rglob("*.jsonl"))
