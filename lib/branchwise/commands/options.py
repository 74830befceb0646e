"""Options that several commands share."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from branchwise.config import Cell, Experiment, load_experiment
from branchwise.config.catalogues import AXES, missing_verbs
from branchwise.config.shipped import shipped
from branchwise.errors import UserError

DEFAULT_CONFIG = shipped("config/demo.yaml")

ConfigOption = Annotated[
    list[Path],
    typer.Option("--config", help="Config file; later ones over earlier ones."),
]
SetOption = Annotated[
    list[str],
    typer.Option("--set", help="One config key by hand: KEY=VALUE, the value in YAML."),
]

DatasetOption = Annotated[str, typer.Option(help="Name in the catalogue of data sets.")]
ModelOption = Annotated[str, typer.Option(help="Name in the catalogue of models.")]
StrategyOption = Annotated[str, typer.Option(help="Name in the catalogue of strategies.")]
DecoderOption = Annotated[str, typer.Option(help="Name in the catalogue of decoders.")]
GroupsOption = Annotated[Path, typer.Option(help="File of groups, from `branchwise prepare`.")]
JournalOption = Annotated[Path | None, typer.Option(help="Where finished groups are kept until all are.")]
DependenciesOption = Annotated[
    Path | None, typer.Option(help="File of `branchwise depend`, for strategies that follow any.")
]
ParaphrasesOption = Annotated[
    Path | None, typer.Option(help="File of `branchwise paraphrase`, for strategies that name one.")
]
ConfidenceOption = Annotated[
    Path | None, typer.Option(help="File of `branchwise confide`, for strategies that name one.")
]
SettingsOption = Annotated[
    str | None, typer.Option(help="Refuse to run where the settings have not this hash.")
]


FIRST = "first"
"""In place of a group's id: the first one."""
GroupOption = Annotated[str, typer.Option(help=f"Id of the group, or `{FIRST}`.")]


def no_such_group(where: object, wanted: str, ids: Sequence[str]) -> UserError:
    """What is wrong with the id of a group; the first of those that there are."""
    return UserError(
        f"{where} has no group {wanted} among its {len(ids)}", f"the first are: {', '.join(ids[:5])}"
    )


def experiment_from(configs: Sequence[Path], settings: Sequence[str]) -> Experiment:
    """The experiment that the shared options describe."""
    return load_experiment(list(configs) or [DEFAULT_CONFIG], overrides_from(settings))


def computing_experiment(configs: Sequence[Path], settings: Sequence[str]) -> Experiment:
    """The same of a command that computes: it has taken the GPUs that a job needs, and sees no others.
    One of several processes of a training sees all: who started them has counted them.
    """
    from branchwise.devices import take

    experiment = experiment_from(configs, settings)
    if "LOCAL_RANK" not in os.environ:
        take(experiment.gpus, lambda text: print(text, file=sys.stderr))
    return experiment


def overrides_from(settings: Sequence[str]) -> dict[str, Any]:
    """What `--set` says, by key. Raises UserError where one is no KEY=VALUE, or gives a key again."""
    from branchwise.config.yaml_files import parsed

    overrides: dict[str, Any] = {}
    for setting in settings:
        key, separator, value = setting.partition("=")
        given = f"--set {setting[:200]}"
        if not separator or not key.strip():
            lacking = "key" if separator else "="
            raise UserError(f"{given} has no {lacking}", "write --set KEY=VALUE")
        if key in overrides:
            raise UserError(f"--set gives {key[:200]} twice", "leave one of them")
        overrides[key] = parsed(value, given)
    return overrides


def named(experiment: Experiment, axis: str, name: str) -> Any:
    """A catalogue entry by its name. Raises UserError with the nearest one."""
    from branchwise.config.mistakes import nearest

    plural = {**AXES, "training": "trainings"}.get(axis, axis)
    entries = getattr(experiment.catalogues, plural)
    if name not in entries:
        raise UserError(f"unknown {axis} {name[:120]}", nearest(name, list(entries)))
    return entries[name]


def cell_from(experiment: Experiment, dataset: str, model: str, strategy: str, decoder: str) -> Cell:
    """A cell by its names, whether or not the experiment's grid holds it."""
    from branchwise.config.checks import check_strategies, impossible
    from branchwise.config.decoding import check_decoding

    cell = Cell(dataset, model, strategy, decoder)
    for axis, name in cell._asdict().items():
        named(experiment, axis, name)
    catalogues = experiment.catalogues
    if missing := missing_verbs(catalogues.strategies[strategy], catalogues.decoders[decoder]):
        raise impossible(cell, missing, "command line")
    check_strategies(experiment, [strategy])
    check_decoding(experiment, cell, "command line")
    return cell


def check_settings(expected: str | None, settings: Any, what: str) -> None:
    """Raises UserError where settings are not those of a hash: a command that was copied without its
    config would otherwise make another result in the place of this one.
    """
    from branchwise.files import value_hash

    found = value_hash(settings)
    if expected is not None and expected != found:
        raise UserError(
            f"{what} has settings {found} here, not {expected}",
            "give the --config and --set that these belong to",
        )


@contextmanager
def progress_bar(what: str) -> Iterator[Any]:
    """A callable (done, total, what is under way) that shows progress on stderr: a live bar in a
    terminal, a line now and then in a log file.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _LogProgress(what)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int, doing: str = "") -> None:
            said = f"{what} ({doing})" if doing else what
            bar.update(task, completed=done, total=total, description=said)

        yield show


@contextmanager
def progress_count(what: str) -> Iterator[Callable[[int], None]]:
    """A callable (done) for work of unknown length: a live count in a terminal, silence in a log."""
    console = Console(stderr=True)
    with console.status(what) as status:
        yield lambda done: status.update(f"{what}: {done:,}")


class _LogProgress:
    """Progress for log files: one line at every tenth part."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.tenth = -1

    def __call__(self, done: int, total: int, doing: str = "") -> None:
        tenth = 10 * done // total
        if tenth > self.tenth:
            self.tenth = tenth
            said = f"{self.what}: {done} of {total}" + (f" ({doing})" if doing else "")
            Console(stderr=True, highlight=False).print(said, markup=False)
