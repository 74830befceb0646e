"""What servers have said, kept for good: nothing that was paid for is asked again."""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from branchwise.errors import UserError
from branchwise.files import append_journal, read_journal
from branchwise.records import Record

REPLIES = "replies"
"""The name of the folder that holds all replies of a results folder."""


class ServedReply(Record):
    """A reply as the server gave it, and how it came about."""

    server: str | None = Field(None, description="Its address.")
    text: str
    stop: Literal["stop", "length"]
    stop_text: str | None = Field(None, description="The text that ended it, where one did.")
    prompt_tokens: int
    cached_tokens: int = Field(description="Of these, as the server says; 0 where it says nothing.")
    generated_tokens: int
    model: str = Field(description="As the server calls it.")
    fingerprint: str | None = Field(None, description="Of the server's version, where it gives one.")
    attempts: int
    faults: dict[str, int] = Field({}, description="Attempts that failed, by what went wrong.")
    waited_s: float = Field(description="In line, between attempts and in failed ones.")
    taken_s: float = Field(description="The attempt that succeeded, from sent to read.")
    server_s: float | None = Field(None, description="Computing, where the server says so.")
    round_trip_s: float | None = Field(None, description="Of a request that computes nothing.")
    cost: float | None = Field(
        None,
        description="By the price list of the model's entry, with attempts that failed and were paid.",
    )


class Replies:
    """The replies of one file, by what was asked; in memory alone where there is none.

    `num_broken` lines could not be read: writes that were cut off.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        entries, self.num_broken = read_journal(path) if path else ({}, 0)
        self._known: dict[str, ServedReply] = {}
        self._new: dict[str, ServedReply] = {}
        self._writing = asyncio.Lock()
        self._failed: UserError | None = None
        for key, content in entries.items():
            try:
                self._known[key] = ServedReply.model_validate(content)
            except ValidationError:
                self.num_broken += 1

    def get(self, key: str) -> ServedReply | None:
        """What is known of a request."""
        return self._known.get(key)

    async def add(self, key: str, reply: ServedReply) -> None:
        """Note a reply, on the disk first. Raises UserError where it cannot be written.

        Replies that come while others are on their way to the disk follow them together.
        """
        self._new[key] = reply
        async with self._writing:
            if self._path is not None and self._new:
                written, self._new = self._new, {}
                entries = [(one, told.model_dump(mode="json")) for one, told in written.items()]
                try:
                    await asyncio.to_thread(append_journal, self._path, *entries)
                except UserError as error:
                    self._failed = error
            if self._failed is not None:
                raise self._failed
        self._known[key] = reply


def request_key(parts: Iterable[Any]) -> str:
    """A hash of all that decides a reply."""
    return hashlib.sha256(json.dumps(list(parts), sort_keys=True).encode()).hexdigest()


def spent_below(folder: Path, server: str) -> float:
    """What all replies of a server that are kept below a folder have cost."""
    every = (reply for path in sorted(folder.rglob("*.jsonl")) for reply in _in(path))
    return sum(reply.cost or 0.0 for reply in every if reply.server in (None, server))


def _in(path: Path) -> Iterator[ServedReply]:
    return iter(Replies(path)._known.values())
