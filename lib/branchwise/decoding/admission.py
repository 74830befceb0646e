"""Which branches may run: all of them, or as many as a budget of cache tokens lets."""

import time
from collections.abc import Iterable

from branchwise.decoding.branches import GroupState, Run
from branchwise.decoding.held.tree import Node, TokenTree
from branchwise.errors import DoesNotFit


class Admission:
    """Branches that run, and those that wait for memory to do so.

    A branch is let in with all that it can come to need, so that what runs always ends. Where nothing
    runs and nothing fits, the keys and values of all that neither runs nor is asked for now are given
    up (they are computed again when their branches go on); refused is only a branch that would not fit
    with its own prompt alone.
    """

    def __init__(self, tree: TokenTree, max_cache_tokens: int | None) -> None:
        self.tree = tree
        self.max_cache_tokens = max_cache_tokens
        self.running: list[Run] = []
        self.waiting: list[Run] = []

    def admit(self, groups: dict) -> Run | None:
        """Let in what fits, branches of groups that run already first.

        Returns a branch that will never fit, which the caller has to end; None where there is none.
        """
        while self.waiting:
            self._let_in_what_fits(groups)
            # Branches that hold logits wait for others of their hook, perhaps for one of these.
            if any(r.logits_V is None for r in self.running) or not self.waiting:
                return None
            if not self._make_room(groups):
                return self.waiting[0]
        return None

    def _let_in_what_fits(self, groups: dict) -> None:
        self.waiting.sort(key=lambda r: groups[r.branch.group].num_running == 0)
        budget = self.max_cache_tokens
        reserved = self._reserved() if budget is not None else 0
        while self.waiting:
            waiting = self.waiting[0]
            if budget is not None:
                reserved += self._need(waiting)
                if reserved > budget:
                    return
            if not waiting.branch.tip.num_pending:
                # A child had it computed meanwhile, or it said its last word and goes on: its logits are
                # needed again, and for this one alone. The slot that this takes is the one that it frees.
                self.tree.compute_last_again(waiting.branch.tip)
                waiting.branch.tip.payer = None
            waiting.start_s = time.perf_counter()
            waiting.charge()
            self.running.append(self.waiting.pop(0))
            groups[waiting.branch.group].num_running += 1

    def _make_room(self, groups: dict) -> bool:
        """Give up memory for the branch that waits first; False where there is none to give up."""
        lingering = [state for state in groups.values() if state.lingering is not None]
        for state in lingering:
            self.forget_lingering(state)
        before = self.tree.slots.num_used
        mine = self.waiting[0].branch
        others = [s for g, s in groups.items() if g != mine.group and not s.num_running]
        idle = {root.id for state in others for root in state.roots}
        needed = self._planned() | set(mine.path)
        nodes = [node for node in self.tree.nodes.values() if node not in needed]
        # Other groups first: what this one holds is likelier to be asked for again.
        for some in ([n for n in nodes if n.root_id in idle], nodes):
            self.tree.evict(some)
            if self.tree.slots.num_used < before:
                return True
        return bool(lingering)

    def forget_lingering(self, state: GroupState) -> None:
        """Let go of the finished answer that was kept in case the group's next prompt goes on from it."""
        if state.lingering is not None:
            state.branches.remove(state.lingering)
            self.tree.release(state.lingering.tip)
            state.lingering = None

    def _planned(self) -> set[Node]:
        return {node for r in self.running for node in r.branch.path}

    def _need(self, waiting: Run) -> int:
        """Slots that a branch can come to take, over those that others have reserved."""
        planned = self._planned()
        return waiting.num_to_come + _pending(n for n in waiting.branch.path if n not in planned)

    def _reserved(self) -> int:
        """Slots in use, and those that running branches can come to take."""
        to_come = sum(r.num_to_come for r in self.running)
        return self.tree.slots.num_used + to_come + _pending(self._planned())

    def refusal(self, waiting: Run) -> DoesNotFit:
        """Why a branch never fits."""
        beside = f" beside {self._reserved()} of branches that wait for it" if self.running else ""
        need = waiting.num_to_come + waiting.branch.num_tokens
        return DoesNotFit(
            f"{waiting.branch} needs {need} tokens of cache{beside}, over the budget of "
            f"{self.max_cache_tokens}",
            "raise max_cache_tokens, or lower max_new_tokens",
        )


def _pending(nodes: Iterable[Node]) -> int:
    return sum(node.num_pending for node in nodes)
