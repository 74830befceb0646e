"""`branchwise serve`: a model's server, started for a run and stopped with it."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from, named
from branchwise.errors import UserError


@command("serve")
def serve(
    decoder: Annotated[str | None, typer.Option(help="Decoder of kind api, with a `serve`.")] = None,
    model: Annotated[str | None, typer.Option(help="Name in the catalogue of models.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file that it lives by: removed, the server ends.")
    ] = None,
    stop: Annotated[Path | None, typer.Option(help="End the server of this file.")] = None,
    watch: Annotated[Path | None, typer.Option(hidden=True)] = None,
    pid: Annotated[int, typer.Option(hidden=True)] = 0,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Start the server that a decoder's `serve` names, and wait until it answers.

    Its process id stands in OUT (JSON); it ends when OUT is removed. Snakemake starts and ends it so.
    """
    from branchwise.serving import process

    if watch is not None:
        process.watch(watch, pid, sys.stdin.buffer)
        return
    if stop is not None:
        process.stop(stop)
        return
    if decoder is None or model is None or out is None:
        raise UserError("nothing is said of what to serve", "give --decoder, --model and --out")
    experiment = experiment_from(config, setting)
    entry, served = named(experiment, "decoder", decoder), named(experiment, "model", model)
    if getattr(entry, "serve", None) is None:
        raise UserError(f"decoder {decoder} has no `serve`", "give its entry the command of its server")
    words = process.filled(entry.serve, places_of(entry, served))
    say = Console(stderr=True, highlight=False, soft_wrap=True).print
    process.start(words, entry.base_url, out.absolute(), entry.serve_wait_s, say)


def places_of(entry: object, model: object) -> dict[str, str | None]:
    """What the places of a `serve` stand for: port, the model's folder and file, and its name."""
    from typing import Any, cast
    from urllib.parse import urlsplit

    from branchwise.decoding.models.gguf import located
    from branchwise.decoding.models.places import place_of

    settings, found = cast(Any, entry), cast(Any, model)
    wanted = settings.serve
    file = str(located(found, online=True)) if found.gguf and "<file>" in wanted else None
    folder = str(place_of(found).folder) if found.is_here and "<folder>" in wanted else None
    port = urlsplit(settings.base_url).port
    return {
        "port": str(port) if port else None,
        "folder": folder,
        "file": file,
        "hub": found.hub,
        "name": found.server_name,
    }
