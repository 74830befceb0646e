"""A grid on a real SLURM of one machine, through the profile, and through what clusters do to jobs.

`make test-slurm` brings the packages and runs this; elsewhere it skips. It takes about ten minutes.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.cluster import Cluster, wait_for, why_not
from tests.workflow.project import (
    answers,
    command,
    copy_project,
    environment,
    snakemake,
    trial,
    write_config,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"no SLURM can be had here: {why_not()}"),
]
QUICK = ("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "15")
SLOW = '''"""Answers nothing for a while at its first tries, so that there is time to disturb them."""

import asyncio
import os
from pathlib import Path

from branchwise.prompts import single
from branchwise.strategies.base import answered


async def strategy(group, desk):
    tries = Path({tries!r})
    with tries.open("a") as file:
        file.write("x")
    if len(tries.read_text()) <= {most}:
        {do}
    for question in group:
        reply = await desk.ask(single(group, question, desk.style), [question])
        yield answered(question, reply, desk.style)
'''


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(Cluster(tmp_path_factory.mktemp("slurm") / "cluster"))
        except TimeoutError as error:
            pytest.skip(f"no SLURM comes up here: {error}")
        yield running


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Path:
    copy_project(root, tmp_path)
    return tmp_path


def configured(project: Path, model: Path, name: str, **changes: Any) -> str:
    content = trial(model, datasets=["small_g2"], decoders=["tree"], exclude=[], timed_groups=0)
    write_config(project, name, {**content, "memory_mb": 2500, "groups_in_flight": 1, **changes})
    return f"config/{name}"


def disturbed(
    project: Path, model: Path, do: str, most: int = 1, until: str = "generate", **changes: Any
) -> tuple[subprocess.Popen, Path]:
    """A run of one cell whose strategy does something at its first tries, up to the stage `until` (what
    follows answers is the same whatever became of their job): the run, and the file that counts tries.
    """
    tries = project / "tries"
    (project / "config/own.py").write_text(SLOW.format(tries=str(tries), most=most, do=do))
    own = {"strategies": {"own": {"module": "own.py"}}}
    define = {**trial(model)["define"], **own}
    config = configured(
        project, model, "own.yaml", strategies=["own"], baseline="own", define=define, **changes
    )
    words = command(project, "--profile", "profiles/slurm", *QUICK, "--until", until, config=config)
    words = [word for word in words if word not in ("--cores", "2")]
    log = (project / "run.out").open("w")
    run = subprocess.Popen(words, cwd=project, stdout=log, stderr=log, env=environment(project))
    return run, tries


def ended(run: subprocess.Popen, project: Path) -> str:
    """What a run said, after it has ended well."""
    status = run.wait(timeout=600)
    said = (project / "run.out").read_text()
    assert status == 0, said
    return said


def test_a_cluster_answers_what_this_machine_answers(
    cluster: Cluster, project: Path, random_model_folder: Path
) -> None:
    """With shards, too: SLURM has no accounting here, of which the run hears by itself."""
    local = configured(
        project, random_model_folder, "local.yaml", results="local", figures="local/figures"
    )
    done = snakemake(project, config=local)
    assert done.returncode == 0, done.stdout + done.stderr
    config = configured(project, random_model_folder, "far.yaml", shards=2)
    words = [w for w in command(project, config=config) if w not in ("--cores", "2")]
    done = subprocess.run(
        [*words, "--profile", "profiles/slurm", *QUICK],
        cwd=project,
        capture_output=True,
        text=True,
        env=environment(project),
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sacct does not answer here: jobs' states are asked of squeue" in done.stderr
    assert answers(project) == answers(project, "local")
    assert len(answers(project)) == 2
    assert (project / "results/tables/trial/accuracy.md").is_file()


WAITS = "await asyncio.sleep(300)"


def started(tries: Path, cluster: Cluster) -> Callable[[], bool]:
    return lambda: tries.exists() and bool(cluster.running("generate"))


def test_a_lost_node(cluster: Cluster, project: Path, random_model_folder: Path) -> None:
    run, tries = disturbed(project, random_model_folder, WAITS, until="all")
    wait_for(started(tries, cluster), 180, "the cell to be asked")
    ((_, node),) = cluster.running("generate").items()
    cluster.lose(node)
    try:
        said = ended(run, project)
    finally:
        cluster.give_back(node)
    assert "node failure" in said or "NODE_FAIL" in said
    assert len(answers(project)) == 1
    assert (project / "results/tables/trial/accuracy.md").is_file()
    wait_for(lambda: node in cluster.idle(), 60, "the node to be back")


def test_a_cancelled_job(cluster: Cluster, project: Path, random_model_folder: Path) -> None:
    run, tries = disturbed(project, random_model_folder, WAITS)
    wait_for(started(tries, cluster), 180, "the cell to be asked")
    ((job, _),) = cluster.running("generate").items()
    subprocess.run(["scancel", job], check=True)
    assert "CANCELLED" in ended(run, project)
    assert len(answers(project)) == 1


def test_a_job_over_its_memory(cluster: Cluster, project: Path, random_model_folder: Path) -> None:
    """Its second try has twice as much."""
    takes = "hoard = bytearray(1_500_000_000); await asyncio.sleep(20); del hoard"
    run, _ = disturbed(project, random_model_folder, takes, 99, memory_mb=1500)
    said = ended(run, project)
    assert "Trying to restart job" in said
    assert len(answers(project)) == 1


def test_a_job_over_its_time(cluster: Cluster, project: Path, random_model_folder: Path) -> None:
    """Its second try has two minutes."""
    run, _ = disturbed(project, random_model_folder, "await asyncio.sleep(25)", 99, runtime_min=1)
    said = ended(run, project)
    assert "TIMEOUT" in said and "Trying to restart job" in said
    assert len(answers(project)) == 1
