"""`branchwise doctor`: which models can be used on this machine, and what to write or install for those
that cannot.
"""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.config import Experiment
    from branchwise.decoding.models.entry import ModelEntry

_PACKAGES = ("torch", "transformers", "tokenizers", "gguf")
_TIMEOUT_S = 5.0


class Finding(NamedTuple):
    """What was found out about a model: where it comes from, whether it is here, whether its revision is
    pinned, and why it cannot be used (empty where it can).
    """

    model: str
    source: str
    here: str
    revision: str
    problem: str


@command("doctor")
def doctor(
    every: Annotated[
        bool, typer.Option("--all", help="Every model of the catalogue, not the config's alone.")
    ] = False,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Say of each model whether it can be used here; status 1 where one that the config uses cannot.

    The hub is asked about models that are not on this machine, for what to download and pin.
    """
    experiment = experiment_from(config, setting)
    roles = (experiment.roles.planner, experiment.roles.paraphraser)
    used = list(dict.fromkeys([*experiment.models, *(role for role in roles if role)]))
    entries = experiment.catalogues.models
    hub = Hub()
    found = [examine(name, entries[name], hub) for name in (list(entries) if every else used)]
    _tell(found)
    for line in [*machine(), *servers(experiment)]:
        print(line)
    if any(one.problem for one in found if one.model in used):
        raise typer.Exit(1)


class Hub:
    """The Hugging Face hub, asked about models; never again once it could not be reached."""

    def __init__(self) -> None:
        self.unreachable = ""

    def commit(self, entry: "ModelEntry") -> str:
        """The commit that an entry stands for. Raises UserError where the hub has no such model, or
        cannot be reached.
        """
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError

        from branchwise.decoding.models.weights import reason_of

        if not self.unreachable:
            try:
                info = HfApi().model_info(str(entry.hub), revision=entry.revision, timeout=_TIMEOUT_S)
                return str(info.sha)
            except HfHubHTTPError as error:
                raise UserError(
                    f"the hub gives no {entry.hub} (revision {entry.revision or 'newest'}): "
                    f"{reason_of(error)}",
                    "correct `hub:` and `revision:`, or accept its licence there and set HF_TOKEN",
                ) from None
            except Exception as error:  # what a library of networks raises is not settled
                self.unreachable = reason_of(error)
        raise UserError(
            f"not on this machine, and the hub cannot be reached ({self.unreachable})",
            "go online once, or give `path:` to a local folder",
        )


def examine(name: str, entry: "ModelEntry", hub: Hub) -> Finding:
    """What there is to know of a model; nothing is downloaded, converted or loaded."""
    if not entry.is_here:
        return Finding(name, f"served as {entry.served}", "on a server", "-", "")
    if entry.hub is not None:
        return _of_hub(name, entry, hub)
    try:
        here = _here(entry)
    except UserError as error:
        return Finding(name, _source(entry), "not here", "-", str(error))
    return Finding(name, _source(entry), here, "-", "")


def _of_hub(name: str, entry: "ModelEntry", hub: Hub) -> Finding:
    from branchwise.decoding.models.places import cached_commit

    pinned = "pinned" if entry.revision else "not pinned"
    try:
        commit = cached_commit(entry)
        here = _here(entry) if commit else "not here, is downloaded at first use"
        commit = commit or hub.commit(entry)
    except UserError as error:
        return Finding(name, _source(entry), "not here", pinned, str(error))
    if entry.revision is None:
        pinned += f", write `revision: {commit}`"
    return Finding(name, _source(entry), here, pinned, "")


def _source(entry: "ModelEntry") -> str:
    if entry.path is not None:
        return f"folder {entry.path}"
    if entry.gguf is None:
        return f"hub {entry.hub}"
    if entry.package is not None:
        from branchwise.decoding.models.gguf import version_of

        installed = version_of(entry.package)
        return f"{entry.gguf} in package {entry.package} ({installed or 'not installed'})"
    return f"{entry.gguf} of hub {entry.hub}" if entry.hub else f"file {entry.gguf}"


def _here(entry: "ModelEntry") -> str:
    """In which form a model is on this machine. Raises UserError where it cannot be used as it is."""
    from branchwise.decoding.models.places import place_of

    if entry.gguf is None:
        folder = place_of(entry, online=False).folder
        if not any(folder.glob("*.safetensors")):
            raise UserError(f"{folder} has no safetensors weights", "download it whole")
        return "here"
    from branchwise.decoding.models.converting import check_loadable, folder_for, what_is_wrong
    from branchwise.decoding.models.gguf import check_file, check_whole, located, read_header

    check_file(entry)
    file = located(entry, online=False)
    header = read_header(file)
    check_whole(header, file)
    check_loadable(header, file)
    ready = what_is_wrong(folder_for(file)) is None
    return "here, converted" if ready else "here, is converted at first use"


def _tell(found: list[Finding]) -> None:
    """A line a model; a table in a terminal."""
    if not sys.stdout.isatty():
        for one in found:
            print("\t".join(one))
        return
    from rich.markup import escape

    table = Table(box=None)
    for column in Finding._fields:
        table.add_column(column, overflow="fold", style="red" if column == "problem" else None)
    for one in found:
        table.add_row(*map(escape, one))
    Console(highlight=False).print(table)


def machine() -> list[str]:
    """Versions of what decides results, the GPU, and where converted models lie."""
    import torch

    from branchwise.decoding.models.converting import models_folder

    versions = [f"{name} {_version(name)}" for name in _PACKAGES]
    gpu = "none"
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        gpu = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB"
    elif torch.backends.mps.is_available():
        gpu = "Apple, by mps"
    python = ".".join(map(str, sys.version_info[:3]))
    return [
        f"versions\tpython {python}, {', '.join(versions)}",
        f"GPU\t{gpu}",
        f"converted models\t{_short(models_folder())}",
    ]


def servers(experiment: "Experiment") -> list[str]:
    """Of each server that the config asks: where it is, and whether its key is set."""
    from branchwise.serving.entry import ServerSettings

    lines: list[str] = []
    roles, judge = experiment.roles, experiment.judge
    beside = (roles.planner_decoder, roles.paraphraser_decoder, judge.decoder if judge else None)
    for name in dict.fromkeys((*experiment.decoders, *filter(None, beside))):
        entry = experiment.catalogues.decoders[name]
        if isinstance(entry, ServerSettings):
            lines.append(f"server {name}\t{entry.base_url}, {_key(entry.key_name)}")
    if judge is not None and judge.decoder is None:
        lines.append(f"server of the judge\t{judge.base_url}, {_key(judge.key_name)}")
    return lines


def _key(variable: str | None) -> str:
    """Whether a variable is set, never what it holds."""
    if variable is None:
        return "no key"
    return f"{variable} {'set' if os.environ.get(variable) else 'not set'}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _short(path: Path) -> Any:
    """A path below the user's home as people write it."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else path
