"""Which of SLURM's commands answer, and what the profile is then to say. All of them are made up."""

from pathlib import Path

import pytest

from branchwise.doctor import fact
from branchwise.doctor.slurm import PLUGIN, PROFILE, slurm
from tests.doctor.commands import Fake, faker

NO_ACCOUNTING = 'echo "Slurm accounting storage is disabled" >&2; exit 1'
DOWN = 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1'
AGE = "echo 'MessageTimeout = 10 sec'; echo 'MinJobAge               = {} sec'"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setattr("branchwise.doctor.slurm.ROOT", tmp_path)
    monkeypatch.setattr("branchwise.doctor.slurm.version_of", {PLUGIN: "2.7.1"}.get)
    (tmp_path / "profiles/slurm").mkdir(parents=True)
    (tmp_path / PROFILE).write_text("executor: slurm\n")
    return faker(tmp_path, monkeypatch)


def found() -> dict[str, tuple[str, str]]:
    return {one.what: (one.found, one.problem) for one in slurm()}


def test_no_slurm_at_all(fake: Fake) -> None:
    fake("sacct", "exit 0")
    assert found() == {"SLURM": ("not here (no sbatch on PATH)", "")}


def test_with_an_accounting_database_nothing_is_to_be_set(fake: Fake) -> None:
    for name in ("sbatch", "squeue", "sacct"):
        fake(name)
    assert found() == {
        "SLURM plugin": ("2.7.1", ""),
        "SLURM squeue": ("answers", ""),
        "SLURM sacct": ("answers", ""),
        "SLURM status": ("by sacct, as the plugin does by itself", ""),
    }


def test_without_one_the_profile_must_name_squeue(fake: Fake) -> None:
    fake("sbatch")
    fake("squeue")
    fake("sacct", NO_ACCOUNTING)
    fake("scontrol", AGE.format(300))
    said = found()
    assert said["SLURM sacct"] == ("does not answer: Slurm accounting storage is disabled", "")
    assert said["SLURM squeue"] == ("answers", "")
    state, problem = said["SLURM status"]
    assert state == "by squeue alone"
    assert "write `slurm-status-command: squeue` in profiles/slurm/profile.yaml" in problem
    assert "waited for for ever" in problem
    assert said["SLURM MinJobAge"] == ("300 s", "")


def test_what_the_profile_names_already(fake: Fake, tmp_path: Path) -> None:
    for name, script in (("sbatch", "exit 0"), ("squeue", "exit 0"), ("sacct", NO_ACCOUNTING)):
        fake(name, script)
    profile = tmp_path / PROFILE
    profile.write_text("slurm-status-command: squeue\n")
    assert found()["SLURM status"] == ("by squeue, as profiles/slurm/profile.yaml says", "")
    fake("squeue", DOWN)
    fake("sacct")
    assert "take `slurm-status-command` out there" in found()["SLURM status"][1]
    fake("squeue")
    profile.write_text("slurm-status-command: sacct\n")
    assert found()["SLURM status"] == ("by sacct, as profiles/slurm/profile.yaml says", "")
    profile.unlink()
    assert found()["SLURM status"][0] == "by sacct, as the plugin does by itself"


def test_the_plugin_is_to_be_installed(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("branchwise.doctor.slurm.version_of", {}.get)
    fake("sbatch")
    assert found()["SLURM plugin"] == ("not installed", f"`pip install {PLUGIN}`")


def test_no_sacct_on_path(fake: Fake) -> None:
    fake("sbatch")
    fake("squeue")
    said = found()
    assert said["SLURM sacct"] == ("not on PATH", "")
    assert said["SLURM status"][1].startswith("there is no sacct: write `slurm-status")
    assert "SLURM MinJobAge" not in said


def test_jobs_that_are_forgotten_too_soon(fake: Fake) -> None:
    fake("sbatch")
    fake("squeue")
    fake("sacct", NO_ACCOUNTING)
    fake("scontrol", AGE.format(30))
    state, problem = found()["SLURM MinJobAge"]
    assert state == "30 s"
    assert "`slurm-init-seconds-before-status-checks: 10`" in problem


def test_a_controller_that_is_down(fake: Fake) -> None:
    fake("sbatch")
    fake("squeue", DOWN)
    fake("sacct", NO_ACCOUNTING)
    state, problem = found()["SLURM status"]
    assert state == "by none"
    assert "neither squeue nor sacct answers" in problem


def test_a_command_that_hangs_is_given_up(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    real = fact.ask

    def impatient(command: list[str], timeout_s: float = 10.0) -> fact.Answer:
        asked.append(timeout_s)
        return real(command, 0.2)

    monkeypatch.setattr("branchwise.doctor.slurm.ask", impatient)
    fake("sbatch")
    fake("squeue")
    fake("sacct", "exec /bin/sleep 60")
    assert found()["SLURM sacct"] == ("does not answer: no answer within 0.2 s", "")
    assert asked and max(asked) <= 10
