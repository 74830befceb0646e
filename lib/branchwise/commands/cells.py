"""`branchwise cells`: the cells of an experiment, one a line."""

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from


@command("cells")
def cells(config: ConfigOption = [], setting: SetOption = []) -> None:  # noqa: B006
    """List the cells of an experiment (and so check its config)."""
    for cell in experiment_from(config, setting).cells:
        print(cell)
