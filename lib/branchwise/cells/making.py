"""What a cell's job is made into: its groups with their dependencies, and the runner that asks them."""

from pathlib import Path

from branchwise.cells.desk import Asked
from branchwise.cells.found import read_dependencies, with_found
from branchwise.cells.job import CellFiles, CellJob
from branchwise.cells.runner import GroupRunner
from branchwise.data.groups_file import read_groups
from branchwise.data.shots import check_no_leak
from branchwise.data.types import Group
from branchwise.decoding.contract import Decoder
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.dependencies.graph import with_edges
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.results import GroupDependencies
from branchwise.strategies import load
from branchwise.trace import ANSWERER


def groups_of(job: CellJob, files: CellFiles) -> tuple[list[Group], dict[str, GroupDependencies]]:
    """The groups with the dependencies that are to be followed, and how these were found.

    Raises UserError where files and strategy do not go together.
    """
    groups = _without_shots(job, files)
    name = job.strategy.dependencies
    if (name is None) != (files.dependencies is None):
        raise UserError(
            f"strategy {job.cell['strategy']} follows {name or 'no'} dependencies",
            "give --dependencies, the file of `branchwise depend`"
            if name
            else "leave out --dependencies",
        )
    if name is None or files.dependencies is None:
        # Without a stage there are none: what the data states is not to be followed by the way.
        return [with_edges(group, []) for group in groups], {}
    wanted = value_hash(job.identity.settings["dependencies"])
    found = read_dependencies(files.dependencies, name, wanted)
    return [with_found(group, found) for group in groups], found


def _without_shots(job: CellJob, files: CellFiles) -> list[Group]:
    """The groups, none of which the prompts' shots show. Raises UserError where one is shown."""
    groups = read_groups(files.groups, value_hash(job.identity.settings["groups"]))
    check_no_leak(job.style.shots, groups)
    return groups


Sources = dict[str, ModelSource]
"""Models by role."""


class Workshop:
    """Makes the runners of jobs; what several of them share (weights, a decoder) is made once."""

    def __init__(self) -> None:
        self._sources: list[ModelSource] = []
        self._decoders: list[tuple[ModelSource, DecoderSettings, Decoder]] = []

    def runner_of(self, job: CellJob) -> tuple[GroupRunner, Sources]:
        """The runner of a job, and its models by role."""
        checkpoint = Path(job.strategy.checkpoint) if job.strategy.checkpoint else None
        sources = {ANSWERER: self._source(job.model, checkpoint)}
        sources |= {role: self._source(entry, None) for role, entry in job.roles.items()}
        decoders = {role: self._decoder(source, job.decoder) for role, source in sources.items()}
        answerer = decoders.pop(ANSWERER)
        if (chat := sources[ANSWERER].chat) is not None:
            chat.check_form(job.style.form)
        runner = GroupRunner(
            load(job.strategy.module, job.strategy.options),
            answerer,
            sources[ANSWERER].chat,
            job.style,
            job.max_new_tokens,
            frozenset(job.strategy.needs),
            {role: Asked(decoder, sources[role].chat) for role, decoder in decoders.items()},
        )
        return runner, sources

    def _source(self, entry: ModelEntry, checkpoint: Path | None) -> ModelSource:
        for source in self._sources:
            if (source.entry, source.checkpoint) == (entry, checkpoint):
                return source
        self._sources.append(ModelSource(entry, checkpoint))
        return self._sources[-1]

    def _decoder(self, source: ModelSource, settings: DecoderSettings) -> Decoder:
        for known, of, decoder in self._decoders:
            if known is source and of == settings:
                return decoder
        self._decoders.append((source, settings, settings.make(source)))
        return self._decoders[-1][2]
