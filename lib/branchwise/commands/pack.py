"""`branchwise pack`: the results of an experiment as one archive, with checksums and provenance."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import DEFAULT_CONFIG, ConfigOption, SetOption, experiment_from
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.config import Experiment
    from branchwise.packs.manifest import Absent, PackedResult


@command("pack")
def pack(
    out: Annotated[Path, typer.Option(help="Archive to write, .tar.gz.")],
    answers: Annotated[
        bool, typer.Option("--answers", help="Answers and traces too, not only what figures need.")
    ] = False,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Pack what is there, though results are missing or of other code."
        ),
    ] = False,
    logs: Annotated[Path, typer.Option(help="Folder of the rules' logs.")] = Path("logs"),
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Pack scores, run records, times and training curves of an experiment, with its config.

    What is missing, or was made by other code than what is here, is named; then nothing is packed unless
    --allow-missing says so, and the manifest names it too. The same results on the same day (or with
    SOURCE_DATE_EPOCH) give the same bytes. `branchwise unpack` and `make figures PACK=FILE` read it.
    """
    from branchwise import __version__
    from branchwise.cells.provenance import commit
    from branchwise.packs.archive import Source, fact_of, write_pack
    from branchwise.packs.collecting import collect
    from branchwise.packs.manifest import CONFIG, SCHEMAS, Absent, Manifest

    _check_name(out)
    experiment = experiment_from(config, setting)
    absent, results = [], []
    sources: dict[str, Source] = {CONFIG: _config_text(config, setting).encode()}
    for one in collect(experiment, answers, logs):
        if isinstance(one, Absent):
            absent.append(one)
        else:
            results.append(one.result)
            sources |= one.sources
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in (*_told(absent, results), *_own_files(experiment)):
        console.print(line, markup=False)
    _check_whole(absent, results, allow_missing)
    head, dirty = commit()
    manifest = Manifest(
        experiment=experiment.experiment,
        branchwise=__version__,
        commit=head,
        dirty=dirty,
        packed=_day(),
        schemas=SCHEMAS,
        results=tuple(results),
        absent=tuple(absent),
        files={name: fact_of(source) for name, source in sorted(sources.items())},
    )
    write_pack(out, manifest, sources)
    size = out.stat().st_size / 2**20
    total = len(results) + len(absent)
    console.print(f"{len(results)} of {total} results packed in {out} ({size:.1f} MiB)", markup=False)


def _check_name(out: Path) -> None:
    if not out.name.endswith((".tar.gz", ".tgz")):
        raise UserError(f"--out {out} does not end in .tar.gz", f"write --out {out.name}.tar.gz, say")


def _check_whole(absent: "list[Absent]", results: "list[PackedResult]", allowed: bool) -> None:
    """Raises UserError where results are missing or stale and that is not allowed, or there are none."""
    stale = [one for one in results if one.stale]
    if not results:
        raise UserError(
            "there is nothing to pack", "run `snakemake` first; `branchwise status` says more"
        )
    if (absent or stale) and not allowed:
        raise UserError(
            f"{len(absent)} of {len(results) + len(absent)} results are missing or of no use, "
            f"{len(stale)} of other code than what is here",
            "run `snakemake`, or pack what there is with --allow-missing",
        )


def _told(absent: "list[Absent]", results: "list[PackedResult]") -> list[str]:
    """A line on each result that is missing or stale."""
    lines = [
        f"{one.state}: {one.stage} {one.name}" + (f": {one.detail}" if one.detail else "")
        for one in absent
    ]
    return lines + [f"stale: {one.stage} {one.name}: {one.stale}" for one in results if one.stale]


def _own_files(experiment: "Experiment") -> list[str]:
    """A line on each strategy of the user's own: code is in no pack."""
    from branchwise.strategies.loading import split

    entries = experiment.catalogues.strategies
    files = {name: split(entries[name].module)[0] for name in experiment.strategies}
    return [
        f"note: strategy {name} is of {file.name}, which a pack does not carry: figures need it beside "
        "the unpacked config.yaml, where its entry says"
        for name, file in files.items()
        if file is not None
    ]


def _config_text(config: list[Path], setting: list[str]) -> str:
    """The config as it was given: files laid over each other, and what the command line set over them."""
    from branchwise.commands.options import overrides_from
    from branchwise.config.load import merge
    from branchwise.config.yaml_files import read_yaml

    merged: dict[str, Any] = {}
    for content in (*map(read_yaml, config or [DEFAULT_CONFIG]), overrides_from(setting)):
        merged = merge(merged, content)
    for key in ("cached", "cells_at", "results", "figures"):
        merged.pop(key, None)  # where results lie is said anew where they are unpacked
    return yaml.safe_dump(merged, sort_keys=False, allow_unicode=True)


def _day() -> str:
    """Today, or the day that $SOURCE_DATE_EPOCH names. Raises UserError where that is no number."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given and not given.isdigit():
        raise UserError(f"SOURCE_DATE_EPOCH is {given}, no number of seconds", "unset it")
    now = datetime.fromtimestamp(int(given), UTC) if given else datetime.now(UTC)
    return now.date().isoformat()
