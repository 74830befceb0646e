"""What every token saw, noted pass by pass from the very masks that attention took.

Shape legend: N query tokens of a step, S key slots in use.
"""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from branchwise.decoding.attention.dense import Dense
from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.branches import Run
from branchwise.decoding.engine import TreeEngine
from branchwise.decoding.held.tree import Node, TokenTree
from branchwise.decoding.models.usable import check_on_one_device
from branchwise.errors import UserError


@dataclass(eq=False, slots=True)
class RecordedToken:
    """A token as it was computed. `seen` are the numbers of the tokens that it saw, its own among them,
    in rising order; a token that was given up and computed again is there twice.

    `node` is the run of tokens that it lies in, or lay in at last (a node may be cut meanwhile);
    `node_id` what the tree called that when the token was computed.
    """

    id: int
    position: int
    x: int
    node_id: int
    node: Node
    group: Hashable
    forward_pass: int
    seen: tuple[int, ...]


class Recording:
    """All tokens that a tree engine has computed since, in the order of computing.

    A token's group is the one that its node was opened for; None for beginnings that all groups share.
    `runs` are the branches that generated, in the order in which they were first seen; `made` holds the
    nodes that they made. `windows` are the sliding windows by which some layers narrowed what is
    recorded; `window` the one that the record itself has, where no layer sees everything.
    """

    def __init__(self, engine: TreeEngine) -> None:
        self.tokens: list[RecordedToken] = []
        self.runs: list[Run] = []
        self.made: dict[Node, Run] = {}
        self.windows: set[int] = set()
        self.window: int | None = None
        self.num_passes = 0
        self._engine = engine
        self._tree: TokenTree | None = None
        self._by_order: dict[int, int] = {}

    def note(self, kernel: Kernel) -> None:
        """One forward pass. Slots are reused and moved, so each is looked up as it stands now: the order
        of writing goes with a token wherever it moves.
        """
        step = kernel.step
        assert isinstance(kernel, Dense) and step is not None, "only `dense` is recorded"
        if step.tree is not self._tree:
            # After an error another tree has begun, and counts from the beginning.
            self._tree, self._by_order = step.tree, {}
        order_S: list[int] = step.tree.order_S[: step.num_slots].tolist()
        first = len(self.tokens)
        for row, slot in enumerate(step.slots_N.tolist()):
            self._by_order[order_S[slot]] = first + row
        groups = self._groups()
        pending = step.pending
        for row, seen in enumerate(_rows(self._mask(kernel))):
            node = pending.nodes[row]
            token = RecordedToken(
                id=pending.tokens[row],
                position=pending.positions[row],
                x=node.x,
                node_id=node.id,
                node=node,
                group=groups.get(node.root_id),
                forward_pass=self.num_passes,
                seen=tuple(sorted(self._by_order[order_S[slot]] for slot in seen)),
            )
            self.tokens.append(token)
        self._note_nodes(order_S)
        self._note_runs()
        self.num_passes += 1

    def _mask(self, kernel: Dense) -> Tensor:
        """The mask of layers that see everything, bool (N, S); where there are none, of those that see
        farthest.
        """
        taken = kernel.taken()
        self.windows |= {window for window in taken if window is not None}
        self.window = None if None in taken else max(self.windows)
        return taken[self.window]

    def _groups(self) -> dict[int, Hashable]:
        """Groups by the ids of their roots."""
        states = self._engine.scheduler.groups.items()
        return {root.id: group for group, state in states for root in state.roots}

    def _note_nodes(self, order_S: list[int]) -> None:
        """Tokens in the node in which they are now: a prompt that parts from another cuts a node."""
        assert self._tree is not None
        for node in self._tree.nodes.values():
            for slot in node.slots:
                self.tokens[self._by_order[order_S[slot]]].node = node

    def _note_runs(self) -> None:
        known = set(self.runs)
        self.runs += [run for run in self._engine.scheduler.runs if run not in known]
        for run in self.runs:
            # A branch that goes on later gets a new tip; by then this one has been noted.
            if run.has_tip:
                self.made.setdefault(run.branch.tip, run)


def _rows(mask_NS: Tensor) -> list[list[int]]:
    """Of each row the slots that are seen."""
    rows: list[list[int]] = [[] for _ in range(len(mask_NS))]
    for row, slot in mask_NS.nonzero().tolist():
        rows[row].append(slot)
    return rows


@contextmanager
def recorded(engine: Any) -> Iterator[Recording]:
    """Record all that a tree engine computes for as long as this lasts.

    Raises UserError for another decoder, for another kernel than `dense` (only there is the mask that
    attention takes the matrix itself), and where the engine holds tokens already.
    """
    if not isinstance(engine, TreeEngine):
        raise UserError(
            f"{type(engine).__name__} has no tree whose masks could be recorded", "use decoder tree"
        )
    if engine.kernel != Dense.name:
        raise UserError(
            f"masks are recorded of kernel {Dense.name}, and the decoder has kernel {engine.kernel}",
            f"give the decoder `kernel: {Dense.name}`; every kernel computes the same",
        )
    check_on_one_device(engine.model, "a record of its masks")
    if engine.slots_in_use:
        raise UserError(
            f"the decoder holds {engine.slots_in_use} tokens that nobody has recorded",
            "record from the first prompt on: close all groups, and `forget_shared()`",
        )
    recording = Recording(engine)
    engine.observe(recording.note)
    try:
        yield recording
    finally:
        engine.observe(None)
