"""Which questions are asked together: one concept for every data set.

A grouping first draws *blocks*: the questions of a passage, of a dialogue, of a subdomain, any
questions, or questions that are alike. Blocks become groups: a prefix of the block where the passage
is what makes the group (context, dialogue), or all of the block, cut. Entries that differ only in
`group_size`, with the same `drawn_for`, therefore ask nested sets of questions, or the very same.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from branchwise.data.similarity import clusters
from branchwise.data.sources.base import ONE_PASSAGE, FileDataset
from branchwise.data.spool import Spool

Embed = Callable[[Iterable[str], int], np.ndarray]
"""(texts, how many) -> unit vectors, float32 (n, dim)."""


class Planned(NamedTuple):
    """A group to be written: its id, the numbers of its questions, and whether they share a passage."""

    id: str
    questions: list[int]
    shared: bool


def plan_groups(dataset: FileDataset, spool: Spool, embed: Embed | None = None) -> Iterator[Planned]:
    """The groups of a data set, in a seeded order where only some are kept, else in the file's.

    `embed` is needed for grouping by similarity. Raises ValueError without it.
    """
    block_size = dataset.drawn_for or dataset.group_size
    blocks = _large_enough(dataset, spool, list(enumerate(_blocks(dataset, spool, block_size, embed))))
    if dataset.num_groups is not None:
        # A shuffle of all, then the first ones: a larger sample holds the smaller ones.
        random.Random(_salt(dataset, "")).shuffle(blocks)
        blocks = blocks[: dataset.num_groups]
    taken = set(spool.block_names.values())
    for number, block in blocks:
        yield from _groups_of(dataset, spool, number, block, taken)


def _groups_of(
    dataset: FileDataset, spool: Spool, number: int, block: list[int], taken: set[str]
) -> Iterator[Planned]:
    """The groups of a block, each with a name that no other has; `taken` are the names that blocks have
    in the file.
    """
    shared = dataset.grouping in ONE_PASSAGE
    passage = spool.passage_of[block[0]]
    named = spool.block_names.get(passage) if shared else None
    letter = {"similarity": "c", "context": "p", "chunk": "p"}.get(dataset.grouping, dataset.grouping[0])
    name = f"{letter}{number:05d}" if named is None else named
    # Blocks of a passage that has a name share it, so their parts are counted on; others have a number.
    whole = block if named is None else spool.passages[passage]
    num_parts = -(-(dataset.drawn_for or dataset.group_size) // dataset.group_size)
    first = whole.index(block[0]) // (dataset.drawn_for or dataset.group_size) * num_parts
    if dataset.question_order == "shuffled":
        block = spool.ordered(block, _salt(dataset, "order/"))
    if len(whole) <= dataset.group_size or dataset.grouping in ("context", "dialogue"):
        yield Planned(name, block[: dataset.group_size], shared)
        return
    for index, part in enumerate(_cut(block, dataset.group_size), start=first):
        if len(part) < (dataset.min_questions or 1):
            spool.counts.groups_left_out += 1
            continue
        own = f"{name}.{index}"
        while own in taken:
            own += "'"
        yield Planned(own, part, shared)


def _salt(dataset: FileDataset, what: str) -> str:
    return f"{dataset.source}/{what}{dataset.seed}"  # type: ignore[attr-defined]


def _large_enough(
    dataset: FileDataset, spool: Spool, blocks: list[tuple[int, list[int]]]
) -> list[tuple[int, list[int]]]:
    """The blocks that hold `drawn_for` questions and are of passages that hold `min_questions`; the
    others are counted.
    """
    whole = dataset.grouping in ("context", "dialogue")

    def size(block: list[int]) -> int:
        return len(spool.passages[spool.passage_of[block[0]]]) if whole else len(block)

    kept = [
        (number, block)
        for number, block in blocks
        if len(block) >= (dataset.drawn_for or 1) and size(block) >= (dataset.min_questions or 1)
    ]
    spool.counts.groups_left_out += len(blocks) - len(kept)
    return kept


def _blocks(
    dataset: FileDataset, spool: Spool, block_size: int, embed: Embed | None
) -> Iterator[list[int]]:
    """Blocks of at most `block_size` questions; never over the edge of a passage or subdomain."""
    rng = random.Random(_salt(dataset, "blocks/"))
    if dataset.grouping in ("context", "dialogue"):
        for members in spool.passages:
            yield members[:block_size]
    elif dataset.grouping == "chunk":
        for members in spool.passages:
            yield from _cut(members, block_size)
    elif dataset.grouping == "subdomain":
        for members in spool.subdomains:
            yield from _cut(_shuffled(members, rng), block_size)
    elif dataset.grouping == "random":
        yield from _cut(_shuffled(range(len(spool)), rng), block_size)
    else:
        if embed is None:
            raise ValueError("grouping by similarity needs a sentence encoder")
        vectors_ND = embed(spool.texts(), len(spool))
        yield from clusters(vectors_ND, block_size, dataset.similarity_threshold, rng)


def _shuffled(numbers: Iterable[int], rng: random.Random) -> list[int]:
    numbers = list(numbers)
    rng.shuffle(numbers)
    return numbers


def _cut(members: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(members), size):
        yield members[start : start + size]
