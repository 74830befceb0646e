"""SLURM: which of its commands answer, so that Snakemake asks one that does.

The plugin takes `sacct` wherever the command exists. Without an accounting database sacct answers with an
error, which the plugin takes for "no news", and waits for ever.
"""

import re
import shutil
from collections.abc import Iterator

from branchwise.config.shipped import ROOT
from branchwise.config.yaml_files import read_yaml
from branchwise.doctor.fact import Answer, Fact, ask
from branchwise.doctor.installed import version_of
from branchwise.errors import UserError

PLUGIN = "snakemake-executor-plugin-slurm"
PROFILE = "profiles/slurm/profile.yaml"
LEAST_AGE_S = 120
"""Seconds that SLURM must remember an ended job: three times the plugin's first look, after 40 s."""

_ASKED = {
    "squeue": ["squeue", "--noheader", "--me", "--format=%i"],
    "sacct": ["sacct", "--noheader", "--parsable2", "--format=JobID"],
}


def slurm() -> Iterator[Fact]:
    """Whether jobs can be submitted here, and by which command their state is known."""
    if shutil.which("sbatch") is None:
        yield Fact("SLURM", "not here (no sbatch on PATH)")
        return
    plugin = version_of(PLUGIN)
    yield Fact("SLURM plugin", plugin or "not installed", "" if plugin else f"`pip install {PLUGIN}`")
    answers = _answers()
    for name in _ASKED:
        yield Fact(f"SLURM {name}", _said(answers.get(name)))
    yield _advice(answers)
    if "squeue" in answers and (age := _job_age_s()) is not None:
        problem = ""
        if age < LEAST_AGE_S:
            problem = (
                f"SLURM forgets ended jobs after {age} s, before squeue is asked: have MinJobAge set to "
                f"{LEAST_AGE_S} or more, or set `slurm-init-seconds-before-status-checks: "
                f"{max(1, age // 3)}` in {PROFILE}"
            )
        yield Fact("SLURM MinJobAge", f"{age} s", problem)


def answering() -> list[str]:
    """The commands that say how jobs stand, of those that there are."""
    return [name for name, answer in _answers().items() if answer.is_good]


def _answers() -> dict[str, Answer]:
    return {name: ask(command) for name, command in _ASKED.items() if shutil.which(name)}


def _said(answer: Answer | None) -> str:
    if answer is None:
        return "not on PATH"
    return "answers" if answer.is_good else f"does not answer: {answer.complaint}"


def _advice(answers: dict[str, Answer]) -> Fact:
    """Which command the profile is to name, if it does not."""
    what, write = "SLURM status", f"write `slurm-status-command: squeue` in {PROFILE}"
    good = [name for name, answer in answers.items() if answer.is_good]
    if not good:
        return Fact(
            what,
            "by none",
            "neither squeue nor sacct answers: see `systemctl status slurmctld` and `scontrol ping`, or "
            "run without the profile",
        )
    named = _named()
    if named in good:
        return Fact(what, f"by {named}, as {PROFILE} says")
    if named is None and "sacct" in good:
        return Fact(what, "by sacct, as the plugin does by itself")
    if "squeue" not in good:
        return Fact(
            what, "by sacct alone", f"{PROFILE} names {named}: take `slurm-status-command` out there"
        )
    problem = "jobs would be waited for for ever" if "sacct" in answers else "there is no sacct"
    return Fact(what, "by squeue alone", f"{problem}: {write}")


def _named() -> str | None:
    """The command that the profile names; None where it names none, or there is no profile here."""
    try:
        named = read_yaml(ROOT / PROFILE).get("slurm-status-command")
    except UserError:
        return None
    return None if named is None else str(named)


def _job_age_s() -> int | None:
    """How long SLURM remembers ended jobs, in seconds; None where it does not say."""
    if shutil.which("scontrol") is None:
        return None
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", ask(["scontrol", "show", "config"]).output, re.MULTILINE)
    return int(found.group(1)) if found else None
