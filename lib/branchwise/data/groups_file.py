"""The file of groups: what `branchwise prepare` writes and every later stage reads."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from branchwise.data.types import Group
from branchwise.errors import UserError
from branchwise.files import told_unreadable
from branchwise.records import Record

GROUPS_SCHEMA = 2
_ANEW = "make the file anew with `branchwise prepare`"


class Preparation(Record):
    """What making a file of groups came to; its first line, and part of every run.json made of it."""

    schema_name: str = "branchwise.groups"
    version: int = GROUPS_SCHEMA
    settings: str = ""
    """Hash of the settings that it was made by; "" where nobody said."""
    num_groups: int
    num_questions: int
    rows_left_out: int = 0
    left_out: tuple[str, ...] = ()
    num_notes: int = 0
    notes: tuple[str, ...] = ()
    """What was changed in questions that were kept, the first of them."""
    groups_left_out: int = 0
    """Passages, or groups, with too few questions for `drawn_for` or `min_questions`."""
    gold_outside_context: int = 0


def read_groups(path: Path, settings: str | None = None) -> list[Group]:
    """Groups of a file that `prepare_groups` wrote. Raises UserError naming the first bad line, and where
    the file was made by other settings than those of a hash.
    """
    preparation = read_preparation(path)
    found = preparation.settings
    if settings and found and found != settings:
        raise UserError(
            f"{path.absolute()} was made by other settings of its data set ({found}, here {settings})",
            "make it anew with `branchwise prepare`, or give the config that it was made by",
        )
    groups = []
    with told_unreadable(path, _ANEW), path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                continue
            try:
                groups.append(Group.model_validate_json(line))
            except ValidationError as error:
                what = str(error).splitlines()[2].strip()[:400]
                raise UserError(f"{path}, line {number} is not a group: {what}", _ANEW) from None
    if len(groups) != preparation.num_groups:
        raise UserError(
            f"{path} has {len(groups)} of {preparation.num_groups} groups: it was cut off", _ANEW
        )
    return groups


def read_preparation(path: Path) -> Preparation:
    """The first line of a file of groups. Raises UserError where it is not of this version."""
    with told_unreadable(path, _ANEW):
        if not path.exists():
            raise UserError(f"groups file {path} does not exist", "make it with `branchwise prepare`")
        with path.open(encoding="utf-8") as file:
            first = file.readline()
    try:
        header: Any = json.loads(first)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("version") != GROUPS_SCHEMA:
        raise UserError(
            f"{path} has header {first[:60].strip()!r}, this version reads groups of version "
            f"{GROUPS_SCHEMA}",
            _ANEW,
        )
    try:
        return Preparation.model_validate(header)
    except ValidationError as error:
        what = str(error).splitlines()[2].strip()[:400]
        raise UserError(f"{path} has a header that is of no file of groups: {what}", _ANEW) from None
