"""Groups and their branches: the next token of each, and their end."""

import time
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from branchwise.decoding.admission import Admission
from branchwise.decoding.branches import Branch, GroupState, Run
from branchwise.decoding.forward import Outcome
from branchwise.decoding.held.shared import SharedBeginnings
from branchwise.decoding.held.tree import Node, Together, TokenTree
from branchwise.decoding.models.text import continuation_ids_of
from branchwise.decoding.requests import Hook, Rules, hand_over
from branchwise.decoding.sampling import choose
from branchwise.decoding.sets import HookSets, changed_logits
from branchwise.decoding.stops import Cut, StopTexts
from branchwise.errors import DoesNotFit, NotANumberError, UserError


class Scheduler:
    """Keeps groups, and takes their branches forward by tokens."""

    def __init__(
        self,
        tree: TokenTree,
        stop_ids: frozenset[int],
        tokenizer: Any,
        max_cache_tokens: int | None,
        max_step_tokens: int,
    ) -> None:
        self.tree = tree
        self.max_step_tokens = max_step_tokens
        self.stop_ids = stop_ids
        self.stop_texts = StopTexts(tokenizer)
        self.groups: dict[Hashable, GroupState] = {}
        self.shared = SharedBeginnings(tree)
        self.sets = HookSets()
        self.admission = Admission(tree, max_cache_tokens, self.sets)
        self.num_ended = 0

    # ----- groups -----

    def state(self, group: Hashable) -> GroupState:
        """What is kept for a group, made on first use."""
        state = self.groups.get(group)
        if state is None:
            root = self.tree.add(())
            self.tree.hold(root)
            state = self.groups[group] = GroupState(root)
        return state

    def root(self, group: Hashable, shared: Sequence[int]) -> Node:
        """Where prompts of a group that begin with `shared` go on from there; made on first use."""
        state = self.state(group)
        if not shared:
            return state.root
        beginning = self.shared.node(shared)
        root = state.below.get(beginning)
        if root is None:
            root = state.below[beginning] = self.tree.add((beginning,), is_root=True)
            self.tree.hold(root)
        return root

    def release(self, branch: Branch) -> None:
        """Let go of a branch; does nothing for one that is gone."""
        state = self.groups.get(branch.group)
        if state is not None and branch in state.branches:
            state.branches.remove(branch)
            self.tree.release(branch.tip)

    def close(self, group: Hashable) -> None:
        """Drop all that is kept for `group`; whoever waits for one of its branches is cancelled."""
        for generating in self.runs:
            if generating.branch.group == group:
                self.drop(generating)
        state = self.groups.pop(group, None)
        if state is not None:
            for branch in state.branches:
                self.tree.release(branch.tip)
            for root in state.roots:
                self.tree.release(root)

    @property
    def runs(self) -> list[Run]:
        """Every branch that generates or waits to."""
        return [*self.admission.waiting, *self.admission.running]

    # ----- a step -----

    def start(self, generating: Run) -> None:
        """Queue a branch that wants to generate."""
        generating.branch.is_generating = True
        self.admission.waiting.append(generating)
        self.sets.enter(generating)

    def set_apart(self, branch: Branch, together: Together) -> None:
        """Give the last token of a prompt a node of its own, the first that is computed together with
        those of other branches. No other prompt goes on from it.
        """
        tip = branch.tip
        if len(tip.tokens) > 1:
            last = self.tree.add((tip,), start=tip.end - 1)
            last.tokens.append(tip.tokens.pop())
            self.tree.hold(last)
            self.tree.release(tip)
            branch.tip = last
        branch.tip.open_to_match, branch.tip.together = False, together

    def miss(self, rules: Rules) -> None:
        """A branch was cancelled before it could start: its sets do not wait for it."""
        self.sets.miss(rules)

    def admit(self) -> None:
        """Drop branches that nobody waits for any more, and let in what fits."""
        for generating in self.runs:
            if generating.future.done():
                self._end(generating)
        while (never := self.admission.admit(self.groups)) is not None:
            # A set that moves together is refused whole: without one of it it would answer another thing.
            self._fail(self.sets.moving_with(never), self.admission.refusal(never))
        for generating in list(self.admission.running):
            is_here = not generating.is_over and generating.branch.tip.together is not None
            if is_here and self.sets.is_whole(generating):
                self._check_step(generating)

    def _check_step(self, generating: Run) -> None:
        """Refuse a set whose branches cannot enter a pass together."""
        alike = self.sets.moving_with(generating)
        tips = [one.branch.tip for one in alike]
        together = generating.rules.together
        if together is not None and together.peeks and len({tip.end for tip in tips}) > 1:
            # What one has still to say would stand before what another has read already.
            error: Exception = UserError(
                "branches that peek are of unequal length, so that they do not end at the same position",
                "fork them with positions='shared' (`positions: shared` of the strategy)",
            )
            self._fail(alike, error)
            return
        need = sum(tip.num_pending for tip in tips)
        if need > self.max_step_tokens:
            error = DoesNotFit(
                f"{len(alike)} branches that enter each pass together need {need} tokens in one, over "
                f"the {self.max_step_tokens} of a pass",
                "raise max_step_tokens, or ask smaller groups",
            )
            self._fail(alike, error)

    @property
    def tips(self) -> list[Node]:
        """Nodes that the next pass is to complete. Of branches that are together, and not all here yet,
        only what comes before.
        """
        found: list[Node] = []
        for generating in self.admission.running:
            tip = generating.branch.tip
            if generating.logits_V is not None:
                continue
            if tip.together is None or self.sets.is_whole(generating):
                found.append(tip)
            else:
                found += [parent for parent in tip.parents if parent.num_pending]
        return found

    def advance(self, outcome: Outcome) -> None:
        """Note a pass: fail what is broken, and go on by a token wherever one can be chosen."""
        for generating in list(self.admission.running):
            generating.num_steps += 1
            tip = generating.branch.tip
            if outcome.broken and tip.root_id in outcome.broken:
                self._fail([generating], _not_numbers(generating, outcome.broken[tip.root_id]))
            elif generating.logits_V is None:
                generating.logits_V = outcome.logits.get(tip)
        if outcome.broken:
            # Nothing may be built on what was computed there.
            self.tree.evict(self.tree.of_roots(outcome.broken.keys()))
        self.choose()

    def choose(self) -> bool:
        """The next token of every branch that has its logits and waits for nobody of its hook.

        False where there is none such.
        """
        ready = self.sets.ready(self.admission.running)
        logits = changed_logits(ready, self._fail)
        alike: dict[tuple[Hook, ...], list[Run]] = {}
        for generating in logits:
            alike.setdefault(generating.rules.hooks, []).append(generating)
        now = time.perf_counter()
        for members in alike.values():
            # What goes wrong in one set's choice or listener is handed to those who wait for its answers,
            # and is no other group's business.
            try:
                tokens = self._tokens(members, torch.stack([logits[member] for member in members]))
            except Exception as error:
                self._fail(members, error)
                continue
            for member, token in zip(members, tokens, strict=True):
                member.logits_V = None
                try:
                    self._add(member, token, now)
                except Exception as error:
                    self._fail([member], error)
        return bool(ready)

    @staticmethod
    def _tokens(members: list[Run], logits_RV: Tensor) -> list[int]:
        rules = [member.rules for member in members]
        return choose(logits_RV, rules, [member.generator for member in members])

    def _add(self, generating: Run, token: int, now: float) -> None:
        """Add a branch's next token, or end it."""
        if generating.is_over:
            # A hook or a listener has closed its group meanwhile.
            return
        stop = generating.add(token, self.stop_ids)
        if generating.is_over:
            return
        stop, cut = self.stop_texts.end(generating.ids, stop, generating.rules.stop_texts)
        if cut is not None:
            self._take_back(generating, cut)
        elif stop != "stop":
            self._append(generating, token)
        if stop is not None:
            completion = generating.completion(stop, now, cut)
            self._end(generating)
            if not generating.future.done():
                generating.future.set_result(completion)

    def _append(self, generating: Run, token: int) -> None:
        """A token more in the branch's own node, which begins with its first."""
        branch = generating.branch
        if not generating.has_tip:
            tip = self.tree.add((branch.tip,))
            tip.open_to_match = False
            tip.together = branch.tip.together
            tip.column = branch.tip.column + len(branch.tip.tokens)
            self.tree.hold(tip)
            self.tree.release(branch.tip)
            branch.tip = tip
            generating.has_tip = True
        branch.tip.tokens.append(token)

    def _take_back(self, generating: Run, cut: Cut) -> None:
        """Leave in the branch what came before a stop text, and nothing of that: who forks or joins the
        branch does not see it.
        """
        branch = generating.branch
        if generating.has_tip:
            self.tree.shorten(branch.tip, cut.num_kept)
            if not branch.tip.tokens:
                empty = branch.tip
                (branch.tip,) = empty.parents
                self.tree.hold(branch.tip)
                self.tree.release(empty)
                generating.has_tip = False
        if cut.rest and not generating.is_ask:
            for token in continuation_ids_of(self.stop_texts.tokenizer, cut.rest):
                self._append(generating, token)

    # ----- ends -----

    def drop(self, generating: Run) -> None:
        """End a branch that nobody waits for; whoever does all the same is cancelled."""
        if generating.is_over:
            return
        self._end(generating)
        if not generating.future.get_loop().is_closed():
            generating.future.cancel()

    def _end(self, generating: Run) -> None:
        """The branch generates no longer; the branch of an ask leaves or lingers."""
        self.num_ended += 1
        generating.is_over = True
        branch = generating.branch
        branch.is_generating = False
        # What was computed together is nobody else's: it says other things than it would alone.
        branch.tip.open_to_match = branch.tip.together is None
        state = self.groups[branch.group]
        if generating in self.admission.running:
            self.admission.running.remove(generating)
            state.num_running -= 1
            generating.hand_on(self.admission.running)
        else:
            self.admission.waiting.remove(generating)
        self.sets.leave(generating)
        if generating.is_ask:
            if state.num_running == 0 and branch.tip.together is None:
                self.admission.forget_lingering(state)
                state.lingering = branch
            else:
                self.release(branch)

    def _fail(self, members: Sequence[Run], error: Exception) -> None:
        """End branches with an error."""
        for member in members:
            if not member.is_over:
                self._end(member)
                hand_over(member.future, error)


def _not_numbers(generating: Run, where: str) -> NotANumberError:
    number = generating.num_sent + len(generating.ids)
    return NotANumberError(
        f"the logits after token {number} of {generating.branch} are not numbers, first in {where}",
        "check the weights and the dtype (float32 rules out an overflow)",
    )
