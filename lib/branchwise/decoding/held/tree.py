"""The token tree: which token sees which, where its keys and values lie, what still has to be computed.

A node is a run of tokens with parents. A token sees its own node up to itself and everything that its
ancestors hold. Both halves of that rule are data (`visible` between nodes, the order in which tokens
were written), so isolation, shared prefixes and every other layout are different trees under one
mask. A node that has children takes no more tokens: what a child sees never changes after the fork.

Nodes that are `together` enter every pass together or not at all. Of those that peek a token also sees
the others' tokens at earlier positions: what it sees goes by column, never by the order of writing.

Shape legend: N query tokens of a step, S key slots in use, M nodes.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from branchwise.decoding.held.slots import SlotAllocator

NOBODY = 0
"""Node id of free slots: no node sees it."""


@dataclass(eq=False)
class Together:
    """What some nodes do together. `mixes`: their hidden states are mixed; `peeks`: they see each other's
    tokens at earlier positions. `seed` draws what a control needs, the same whatever else is decoded.
    """

    mixes: bool = False
    peeks: bool = False
    seed: int = 0


@dataclass(eq=False)
class Node:
    """A run of tokens. `slots[i]` holds the keys and values of `tokens[i]`, for those computed.

    `start` is the logical position of the first; `x` the branch's place beside the line of positions.
    `level` counts the trees that its own inherits from.
    `payer` is the running prompt that its pending tokens are computed for, None where nobody's are.
    `together`: what it does with others; `column` counts its first token in the branch's own.
    """

    id: int
    parents: tuple["Node", ...]
    start: int
    tokens: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    children: list["Node"] = field(default_factory=list)
    root_id: int = NOBODY
    level: int = 0
    x: int = 0
    holders: int = 0
    open_to_match: bool = True
    payer: object | None = None
    together: Together | None = None
    column: int = 0

    def goes_on(self, parent: "Node") -> bool:
        """Whether a prompt that has come to the end of `parent` may go on through this node: it sees
        nothing else, and stands where a plain prompt would.
        """
        plain = self.parents == (parent,) and self.start == parent.end and self.x == parent.x
        return self.open_to_match and bool(self.tokens) and plain

    @property
    def end(self) -> int:
        """Logical position after the last token."""
        return self.start + len(self.tokens)

    def ancestors(self) -> list["Node"]:
        """All nodes above this one, nearest first, each once."""
        found: dict[Node, None] = {}
        stack = list(self.parents)
        while stack:
            node = stack.pop()
            if node not in found:
                found[node] = None
                stack.extend(node.parents)
        return list(found)

    @property
    def num_pending(self) -> int:
        """Tokens whose keys and values are not computed yet."""
        return len(self.tokens) - len(self.slots)


class Pending(NamedTuple):
    """Tokens to compute in one step, in write order. All lists have one entry per token."""

    nodes: list[Node]
    tokens: list[int]
    positions: list[int]

    @property
    def columns(self) -> list[int]:
        """Of each token its place in the branch's own: a pass holds the last ones of its node."""
        left = Counter(self.nodes)
        found = []
        for node in self.nodes:
            found.append(node.column + len(node.slots) - left[node])
            left[node] -= 1
        return found

    @property
    def x(self) -> list[int]:
        """Place of each token's branch beside the line of positions."""
        return [node.x for node in self.nodes]


class TokenTree:
    """All tokens of all groups in flight, and the tensors that masks are made of."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.slots = SlotAllocator()
        self.visible_MM = torch.zeros(64, 64, dtype=torch.bool, device=device)
        self.node_S = torch.zeros(256, dtype=torch.long, device=device)
        self.order_S = torch.zeros(256, dtype=torch.long, device=device)
        self.position_S = torch.zeros(256, dtype=torch.long, device=device)
        self.peeks_S = torch.zeros(256, dtype=torch.long, device=device)
        self._peeking: WeakKeyDictionary[Together, int] = WeakKeyDictionary()
        self._num_peeking = 0
        self._free_ids: list[int] = []
        self._next_id = NOBODY + 1
        self._num_written = 0
        self.nodes: dict[int, Node] = {}
        self.version = 0

    # ----- building -----

    def add(
        self,
        parents: tuple[Node, ...],
        tokens: Sequence[int] = (),
        start: int | None = None,
        is_root: bool = False,
    ) -> Node:
        """A new node below `parents` (none: a root), by default starting where the farthest ends.

        With `is_root` a tree of its own begins, one that inherits from another.
        """
        self.version += 1
        node_id = self._free_ids.pop() if self._free_ids else self._new_id()
        if start is None:
            start = max((parent.end for parent in parents), default=0)
        node = Node(node_id, parents, start, list(tokens))
        if parents:
            node.x = min(parent.x for parent in parents)
        node.root_id = parents[0].root_id if parents and not is_root else node_id
        node.level = max((parent.level for parent in parents), default=0) + (is_root and bool(parents))
        self.nodes[node_id] = node
        row = self.visible_MM[[parent.id for parent in parents]].any(0)
        self.visible_MM[node_id] = row
        self.visible_MM[:, node_id] = False
        self.visible_MM[node_id, node_id] = True
        for parent in parents:
            parent.children.append(node)
        return node

    def _new_id(self) -> int:
        node_id, self._next_id = self._next_id, self._next_id + 1
        size = len(self.visible_MM)
        if node_id >= size:
            larger = torch.zeros(2 * size, 2 * size, dtype=torch.bool, device=self.device)
            larger[:size, :size] = self.visible_MM
            self.visible_MM = larger
        return node_id

    def insert(self, root: Node, tokens: Sequence[int]) -> tuple[Node, int]:
        """The node that ends with `tokens` below `root`, sharing what is there already.

        Returns the node (held once more) and how many leading tokens were shared. The last token is
        never shared, so that there is always a row of logits to go on from.
        """
        limit = len(tokens) - 1
        node, matched = root, 0
        while matched < limit:
            child = next(
                (c for c in node.children if c.goes_on(node) and c.tokens[0] == tokens[matched]),
                None,
            )
            if child is None:
                break
            common = _common_length(child.tokens, tokens[matched:limit])
            matched += common
            node = child if common == len(child.tokens) else self._split(child, common)
        leaf = self.add((node,), tokens[matched:])
        self.hold(leaf)
        return leaf, matched

    def _split(self, node: Node, length: int) -> Node:
        """Cut `node` after `length` tokens; returns the new node that holds the first part."""
        top = self.add(node.parents, node.tokens[:length])
        for parent in node.parents:
            parent.children.remove(node)
        top.start, top.x, top.payer = node.start, node.x, node.payer
        top.root_id, top.level = node.root_id, node.level
        top.slots, node.slots = node.slots[:length], node.slots[length:]
        node.start += length
        node.tokens = node.tokens[length:]
        node.parents = (top,)
        top.children.append(node)
        self.visible_MM[:, top.id] |= self.visible_MM[:, node.id]
        if top.slots:
            self.node_S[top.slots] = top.id
        return top

    # ----- computing -----

    def pending(self, nodes: Sequence[Node], limit: int) -> Pending:
        """Up to `limit` tokens to compute next so that `nodes` can go on, ancestors first.

        Nodes that come first are served first; the tokens of one tree stand together.
        """
        order: dict[Node, None] = {}
        for node in nodes:
            self._collect(node, order)
        chosen: dict[Node, int] = {}
        room = limit

        def is_blocked(node: Node) -> bool:
            above = (parent for parent in node.parents if parent in order)
            return any(chosen.get(parent, -1) < parent.num_pending for parent in above)

        sets: dict[Together, list[Node]] = {}
        for node in order:
            if node.together is not None:
                sets.setdefault(node.together, []).append(node)
        # Twice: what some do together may wait for beginnings that are taken on the way.
        for node in (*order, *(node for alike in sets.values() for node in alike[:1])):
            alike = [node] if node.together is None else sets[node.together]
            if node in chosen or any(map(is_blocked, alike)):
                continue
            if node.together is not None and sum(one.num_pending for one in alike) > room:
                continue
            for one in alike:
                if room > 0 or not one.num_pending:
                    chosen[one] = min(room, one.num_pending)
                    room -= chosen[one]
        pending = Pending([], [], [])
        # A token sees what was written before it: trees come after those that they inherit from.
        for node, take in sorted(chosen.items(), key=lambda pair: (pair[0].level, pair[0].root_id)):
            done = len(node.slots)
            pending.nodes.extend([node] * take)
            pending.tokens.extend(node.tokens[done : done + take])
            pending.positions.extend(range(node.start + done, node.start + done + take))
        return pending

    def _collect(self, node: Node, order: dict[Node, None]) -> None:
        """Nodes with pending tokens among `node` and its ancestors, parents before children.

        Ancestors of a computed node are computed, so the walk stops there; not at a node without tokens,
        which says nothing of them.
        """
        stack = [(node, False)]
        while stack:
            current, parents_done = stack.pop()
            is_passed = not current.tokens and current.parents
            if current in order or not (current.num_pending or is_passed):
                continue
            if parents_done:
                order[current] = None
            else:
                stack.append((current, True))
                stack.extend((parent, False) for parent in current.parents)

    def place(self, pending: Pending) -> list[int]:
        """Give every pending token a slot and note its node, position and write order.

        Returns the slots. The tokens count as computed from here on.
        """
        if not pending.tokens:
            return []
        slots: list[int] = []
        for node, block in groupby(pending.nodes):
            taken = self.slots.take(len(list(block)))
            node.slots += taken
            slots += taken
        self._grow(self.slots.high)
        first = self._num_written
        self._num_written += len(slots)
        # Where they lie in one row, a slice: much cheaper to write to.
        run = slots[-1] - slots[0] + 1 == len(slots) and slots == sorted(slots)
        to = slice(slots[0], slots[-1] + 1) if run else torch.tensor(slots, device=self.device)
        written = [[n.id for n in pending.nodes], range(first, self._num_written), pending.positions]
        facts_3N = torch.tensor([list(row) for row in written], device=self.device)
        for tensor, row_N in zip((self.node_S, self.order_S, self.position_S), facts_3N, strict=True):
            tensor[to] = row_N
        peeks = [self._number_of(node.together) for node in pending.nodes]
        # Also where nobody peeks now: a slot may have been somebody's who did.
        if self._num_peeking:
            self.peeks_S[to] = torch.tensor(peeks, device=self.device)
        return slots

    def _number_of(self, together: Together | None) -> int:
        """The number of a set that peeks; 0 for all else."""
        if together is None or not together.peeks:
            return 0
        if together not in self._peeking:
            self._num_peeking += 1
            self._peeking[together] = self._num_peeking
        return self._peeking[together]

    def _grow(self, size: int) -> None:
        old = len(self.node_S)
        if size > old:
            for name in ("node_S", "order_S", "position_S", "peeks_S"):
                larger = torch.zeros(max(size, 2 * old), dtype=torch.long, device=self.device)
                larger[:old] = getattr(self, name)
                setattr(self, name, larger)

    def mask(self, slots_N: Tensor) -> Tensor:
        """Which slot each of the step's tokens sees, bool (N, S), S being the slots in use.

        Every token sees at least itself, so no row is empty.
        """
        used = slice(0, self.slots.high)
        visible_NS = self.visible_MM[self.node_S[slots_N]][:, self.node_S[used]]
        mask_NS = visible_NS & (self.order_S[used] <= self.order_S[slots_N, None])
        peeks_N = self.peeks_S[slots_N]
        if self._num_peeking and bool(peeks_N.any()):
            peers_NS = (peeks_N[:, None] == self.peeks_S[used]) & (peeks_N[:, None] > 0)
            earlier_NS = self.position_S[used] < self.position_S[slots_N, None]
            mask_NS |= peers_NS & earlier_NS & (self.node_S[used] != NOBODY)
        return mask_NS

    # ----- leaving -----

    def compute_last_again(self, node: Node) -> None:
        """Make the last token of a computed node pending, to have its logits once more."""
        self.version += 1
        slot = node.slots.pop()
        self.node_S[slot] = NOBODY
        self.slots.give_back([slot])

    def shorten(self, node: Node, length: int) -> None:
        """Drop the tokens of a node behind its first `length`; nothing may go on from them."""
        self.version += 1
        freed = node.slots[length:]
        node.tokens, node.slots = node.tokens[:length], node.slots[:length]
        self.node_S[freed] = NOBODY
        self.slots.give_back(freed)

    def evict(self, nodes: Iterable[Node]) -> None:
        """Give up keys and values: the tokens of these nodes are pending again.

        Whatever inherits from one of them has to be among them.
        """
        for node in nodes:
            if node.slots:
                self.version += 1
                self.node_S[node.slots] = NOBODY
                self.slots.give_back(node.slots)
                node.slots = []

    def of_roots(self, root_ids: Collection[int]) -> list[Node]:
        """All nodes of some trees, and those of others that inherit from them."""
        return [node for node in self.nodes.values() if is_below(node, root_ids)]

    def compact(self) -> Tensor:
        """Move all tokens to the first slots, node by node, so that no holes are left.

        Returns the slots that they had, int64, in the order of those that they have now; the cache
        has to follow.
        """
        self.version += 1
        old: list[int] = []
        for node in self.nodes.values():
            begin = len(old)
            old += node.slots
            node.slots = list(range(begin, len(old)))
        old_U = torch.tensor(old, dtype=torch.long, device=self.device)
        for tensor in (self.node_S, self.order_S, self.position_S, self.peeks_S):
            tensor[: len(old)] = tensor[old_U]
        self.node_S[len(old) :] = NOBODY
        self.slots.compact()
        return old_U

    def hold(self, node: Node) -> None:
        """Keep `node` (and so its ancestors) until `release`."""
        node.holders += 1

    def release(self, node: Node) -> None:
        """Let go of `node`; it leaves, with every ancestor that nobody else needs."""
        node.holders -= 1
        stack = [node]
        while stack:
            current = stack.pop()
            if current.holders or current.children or self.nodes.get(current.id) is not current:
                continue
            self.version += 1
            del self.nodes[current.id]
            self.visible_MM[:, current.id] = False
            self.node_S[current.slots] = NOBODY
            self.slots.give_back(current.slots)
            self._free_ids.append(current.id)
            for parent in current.parents:
                parent.children.remove(current)
                stack.append(parent)


def is_below(node: Node, root_ids: Collection[int]) -> bool:
    """Whether a node is of one of these trees, or inherits from one."""
    return node.root_id in root_ids or any(one.root_id in root_ids for one in node.ancestors())


def _common_length(a: Sequence[int], b: Sequence[int]) -> int:
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))
