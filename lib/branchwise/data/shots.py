"""Made shots (examples that a prompt shows) that ship with each data set, and the check that none leaks.

The groups lie in `shots/<source>.yaml`, by language; they are made, and of no published set. Those of
worlds come from the worlds' own generator, by the entry's spec with a seed that no evaluation has and
with the names and wordings of training.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml
from pydantic import TypeAdapter

from branchwise.data.types import Group, Question
from branchwise.data.worlds.dataset import WorldsDataset
from branchwise.data.worlds.groups import WorldsSpec, make_groups
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.data.entries import DatasetEntry

FOLDER = Path(__file__).parent / "shots"
SIZES = (3, 2)
"""Questions of the two groups of a data set's shots."""
MOST_GROUPS = 5
"""Groups of worlds' shots where those of the entry are too small for two."""
FIRST_SEED = 10**9
"""Worlds of shots have seeds from here on, a few to a seed of evaluation: catalogues stay far below."""

_FILES = TypeAdapter(dict[str, tuple[Group, ...]])


def made_shots(entry: "DatasetEntry") -> tuple[Group, ...]:
    """The made groups that may be shown in prompts of a data set, in their order.

    Raises UserError where its source ships none (own data), or none in its language.
    """
    if isinstance(entry, WorldsDataset):
        return _of_worlds(entry)
    source: str = entry.source  # type: ignore[attr-defined]
    by_language = _of_file(source)
    if entry.language not in by_language:
        known = ", ".join(sorted(by_language))
        raise UserError(
            f"source {source} ships made shots in {known}, not in {entry.language}",
            "give shots a file of groups in that language",
        )
    return by_language[entry.language]


@cache
def _of_worlds(entry: WorldsDataset) -> tuple[Group, ...]:
    """Entries that differ in size alone share their shots, as they share their worlds."""
    spec = {name: getattr(entry, name) for name in WorldsSpec.model_fields}
    most = entry.drawn_for or entry.group_size
    training = {"num_groups": 1, "drawn_for": None, "names": "seen", "wordings": "seen"}
    groups: list[Group] = []
    sizes = [min(size, most) for size in SIZES]
    while sum(sizes) < sum(SIZES):
        sizes.append(min(sum(SIZES) - sum(sizes), most))
    for place, size in enumerate(sizes):
        seed = FIRST_SEED + MOST_GROUPS * entry.seed + place
        groups += make_groups(WorldsSpec(**spec | training | {"group_size": size, "seed": seed}))
    return tuple(groups)


@cache
def _of_file(source: str) -> dict[str, tuple[Group, ...]]:
    """All made groups of a source, by language. Raises UserError where it ships none."""
    path = FOLDER / f"{source}.yaml"
    if not path.is_file():
        raise UserError(
            f"source {source} ships no made shots",
            "give shots a file of groups, or take them from another data set of the same kind",
        )
    return _FILES.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))


LEAST_PART = 40
"""Characters (letters and digits) from which on a passage that is a part of another one is a leak."""


class Asked(NamedTuple):
    """A question as it is compared: its passage, its words (with those of its options), normalised."""

    passage: str
    words: str


class _Kept(dict[int, int | None]):
    """A table for `str.translate` that keeps letters, their marks and digits, and drops all else."""

    def __missing__(self, code: int) -> int | None:
        kept = code if unicodedata.category(chr(code))[0] in "LMN" else None
        self[code] = kept
        return kept


_KEPT = _Kept()


def normalised(text: str) -> str:
    """A text without case, spaces and punctuation, full-width forms made one with the usual."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_KEPT)


def check_no_leak(shots: Iterable[Group], groups: Iterable[Group]) -> None:
    """Raise UserError at the first group of an evaluation that shares a passage with a shot, or, of
    questions without any passage, a question (its paraphrases count).

    Shared is a passage that is the same, or that is a part of the other one with `LEAST_PART` characters
    or more; case, spaces and punctuation do not count.
    """
    passages: dict[str, str] = {}
    questions: dict[str, str] = {}
    for shot in shots:
        for asked in asked_in(shot):
            (passages if asked.passage else questions).setdefault(asked.passage or asked.words, shot.id)
    seen: set[str] = set()
    for group in groups:
        for asked in asked_in(group):
            if not asked.passage:
                _refuse(group, questions.get(asked.words), "asks a question")
            elif asked.passage not in seen:
                seen.add(asked.passage)
                _refuse(group, _with_passage(asked.passage, passages), "holds the passage")


def _refuse(group: Group, shot: str | None, what: str) -> None:
    if shot is not None:
        raise UserError(
            f"evaluation group {group.id} {what} of shot {shot}",
            "take this shot out: an example of an evaluation group gives its answers away",
        )


def _with_passage(passage: str, shots: dict[str, str]) -> str | None:
    """The id of the shot that shares a passage; None where none does."""
    if passage in shots:
        return shots[passage]
    for other, name in shots.items():
        short, long = sorted((passage, other), key=len)
        if len(short) >= LEAST_PART and short in long:
            return name
    return None


def asked_in(group: Group) -> Iterator[Asked]:
    """Every question of a group with each passage that it has, and in each of its wordings."""
    shared = normalised(group.context)
    for question in group:
        passages = {shared, normalised(question.context or "")} - {""}
        if passages:
            yield from (Asked(passage, "") for passage in passages)
            continue
        yield from (Asked("", words) for words in _wordings(question))


def _wordings(question: Question) -> Iterator[str]:
    # "Which is right?" is asked of many options: the options are part of what is asked.
    options = "".join(f"\n{text}" for text in sorted(normalised(text) for text in question.options))
    for text in (question.text, *question.paraphrases):
        yield normalised(text) + options
