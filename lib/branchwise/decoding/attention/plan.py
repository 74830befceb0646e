"""The cascade: which keys a step's rows read together, and which each row reads alone.

Keys that several rows see whole (a shared prefix) are read once for all of them; what only one row or
one short chunk sees is gathered, many of them into one call. Every row's attention is the merge of
its parts (Hydragen, arXiv 2402.05099, for trees of any depth).

Shape legend: N query tokens of a step; of a gathered part, P problems of at most R rows and K keys.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from branchwise.decoding.attention.scores import Index
from branchwise.decoding.held.slots import runs_of
from branchwise.decoding.held.tree import Node, Pending

LONG_RUN = 128
"""Shared runs of keys at least this long are read in place; shorter ones are gathered."""
LONG_CHUNK = 64
"""Chunks of a prompt at least this long get a causal call of their own."""
REPLICATED = 4096
"""Shared keys are gathered for every row that sees them while they are no more than this in all: for
short prefixes that is cheaper than a second call and a merge."""


class InPlace(NamedTuple):
    """`rows` see all `keys`; or, if `causal`, the rows' own keys, each up to itself."""

    rows: Index
    keys: slice
    causal: bool = False


class Copies(NamedTuple):
    """Keys and values that were gathered already, with room for more: each (P, H, room, D), of which
    the first `num_keys` of the room are filled.
    """

    keys_PHKD: Tensor
    values_PHKD: Tensor
    num_keys: int

    @property
    def num_bytes(self) -> int:
        """Memory that they take."""
        return self.keys_PHKD.nbytes + self.values_PHKD.nbytes


class Gathered(NamedTuple):
    """Many small problems in one call.

    Problem p's rows see keys as `seen_PRK` (bool) says; rows and keys, int64, are padded with real
    ones. `row_M` lists the real rows, `at_M` (int64) where they stand among all P*R; None where all are
    real. `copies` has, by layer, what was gathered in an earlier step.
    """

    rows_PR: Tensor
    keys_PK: Tensor
    seen_PRK: Tensor
    row_M: Index
    at_M: Tensor | None
    copies: dict[int, Copies]

    def grown(self, slots_N: Tensor) -> "Gathered":
        """Problems of one row each, a step later, when each sees the key at its new slot too."""
        keys_PK = torch.cat([self.keys_PK, slots_N[self.rows_PR]], dim=1)
        more = torch.ones_like(self.seen_PRK[..., :1])
        seen_PRK = torch.cat([self.seen_PRK, more], dim=2)
        return self._replace(keys_PK=keys_PK, seen_PRK=seen_PRK)


class Plan(NamedTuple):
    """All parts of a step's attention.

    Every row is in exactly one of `own`, the parts that hold the row's own key; `shared` parts are
    merged into that.
    """

    own: tuple[InPlace | Gathered, ...]
    shared: tuple[InPlace | Gathered, ...]

    def grown(self, slots_N: Tensor) -> "Plan":
        """The same plan one step later, for a step in which every row is the next token of its node."""
        # Rows that are alone in their nodes have their own keys gathered.
        own = cast("tuple[Gathered, ...]", self.own)
        return self._replace(own=tuple(part.grown(slots_N) for part in own))

    @property
    def copies(self) -> list[dict[int, Copies]]:
        """What its parts have gathered."""
        return [part.copies for part in (*self.own, *self.shared) if isinstance(part, Gathered)]


class Block(NamedTuple):
    """The tokens of one node that a step computes, which have their slots already."""

    node: Node
    first: int
    num_tokens: int

    @property
    def rows(self) -> range:
        """Their rows in the step."""
        return range(self.first, self.first + self.num_tokens)

    @property
    def new_slots(self) -> list[int]:
        """Their slots."""
        return self.node.slots[-self.num_tokens :]


class _Problem(NamedTuple):
    """Rows that see keys: all of them, or causally if there are as many keys as rows."""

    rows: Sequence[int]
    keys: Sequence[int]
    causal: bool = False


def make_plan(pending: Pending, device: torch.device) -> Plan:
    """The plan of a step whose tokens have their slots already, with its tensors on `device`."""
    blocks = blocks_of(pending)
    own: list[InPlace | Gathered] = []
    problems: list[_Problem] = []
    for block in blocks:
        slots = block.new_slots
        if block.num_tokens >= LONG_CHUNK:
            own.append(InPlace(_index(block.rows, device), slice(slots[0], slots[-1] + 1), causal=True))
        elif block.num_tokens > 1:
            problems.append(_Problem(block.rows, slots, causal=True))
    alone = {
        number: [block.node.slots[-1]] for number, block in enumerate(blocks) if block.num_tokens == 1
    }
    in_common = _assign(blocks, alone)
    problems += [_Problem([blocks[number].first], slots) for number, slots in alone.items()]
    own += _gather(problems, device)
    shared: list[InPlace | Gathered] = []
    short: list[_Problem] = []
    for numbers, slots in in_common:
        seeing = [row for number in numbers for row in blocks[number].rows]
        scattered: list[int] = []
        for start, stop in runs_of(slots):
            if stop - start >= LONG_RUN:
                shared.append(InPlace(_index(seeing, device), slice(start, stop)))
            else:
                scattered += range(start, stop)
        if scattered:
            short.append(_Problem(seeing, scattered))
    return Plan(tuple(own), (*shared, *_gather(short, device)))


def blocks_of(pending: Pending) -> list[Block]:
    """The tokens of a step, node by node."""
    blocks: list[Block] = []
    for row, node in enumerate(pending.nodes):
        if blocks and blocks[-1].node is node:
            blocks[-1] = blocks[-1]._replace(num_tokens=blocks[-1].num_tokens + 1)
        else:
            blocks.append(Block(node, row, 1))
    return blocks


def seen_together(blocks: Sequence[Block]) -> dict[tuple[int, ...], list[int]]:
    """Slots of keys by the blocks, as numbers, that see all of them; a block's own new tokens aside."""
    below: dict[Node, list[int]] = {}
    for number, block in enumerate(blocks):
        for ancestor in block.node.ancestors():
            below.setdefault(ancestor, []).append(number)
    keys: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, block in enumerate(blocks):
        # What a node held before is seen by its new tokens too; its new ones only by those below.
        others = below.pop(block.node, [])
        keys[tuple(sorted((*others, number)))] += block.node.slots[: -block.num_tokens]
        if others:
            keys[tuple(others)] += block.new_slots
    for node, others in below.items():
        keys[tuple(others)] += node.slots
    return {numbers: slots for numbers, slots in keys.items() if slots}


def _assign(
    blocks: Sequence[Block], alone: dict[int, list[int]]
) -> list[tuple[tuple[int, ...], list[int]]]:
    """`seen_together`, but what a single row is to read alone is added to `alone` instead."""
    sets = list(seen_together(blocks).items())
    single = [pair for pair in sets if all(n in alone for n in pair[0])]
    replicated = sum(len(numbers) * len(slots) for numbers, slots in single if len(numbers) > 1)
    in_common = []
    for numbers, slots in sets:
        if all(n in alone for n in numbers) and (len(numbers) == 1 or replicated <= REPLICATED):
            for number in numbers:
                alone[number] += slots
        else:
            in_common.append((numbers, slots))
    return in_common


def _index(numbers: Sequence[int], device: torch.device) -> Index:
    if numbers[-1] - numbers[0] + 1 == len(numbers) and len(runs_of(numbers)) == 1:
        return slice(numbers[0], numbers[-1] + 1)
    return torch.tensor(numbers, device=device)


def _gather(problems: Sequence[_Problem], device: torch.device) -> list[Gathered]:
    """Problems of about the same size together, so that padding at most doubles the work.

    No row is twice in one part: parts are merged row by row.
    """
    single = [len(problem.keys) for problem in problems if len(problem.rows) == 1]
    # A call more costs about as much as a few thousand keys.
    together = len(single) * max(single, default=0) <= 2 * sum(single) + REPLICATED
    alike: dict[tuple[int, int, bool, int], list[_Problem]] = defaultdict(list)
    times: dict[int, int] = defaultdict(int)
    for problem in problems:
        layer = max(times[row] for row in problem.rows)
        times |= dict.fromkeys(problem.rows, layer + 1)
        sizes = len(problem.rows).bit_length(), len(problem.keys).bit_length()
        if len(problem.rows) == 1 and together:
            sizes = (1, 0)
        bucket = (*sizes, problem.causal and len(problem.rows) > 1)
        alike[*bucket, layer].append(problem)
    return [_stack(some, device) for some in alike.values()]


def _stack(problems: Sequence[_Problem], device: torch.device) -> Gathered:
    rows_PR, num_rows_P = _padded([problem.rows for problem in problems], device)
    keys_PK, num_keys_P = _padded([problem.keys for problem in problems], device)
    real_PR = torch.arange(rows_PR.shape[1], device=device) < num_rows_P[:, None]
    real_PK = torch.arange(keys_PK.shape[1], device=device) < num_keys_P[:, None]
    if problems[0].causal:
        # Padded rows see the first key, so that no row sees nothing.
        order = torch.arange(keys_PK.shape[1], device=device)
        seen_PRK = real_PK[:, None] & (order <= order[: rows_PR.shape[1], None])
    else:
        seen_PRK = real_PK[:, None].expand(-1, rows_PR.shape[1], -1)
    row_M = _index([row for problem in problems for row in problem.rows], device)
    at_M = None if bool(real_PR.all()) else real_PR.flatten().nonzero().flatten()
    return Gathered(rows_PR, keys_PK, seen_PRK, row_M, at_M, {})


def _padded(lists: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Lists of unequal length as one matrix, padded with each one's last entry; and their lengths."""
    longest = max(map(len, lists))
    rows = [[*one, *[one[-1]] * (longest - len(one))] for one in lists]
    return torch.tensor(rows, device=device), torch.tensor([len(one) for one in lists], device=device)
