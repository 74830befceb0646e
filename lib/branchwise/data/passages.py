"""What a group is about, as hashes: whether training has seen what is evaluated."""

import hashlib
from collections.abc import Collection, Iterable

from branchwise.data.shots import asked_in, normalised
from branchwise.data.types import Group
from branchwise.errors import UserError


def passages_of(group: Group) -> set[str]:
    """Hashes of the passages of a group, or of its questions where they have none. Case, spaces and
    punctuation do not count.
    """
    return {_hash(asked.passage or asked.words) for asked in asked_in(group)}


def check_apart(trained: Collection[str], groups: Iterable[Group], where: str, by: str) -> None:
    """Raises UserError at the first group whose passage, or question without any, was trained on."""
    for group in groups:
        if not passages_of(group).isdisjoint(trained):
            raise UserError(
                f"group {group.id} of {where} was seen by {by}: they share a passage",
                "train on another split, or evaluate another one: what was seen says nothing",
            )


def tenth_of(text: str) -> int:
    """The part, 0 to 9, that a passage belongs to. Case, spaces and punctuation do not count."""
    return int(passage_hash(text), 16) % 10


def passage_hash(text: str) -> str:
    """The hash of one passage."""
    return _hash(normalised(text))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
