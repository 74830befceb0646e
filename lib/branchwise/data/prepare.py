"""From a catalogue entry to a file of groups, and back."""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from branchwise.config.entries import DatasetEntry, SquadDataset, WorldsDataset
from branchwise.data.squad import SquadRows, hub_rows, official_rows
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.errors import UserError
from branchwise.files import atomic_writer

GROUPS_SCHEMA = 1


def groups_of(entry: DatasetEntry, warn: Callable[[str], None]) -> Iterator[Group]:
    """The groups of a catalogue entry. `warn` hears of every row that is left out."""
    if isinstance(entry, WorldsDataset):
        fields = WorldsSpec.model_fields
        return make_groups(WorldsSpec(**{name: getattr(entry, name) for name in fields}))
    return _squad(entry, warn)


def _squad(entry: SquadDataset, warn: Callable[[str], None]) -> Iterator[Group]:
    rows = SquadRows()
    if entry.path:
        rows.read(official_rows(Path(entry.path)))
    else:
        rows.read(hub_rows(entry.hub, entry.revision, entry.split))
    if rows.bad and entry.on_bad_row == "fail":
        raise UserError(
            f"{len(rows.bad)} bad rows, the first at {rows.bad[0]}",
            "mend them, or set `on_bad_row: skip` to leave them out with a warning each",
        )
    for bad in rows.bad:
        warn(f"left out {bad}")
    groups = list(rows.groups(entry.group_size))
    if entry.num_groups is not None:
        # A shuffle of all, then the first ones: a larger sample holds the smaller ones.
        random.Random(f"squad/{entry.seed}").shuffle(groups)
        groups = groups[: entry.num_groups]
    return iter(groups)


def write_groups(path: Path, groups: Iterable[Group]) -> int:
    """Write one group a line under a header line; returns how many."""
    count = 0
    with atomic_writer(path) as file:
        file.write(json.dumps({"schema": "branchwise.groups", "version": GROUPS_SCHEMA}) + "\n")
        for group in groups:
            file.write(group.model_dump_json(exclude_defaults=True) + "\n")
            count += 1
        if count == 0:
            raise UserError("the data set has no group", "check its entry in the catalogue")
    return count


def read_groups(path: Path) -> list[Group]:
    """Groups of a file that `write_groups` wrote. Raises UserError naming the first bad line."""
    if not path.exists():
        raise UserError(f"groups file {path} does not exist", "make it with `branchwise prepare`")
    groups = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                if number == 1:
                    _check_header(json.loads(line), path)
                else:
                    groups.append(Group.model_validate_json(line))
            except (json.JSONDecodeError, ValidationError) as error:
                reason = str(error).splitlines()[-1 if isinstance(error, json.JSONDecodeError) else 2]
                raise UserError(
                    f"{path}, line {number} is not a group: {reason.strip()}",
                    "make the file anew with `branchwise prepare`",
                ) from None
    return groups


def _check_header(header: object, path: Path) -> None:
    expected = {"schema": "branchwise.groups", "version": GROUPS_SCHEMA}
    if header != expected:
        raise UserError(
            f"{path} has header {header}, this version reads {expected}",
            "make the file anew with `branchwise prepare`",
        )
