"""From a catalogue entry to a file of groups, and back."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from branchwise.config.entries import DatasetEntry, WorldsDataset
from branchwise.data.grouping import Embed, plan_groups
from branchwise.data.rows import file_rows, hub_rows
from branchwise.data.sources.base import BadRow, FileDataset, local_path
from branchwise.data.spool import Counts, Spool
from branchwise.data.types import Group, Record
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.errors import UserError
from branchwise.files import atomic_writer

GROUPS_SCHEMA = 2

Warn = Callable[[str], None]
Progress = Callable[[int], None]
"""Hears how many questions were read, now and then."""

_EVERY = 5000


class Preparation(Record):
    """What making a file of groups came to; its first line, and part of every run.json made of it."""

    schema_name: str = "branchwise.groups"
    version: int = GROUPS_SCHEMA
    num_groups: int
    num_questions: int
    rows_left_out: int = 0
    left_out: tuple[str, ...] = ()
    gold_outside_context: int = 0


def prepare_groups(
    entry: DatasetEntry,
    path: Path,
    warn: Warn,
    progress: Progress = lambda done: None,
    embed: Embed | None = None,
) -> Preparation:
    """Write the groups of a catalogue entry to `path`, one a line under a header line.

    `warn` hears of every bad row. `embed` is needed for grouping by similarity. Nothing of the data
    stays in memory but a few bytes a question. Raises UserError where the source cannot be read, where
    a row is bad and the entry says `on_bad_row: fail`, and where no group is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The number of groups is known at the end, and stands in the first line.
    with tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent) as body:
        counts = Counts()
        num_groups = num_questions = 0
        for line, size in _lines(entry, path.parent, counts, warn, progress, embed):
            body.write(line + "\n")
            num_groups += 1
            num_questions += size
        if num_groups == 0:
            raise UserError("the data set has no group", _why_none(entry, counts))
        facts = Preparation(
            num_groups=num_groups,
            num_questions=num_questions,
            rows_left_out=counts.left_out,
            left_out=tuple(str(bad) for bad in counts.examples),
            gold_outside_context=counts.gold_outside_context,
        )
        body.seek(0)
        with atomic_writer(path) as file:
            file.write(facts.model_dump_json() + "\n")
            while block := body.read(2**20):
                file.write(block)
    return facts


def _why_none(entry: DatasetEntry, counts: Counts) -> str:
    if counts.left_out:
        return f"all {counts.left_out} rows are bad, the first at {counts.examples[0]}"
    drawn_for = getattr(entry, "drawn_for", None)
    if counts.questions and drawn_for:
        return f"no passage has {drawn_for} questions: lower drawn_for"
    if counts.questions:
        return "check its entry in the catalogue"
    return "no question was read: the file is empty, or a switch of the entry lets none through"


def _lines(
    entry: DatasetEntry,
    folder: Path,
    counts: Counts,
    warn: Warn,
    progress: Progress,
    embed: Embed | None,
) -> Iterator[tuple[str, int]]:
    """Groups as JSON, each with its number of questions."""
    if isinstance(entry, WorldsDataset):
        fields = WorldsSpec.model_fields
        for group in make_groups(WorldsSpec(**{name: getattr(entry, name) for name in fields})):
            yield group.model_dump_json(exclude_defaults=True), len(group)
        return
    with Spool(folder, counts) as spool:
        _fill(spool, entry, warn, progress)
        for planned in plan_groups(entry, spool, embed):
            yield spool.group_line(planned.id, planned.questions, planned.shared), len(planned.questions)


def _fill(spool: Spool, entry: FileDataset, warn: Warn, progress: Progress) -> None:
    """Read every row of an entry's source into the spool; bad ones are counted, or refused."""
    path = local_path(entry)
    if path is not None:
        rows = file_rows(path, entry.rows_at)
    else:
        assert entry.hub is not None
        rows = hub_rows(entry.hub, entry.hub_config, entry.revision, entry.split)
    for found in entry.found(rows):
        bad = found if isinstance(found, BadRow) else spool.add(found)
        if bad is None:
            if len(spool) % _EVERY == 0:
                progress(len(spool))
            continue
        if entry.on_bad_row == "fail":
            raise UserError(f"bad row {bad}", "mend it, or leave bad rows out with on_bad_row: skip")
        spool.counts.refuse(bad)
        warn(f"left out {bad}")


def groups_of(
    entry: DatasetEntry, warn: Warn, embed: Embed | None = None, counts: Counts | None = None
) -> Iterator[Group]:
    """The groups of a catalogue entry, in memory one at a time; `warn` hears of bad rows, and `counts`
    holds what the whole source came to from the first group on.
    """
    with tempfile.TemporaryDirectory() as folder:
        lines = _lines(entry, Path(folder), counts or Counts(), warn, lambda done: None, embed)
        for line, _ in lines:
            yield Group.model_validate_json(line)


def read_groups(path: Path) -> list[Group]:
    """Groups of a file that `prepare_groups` wrote. Raises UserError naming the first bad line."""
    read_preparation(path)
    groups = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                continue
            try:
                groups.append(Group.model_validate_json(line))
            except ValidationError as error:
                raise UserError(
                    f"{path}, line {number} is not a group: {str(error).splitlines()[2].strip()}",
                    "make the file anew with `branchwise prepare`",
                ) from None
    return groups


def read_preparation(path: Path) -> Preparation:
    """The first line of a file of groups. Raises UserError where it is not of this version."""
    if not path.exists():
        raise UserError(f"groups file {path} does not exist", "make it with `branchwise prepare`")
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    try:
        header: Any = json.loads(first)
    except json.JSONDecodeError:
        header = first[:60]
    if not isinstance(header, dict) or header.get("version") != GROUPS_SCHEMA:
        raise UserError(
            f"{path} has header {header}, this version reads groups of version {GROUPS_SCHEMA}",
            "make the file anew with `branchwise prepare`",
        )
    return Preparation.model_validate(header)
