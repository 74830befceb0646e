"""A recorded mask as numbers: its rows in the order of the picture, and bins of them.

Shape legend: T tokens, B bins of tokens.
"""

from typing import NamedTuple

import numpy as np

from branchwise.masks import MaskRecord

MOST_ROWS = 400
"""Tokens that are drawn one by one; of more, several share a bin."""


class Part(NamedTuple):
    """A segment's place in the picture: its number, its first token there, and the one after its last."""

    segment: int
    first: int
    end: int


def order_of(record: MaskRecord) -> list[int]:
    """The tokens as they stand in the picture: segment by segment in the order in which these began,
    inside of one in the order of computing. What a token saw stands before it then, too.
    """
    return sorted(range(len(record.tokens)), key=lambda number: (record.segment[number], number))


def matrix(record: MaskRecord) -> np.ndarray:
    """Which token (row) saw which, bool (T, T), in the order of the picture."""
    size = len(record.tokens)
    seen_TT = np.zeros((size, size), dtype=bool)
    for row, runs in enumerate(record.seen):
        for first, end in runs:
            seen_TT[row, first:end] = True
    order = order_of(record)
    return seen_TT[np.ix_(order, order)]


def parts(record: MaskRecord) -> list[Part]:
    """The segments from the first row to the last."""
    found, first = [], 0
    for number in range(len(record.segments)):
        end = first + record.segment.count(number)
        found.append(Part(number, first, end))
        first = end
    return found


def bin_size(num_tokens: int) -> int:
    """Tokens to a bin: as few as make the bins no more than `MOST_ROWS`."""
    return max(1, -(-num_tokens // MOST_ROWS))


def binned(values_TT: np.ndarray, size: int) -> np.ndarray:
    """Means over bins of `size` tokens on both sides, (B, B); the last bin may be smaller."""
    starts = np.arange(0, len(values_TT), size)
    sums = np.add.reduceat(np.add.reduceat(values_TT.astype(float), starts, axis=0), starts, axis=1)
    counts = np.diff([*starts, len(values_TT)])
    return sums / np.outer(counts, counts)
