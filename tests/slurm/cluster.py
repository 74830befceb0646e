"""A real SLURM on this machine, without systemd and without accounting: two nodes that are two daemons.

It needs root, and Debian's packages slurm-wlm and munge. The configuration has to lie at the built-in
place, since Snakemake's jobs drop SLURM's variables; it goes when the cluster stops, because every start
of Snakemake would wait ten seconds for a controller that is gone.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
PLACE = Path("/etc/slurm/slurm.conf")
NODES = ("n1", "n2")
PORT = 16817
_LOST_S = 15
"""Seconds after which a node that says nothing is lost."""

_CONFIG = """\
ClusterName=branchwise
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout={lost}
KillWait=5
JobRequeue=0
"""
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=6000\n"
_PARTITION = "PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP\n"


def why_not() -> str | None:
    """Why no cluster can be had here; None where one can."""
    if not os.environ.get("BRANCHWISE_SLURM"):
        return "`make test-slurm` asks for it"
    if missing := [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]:
        return f"{', '.join(missing)} are not here: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "its daemons are to be started by root"
    if PLACE.exists():
        return f"{PLACE} is there already: this machine has a cluster of its own"
    return None


class Cluster:
    """Two nodes of two cores each. A context: what it started is gone afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "Cluster":
        (self.folder / "state").mkdir(parents=True)
        host = socket.gethostname().partition(".")[0]
        text = _CONFIG.format(host=host, port=PORT, folder=self.folder, lost=_LOST_S)
        for number, name in enumerate(NODES, 1):
            (self.folder / "spool" / name).mkdir(parents=True)
            text += _NODE.format(name=name, host=host, port=PORT + 1000 + number)
        PLACE.parent.mkdir(parents=True, exist_ok=True)
        PLACE.write_text(text + _PARTITION, encoding="utf-8")
        try:
            self._start_munge()
            self._start("slurmctld", "-D", "-c")
            for name in NODES:
                self.give_back(name)
            wait_for(lambda: self.idle() == set(NODES), 60, "both nodes to be idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        said("scancel", "--user", "root")
        for process in self._daemons.values():
            process.terminate()
        for process in self._daemons.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        PLACE.unlink(missing_ok=True)

    def _start_munge(self) -> None:
        if said("munge", "-n"):
            return
        folder = Path("/run/munge")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.chown(folder, "munge", "munge")
        self._start("munged", "--foreground", user="munge")
        wait_for(lambda: bool(said("munge", "-n")), 20, "munge to answer")

    def _start(self, *words: str, name: str = "", user: str | None = None) -> None:
        log = (self.folder / f"{name or words[0]}.out").open("ab")
        self._daemons[name or words[0]] = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=user,
            group=user,
            env={**os.environ, "PATH": _path()},
        )

    def idle(self) -> set[str]:
        """Nodes that wait for work."""
        return set(said("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split())

    def running(self, name: str = "") -> dict[str, str]:
        """Jobs that run: their numbers, and the node of each; those alone whose comment has `name`."""
        lines = said("squeue", "-h", "-t", "R", "-o", "%i %N %k").splitlines()
        found = (line.split(maxsplit=2) for line in lines)
        return {number: node for number, node, *comment in found if name in " ".join(comment)}

    def lose(self, node: str) -> None:
        """A node is gone from one moment to the next, with all that ran on it."""
        daemon = self._daemons.pop(node)
        lost = [daemon.pid]
        for number, at in self.running().items():
            if at == node:
                lost += _steps_of(number)
        for one in [one for pid in lost for one in (pid, *_below(pid))]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        daemon.wait()

    def give_back(self, node: str) -> None:
        """The node is there, again."""
        self._start("slurmd", "-D", "-N", node, name=node)


def said(*command: str) -> str:
    """What a command says; nothing where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def wait_for(condition: Callable[[], bool], most_s: float, what: str) -> None:
    """Wait until something is so. Raises TimeoutError with `what` where it does not come to be."""
    end = time.monotonic() + most_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {most_s} s for {what}")
        time.sleep(0.2)


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _processes() -> dict[int, tuple[int, str]]:
    """Of every process its parent and its command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            words = folder.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, ValueError):
            continue
        found[int(folder.name)] = parent, words
    return found


def _steps_of(job: str) -> list[int]:
    return [pid for pid, (_, words) in _processes().items() if f"slurmstepd: [{job}." in words]


def _below(pid: int) -> list[int]:
    children = [child for child, (parent, _) in _processes().items() if parent == pid]
    return [one for child in children for one in (child, *_below(child))]
