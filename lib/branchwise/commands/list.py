"""`branchwise list`: what the catalogues hold."""

import json
import re
import sys
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from
from branchwise.config.catalogues import CATALOGUES


class Catalogue(StrEnum):
    """The catalogues, as the command line names them."""

    datasets = "datasets"
    models = "models"
    strategies = "strategies"
    decoders = "decoders"
    dependencies = "dependencies"
    paraphrases = "paraphrases"
    confidence = "confidence"
    trainings = "trainings"
    styles = "styles"


_MOST_CHARS = 60


class Listed(NamedTuple):
    """One entry: its name, what print calls it, its source or kind, and what it is."""

    catalogue: str
    name: str
    label: str
    kind: str
    description: str


@command("list")
def list_(
    catalogue: Annotated[
        Catalogue | None, typer.Argument(help="One catalogue; default: all of them.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="As a JSON list of objects instead of tables.")
    ] = False,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """List the entries of the catalogues, those that a config defines among them."""
    experiment = experiment_from(config, setting)
    wanted = [catalogue.value] if catalogue else list(CATALOGUES)
    found = [
        listed(place, name, entry)
        for place in wanted
        for name, entry in getattr(experiment.catalogues, place).items()
    ]
    if as_json:
        print(json.dumps([one._asdict() for one in found], ensure_ascii=False, indent=1))
        return
    if not sys.stdout.isatty():
        # For grep and cut: an entry a line.
        for one in found:
            print("\t".join(one))
        return
    console = Console(highlight=False)
    for place in wanted:
        console.print(_table(place, [one for one in found if one.catalogue == place]))


def _table(catalogue: str, entries: list[Listed]) -> Table:
    table = Table(title=catalogue, title_justify="left", title_style="bold", box=None)
    for column in ("name", "label", "kind", "description"):
        table.add_column(column, overflow="fold", style="bold" if column == "name" else None)
    for one in entries:
        table.add_row(*map(_plain, one[1:]))
    return table


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def listed(catalogue: str, name: str, entry: Any) -> Listed:
    """A line about an entry: what its type or module says of itself, and what it sets."""
    label = getattr(entry, "label", None) or name.replace("_", " ")
    kind = _kind(catalogue, entry)
    said = _first_sentence(_documentation(catalogue, entry))
    described = "; ".join(filter(None, (said, _settings(entry))))
    return Listed(catalogue, *(" ".join(text.split()) for text in (name, label, kind, described)))


def _kind(catalogue: str, entry: Any) -> str:
    match catalogue:
        case "datasets":
            return str(entry.source)
        case "models":
            return "folder" if entry.path else "gguf" if entry.gguf else "hub"
        case "strategies":
            return str(entry.module)
        case "styles":
            return str(entry.form)
        case _:
            return str(entry.kind)


def _documentation(catalogue: str, entry: Any) -> str:
    """The words of who wrote it: of a strategy its module's, else its type's."""
    import ast

    from branchwise.strategies.loading import source_of

    if catalogue == "models":
        # They are all of one type; what each is stands in its settings.
        return ""
    if catalogue != "strategies":
        return type(entry).__doc__ or ""
    # Parsed, not imported: a strategy may import torch.
    return ast.get_docstring(ast.parse(source_of(entry.module).read_text(encoding="utf-8"))) or ""


def _first_sentence(text: str) -> str:
    line = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=\w)\. ", line)[0].rstrip(".:")


def _settings(entry: Any) -> str:
    """What the entry sets itself, in the words of its config; long values are cut."""
    given = entry.model_dump(mode="json", by_alias=True, exclude_unset=True)
    shown = {
        key: value for key, value in given.items() if key not in ("source", "kind", "module", "label")
    }
    return ", ".join(f"{key} {_short(value)}" for key, value in shown.items())


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…"
