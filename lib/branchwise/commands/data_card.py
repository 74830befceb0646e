"""`branchwise data-card`: what a data set is, in numbers and two examples."""

from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from, named


@command("data-card")
def data_card(
    dataset: Annotated[str, typer.Argument(help="Name in the catalogue of data sets.")],
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
    path: Annotated[
        str | None, typer.Option(help="Read this local file instead of the entry's source.")
    ] = None,
) -> None:
    """Print a data set's source, licence, counts, lengths, fields and two examples, as Markdown."""
    from branchwise.config.load import revised
    from branchwise.data.card import card
    from branchwise.encoders.sentences import sentence_embedder

    entry = named(experiment_from(config, setting), "dataset", dataset)
    if path is not None:
        entry = revised(entry, {"path": path}, f"data set {dataset}")
    embed = None
    if getattr(entry, "grouping", None) == "similarity":
        embed = sentence_embedder(entry.encoder)
    print(card(dataset, entry, embed))
