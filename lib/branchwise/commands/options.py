"""Options that several commands share."""

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
from branchwise.config.entries import missing_verbs
from branchwise.errors import UserError

DEFAULT_CONFIG = Path("config/demo.yaml")

ConfigOption = Annotated[
    list[Path],
    typer.Option("--config", help="Config file; later ones over earlier ones."),
]
SetOption = Annotated[
    list[str],
    typer.Option("--set", help="One config key by hand: KEY=VALUE, the value in YAML."),
]


def experiment_from(configs: Sequence[Path], settings: Sequence[str]) -> Experiment:
    """The experiment that the shared options describe."""
    import yaml

    overrides: dict[str, Any] = {}
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator:
            raise UserError(f"--set {setting} has no =", "write --set KEY=VALUE")
        overrides[key] = yaml.safe_load(value)
    return load_experiment(list(configs) or [DEFAULT_CONFIG], overrides)


def named(experiment: Experiment, axis: str, name: str) -> Any:
    """A catalogue entry by its name. Raises UserError with the nearest one."""
    from branchwise.config.load import AXES, nearest

    entries = getattr(experiment.catalogues, AXES.get(axis, axis))
    if name not in entries:
        raise UserError(f"unknown {axis} {name}", nearest(name, list(entries)))
    return entries[name]


def cell_from(experiment: Experiment, dataset: str, model: str, strategy: str, decoder: str) -> Cell:
    """A cell by its names, whether or not the experiment's grid holds it."""
    from branchwise.config.load import impossible

    cell = Cell(dataset, model, strategy, decoder)
    for axis, name in cell._asdict().items():
        named(experiment, axis, name)
    catalogues = experiment.catalogues
    if missing := missing_verbs(catalogues.strategies[strategy], catalogues.decoders[decoder]):
        raise impossible(cell, missing, "command line")
    return cell


@contextmanager
def progress_bar(what: str) -> Iterator[Any]:
    """A callable (done, total) that shows progress on stderr: a live bar in a terminal, a line now
    and then in a log file.
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
        yield lambda done, total: bar.update(task, completed=done, total=total)


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

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // total
        if tenth > self.tenth:
            self.tenth = tenth
            Console(stderr=True, highlight=False).print(f"{self.what}: {done} of {total}")
