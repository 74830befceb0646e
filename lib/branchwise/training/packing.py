"""Documents packed into rows: one context, its branches beside each other, several documents a row.

A row is a token tree (`branchwise.decoding.held.tree`), and its mask is the tree's: training sees what
decoding sees.

Shape legend: B rows, T positions of a row, N learned tokens, M mixed states.
"""

from collections.abc import Sequence as Seq
from typing import Any, NamedTuple
from zlib import crc32

import torch
from torch import Tensor

from branchwise.decoding.held.tree import Node, Together, TokenTree
from branchwise.decoding.mixers.mixing import Mixed
from branchwise.decoding.mixers.modules import Columns
from branchwise.training.sequences import Document, Sequence


class BatchSpan(NamedTuple):
    """Learned tokens that belong together: where they begin among all, how many, what they count as, and
    of which document.
    """

    first: int
    length: int
    label: str
    document: str


class Batch(NamedTuple):
    """One pass's input.

    `ids_BT`, `positions_BT` and `x_BT` are int64; `mask_B1TT` is bool, true where a query may see a key:
    the token tree's mask, as in decoding. Learned token n is `target_N[n]`, predicted at row `row_N[n]`,
    place `place_N[n]`: where the token before it *in its own branch* stands, for the first of a branch
    the end of its prompt, wherever the row keeps that. All int64. `mixed` is what is mixed, None for
    nothing.
    """

    ids_BT: Tensor
    positions_BT: Tensor
    x_BT: Tensor
    mask_B1TT: Tensor
    row_N: Tensor
    place_N: Tensor
    target_N: Tensor
    spans: list[BatchSpan]
    mixed: Mixed | None
    num_tokens: int

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in self._asdict().items() if isinstance(value, Tensor)
        }
        if self.mixed is not None:
            row_M, place_M, columns = self.mixed
            on_device = Columns(*(tensor.to(device) for tensor in columns))
            moved["mixed"] = Mixed(row_M.to(device), place_M.to(device), on_device)
        return self._replace(**moved)


class _Learned(NamedTuple):
    place: int
    target: int


class Row:
    """A row being filled: a token tree, whose nodes lie one behind the other."""

    def __init__(self) -> None:
        self.tree = TokenTree(torch.device("cpu"))
        self.nodes: list[Node] = []
        self._first: dict[Node, int] = {}
        self.num_tokens = 0
        self.num_documents = 0
        self.learned: list[_Learned] = []
        self.spans: list[BatchSpan] = []
        self.mixed: list[tuple[int, int, int, int]] = []
        """Place, number of the document in the row, column, seed."""

    def add(self, document: Document) -> None:
        """A document: what its sequences share is a root, and what goes on from there its branches."""
        sequences = document.sequences
        shared = shared_length(sequences, document.is_apart)
        together = Together(peeks=True) if document.peeks else None
        # What others go on after is a trunk, not a branch.
        has_trunk = any(sequence.after for sequence in sequences)
        prefix = self._extend((), sequences[0].ids[:shared])
        nodes: list[Node] = []
        for sequence in sequences:
            begin = 0 if sequence.after else shared
            parents = tuple(nodes[number] for number in sequence.after) or (prefix,)
            own = sequence.ids[begin:]
            peeking = together if sequence.after or not has_trunk else None
            nodes.append(self._extend(parents, own, sequence, peeking) if own else prefix)
            # One without a token of its own ends where the prefix does.
            shift = self._first[nodes[-1]] - (begin if own else 0)
            self._learn(sequence, nodes[-1], shift, begin, document)
            if document.mixes:
                self._mix(sequence, shift, document)
        self.num_documents += 1

    def _extend(
        self,
        parents: tuple[Node, ...],
        ids: list[int],
        sequence: Sequence | None = None,
        together: Together | None = None,
    ) -> Node:
        node = self.tree.add(parents, ids)
        if sequence is not None:
            node.start += sequence.shift
            node.x, node.together = sequence.x, together
        self.nodes.append(node)
        self._first[node] = self.num_tokens
        self.num_tokens += len(ids)
        return node

    def _learn(self, sequence: Sequence, node: Node, shift: int, begin: int, document: Document) -> None:
        """Note its learned tokens; `shift` brings a place in its ids to one in the row."""
        for number, span in enumerate(sequence.spans):
            assert span.start >= begin, "a learned token in the shared prefix"
            first = len(self.learned)
            for place in range(span.start, span.start + span.length):
                # Of several that it goes on after the last; no token is learned there.
                before = place - 1 + shift if place > begin else self._end_above(node)
                self.learned.append(_Learned(before, sequence.ids[place]))
            if sequence.end is not None and number == len(sequence.spans) - 1:
                self.learned.append(_Learned(len(sequence.ids) - 1 + shift, sequence.end))
            length = len(self.learned) - first
            self.spans.append(BatchSpan(first, length, span.label, document.name))

    def _end_above(self, node: Node) -> int:
        """The place of the last token above a node."""
        last = next(one for one in reversed(node.parents) if one.tokens)
        return self._first[last] + len(last.tokens) - 1

    def _mix(self, sequence: Sequence, shift: int, document: Document) -> None:
        """Note what is mixed of a sequence: the last token of its prompt, and what was answered."""
        seed = crc32(document.name.encode())
        first = sequence.num_prompt - 1
        for column, place in enumerate(range(first, len(sequence.ids))):
            self.mixed.append((place + shift, self.num_documents, column, seed))


def shared_length(sequences: Seq[Sequence], is_apart: bool = False) -> int:
    """How many leading tokens all sequences share that go on after no other, never reaching into a
    learned span; with `is_apart` nor to the token before one.
    """
    sequences = [sequence for sequence in sequences if not sequence.after]
    shortest = min(len(sequence.ids) for sequence in sequences)
    learned = [sequence.num_prompt for sequence in sequences if sequence.spans]
    limit = min(shortest, min(learned, default=shortest) - is_apart)
    if len(sequences) == 1:
        return limit
    for index in range(limit):
        if len({sequence.ids[index] for sequence in sequences}) > 1:
            return index
    return limit


def packed_length(sequences: Seq[Sequence], is_apart: bool = False) -> int:
    """Positions that a document takes in a row."""
    shared = shared_length(sequences, is_apart)
    own = (len(sequence.ids) - (0 if sequence.after else shared) for sequence in sequences)
    return shared + sum(own)


def batch_of(rows: Seq[Row], row_tokens: int, pad_id: int) -> Batch:
    """Filled rows as one input, padded to `row_tokens`. To be called once with each row."""
    num_rows = len(rows)
    ids_BT = torch.full((num_rows, row_tokens), pad_id)
    positions_BT, x_BT = torch.zeros_like(ids_BT), torch.zeros_like(ids_BT)
    # Padding sees itself alone: no row of a mask may be empty.
    mask_B1TT = torch.eye(row_tokens, dtype=torch.bool).repeat(num_rows, 1, 1, 1)
    learned: list[tuple[int, int, int]] = []
    mixed: list[tuple[int, ...]] = []
    spans: list[BatchSpan] = []
    num_documents = 0
    for index, row in enumerate(rows):
        length = row.num_tokens
        pending = row.tree.pending(row.nodes, length)
        slots = row.tree.place(pending)
        ids_BT[index, :length] = torch.tensor(pending.tokens)
        positions_BT[index, :length] = torch.tensor(pending.positions)
        x_BT[index, :length] = torch.tensor(pending.x)
        mask_B1TT[index, 0, :length, :length] = row.tree.mask(torch.tensor(slots, dtype=torch.long))
        spans += [span._replace(first=span.first + len(learned)) for span in row.spans]
        learned += [(index, one.place, one.target) for one in row.learned]
        mixed += [(index, place, number + num_documents, *rest) for place, number, *rest in row.mixed]
        num_documents += row.num_documents
    row_N, place_N, target_N = torch.tensor(learned, dtype=torch.long).reshape(-1, 3).T
    return Batch(
        ids_BT,
        positions_BT,
        x_BT,
        mask_B1TT,
        row_N,
        place_N,
        target_N,
        spans,
        _mixed(mixed),
        sum(row.num_tokens for row in rows),
    )


def _mixed(found: list[tuple[int, ...]]) -> Mixed | None:
    if not found:
        return None
    row_M, place_M, *columns = torch.tensor(found).T
    return Mixed(row_M, place_M, Columns(*columns))


def num_learned(row: Seq[Document]) -> int:
    """Tokens of a row that are learned."""
    return sum(
        sum(span.length for span in sequence.spans) + (sequence.end is not None)
        for document in row
        for sequence in document.sequences
    )


def packed(rows: Seq[Seq[Document]], pad_id: int) -> Batch:
    """Rows of documents as one pass's input, no wider than the longest."""
    filled = [_row(documents) for documents in rows]
    return batch_of(filled, max(row.num_tokens for row in filled), pad_id)


def _row(documents: Seq[Document]) -> Row:
    row = Row()
    for document in documents:
        row.add(document)
    return row
