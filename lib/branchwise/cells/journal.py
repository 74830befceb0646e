"""Finished groups of an unfinished cell, so that a killed run goes on where it stopped.

Append-only, one line a group, flushed to the disk before the next group starts. Each line is keyed
by a hash of everything that its result depends on; lines of other settings are never used.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from branchwise.data.types import Group
from branchwise.files import append_journal, read_journal
from branchwise.results import GroupRecord


class Journal:
    """The journal of one cell. `num_broken` lines could not be read (a write that was cut off)."""

    def __init__(self, path: Path, request: Mapping[str, Any]) -> None:
        self.path = path
        self._request = json.dumps(request, sort_keys=True, default=str)
        entries, self.num_broken = read_journal(path)
        self._records: dict[str, GroupRecord] = {}
        for key, content in entries.items():
            try:
                self._records[key] = GroupRecord.model_validate(content)
            except ValidationError:
                self.num_broken += 1

    def key(self, group: Group) -> str:
        """Hash of the whole request: every setting, the code, the model, and the group itself."""
        content = f"{self._request}\n{group.model_dump_json()}"
        return hashlib.sha256(content.encode()).hexdigest()

    def get(self, group: Group) -> GroupRecord | None:
        """The record of `group` under exactly these settings, if it is there."""
        return self._records.get(self.key(group))

    def append(self, group: Group, record: GroupRecord) -> None:
        """Note a finished group. Raises UserError where it cannot be written."""
        append_journal(self.path, (self.key(group), record.model_dump(mode="json")))

    def remove(self) -> None:
        """The cell is complete: its files hold everything."""
        self.path.unlink(missing_ok=True)
