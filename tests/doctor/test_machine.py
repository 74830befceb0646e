"""Devices, compiler, browser and leftovers, on machines that are made up."""

import fcntl
import os
from pathlib import Path

import pytest

from branchwise.decoding.native import library
from branchwise.doctor.fact import Fact, ask, size
from branchwise.doctor.machine import browser, compiler, devices, free_memory, leftovers
from branchwise.locks import alone
from tests.doctor.commands import faker
from tests.finished import Finished


def test_a_compiler_that_there_is_not_and_one_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRANCHWISE_CACHE", str(tmp_path / "cache"))
    fake = faker(tmp_path, monkeypatch)
    library.library.cache_clear()
    try:
        monkeypatch.setenv("CC", "no-such-compiler")
        named, kernels = compiler()
        assert named == Fact("C compiler", "no-such-compiler: No such file or directory")
        assert kernels.found == "not built"
        assert "apt install gcc" in kernels.problem and not kernels.needed
        library.library.cache_clear()
        fake(
            "odd-cc",
            'if [ "$1" = --version ]; then echo "odd 1.0"; else echo "no headers" >&2; exit 4; fi',
        )
        monkeypatch.setenv("CC", "odd-cc")
        named, kernels = compiler()
        assert named.found == "odd-cc: odd 1.0"
        assert "odd-cc failed: ['no headers']" in kernels.problem
    finally:
        library.library.cache_clear()


def test_memory_and_cores_are_told() -> None:
    gpu, cpu = devices()
    assert gpu.what == "GPU" and cpu.found.split()[1] == "cores,"
    free = free_memory()
    assert free is not None and 2**20 < free < 2**50


def test_the_first_browser_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = faker(tmp_path, monkeypatch)
    (none,) = browser()
    assert "none of chromium, chromium-browser, google-chrome on PATH" in none.found
    fake("google-chrome")
    fake("chromium-browser")
    (found,) = browser()
    assert found.found == str(tmp_path / "bin/chromium-browser")


def test_locks_of_living_and_killed_runs(tmp_path: Path) -> None:
    finished = Finished(tmp_path)
    snakemake = tmp_path / ".snakemake"

    def said() -> tuple[str, str]:
        cells, runs = leftovers(finished.experiment, snakemake)
        return cells.found, runs.found

    assert said() == ("0 held, 0 of killed jobs, which do no harm", "none")
    dead = finished.results / "journal/a.lock"
    dead.parent.mkdir(parents=True)
    dead.write_text("1")
    (snakemake / "locks").mkdir(parents=True)
    (snakemake / "locks/0.input.lock").write_text("")
    with alone(finished.results / "journal/b.lock", pytest.fail):
        assert said() == (
            "1 held, 1 of killed jobs, which do no harm",
            "1 of a killed run: the next `snakemake` here removes them",
        )
    with (snakemake / "branchwise.runs").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert said()[1] == "1, of a run that lives"
    assert "killed run" in said()[1]


def test_a_command_is_asked_for_a_while_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = faker(tmp_path, monkeypatch)
    fake("good", "echo one; echo two")
    fake("bad", "echo why >&2; exit 3")
    fake("silent", "exit 5")
    fake("slow", "exec /bin/sleep 60")
    assert ask(["good"]).output == "one\ntwo\n" and ask(["good"]).is_good
    assert ask(["bad"]) == (3, "", "why")
    assert ask(["silent"]).complaint == "exit status 5"
    assert ask(["slow"], 0.2) == (None, "", "no answer within 0.2 s")
    assert ask(["none"]) == (None, "", os.strerror(2))


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [(0, "0.0 MiB"), (5 * 2**20, "5.0 MiB"), (700 * 2**20, "700 MiB"), (3 * 2**30, "3.0 GiB")],
)
def test_sizes_in_words(num_bytes: int, words: str) -> None:
    assert size(num_bytes) == words
