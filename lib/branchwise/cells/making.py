"""What a cell's job is made into: its groups with what was found for them, and what asks them."""

from collections.abc import Mapping
from pathlib import Path

from branchwise.cells.asks import Asked
from branchwise.cells.flight import Found
from branchwise.cells.found import read_found, row_of, with_found
from branchwise.cells.job import CellFiles, CellJob
from branchwise.cells.runner import GroupRunner
from branchwise.data.groups_file import read_groups
from branchwise.data.passages import check_apart
from branchwise.data.shots import check_no_leak
from branchwise.data.types import Group
from branchwise.decoding.contract import Decoder
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.trained.folder import is_checkpoint, read_record, seen_passages
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.stages import STAGES, StageRow
from branchwise.strategies import load
from branchwise.trace import ANSWERER


def groups_of(job: CellJob, files: CellFiles) -> tuple[list[Group], Found]:
    """The groups with what stages before have found for them, and that itself, by group.

    Raises UserError where files and strategy do not go together.
    """
    groups = _without_shots(job, files)
    known = [(kind, rows) for kind in STAGES if (rows := _found(job, files, kind)) is not None]
    found = {group.id: tuple(row_of(group, rows, kind) for kind, rows in known) for group in groups}
    return [with_found(group, found[group.id]) for group in groups], found if known else {}


def _found(job: CellJob, files: CellFiles, kind: type[StageRow]) -> dict[str, StageRow] | None:
    """What a stage has found, by group; None where the strategy has no use for it."""
    name, path = job.strategy.of_stage(kind.stage), files.of_stage(kind.stage)
    if (name is None) != (path is None):
        raise UserError(
            f"strategy {job.cell['strategy']} {kind.verb} {name or 'no'} {kind.stage}",
            f"give --{kind.stage}, the file of `branchwise {kind.command}`"
            if name
            else f"leave out --{kind.stage}",
        )
    if name is None or path is None:
        return None
    return read_found(path, kind, name, value_hash(job.identity.settings[kind.stage]))


def _without_shots(job: CellJob, files: CellFiles) -> list[Group]:
    """The groups, none of which the prompts' shots show. Raises UserError where one is shown."""
    groups = read_groups(files.groups, value_hash(job.identity.settings["groups"]))
    check_no_leak(job.style.shots, groups)
    if job.checkpoint is not None:
        _check_trained(job, job.checkpoint)
        seen, where = seen_passages(job.checkpoint), f"data set {job.cell['dataset']}"
        check_apart(seen.trained, groups, where, f"checkpoint {job.checkpoint}")
        check_apart(seen.looked_at, groups, where, f"checkpoint {job.checkpoint}, which was chosen by it")
    return groups


def _check_trained(job: CellJob, checkpoint: Path) -> None:
    """Raises UserError where what is trained for a job is not there, or was trained by other settings."""
    if job.training is None:
        return
    train = f"branchwise train --training {job.training} --model {job.cell['model']}"
    if not is_checkpoint(checkpoint):
        raise UserError(
            f"strategy {job.cell['strategy']} is trained by {job.training}, and {checkpoint} holds no "
            "checkpoint yet",
            f"run `snakemake`, or `{train}` with the same config",
        )
    record = read_record(checkpoint)
    wanted = value_hash(job.identity.settings["strategy"]["training"]), job.identity.training_code
    if record is None or (record.settings, record.code) != wanted:
        was = "somebody else's"
        if record is not None:
            was = f"of training {record.name}, settings {record.settings} and code {record.code}"
        raise UserError(
            f"checkpoint {checkpoint} is {was}; the config trains {job.training}, settings {wanted[0]} "
            f"and code {wanted[1]}",
            f"run `{train}`, or evaluate it as it is: `checkpoints:` in the config",
        )


Sources = dict[str, ModelSource]
"""Models by role."""


class Workshop:
    """Makes the runners of jobs; what several of them share (weights, a decoder) is made once."""

    def __init__(self, sources: list[ModelSource] | None = None) -> None:
        self._sources = [] if sources is None else sources
        self._decoders: list[tuple[ModelSource, DecoderSettings, Decoder]] = []

    def fresh(self) -> "Workshop":
        """Another one with these weights and decoders of its own, whose counters begin anew."""
        return Workshop(self._sources)

    def runner_of(
        self, job: CellJob, unfit: Mapping[str, str] | None = None
    ) -> tuple[GroupRunner, Sources]:
        """The runner of a job, and its models by role; `unfit` groups it refuses to ask."""
        sources = {ANSWERER: self._source(job.model, job.checkpoint)}
        sources |= {role: self._source(entry, None) for role, entry in job.roles.items()}
        decoders = {
            role: self._decoder(source, job.decoder, job.replies_of(role))
            for role, source in sources.items()
        }
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
            unfit or {},
        )
        return runner, sources

    def _source(self, entry: ModelEntry, checkpoint: Path | None) -> ModelSource:
        for source in self._sources:
            if (source.entry, source.checkpoint) == (entry, checkpoint):
                return source
        self._sources.append(ModelSource(entry, checkpoint))
        return self._sources[-1]

    def _decoder(self, source: ModelSource, settings: DecoderSettings, replies: Path | None) -> Decoder:
        """The decoder of a model: one for all jobs, but for what keeps each job's replies."""
        for known, of, decoder in self._decoders:
            if known is source and of == settings and not settings.is_remote:
                return decoder
        made = settings.make(source, replies) if settings.is_remote else settings.make(source)
        self._decoders.append((source, settings, made))
        return self._decoders[-1][2]
