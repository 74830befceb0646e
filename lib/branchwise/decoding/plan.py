"""The cascade: which keys a step's rows read together, and which each row reads alone.

Keys that several rows see whole (a shared prefix) are read once for all of them; what only one row
sees is gathered for all such rows at once; the tokens of one prompt chunk see each other causally.
Every row's attention is the merge of its parts (Hydragen, arXiv 2402.05099, for trees of any depth).

Shape legend: N query tokens of a step, R of them that read alone, L most keys any of these reads.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from branchwise.decoding.slots import runs_of
from branchwise.decoding.tree import Node, Pending, TokenTree

Index = slice | Tensor
"""Positions along one dimension: a slice where they are consecutive, int64 otherwise."""

SHORT_RUN = 32
"""Runs of keys shorter than this are gathered into one part instead of being read in place."""
GATHER = 1024
"""Shared keys are gathered for every row where rows x keys is at most this: a call costs more."""


class Shared(NamedTuple):
    """`rows` see all `keys`; or, if `causal`, the rows' own keys, each up to itself."""

    rows: Index
    keys: Index
    causal: bool = False


class Alone(NamedTuple):
    """Every one of `rows` sees its own row of `keys_RL`, as far as `real_RL` says."""

    rows: Index
    keys_RL: Tensor
    real_RL: Tensor

    def grown(self, slots_R: Tensor) -> "Alone":
        """The same rows one step later, when each sees one more key."""
        keys_RL = torch.cat([self.keys_RL, slots_R[:, None]], dim=1)
        more = self.real_RL.new_ones(len(slots_R), 1)
        return Alone(self.rows, keys_RL, torch.cat([self.real_RL, more], dim=1))


class Plan(NamedTuple):
    """All parts of a step's attention. Every row is in at least one."""

    shared: tuple[Shared, ...]
    alone: Alone | None


class _Block(NamedTuple):
    """The tokens of one node that a step computes."""

    node: Node
    first: int
    count: int


def make_plan(tree: TokenTree, pending: Pending) -> Plan:
    """The plan of a step whose tokens have their slots already."""
    blocks = _blocks(pending)
    keys: dict[tuple[int, ...], list[int]] = defaultdict(list)
    shared: list[Shared] = []
    viewers = _viewers(blocks)
    own = {block.node: number for number, block in enumerate(blocks)}
    for node, below in viewers.items():
        mine = own.get(node)
        new = blocks[mine].count if mine is not None else 0
        old = len(node.slots) - new
        if mine is None:
            keys[below] += node.slots
        elif new == 1:
            # A single token sees its whole node, itself included: no causal part.
            keys[tuple(sorted((*below, mine)))] += node.slots[:old]
            keys[below] += node.slots[old:]
            keys[(mine,)] += node.slots[old:]
        else:
            keys[tuple(sorted((*below, mine)))] += node.slots[:old]
            keys[below] += node.slots[old:]
            rows = slice(blocks[mine].first, blocks[mine].first + new)
            shared.append(Shared(rows, _index(node.slots[old:], tree.device), causal=True))
    single: dict[int, list[int]] = {n: [] for n, block in enumerate(blocks) if block.count == 1}
    for numbers, slots in keys.items():
        if slots and numbers:
            _assign(tree, blocks, numbers, slots, single, shared)
    return Plan(tuple(shared), _alone(tree, blocks, single))


def _blocks(pending: Pending) -> list[_Block]:
    blocks: list[_Block] = []
    for row, node in enumerate(pending.nodes):
        if blocks and blocks[-1].node is node:
            blocks[-1] = blocks[-1]._replace(count=blocks[-1].count + 1)
        else:
            blocks.append(_Block(node, row, 1))
    return blocks


def _viewers(blocks: Sequence[_Block]) -> dict[Node, tuple[int, ...]]:
    """For each node that matters, the blocks strictly below it."""
    below: dict[Node, list[int]] = {block.node: [] for block in blocks}
    for number, block in enumerate(blocks):
        for ancestor in block.node.ancestors():
            below.setdefault(ancestor, []).append(number)
    return {node: tuple(numbers) for node, numbers in below.items()}


def _assign(
    tree: TokenTree,
    blocks: Sequence[_Block],
    numbers: tuple[int, ...],
    slots: list[int],
    single: dict[int, list[int]],
    shared: list[Shared],
) -> None:
    """Keys that the same blocks see: to each alone, or read once for all."""
    num_rows = sum(blocks[n].count for n in numbers)
    if all(n in single for n in numbers) and (num_rows == 1 or num_rows * len(slots) <= GATHER):
        for n in numbers:
            single[n] += slots
        return
    rows = _rows([blocks[n] for n in numbers], tree.device)
    scattered: list[int] = []
    for start, stop in runs_of(slots):
        if stop - start >= SHORT_RUN:
            shared.append(Shared(rows, slice(start, stop)))
        else:
            scattered += range(start, stop)
    if scattered:
        shared.append(Shared(rows, _index(scattered, tree.device)))


def _rows(blocks: Sequence[_Block], device: torch.device) -> Index:
    rows = [row for block in blocks for row in range(block.first, block.first + block.count)]
    return _index(rows, device)


def _index(numbers: list[int], device: torch.device) -> Index:
    if numbers[-1] - numbers[0] + 1 == len(numbers) and len(runs_of(numbers)) == 1:
        return slice(numbers[0], numbers[-1] + 1)
    return torch.tensor(numbers, device=device)


def _alone(tree: TokenTree, blocks: Sequence[_Block], single: dict[int, list[int]]) -> Alone | None:
    if not single:
        return None
    longest = max(len(slots) for slots in single.values())
    padded = [slots + slots[-1:] * (longest - len(slots)) for slots in single.values()]
    lengths = torch.tensor([len(slots) for slots in single.values()], device=tree.device)
    real_RL = torch.arange(longest, device=tree.device) < lengths[:, None]
    rows = _rows([blocks[n] for n in single], tree.device)
    return Alone(rows, torch.tensor(padded, device=tree.device), real_RL)
