"""A recorded mask as numbers: its rows in the order of the picture, and bins of them.

Shape legend: T tokens, B bins of tokens.
"""

from itertools import groupby
from typing import Literal, NamedTuple, get_args

import numpy as np

from branchwise.masks import MaskRecord

MOST_ROWS = 400
"""Tokens that are drawn one by one; of more, several share a bin."""


Order = Literal["segments", "computed"]
"""segments: token by token of a segment, segments in the order in which they began. computed: as they
were computed; branches that generate side by side take turns. What a token saw stands before it in both.
"""

ORDERS: tuple[Order, ...] = get_args(Order)


class Part(NamedTuple):
    """Rows of one segment: its number, the first row, and the one after the last. In order `computed` a
    segment may have several.
    """

    segment: int
    first: int
    end: int


def order_of(record: MaskRecord, order: Order = "segments") -> list[int]:
    """The tokens as they stand in the picture."""
    numbers = list(range(len(record.tokens)))
    if order == "computed":
        return numbers
    return sorted(numbers, key=lambda number: (record.segment[number], number))


def matrix(record: MaskRecord, order: Order = "segments") -> np.ndarray:
    """Which token (row) saw which, bool (T, T), in the order of the picture."""
    size = len(record.tokens)
    seen_TT = np.zeros((size, size), dtype=bool)
    for row, runs in enumerate(record.seen):
        for first, end in runs:
            seen_TT[row, first:end] = True
    numbers = order_of(record, order)
    return seen_TT[np.ix_(numbers, numbers)]


def parts(record: MaskRecord, order: Order = "segments") -> list[Part]:
    """The segments from the first row to the last."""
    found, first = [], 0
    for segment, run in groupby(record.segment[number] for number in order_of(record, order)):
        end = first + len(list(run))
        found.append(Part(segment, first, end))
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
