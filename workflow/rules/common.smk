"""The typed experiment, the command line that repeats it, and helpers for the rules."""

import inspect
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import yaml

from branchwise.config import Cell, hashing, identity, stages, timing, trainings
from branchwise.config.load import load_experiment
from branchwise.config.yaml_files import read_yaml
from branchwise.errors import UserError
from branchwise.locks import join_runs
from branchwise.reporting import figures_of, tables_of
from branchwise.reporting.cells import scores_file, times_file
from branchwise.serving import process
from branchwise.status import clock, damage
from branchwise.stages import STAGES as KINDS_OF_STAGES

# Relative where possible: commands that a reader sees are short.
CONFIG_FILES = [os.path.relpath(path) for path in workflow.configfiles]
ROOT = Path(workflow.basedir)
STARTED = time.time()
# What stands before the repository's own files, seen from here.
HOME = "" if Path.cwd() == ROOT else f"{os.path.relpath(ROOT)}/"


class Unwatched:
    """A param that a command needs and no result depends on. Snakemake compares params of plain types
    between runs, and no others.
    """

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


def planned(function):
    """A function that Snakemake calls for every job, and whose arguments it looks up at each call: they
    are found once.
    """
    function.__signature__ = inspect.signature(function)
    return function


# Where jobs are given out to machines, not to this one's cores.
ON_CLUSTER = workflow.resource_settings.nodes is not None


def grows(amount):
    """Memory or time of a job: on a cluster, which ends jobs that take more, twice as much at its second
    try. Elsewhere nobody is ended, and a plain number is planned faster.
    """
    return (lambda wildcards, attempt: attempt * amount) if ON_CLUSTER else amount


def overrides():
    """What `--config` gave, over the config files."""
    from branchwise.config.load import merge

    from_files = {}
    for path in CONFIG_FILES:
        from_files = merge(from_files, read_yaml(Path(path)))
    return {key: value for key, value in config.items() if from_files.get(key) != value}


def config_arguments(given):
    """Arguments that make a command read the very config that Snakemake read."""
    words = [word for path in CONFIG_FILES for word in ("--config", path)]
    for key, value in given.items():
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6).strip()
        words += ["--set", f"{key}={text.removesuffix('...').strip()}"]
    return shlex.join(words)


try:
    GIVEN = overrides()
    EXPERIMENT = load_experiment(CONFIG_FILES, GIVEN)
    CELLS = EXPERIMENT.cells_folder
    if not EXPERIMENT.cached:
        identity.check_present(EXPERIMENT)
    SCORES = [
        str(scores_file(EXPERIMENT, cell, Path(CELLS))) for cell in EXPERIMENT.cells
    ]
    TIMES = EXPERIMENT.times_folder
    TRAININGS = EXPERIMENT.trainings_folder
    TIMED = [
        str(times_file(EXPERIMENT, contest, Path(TIMES)))
        for contest in timing.contests(EXPERIMENT)
    ]
except UserError as error:
    # The message alone: a traceback through Snakemake would bury it.
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

CONFIG = Unwatched(config_arguments(GIVEN))
# Where no number of cores is given (a report, a cluster) it is the experiment's.
ALL_CORES = workflow.resource_settings.cores or EXPERIMENT.threads
MEMORY = grows(EXPERIMENT.memory_mb)
RUNTIME = grows(EXPERIMENT.runtime_min)
RESULTS = EXPERIMENT.results
# Each lives as long as its file.
SERVERS = Path(RESULTS, "servers")
SHARDS = f"{RESULTS}/shards"
# Looked at only where there may be any. The folder stays when its shards are merged and gone.
SHARDED = EXPERIMENT.shards > 1 or Path(SHARDS).is_dir()
NAME = EXPERIMENT.experiment
PUBLISHED = (
    [f"{HOME}resources/published/{EXPERIMENT.published}.yaml"]
    if EXPERIMENT.published
    else []
)
# Cached results have what is there; `tables` and `draw` say what is missing.
TRAINED = (
    []
    if EXPERIMENT.cached
    else [
        f"{TRAININGS}/{trainings.training_folder(EXPERIMENT, name, model)}/{file}"
        for name, model in trainings.trainings_of(EXPERIMENT)
        for file in ("checkpoint.json", trainings.CURVE)
    ]
)
FIGURES = figures_of(EXPERIMENT)
TABLES = tables_of(EXPERIMENT)
TABLE_FOLDER = f"{RESULTS}/tables/{NAME}"
FIGURE_FOLDER = f"{EXPERIMENT.figures}/{NAME}"
STAGES = [kind.stage for kind in KINDS_OF_STAGES]
CELL = "{dataset}/{model}/{strategy}/{decoder}/{settings}"
# Pictures of single groups, on request.
DRAWN = "{dataset}/{model}/{strategy}/{decoder}/{group}"
CELL_FOLDER = f"{CELLS}/{CELL}"

# Jobs use the library beside the Snakefile, also inside a conda environment that holds only its
# dependencies. A prefix takes the place of Snakemake's own, which makes a command fail with any part of it.
shell.prefix(f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(ROOT / 'lib'))}; ")

# Asked for by name: what is missing while all that was made of it is there, Snakemake does not make.
DAMAGED = []

if workflow.is_main_process:
    # A killed run leaves its locks; nobody should have to know of --unlock.
    RUNS, num_stale = join_runs(Path(".snakemake"))
    if num_stale:
        print("locks of a killed run were removed", file=sys.stderr)
    if not EXPERIMENT.cached:
        if num_later := clock.brought_back(EXPERIMENT):
            print(
                f"{num_later} results are of the future (was the clock set back?): they count as made now",
                file=sys.stderr,
            )
        for path, reason, is_shown in damage.set_aside(EXPERIMENT):
            print(
                f"{path} is damaged ({reason}): set aside as {path.name}{damage.ASIDE}, to be made anew",
                file=sys.stderr,
            )
            if not is_shown:
                DAMAGED.append(str(path))


def say_errors():
    """What jobs of this run wrote of their errors: one line each, also where --quiet hides the rest."""
    for path in sorted(Path("logs").rglob("*.log")):
        if path.stat().st_mtime >= STARTED:
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("error: "):
                    print(f"{line} ({path})", file=sys.stderr)


def show_tables():
    """The tables of a run that has just made them, its worst and best groups, and where everything lies."""
    if EXPERIMENT.smoke:
        words = [
            sys.executable,
            "-m",
            "branchwise",
            "estimate",
            *shlex.split(str(CONFIG)),
        ]
        subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT / "lib")})
        return
    made = Path(TABLE_FOLDER, "accuracy.md")
    if made.is_file() and made.stat().st_mtime >= STARTED:
        words = [sys.executable, "-m", "branchwise", "show", *shlex.split(str(CONFIG))]
        subprocess.run(
            [*words, "--no-notes", "--answers"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
        )
