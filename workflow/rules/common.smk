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
        for file in ("checkpoint.json", "curve.csv")
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

if workflow.is_main_process:
    # A killed run leaves its locks; nobody should have to know of --unlock.
    RUNS, num_stale = join_runs(Path(".snakemake"))
    if num_stale:
        print("locks of a killed run were removed", file=sys.stderr)


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


def names_of(catalogue):
    """A pattern that fits the names of a catalogue, and nothing else."""
    return "|".join(map(re.escape, getattr(EXPERIMENT.catalogues, catalogue)))


def cells_folder(wildcards):
    """Where all cells lie."""
    return CELLS


def times_folder(wildcards):
    """Where all times lie."""
    return TIMES


def groups_of(wildcards):
    """The file of a data set's groups."""
    name = identity.groups_name(EXPERIMENT, wildcards.dataset)
    return f"{RESULTS}/groups/{wildcards.dataset}/{name}.jsonl"


def server_of(wildcards):
    """The file by which a cell's server lives, if Snakemake starts it. When it was started decides nothing."""
    return served_by(wildcards.decoder, wildcards.model)


def served_by(decoder, model):
    """The same by names."""
    starts = getattr(EXPERIMENT.catalogues.decoders[decoder], "serve", None)
    return ancient(f"{SERVERS}/{decoder}/{model}.json") if starts else []


def judge_server(wildcards):
    """The server that the judge is asked on, if Snakemake starts one."""
    judge = EXPERIMENT.judge
    return served_by(judge.decoder, judge.model) if judge and judge.decoder else []


def stage_server(stage):
    """The server that a stage asks, if Snakemake starts one."""

    def found(wildcards):
        needed = stages.Needed(stage, getattr(wildcards, stage))
        settings = stages.asking_decoder(EXPERIMENT, needed, wildcards.model)
        names = EXPERIMENT.catalogues.decoders
        name = next((n for n, one in names.items() if one is settings), None)
        asked = stages.stage_model(EXPERIMENT, needed, wildcards.model)
        return served_by(name, asked) if name else []

    return found


def data_file(wildcards):
    """The file that a data set is read from, if it is; its content is part of the groups' name."""
    path = getattr(EXPERIMENT.catalogues.datasets[wildcards.dataset], "path", None)
    return ancient(path) if path else []


def groups_code(wildcards):
    """Hash of the code that makes the groups."""
    return hashing.groups_code(EXPERIMENT, wildcards.dataset)


def option_if_any(name):
    """A param: the option of this name with the input of this name, where a job has one."""

    @planned
    def option(wildcards, input):
        return f"--{name} {shlex.quote(str(input[name]))}" if input[name] else ""

    return option


@planned
def judged(wildcards):
    """The judge's verdicts, where the experiment asks for any on this data set."""
    if wildcards.dataset not in EXPERIMENT.judged:
        return []
    return f"{CELL_FOLDER}/{{scoring}}/judged.json"


def made_by(needed, wildcards):
    """The file of a stage that a strategy or another stage uses."""
    path = stages.stage_file(EXPERIMENT, needed, wildcards.dataset, wildcards.model)
    return f"{RESULTS}/{path}"


def stage_inputs(strategies, wildcards):
    """The files of stages that some strategies use: by stage, and what options call each."""
    found = {stage: {} for stage in STAGES}
    for strategy in strategies:
        for one in stages.needed_by(EXPERIMENT, strategy):
            found[one.stage][one.key] = made_by(one, wildcards)
    return found


def as_options(pairs):
    """Options of a command, each with its value."""
    return " ".join(f"--{name} {shlex.quote(value)}" for name, value in pairs)


def trained_for(strategy, model):
    """The checkpoint that a strategy needs, where one is trained for it."""
    name = trainings.training_of(EXPERIMENT, strategy)
    if name is None:
        return []
    folder = trainings.training_folder(EXPERIMENT, name, model)
    return [f"{TRAININGS}/{folder}/checkpoint.json"]


def trained_data(wildcards):
    """The names of the data sets that a training reads."""
    return trainings.data_of(EXPERIMENT.catalogues.trainings[wildcards.training])


def trained_groups(wildcards):
    """An input: the groups of these."""
    names = trained_data(wildcards)
    return [
        f"{RESULTS}/groups/{name}/{identity.groups_name(EXPERIMENT, name)}.jsonl"
        for name in names
    ]


def launcher(wildcards, resources):
    """What starts a training: Python, or one process a GPU, on each of the job's machines."""
    if EXPERIMENT.gpus <= 1 and resources.nodes <= 1:
        return "python"
    processes = f"torchrun --nproc-per-node {max(1, EXPERIMENT.gpus)}"
    if resources.nodes <= 1:
        return f"{processes} --standalone"
    first = "$(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1)"
    meet = f"--rdzv-backend c10d --rdzv-endpoint {first}:29500 --rdzv-id $SLURM_JOB_ID"
    return f"srun --ntasks-per-node 1 {processes} --nnodes {resources.nodes} {meet}"


def trained_options(wildcards, input):
    """The same as options of the command."""
    pairs = zip(trained_data(wildcards), input.groups)
    return " ".join(f"--groups {shlex.quote(f'{name}={file}')}" for name, file in pairs)


def contest_of(wildcards):
    """What is timed together in a job."""
    decoder = None if wildcards.contest == timing.BETWEEN else wildcards.contest
    return timing.contest_of(EXPERIMENT, wildcards.dataset, wildcards.model, decoder)


def timed_inputs(wildcards):
    """All that a timing job reads. One function: Snakemake takes its time for each that it calls."""
    cells = contest_of(wildcards).cells
    found = stage_inputs((cell.strategy for cell in cells), wildcards)
    checkpoints = (f for cell in cells for f in trained_for(cell.strategy, cell.model))
    return {
        "groups": groups_of(wildcards),
        "checkpoint": list(dict.fromkeys(checkpoints)),
        **{stage: list(files.values()) for stage, files in found.items()},
    }


def timed_options(wildcards):
    """The files of stages as options of the command."""
    cells = contest_of(wildcards).cells
    found = stage_inputs((cell.strategy for cell in cells), wildcards)
    pairs = (
        (s, f"{key}={f}") for s, files in found.items() for key, f in files.items()
    )
    return as_options(pairs)


def timed_decoder(wildcards):
    """The option that names the decoder; none where decoders are compared."""
    if wildcards.contest == timing.BETWEEN:
        return ""
    return f"--decoder {shlex.quote(wildcards.contest)}"


def times_code(wildcards):
    """Hash of the code that the times depend on."""
    return hashing.times_code(EXPERIMENT, contest_of(wildcards).cells)


def code_of_stage(stage, name, model):
    """Hash of the code that a stage's file depends on."""
    return stages.stage_code(EXPERIMENT, stages.Needed(stage, name), model)


def dependencies_code(wildcards):
    """Hash of the code that finds dependencies."""
    return code_of_stage("dependencies", wildcards.dependencies, wildcards.model)


def paraphrases_code(wildcards):
    """Hash of the code that makes paraphrases."""
    return code_of_stage("paraphrases", wildcards.paraphrases, wildcards.model)


def confidence_code(wildcards):
    """Hash of the code that finds confidences."""
    return code_of_stage("confidence", wildcards.confidence, wildcards.model)


def confided(wildcards):
    """The paraphrases whose confidence a job finds; None where they are those that the data give."""
    made = wildcards.paraphrases != stages.OF_DATA
    return stages.Needed("paraphrases", wildcards.paraphrases) if made else None


def confided_paraphrases(wildcards):
    """The file of these paraphrases, if they are made."""
    needed = confided(wildcards)
    return made_by(needed, wildcards) if needed else []


def confided_option(wildcards, input):
    """The same as an option of the command."""
    if not input.paraphrases:
        return ""
    return (
        f"--paraphrases {shlex.quote(f'{confided(wildcards).key}={input.paraphrases}')}"
    )


@planned
def cell_inputs(wildcards):
    """All that answering a cell reads. One function: Snakemake takes its time for each that it calls."""
    found = stage_inputs([wildcards.strategy], wildcards)
    return {
        "groups": groups_of(wildcards),
        "checkpoint": trained_for(wildcards.strategy, wildcards.model),
        "server": server_of(wildcards),
        **{stage: list(files.values()) for stage, files in found.items()},
    }


@planned
def stage_options(wildcards):
    """The files of stages that a cell's strategy uses, as options of the command."""
    found = stage_inputs([wildcards.strategy], wildcards)
    return as_options((s, f) for s, files in found.items() for f in files.values())


def num_shards(wildcards):
    """In how many jobs a cell is answered: as it was when it was made, for as long as it is what it was.
    How it was asked for decides nothing.
    """
    asked = EXPERIMENT.shards
    if EXPERIMENT.catalogues.decoders[wildcards.decoder].is_remote:
        return 1
    if (
        not SHARDED
        or not (run := Path(CELL_FOLDER.format(**wildcards), "run.json")).is_file()
    ):
        return asked
    codes, number = identity.recorded_codes(run)
    return (
        number
        if codes == identity.cell_codes(EXPERIMENT, named_cell(wildcards))
        else asked
    )


def parts_of(wildcards):
    """The folders of a cell's shards; none where one job answers it."""
    number = num_shards(wildcards)
    folder = f"{SHARDS}/{CELL}".format(**wildcards)
    return (
        [f"{folder}/{n + 1}-of-{number}" for n in range(number)] if number > 1 else []
    )


@planned
def generate_inputs(wildcards):
    """What a cell is made of: its shards, or all that answering it reads."""
    parts = parts_of(wildcards)
    if not parts:
        return cell_inputs(wildcards)
    files = [
        f"{part}/{name}" for part in parts for name in ("records.jsonl", "run.json")
    ]
    return {"groups": groups_of(wildcards), "shards": files}


@planned
def how_generated(wildcards):
    """The command that makes a cell, and its own options."""
    parts = parts_of(wildcards)
    if parts:
        return f"merge {shlex.join(parts)}"
    journal = f"{RESULTS}/journal/{CELL}.jsonl".format(**wildcards)
    return (
        f"generate --journal {shlex.quote(journal)} {stage_options(wildcards)}".strip()
    )


def unless_merged(answering, merging):
    """A resource of the job that makes a cell: merging shards takes less than answering."""
    if not SHARDED:
        return answering
    return lambda wildcards: merging if num_shards(wildcards) > 1 else answering


@planned
def answers_code(wildcards):
    """Hash of the code that a cell's answers depend on; all else is in the name of its folder."""
    return identity.as_param(identity.cell_codes(EXPERIMENT, named_cell(wildcards)))


def masks_code(wildcards):
    """Hash of the code that a recorded mask depends on; all else is in the name of its folder."""
    return hashing.masks_code(EXPERIMENT, named_cell(wildcards))


def recorded_mask(wildcards):
    """The file of the mask that a picture shows."""
    folder = identity.cell_folder(EXPERIMENT, named_cell(wildcards))
    return f"{RESULTS}/masks/{folder}/{wildcards.group}.json"


def named_cell(wildcards):
    """The cell that a path names, whatever its settings are."""
    return Cell(
        wildcards.dataset, wildcards.model, wildcards.strategy, wildcards.decoder
    )


def paged_file(name):
    """An input: a file of the cell that a folder of pages is about."""

    def path(wildcards):
        folder = identity.cell_folder(EXPERIMENT, named_cell(wildcards))
        return f"{CELLS}/{folder}/{name}"

    return path


def paged_scores(wildcards):
    """The scores of the cell that a folder of pages is about."""
    return f"{CELLS}/{identity.scores_path(EXPERIMENT, named_cell(wildcards))}"


def paged_times(wildcards):
    """The times of the cell that a folder of pages is about, where any are taken."""
    contest = timing.contest_of(
        EXPERIMENT, wildcards.dataset, wildcards.model, wildcards.decoder
    )
    if contest is None or not EXPERIMENT.timed_groups:
        return []
    return f"{TIMES}/{timing.times_path(EXPERIMENT, contest)}"
