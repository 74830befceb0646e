"""Documents packed into rows: one context, its branches beside each other, several documents a row.

Shape legend: B rows, T positions of a row.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from branchwise.training.documents import Documents
from branchwise.training.recipe import Stage
from branchwise.training.sequences import Sequence, Span

_MAX_WAITING = 4


class RowSpan(NamedTuple):
    """A learned span in a batch."""

    row: int
    start: int
    length: int
    label: str


class Batch(NamedTuple):
    """One training step's input.

    `ids_BT` and `positions_BT` are int64; `learned_BT` is bool and marks target tokens; `mask_B1TT`
    is bool, true where a query may see a key: same document, same branch or the shared prefix, not
    later. Each learned token is predicted at `previous_BT`, the position of the token before it *in
    its own branch*: for the first token of a branch that is the end of the shared prefix, wherever
    the row keeps it.
    """

    ids_BT: Tensor
    positions_BT: Tensor
    learned_BT: Tensor
    previous_BT: Tensor
    mask_B1TT: Tensor
    spans: list[RowSpan]


class _Row:
    """A row being filled."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.positions: list[int] = []
        self.previous: list[int] = []
        self.branch: list[int] = []
        self.document: list[int] = []
        self.spans: list[Span] = []
        self.num_documents = 0

    def add(self, sequences: list[Sequence]) -> None:
        self.num_documents += 1
        shared = shared_length(sequences)
        prefix_start = len(self.ids)
        self._extend(sequences[0].ids[:shared], 0, branch=0, before=-1)
        for number, sequence in enumerate(sequences, start=1):
            shift = len(self.ids) - shared
            self._extend(sequence.ids[shared:], shared, number, before=prefix_start + shared - 1)
            for span in sequence.spans:
                assert span.start >= shared, "a learned token in the shared prefix"
                self.spans.append(span._replace(start=span.start + shift))

    def _extend(self, ids: list[int], position: int, branch: int, before: int) -> None:
        start = len(self.ids)
        self.ids += ids
        self.positions += range(position, position + len(ids))
        self.previous += [before, *range(start, start + len(ids) - 1)][: len(ids)]
        self.branch += [branch] * len(ids)
        self.document += [self.num_documents] * len(ids)


def shared_length(sequences: list[Sequence]) -> int:
    """How many leading tokens all sequences share, never reaching into a learned span."""
    shortest = min(len(sequence.ids) for sequence in sequences)
    first_learned = min(sequence.spans[0].start for sequence in sequences)
    limit = min(shortest, first_learned)
    if len(sequences) == 1:
        return limit
    for index in range(limit):
        if len({sequence.ids[index] for sequence in sequences}) > 1:
            return index
    return limit


def packed_length(sequences: list[Sequence]) -> int:
    """Positions that a document takes in a row."""
    shared = shared_length(sequences)
    return shared + sum(len(sequence.ids) - shared for sequence in sequences)


def draw_batch(documents: Documents, stage: Stage, num_rows: int, row_tokens: int, pad_id: int) -> Batch:
    """Rows filled with documents of `stage`.

    A document too long for what is left of a row waits for the next one, so that long documents are
    as frequent in training as the stage says; only what waits at the end of the batch is lost.
    """
    waiting: list[list[Sequence]] = []
    rows = [_fill_row(documents, stage, row_tokens, waiting) for _ in range(num_rows)]
    return _to_batch(rows, row_tokens, pad_id)


def _fill_row(documents: Documents, stage: Stage, row_tokens: int, waiting: list[list[Sequence]]) -> _Row:
    row = _Row()
    for sequences in list(waiting):
        if packed_length(sequences) <= row_tokens - len(row.ids):
            row.add(sequences)
            waiting.remove(sequences)
    for _ in range(12):
        room = row_tokens - len(row.ids)
        if room < row_tokens * 0.12 or len(waiting) > _MAX_WAITING:
            break
        sequences = documents.draw(stage)
        while len(sequences) > 1 and packed_length(sequences) > room:
            sequences.pop()
        if not sequences or not sequences[0].spans or packed_length(sequences) > row_tokens:
            continue
        if packed_length(sequences) <= room:
            row.add(sequences)
        else:
            waiting.append(sequences)
    return row


def _to_batch(rows: list[_Row], row_tokens: int, pad_id: int) -> Batch:
    num_rows = len(rows)
    ids_BT = torch.full((num_rows, row_tokens), pad_id)
    positions_BT, previous_BT = torch.zeros_like(ids_BT), torch.zeros_like(ids_BT)
    branch_BT, document_BT = torch.zeros_like(ids_BT), torch.zeros_like(ids_BT)
    learned_BT = torch.zeros(ids_BT.shape, dtype=torch.bool)
    spans = []
    for index, row in enumerate(rows):
        length = len(row.ids)
        ids_BT[index, :length] = torch.tensor(row.ids)
        positions_BT[index, :length] = torch.tensor(row.positions)
        previous_BT[index, :length] = torch.tensor(row.previous)
        branch_BT[index, :length] = torch.tensor(row.branch)
        document_BT[index, :length] = torch.tensor(row.document)
        for span in row.spans:
            learned_BT[index, span.start : span.start + span.length] = True
            spans.append(RowSpan(index, *span))
    same_document = document_BT[:, :, None] == document_BT[:, None, :]
    visible = (branch_BT[:, None, :] == 0) | (branch_BT[:, None, :] == branch_BT[:, :, None])
    causal = torch.ones(row_tokens, row_tokens, dtype=torch.bool).tril()
    mask_B1TT = (same_document & visible & causal)[:, None]
    return Batch(ids_BT, positions_BT, learned_BT, previous_BT, mask_B1TT, spans)
