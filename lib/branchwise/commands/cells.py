"""`branchwise cells`: the cells of an experiment, one a line."""

from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from


@command("cells")
def cells(
    folders: Annotated[
        bool, typer.Option("--folders", help="Where their files lie, below the folder of the cells.")
    ] = False,
    times: Annotated[
        bool, typer.Option("--times", help="The files of its timing jobs, below the folder of times.")
    ] = False,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """List the cells of an experiment (and so check its config)."""
    from branchwise.config.identity import scores_path
    from branchwise.config.timing import contests, times_path

    experiment = experiment_from(config, setting)
    if times:
        for contest in contests(experiment):
            print(times_path(experiment, contest))
        return
    for cell in experiment.cells:
        print(scores_path(experiment, cell).parent if folders else cell)
