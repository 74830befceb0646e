"""Pretended GPUs: jobs at the same time have others, and a killed one lets go of its."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from branchwise import devices
from branchwise.errors import UserError

HOLDER = """
import sys, time
from branchwise.devices import take
print(",".join(take(int(sys.argv[1]), lambda text: print(text, file=sys.stderr, flush=True))), flush=True)
time.sleep(60)
"""


class Jobs:
    """Processes that take pretended GPUs and stay."""

    def __init__(self, folder: Path, names: str = "0,1,2") -> None:
        self.environment = {**os.environ, "CUDA_VISIBLE_DEVICES": names, "TMPDIR": str(folder)}
        self.environment.pop("SLURM_JOB_ID", None)
        self.all: list[subprocess.Popen] = []

    def start(self, count: int) -> subprocess.Popen:
        words = [sys.executable, "-c", HOLDER, str(count)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.all.append(subprocess.Popen(words, env=self.environment, text=True, **pipes))
        return self.all[-1]

    def took(self, count: int) -> tuple[subprocess.Popen, list[str]]:
        """A job, and what it has."""
        job = self.start(count)
        assert job.stdout is not None
        return job, [name for name in job.stdout.readline().strip().split(",") if name]


@pytest.fixture
def jobs(tmp_path: Path):
    started = Jobs(tmp_path)
    yield started
    for job in started.all:
        job.kill()
        job.wait()


def test_jobs_at_the_same_time_have_others(jobs: Jobs) -> None:
    (_, first), (_, second) = jobs.took(1), jobs.took(2)
    assert sorted([*first, *second]) == ["0", "1", "2"]


def test_who_finds_none_waits_until_a_killed_job_has_let_go(jobs: Jobs) -> None:
    killed, had = jobs.took(2)
    waiting = jobs.start(2)
    assert waiting.stderr is not None and waiting.stdout is not None
    assert waiting.stderr.readline() == "waiting for 2 of 3 GPUs: other jobs of this machine have them\n"
    # Meanwhile the one that is left is nobody's: who waits holds nothing.
    third, one = jobs.took(1)
    assert set(one).isdisjoint(had)
    killed.send_signal(signal.SIGKILL)
    assert sorted(waiting.stdout.readline().strip().split(",")) == sorted(had)
    assert third.poll() is None


def test_a_process_sees_what_it_took_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-ab/../c, 5")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "_held", held := [])
    assert devices.take(1, pytest.fail) == ["GPU-ab/../c"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-ab/../c"
    assert [path.name for path in tmp_path.iterdir()] == ["branchwise-gpu-GPU-ab_.._c.lock"]
    held.clear()


@pytest.mark.parametrize(
    ("count", "names", "more"),
    [(0, "0,1", {}), (2, "", {}), (2, "-1", {}), (1, "0", {"SLURM_JOB_ID": "7"})],
)
def test_nothing_is_taken(
    monkeypatch: pytest.MonkeyPatch, count: int, names: str, more: dict[str, str]
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    for key, value in {"CUDA_VISIBLE_DEVICES": names, **more}.items():
        monkeypatch.setenv(key, value)
    assert devices.take(count, pytest.fail) == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == names


def test_more_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(UserError, match=r"needs 3 GPUs a cell, and this machine has 2 \(0, 1\)"):
        devices.take(3, pytest.fail)


def test_what_the_driver_lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "DRIVER", tmp_path / "gpus")
    assert devices.visible() == []
    for name in ("0000:01:00.0", "0000:41:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    assert devices.visible() == ["0", "1"]


def test_many_jobs_one_after_another(jobs: Jobs) -> None:
    """Each ends when it has what it needs; no two have the same at a time, and none waits for ever."""
    script = HOLDER.replace("time.sleep(60)", "time.sleep(0.2)")
    words = [sys.executable, "-c", script]
    pipes = {"stdout": subprocess.PIPE, "text": True}
    begun = [
        subprocess.Popen([*words, str(1 + number % 3)], env=jobs.environment, **pipes)
        for number in range(6)
    ]
    end = time.monotonic() + 60
    for number, job in enumerate(begun):
        out, _ = job.communicate(timeout=max(1, end - time.monotonic()))
        assert len(out.strip().split(",")) == 1 + number % 3
