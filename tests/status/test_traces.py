"""What jobs leave behind: locks, logs and journals."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from branchwise.locks import alone
from branchwise.status.traces import failure_of, holder_of, lines_in


def test_a_lock_is_held_by_a_live_process_alone(tmp_path: Path) -> None:
    lock = tmp_path / "cell.lock"
    assert holder_of(lock) is None
    with alone(lock, pytest.fail):
        assert holder_of(lock) == str(os.getpid())
        assert holder_of(lock) == str(os.getpid())  # looking takes nothing
    assert holder_of(lock) is None


def test_a_lock_that_a_killed_process_left_is_held_by_nobody(tmp_path: Path) -> None:
    lock = tmp_path / "cell.lock"
    code = (
        "import sys, time; from pathlib import Path; from branchwise.locks import alone\n"
        "with alone(Path(sys.argv[1]), print):\n print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder_of(lock) == str(process.pid)
        process.kill()
    assert lock.is_file()
    assert holder_of(lock) is None


def test_looking_at_a_lock_does_not_keep_it(tmp_path: Path) -> None:
    lock = tmp_path / "cell.lock"
    lock.write_text("1")
    assert holder_of(lock) is None
    with alone(lock, pytest.fail) as waited:
        assert not waited


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("batch: 3 of 10\nerror: the disk is full; free some\n", "error: the disk is full; free some"),
        ("error: first\nmore\nerror: last\nbye\n", "error: last"),
        ("Traceback (most recent call last):\n  File x\nValueError: odd\n", "ValueError: odd"),
        ("batch: 3 of 10\nwarning: error: is only a word here\n", None),
        ("", None),
        ("x\n" * 20_000 + "error: far down\n", "error: far down"),
    ],
)
def test_what_a_log_says_that_its_job_ended_by(tmp_path: Path, text: str, told: str | None) -> None:
    log = tmp_path / "cell.log"
    log.write_text(text)
    assert failure_of(log) == told
    assert failure_of(log, since=time.time() + 60) is None
    assert failure_of(tmp_path / "none.log") is None


def test_lines_of_a_journal(tmp_path: Path) -> None:
    journal = tmp_path / "cell.jsonl"
    assert lines_in(journal) == 0
    journal.write_text("{}\n{}\n{cut")
    assert lines_in(journal) == 2
