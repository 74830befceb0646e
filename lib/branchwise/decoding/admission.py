"""Which branches may run: all of them, or as many as a budget of cache tokens lets."""

import time
from collections.abc import Iterable, Sequence

from branchwise.decoding.branches import GroupState, Run
from branchwise.decoding.held.tree import Node, TokenTree
from branchwise.decoding.sets import HookSets
from branchwise.errors import DoesNotFit


class Admission:
    """Branches that run, and those that wait for memory to do so.

    A branch is let in with all that it can come to need, so that what runs always ends. Where nothing
    runs and nothing fits, the keys and values of all that neither runs nor is asked for now are given
    up (they are computed again when their branches go on); refused is only a branch that would not fit
    with its own prompt alone, or a set that moves together and would not with its own. Under a budget
    such a set is let in whole, once all of it have begun: none of it holds memory that others wait for.
    """

    def __init__(self, tree: TokenTree, max_cache_tokens: int | None, sets: HookSets) -> None:
        self.tree = tree
        self.max_cache_tokens = max_cache_tokens
        self.sets = sets
        self.running: list[Run] = []
        self.waiting: list[Run] = []

    def admit(self, groups: dict) -> Run | None:
        """Let in what fits, branches of groups that run already first.

        Returns a branch that will never fit, which the caller has to end; None where there is none.
        """
        while (unit := self._let_in_what_fits(groups)) is not None:
            # Branches that hold logits wait for others of their hook, perhaps for one of these.
            if any(r.logits_V is None for r in self.running):
                return None
            if not self._make_room(groups, unit):
                return unit[0]
        return None

    def _let_in_what_fits(self, groups: dict) -> list[Run] | None:
        """Let in what fits, in turn; returns the branches that come next and do not."""
        self.waiting.sort(key=lambda r: groups[r.branch.group].num_running == 0)
        budget = self.max_cache_tokens
        reserved = self._reserved() if budget is not None else 0
        while (unit := self._next()) is not None:
            if budget is not None:
                reserved += self._need(unit)
                if reserved > budget:
                    return unit
            for waiting in unit:
                self._let_in(waiting)
                groups[waiting.branch.group].num_running += 1
        return None

    def _next(self) -> list[Run] | None:
        """The branches that are to come in next, together; None where there are none."""
        if self.max_cache_tokens is None:
            return self.waiting[:1] or None
        for waiting in self.waiting:
            if self.sets.is_whole(waiting):
                return [one for one in self.sets.moving_with(waiting) if one in self.waiting]
        return None

    def _let_in(self, waiting: Run) -> None:
        if not waiting.branch.tip.num_pending:
            # A child had it computed meanwhile, or it said its last word and goes on: its logits are
            # needed again, and for this one alone. The slot that this takes is the one that it frees.
            self.tree.compute_last_again(waiting.branch.tip)
            waiting.branch.tip.payer = None
        waiting.start_s = time.perf_counter()
        waiting.charge()
        self.waiting.remove(waiting)
        self.running.append(waiting)

    def _make_room(self, groups: dict, unit: Sequence[Run]) -> bool:
        """Give up memory for branches that wait; False where there is none to give up."""
        lingering = [state for state in groups.values() if state.lingering is not None]
        for state in lingering:
            self.forget_lingering(state)
        before = self.tree.slots.num_used
        mine = {waiting.branch.group for waiting in unit}
        others = [s for g, s in groups.items() if g not in mine and not s.num_running]
        idle = {root.id for state in others for root in state.roots}
        needed = self._planned() | _paths(unit) | self._together()
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
        return _paths(self.running)

    def _together(self) -> set[Node]:
        """What branches computed together, and all above it: computed again alone it would be another
        thing.
        """
        nodes = [node for node in self.tree.nodes.values() if node.together is not None]
        return {*nodes, *(above for node in nodes for above in node.ancestors())}

    def _need(self, unit: Sequence[Run]) -> int:
        """Slots that branches can come to take, over those that others have reserved."""
        to_come = sum(waiting.num_to_come for waiting in unit)
        return to_come + _pending(_paths(unit) - self._planned())

    def _reserved(self) -> int:
        """Slots in use, and those that running branches can come to take."""
        to_come = sum(r.num_to_come for r in self.running)
        return self.tree.slots.num_used + to_come + _pending(self._planned())

    def refusal(self, waiting: Run) -> DoesNotFit:
        """Why a branch never fits, alone or with those that it moves with."""
        together = self.sets.moving_with(waiting)
        beside = f" beside {self._reserved()} of branches that wait for it" if self.running else ""
        need = sum(w.num_to_come for w in together) + sum(len(n.tokens) for n in _paths(together))
        others = f" and {len(together) - 1} that move with it" if len(together) > 1 else ""
        verb = "need" if others else "needs"
        return DoesNotFit(
            f"{waiting.branch}{others} {verb} {need} tokens of cache{beside}, over the budget of "
            f"{self.max_cache_tokens}",
            "raise max_cache_tokens, or lower max_new_tokens",
        )


def _paths(runs: Iterable[Run]) -> set[Node]:
    """All that some branches see."""
    return {node for run in runs for node in run.branch.path}


def _pending(nodes: Iterable[Node]) -> int:
    return sum(node.num_pending for node in nodes)
