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
from branchwise.data.sources.base import FileDataset
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
    prefix = {"context": "p", "chunk": "p", "dialogue": "d", "subdomain": "s", "random": "r"}
    letter = prefix.get(dataset.grouping, "c")
    blocks = list(enumerate(_blocks(dataset, spool, block_size, embed)))
    if dataset.drawn_for is not None:
        blocks = [(number, block) for number, block in blocks if len(block) >= block_size]
    if dataset.num_groups is not None:
        # A shuffle of all, then the first ones: a larger sample holds the smaller ones.
        random.Random(f"{dataset.source}/{dataset.seed}").shuffle(blocks)  # type: ignore[attr-defined]
        blocks = blocks[: dataset.num_groups]
    shared = dataset.grouping in ("context", "chunk", "dialogue")
    for number, block in blocks:
        named = spool.block_names.get(spool.passage_of[block[0]]) if shared else None
        name = f"{letter}{number:05d}" if named is None else named
        if len(block) <= dataset.group_size or dataset.grouping in ("context", "dialogue"):
            yield Planned(name, block[: dataset.group_size], shared)
            continue
        for start in range(0, len(block), dataset.group_size):
            part = block[start : start + dataset.group_size]
            yield Planned(f"{name}.{start // dataset.group_size}", part, shared)


def _blocks(
    dataset: FileDataset, spool: Spool, block_size: int, embed: Embed | None
) -> Iterator[list[int]]:
    """Blocks of at most `block_size` questions; never over the edge of a passage or subdomain."""
    rng = random.Random(f"{dataset.source}/blocks/{dataset.seed}")  # type: ignore[attr-defined]
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
