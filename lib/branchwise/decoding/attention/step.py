"""What one forward pass knows about the tree.

Shape legend: N query tokens of a step, S key slots in use.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from branchwise.decoding.held.tree import Node, Pending, TokenTree


@dataclass(eq=False)
class TreeStep:
    """The tokens of a pass, after they were given their slots, as numbers and as int64 (N,); positions
    are logical ones, int64 (N,). `num_slots` slots are in use, from the first to the last.

    A sliding window counts logical positions, so that what else is in the tree does not narrow it.
    """

    tree: TokenTree
    pending: Pending
    slots: list[int]
    slots_N: Tensor
    position_N: Tensor
    num_slots: int

    def sees_everything(self, window: int | None) -> bool:
        """Whether the step is one token that sees every slot in use: then nothing has to be masked."""
        if len(self.pending.tokens) > 1:
            return False
        (node,), (position,) = self.pending.nodes, self.pending.positions
        if window is not None and position >= window:
            return False
        return self.num_slots == len(node.slots) + sum(len(above.slots) for above in node.ancestors())

    @property
    def peeks(self) -> bool:
        """Whether some of its tokens see more than their ancestors hold."""
        return any(node.together and node.together.peeks for node in set(self.pending.nodes))

    def mask(self, window: int | None) -> Tensor:
        """Which slots each token sees, bool (N, S), narrowed to the window if there is one."""
        mask = self.tree.mask(self.slots_N.to(self.tree.device)).to(self.device)
        if window is not None:
            mask &= self.position_N[:, None] - self.slot_positions < window
        return mask

    @property
    def slot_positions(self) -> Tensor:
        """Logical position of the token in each slot in use, int64 (S,)."""
        return self.tree.position_S[: self.num_slots].to(self.device)

    @property
    def device(self) -> torch.device:
        """Where its tensors are: the tree's, or that of the layers it is `on`."""
        return self.slots_N.device

    def on(self, device: torch.device) -> "TreeStep":
        """The same step for layers on another device than the tree's."""
        if device == self.device:
            return self
        return replace(self, slots_N=self.slots_N.to(device), position_N=self.position_N.to(device))


class Following:
    """Tells of each step whether it goes on from the one before: its rows are the next tokens of the same
    nodes, in the same order, of a tree of which nothing else has changed.

    `may_go_on`: whether the next step could, so that what is made for this one is worth keeping.
    """

    def __init__(self) -> None:
        self.may_go_on = False
        self._nodes: list[Node] = []
        self._version = -1

    def goes_on(self, step: TreeStep) -> bool:
        """Whether this step does; it is then the one before."""
        nodes, version = step.pending.nodes, step.tree.version
        goes_on = self.may_go_on and version == self._version and nodes == self._nodes
        self.may_go_on = len(set(nodes)) == len(nodes)
        self._nodes, self._version = nodes, version
        return goes_on

    def forget(self) -> None:
        """There is no step before the next."""
        self.may_go_on, self._nodes = False, []
