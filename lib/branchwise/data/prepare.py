"""From a catalogue entry to a file of groups, and back."""

import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from branchwise.data.grouping import Embed, plan_groups
from branchwise.data.groups_file import Preparation
from branchwise.data.passages import tenth_of
from branchwise.data.rows import file_rows, hub_rows
from branchwise.data.sources.base import ONE_PASSAGE, BadRow, FileDataset, Item, Note, local_path
from branchwise.data.spool import Counts, Scratch, Spool
from branchwise.data.types import Group
from branchwise.errors import UserError
from branchwise.files import atomic_writer

if TYPE_CHECKING:
    from branchwise.data.entries import DatasetEntry


Warn = Callable[[str], None]
Progress = Callable[[int], None]
"""Hears how many questions were read, now and then."""

_EVERY = 5000


def prepare_groups(
    entry: "DatasetEntry",
    path: Path,
    warn: Warn,
    progress: Progress = lambda done: None,
    embed: Embed | None = None,
    settings: str = "",
) -> Preparation:
    """Write the groups of a catalogue entry to `path`, one a line under a header line.

    `warn` hears of every bad row. `embed` is needed for grouping by similarity. `settings` is the hash of
    what decides the groups, noted in the file. Nothing of the data stays in memory but a few bytes a
    question. Raises UserError where the source cannot be read, where a row is bad and the entry says
    `on_bad_row: fail`, where no group is left, and where the folder of `path` takes no files.
    """
    # The number of groups is known at the end, and stands in the first line.
    with closing(Scratch(path.parent)) as body:
        counts = Counts()
        num_groups = num_questions = 0
        for line, size in _lines(entry, path.parent, counts, warn, progress, embed):
            body.append(line)
            num_groups += 1
            num_questions += size
        if num_groups == 0:
            raise UserError("the data set has no group", why_none(entry, counts))
        facts = Preparation(
            settings=settings,
            num_groups=num_groups,
            num_questions=num_questions,
            rows_left_out=counts.left_out,
            left_out=tuple(str(bad) for bad in counts.examples),
            num_notes=counts.num_notes,
            notes=tuple(str(note) for note in counts.notes),
            groups_left_out=counts.groups_left_out,
            gold_outside_context=counts.gold_outside_context,
        )
        with atomic_writer(path) as file:
            file.write(facts.model_dump_json() + "\n")
            file.writelines(body.lines())
    return facts


def why_none(entry: "DatasetEntry", counts: Counts) -> str:
    """Why a source gave no group, and what to do about it."""
    if counts.left_out and not counts.questions:
        return f"all {counts.left_out} rows are bad, the first at {counts.examples[0]}"
    if counts.groups_left_out:
        wanted = max(getattr(entry, name) or 1 for name in ("drawn_for", "min_questions"))
        return f"no passage has {wanted} questions: lower drawn_for or min_questions"
    if counts.questions:
        return "check its entry in the catalogue"
    return "no question was read: the file is empty, or a switch of the entry lets none through"


def _lines(
    entry: "DatasetEntry",
    folder: Path,
    counts: Counts,
    warn: Warn,
    progress: Progress,
    embed: Embed | None,
) -> Iterator[tuple[str, int]]:
    """Groups as JSON, each with its number of questions."""
    if not isinstance(entry, FileDataset):
        for group in entry.made():
            yield group.model_dump_json(exclude_defaults=True), len(group)
        return
    with Spool(folder, counts, scoped=entry.grouping in ONE_PASSAGE) as spool:
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
        if isinstance(found, Item) and not _is_kept(found, entry.tenths):
            continue
        if isinstance(found, Note):
            spool.counts.note(found)
            warn(str(found))
            continue
        bad = found if isinstance(found, BadRow) else spool.add(found)
        if bad is None:
            if len(spool) % _EVERY == 0:
                progress(len(spool))
            continue
        if entry.on_bad_row == "fail":
            raise UserError(f"bad row {bad}", "mend it, or leave bad rows out with on_bad_row: skip")
        spool.counts.refuse(bad)
        warn(f"left out {bad}")


def _is_kept(item: Item, tenths: Collection[int] | None) -> bool:
    """Whether a question's passage is of one of these tenths."""
    return (
        tenths is None or tenth_of(item.context or item.question.context or item.question.text) in tenths
    )


def groups_of(
    entry: "DatasetEntry", warn: Warn, embed: Embed | None = None, counts: Counts | None = None
) -> Iterator[Group]:
    """The groups of a catalogue entry, in memory one at a time; `warn` hears of bad rows, and `counts`
    holds what the whole source came to from the first group on.
    """
    with tempfile.TemporaryDirectory() as folder:
        lines = _lines(entry, Path(folder), counts or Counts(), warn, lambda done: None, embed)
        for line, _ in lines:
            yield Group.model_validate_json(line)
