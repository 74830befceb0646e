"""The typed experiment, the command line that repeats it, and helpers for the rules."""

import os
import shlex
import sys
from pathlib import Path

import yaml

from branchwise.config import Cell, hashing
from branchwise.config.load import parse_experiment, read_configs
from branchwise.config.settings import as_param, resolved_settings
from branchwise.errors import UserError
from branchwise.reporting import figures_of, tables_of

# Relative where possible: the same command in another folder is the same command.
CONFIG_FILES = [os.path.relpath(path) for path in workflow.configfiles]

try:
    EXPERIMENT = parse_experiment(config, ", ".join(CONFIG_FILES) or "--config")
    from_files = read_configs(CONFIG_FILES)
except UserError as error:
    # The message alone: a traceback through Snakemake would bury it.
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

RESULTS = EXPERIMENT.results
NAME = EXPERIMENT.experiment
FIGURES = figures_of(EXPERIMENT)
TABLES = tables_of(EXPERIMENT)
CELLS = EXPERIMENT.cells_folder
TABLE_FOLDER = f"{RESULTS}/tables/{NAME}"
FIGURE_FOLDER = f"{EXPERIMENT.figures}/{NAME}"
CELL_FOLDER = f"{CELLS}/{{dataset}}/{{model}}/{{strategy}}/{{decoder}}"
SCORES = [f"{CELLS}/{cell}/scores.json" for cell in EXPERIMENT.cells]


def config_arguments():
    """Arguments that make a command read the very config that Snakemake read."""
    words = [word for path in CONFIG_FILES for word in ("--config", path)]
    for key, value in config.items():
        if from_files.get(key) != value:
            text = yaml.safe_dump(value, default_flow_style=True, width=10**6).strip()
            words += ["--set", f"{key}={text.removesuffix('...').strip()}"]
    return shlex.join(words)


CONFIG = config_arguments()

# Jobs use the library beside the Snakefile, also inside a conda environment that holds only its
# dependencies.
LIBRARY = Path(workflow.basedir) / "lib"
shell.prefix(f"export PYTHONPATH={shlex.quote(str(LIBRARY))}; ")


def cells_folder(wildcards):
    """Where all cells lie."""
    return CELLS


def dataset_entry(wildcards):
    """The catalogue entry of a data set: a change of it makes the groups anew."""
    return EXPERIMENT.catalogues.datasets[wildcards.dataset].model_dump_json()


def dataset_code(wildcards):
    """Hash of the modules that load the data set."""
    return hashing.groups_hash(EXPERIMENT, wildcards.dataset)


def scoring(wildcards):
    """What a cell's scores depend on beside its answers."""
    scorer = EXPERIMENT.catalogues.datasets[wildcards.dataset].scorer
    draws, seed = EXPERIMENT.bootstrap_draws, EXPERIMENT.seed
    return f"{scorer} {draws} {seed} {hashing.scores_hash()}"


def option_if_any(name):
    """A param: the option of this name with the input of this name, where a job has one."""
    return lambda wildcards, input: f"--{name} {input[name]}" if input[name] else ""


def judged(wildcards):
    """The judge's verdicts, where the experiment asks for any on this data set."""
    return (
        f"{CELL_FOLDER}/judged.json" if wildcards.dataset in EXPERIMENT.judged else []
    )


def dependencies_of(wildcards):
    """The file of dependencies that a strategy follows, if it follows any."""
    name = EXPERIMENT.catalogues.strategies[wildcards.strategy].dependencies
    if name is None:
        return []
    return f"{RESULTS}/dependencies/{wildcards.dataset}/{wildcards.model}/{name}.jsonl"


def dependency_identity(wildcards):
    """Everything that found dependencies depend on."""
    return as_param(
        hashing.dependency_identity(EXPERIMENT, wildcards.dependencies, wildcards.model)
    )


def cell_identity(wildcards):
    """Everything that a cell's answers depend on: its settings, its code, and its model."""
    cell = Cell(*wildcards)
    return as_param(
        {
            "settings": resolved_settings(EXPERIMENT, cell),
            "code": hashing.answers_hash(EXPERIMENT, cell),
            "model": hashing.model_hash(EXPERIMENT, cell.model),
        }
    )
