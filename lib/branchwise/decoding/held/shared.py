"""Beginnings that prompts of all groups have in common (solved questions), computed once and kept.

They belong to no group: their tokens are `cached` on every prompt's ledger, the first one's too, so that
no group's cost depends on which was asked before it. `num_tokens` says what they came to.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from branchwise.decoding.held.tree import Node, TokenTree

MOST_KEPT = 4
"""Beginnings that are kept at once: those of a cell are two at most."""


class _Nobody:
    """Who pays for a beginning that all share."""


NOBODYS = _Nobody()


class SharedBeginnings:
    """The nodes of shared beginnings, by their tokens; the one used longest ago leaves first."""

    def __init__(self, tree: TokenTree) -> None:
        self.tree = tree
        self.num_tokens = 0
        self._nodes: dict[tuple[int, ...], Node] = {}

    def node(self, ids: Sequence[int]) -> Node:
        """The node that holds these tokens, from the first one on."""
        key = tuple(ids)
        node = self._nodes.pop(key, None)
        if node is None:
            node = self.tree.add((), ids)
            node.payer = NOBODYS
            self.tree.hold(node)
            self.num_tokens += len(key)
        self._nodes[key] = node
        if len(self._nodes) > MOST_KEPT:
            self.tree.release(self._nodes.pop(next(iter(self._nodes))))
        return node

    @contextmanager
    def anew(self) -> Iterator[None]:
        """None is kept inside, so each is computed by whoever needs it first; afterwards those are kept
        that were before. What is computed meanwhile is not counted.
        """
        kept, self._nodes = self._nodes, {}
        counted = self.num_tokens
        try:
            yield
        finally:
            self.forget()
            self._nodes, self.num_tokens = kept, counted

    def forget(self) -> None:
        """Let go of all of them; those that a branch goes on from stay until it leaves."""
        for node in self._nodes.values():
            self.tree.release(node)
        self._nodes = {}
