"""Documents packed into rows: one context, its branches beside each other, several documents a row.

A row is a token tree (`branchwise.decoding.held.tree`), and its mask is the tree's: training sees what
decoding sees.

Shape legend: B rows, T positions of a row.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from branchwise.decoding.held.tree import Node, Pending, TokenTree
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
    is bool, true where a query may see a key: the token tree's mask, as in decoding. Each learned token
    is predicted at `previous_BT`, the position of the token before it *in its own branch*: for the first
    token of a branch that is the end of the shared prefix, wherever the row keeps it.
    """

    ids_BT: Tensor
    positions_BT: Tensor
    learned_BT: Tensor
    previous_BT: Tensor
    mask_B1TT: Tensor
    spans: list[RowSpan]


class _Row:
    """A row being filled: a token tree, whose nodes lie one behind the other."""

    def __init__(self) -> None:
        self.tree = TokenTree(torch.device("cpu"))
        self.nodes: list[Node] = []
        self.spans: list[Span] = []
        self.num_tokens = 0

    def add(self, sequences: list[Sequence]) -> None:
        """A document: what its sequences share is a root, and what goes on from there its branches."""
        shared = shared_length(sequences)
        prefix = self._extend((), sequences[0].ids[:shared])
        nodes: list[Node] = []
        for sequence in sequences:
            begin = 0 if sequence.after else shared
            shift = self.num_tokens - begin
            parents = tuple(nodes[number] for number in sequence.after) or (prefix,)
            own = sequence.ids[begin:]
            nodes.append(self._extend(parents, own) if own else prefix)
            for span in sequence.spans:
                assert span.start >= begin, "a learned token in the shared prefix"
                self.spans.append(span._replace(start=span.start + shift))

    def _extend(self, parents: tuple[Node, ...], ids: list[int]) -> Node:
        node = self.tree.add(parents, ids)
        self.nodes.append(node)
        self.num_tokens += len(ids)
        return node

    def laid_out(self) -> tuple[Pending, list[int], Tensor]:
        """Its tokens in their order, for each the place of the one before it in its own branch (-1 where
        there is none), and which of them sees which, bool (N, N). To be called once.
        """
        pending = self.tree.pending(self.nodes, self.num_tokens)
        slots = self.tree.place(pending)
        previous = []
        for node in self.nodes:
            # Of several that it goes on after the last; no token is learned there.
            before = next((one.slots[-1] for one in reversed(node.parents) if one.slots), -1)
            previous += [before, *node.slots[:-1]][: len(node.slots)]
        return pending, previous, self.tree.mask(torch.tensor(slots, dtype=torch.long))


def shared_length(sequences: list[Sequence]) -> int:
    """How many leading tokens all sequences share that go on after no other, never reaching into a
    learned span.
    """
    sequences = [sequence for sequence in sequences if not sequence.after]
    shortest = min(len(sequence.ids) for sequence in sequences)
    first_learned = min((one.spans[0].start for one in sequences if one.spans), default=shortest)
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
    own = (len(sequence.ids) - (0 if sequence.after else shared) for sequence in sequences)
    return shared + sum(own)


def draw_batch(documents: Documents, stage: Stage, num_rows: int, row_tokens: int, pad_id: int) -> Batch:
    """Rows filled with documents of `stage`.

    A document too long for what is left of a row waits for the next one, so that long documents are
    as frequent in training as the stage says; only what waits at the end of the batch is lost. Of a
    document of several sequences those that have no room are left out, from the last on.
    """
    waiting: list[list[Sequence]] = []
    rows = [_fill_row(documents, stage, row_tokens, waiting) for _ in range(num_rows)]
    return _to_batch(rows, row_tokens, pad_id)


def _fill_row(documents: Documents, stage: Stage, row_tokens: int, waiting: list[list[Sequence]]) -> _Row:
    row = _Row()
    for sequences in list(waiting):
        if packed_length(sequences) <= row_tokens - row.num_tokens:
            row.add(sequences)
            waiting.remove(sequences)
    for _ in range(12):
        room = row_tokens - row.num_tokens
        if room < row_tokens * 0.12 or len(waiting) > _MAX_WAITING:
            break
        sequences = documents.draw(stage)
        while len(sequences) > 1 and packed_length(sequences) > room:
            sequences.pop()
        if not any(sequence.spans for sequence in sequences) or packed_length(sequences) > row_tokens:
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
    learned_BT = torch.zeros(ids_BT.shape, dtype=torch.bool)
    # Padding sees itself alone: no row of a mask may be empty.
    mask_B1TT = torch.eye(row_tokens, dtype=torch.bool).repeat(num_rows, 1, 1, 1)
    spans = []
    for index, row in enumerate(rows):
        pending, previous, mask_NN = row.laid_out()
        length = row.num_tokens
        ids_BT[index, :length] = torch.tensor(pending.tokens)
        positions_BT[index, :length] = torch.tensor(pending.positions)
        previous_BT[index, :length] = torch.tensor(previous)
        mask_B1TT[index, 0, :length, :length] = mask_NN
        for span in row.spans:
            learned_BT[index, span.start : span.start + span.length] = True
            spans.append(RowSpan(index, *span))
    return Batch(ids_BT, positions_BT, learned_BT, previous_BT, mask_B1TT, spans)
