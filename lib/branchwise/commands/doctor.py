"""`branchwise doctor`: what can be used on this machine, what a config needs of it, and what to write or
install where that is not there.
"""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from

if TYPE_CHECKING:
    from branchwise.config import Experiment
    from branchwise.doctor.fact import Fact
    from branchwise.doctor.models import Finding, Hub


@command("doctor")
def doctor(
    every: Annotated[
        bool, typer.Option("--all", help="Every model of the catalogue, not the config's alone.")
    ] = False,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Say what is installed and what can be used here: models, packages, compiler, devices, memory, disk,
    hub and SLURM. Nothing is downloaded or loaded; needs are estimates.

    A model is a line (name, source, where it is, revision, problem), and so is everything else (what,
    what was found, problem); in a pipe with tabs between. Exit status 1 where something is missing that
    the config needs. The hub is asked about models that are not on this machine, for what to pin.
    """
    from branchwise.doctor.models import Hub, examine

    experiment = experiment_from(config, setting)
    roles = (experiment.roles.planner, experiment.roles.paraphraser)
    used = list(dict.fromkeys([*experiment.models, *(role for role in roles if role)]))
    entries = experiment.catalogues.models
    hub = Hub()
    models = [examine(name, entries[name], hub) for name in (list(entries) if every else used)]
    facts = list(_facts(experiment, used, hub))
    if sys.stdout.isatty():
        _show(models, facts)
    else:
        for line in (*models, *((fact.what, fact.found, fact.problem) for fact in facts)):
            # What follows the last field that says something is left out, but a model has all five.
            print("\t".join(line) if len(line) > 3 else "\t".join(line).rstrip("\t"))
    lacking = [one.model for one in models if one.problem and one.model in used]
    lacking += [fact.what for fact in facts if fact.problem and fact.needed]
    if lacking:
        raise typer.Exit(1)


def _facts(experiment: "Experiment", used: list[str], hub: "Hub") -> "Iterator[Fact]":
    """Everything beside the models, in the order in which it is told."""
    from branchwise.doctor.installed import installed
    from branchwise.doctor.machine import browser, compiler, devices, leftovers
    from branchwise.doctor.room import network, room
    from branchwise.doctor.servers import servers
    from branchwise.doctor.slurm import slurm

    yield from installed(experiment)
    yield from compiler()
    yield from devices()
    yield from network(experiment, hub)
    yield from room(experiment, used, hub)
    yield from servers(experiment)
    yield from slurm()
    yield from browser()
    yield from leftovers(experiment)


def _show(models: "list[Finding]", facts: "list[Fact]") -> None:
    """Tables, and under them each problem on a line of its own."""
    from rich.markup import escape

    from branchwise.doctor.models import Finding

    console = Console(highlight=False)
    columns = Finding._fields[:-1]
    table = Table(*columns, box=None)
    for one in models:
        table.add_row(*map(escape, one[:-1]))
    console.print(table)
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for fact in facts:
        table.add_row(escape(fact.what), escape(fact.found))
    console.print(table)
    for one in models:
        if one.problem:
            console.print(
                f"[bold red]model {escape(one.model)}:[/] {escape(one.problem)}", soft_wrap=True
            )
    for fact in facts:
        if fact.problem:
            style = "bold red" if fact.needed else "yellow"
            console.print(f"[{style}]{escape(fact.what)}:[/] {escape(fact.problem)}", soft_wrap=True)
