"""Branches: places in the token tree that a strategy holds, and answers in the making there."""

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from branchwise.decoding.held.tree import Node
from branchwise.decoding.requests import Completion, Running, StopReason, TokenCount
from branchwise.decoding.stops import Cut


@dataclass(eq=False)
class Branch:
    """A place in the token tree: what it holds and inherits is the prompt of what it generates.

    Made by `TreeEngine.open`, `fork` and `join`; kept in memory until `release` or the end of its
    group. `number` counts the branches of a decoder.
    """

    group: Hashable
    tip: Node
    number: int
    is_generating: bool = False

    @property
    def path(self) -> list[Node]:
        """Its own node and all above it."""
        return [self.tip, *self.tip.ancestors()]

    @property
    def num_tokens(self) -> int:
        """Tokens that the branch holds and inherits."""
        return sum(len(node.tokens) for node in self.path)

    @property
    def end(self) -> int:
        """Position after its last token."""
        return self.tip.end

    @property
    def token_ids(self) -> list[int]:
        """What it inherits, then its own: each node after its parents, those of a join in their order."""
        found: dict[Node, None] = {}

        def visit(node: Node) -> None:
            for parent in node.parents:
                if parent not in found:
                    visit(parent)
            found[node] = None

        visit(self.tip)
        return [token for node in found for token in node.tokens]

    def __str__(self) -> str:
        label = getattr(self.group, "label", None) or str(self.group)
        return f"branch {self.number} of group {label[:60]}"


@dataclass(eq=False, kw_only=True)
class Run(Running):
    """A branch that is generating. `logits_V` is there while it waits for others of its hook.

    `num_unique` of the `num_sent` tokens of its prompt are charged to it: those that are computed for
    it, and not for another that runs.
    """

    branch: Branch
    future: asyncio.Future[Completion]
    generator: torch.Generator | None = None
    is_ask: bool = False
    num_sent: int = 0
    num_unique: int = 0
    logits_V: Tensor | None = None
    has_tip: bool = False
    is_over: bool = False

    @property
    def num_to_come(self) -> int:
        """Tokens that it may still add to the tree."""
        return self.rules.max_new_tokens - len(self.ids)

    def charge(self) -> None:
        """Put on the ledger what the branch sees, and what of it is still to be computed.

        Only once it is let in: what it finds computed before may be given up while it waits.
        """
        for node in self.branch.path:
            self.num_sent += len(node.tokens)
            self.pay_for(node)

    def pay_for(self, node: Node) -> None:
        """Take what is pending in a node of its path on its ledger, unless somebody else does."""
        if node.num_pending and node.payer is None:
            node.payer = self
            self.num_unique += node.num_pending

    def hand_on(self, others: Sequence["Run"]) -> None:
        """Pay for nothing any more: what it leaves pending, the first of `others` that needs it pays."""
        for node in self.branch.path:
            if node.payer is self:
                node.payer = None
                heir = next((o for o in others if node.num_pending and node in o.branch.path), None)
                if heir is not None:
                    heir.pay_for(node)

    def completion(self, stop: StopReason, end_s: float, cut: Cut | None) -> Completion:
        """What was made, with its ledger; `cut`: where a stop text ended it."""
        cached = self.num_sent - self.num_unique
        tokens = TokenCount(self.num_sent, self.num_unique, cached, len(self.ids), 0)
        said = (cut.text, cut.stop_text) if cut else (None, None)
        return Completion(self.ids, stop, tokens, self.start_s, end_s, self.num_steps, *said)


@dataclass(eq=False)
class GroupState:
    """What the tree keeps for one group: its root, its roots below beginnings that groups share (by
    these), its branches, and the last finished answer.

    The branch of an `ask` leaves when it is finished, unless nothing else of its group is running:
    then it lingers until the group's next prompts are in the tree, because the next turn of a
    conversation starts with exactly these tokens.
    """

    root: Node
    below: dict[Node, Node] = field(default_factory=dict)
    branches: set[Branch] = field(default_factory=set)
    num_running: int = 0
    lingering: Branch | None = None

    @property
    def roots(self) -> list[Node]:
        """All roots that are the group's own."""
        return [self.root, *self.below.values()]
