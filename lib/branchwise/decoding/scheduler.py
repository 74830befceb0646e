"""Which branches run: admission under the memory budget, the next token of each, and their end."""

import time
from typing import Any

import torch

from branchwise.decoding.branches import Branch, GroupState, Run
from branchwise.decoding.forward import Outcome
from branchwise.decoding.requests import StopReason
from branchwise.decoding.sampling import choose
from branchwise.decoding.tree import Node, TokenTree
from branchwise.errors import NotANumberError, UserError


class Scheduler:
    """Branches that generate, and those that wait for memory to do so."""

    def __init__(
        self, tree: TokenTree, stop_ids: frozenset[int], tokenizer: Any, max_cache_tokens: int | None
    ) -> None:
        self.tree = tree
        self.stop_ids = stop_ids
        self.tokenizer = tokenizer
        self.max_cache_tokens = max_cache_tokens
        self.groups: dict[object, GroupState] = {}
        self.running: list[Run] = []
        self._waiting: list[Run] = []

    # ----- groups -----

    def state(self, group: object) -> GroupState:
        """What is kept for a group, made on first use."""
        state = self.groups.get(group)
        if state is None:
            root = self.tree.add(())
            self.tree.hold(root)
            state = self.groups[group] = GroupState(root)
        return state

    def release(self, branch: Branch) -> None:
        """Let go of a branch; does nothing for one that is gone."""
        state = self.groups.get(branch.group)
        if state is not None and branch in state.branches:
            state.branches.remove(branch)
            self.tree.release(branch.tip)

    def forget_lingering(self, state: GroupState) -> None:
        """Let go of the finished answer that was kept in case the group's next prompt goes on from it."""
        if state.lingering is not None:
            self.release(state.lingering)
            state.lingering = None

    def close(self, group: object) -> None:
        """Drop all that is kept for `group`, branches that still run included."""
        for runs in (self._waiting, self.running):
            runs[:] = [r for r in runs if r.branch.group is not group]
        state = self.groups.pop(group, None)
        if state is not None:
            for branch in state.branches:
                self.tree.release(branch.tip)
            self.tree.release(state.root)

    # ----- admission -----

    def start(self, generating: Run) -> None:
        """Queue a branch that wants to generate."""
        generating.branch.is_generating = True
        generating.num_sent = generating.branch.num_tokens
        self._waiting.append(generating)

    @property
    def has_work(self) -> bool:
        """Whether anything runs or waits to."""
        return bool(self.running or self._waiting)

    def admit(self) -> None:
        """Let as many branches run as the memory allows, those of groups that run already first."""
        while self._waiting:
            self._admit_what_fits()
            if self.running or not self._waiting:
                return
            # Nothing runs and nothing fits: give up what was kept in case it is of use, then a branch.
            lingering = [state for state in self.groups.values() if state.lingering is not None]
            for state in lingering:
                self.forget_lingering(state)
            if not lingering:
                self._refuse(self._waiting[0])

    def _admit_what_fits(self) -> None:
        self._waiting.sort(key=lambda r: self.groups[r.branch.group].num_running == 0)
        budget = self.max_cache_tokens
        reserved = self._reserved() if budget is not None else 0
        while self._waiting:
            if budget is not None:
                reserved += self._need(self._waiting[0])
                if reserved > budget:
                    return
            self._let_run(self._waiting.pop(0))

    def _let_run(self, waiting: Run) -> None:
        waiting.start_s = time.perf_counter()
        self.running.append(waiting)
        self.groups[waiting.branch.group].num_running += 1

    def _need(self, waiting: Run) -> int:
        """Slots that a branch can come to take, over those that others have reserved."""
        nodes = (waiting.branch.tip, *waiting.branch.tip.ancestors())
        planned = {node for r in self.running for node in (r.branch.tip, *r.branch.tip.ancestors())}
        return waiting.num_to_come + sum(n.num_pending for n in nodes if n not in planned)

    def _reserved(self) -> int:
        """Slots in use, and those that running branches can come to take."""
        nodes = {n for r in self.running for n in (r.branch.tip, *r.branch.tip.ancestors())}
        to_come = sum(r.num_to_come for r in self.running)
        return self.tree.slots.num_used + to_come + sum(node.num_pending for node in nodes)

    def _refuse(self, waiting: Run) -> None:
        """Nothing runs, and the next branch does not fit: it never will."""
        self._waiting.remove(waiting)
        need, held = self._need(waiting), self.tree.slots.num_used
        self._end(waiting)
        waiting.future.set_exception(
            UserError(
                f"a branch needs {need} tokens of cache beside {held} that its group holds, "
                f"over the budget of {self.max_cache_tokens}",
                "raise max_cache_tokens, or lower max_new_tokens",
            )
        )

    # ----- tokens -----

    @property
    def tips(self) -> list[Node]:
        """Nodes that the next pass is to complete."""
        return [r.branch.tip for r in self.running if r.logits_V is None]

    def take(self, outcome: Outcome) -> None:
        """Note a pass: fail what is broken, and go on by a token wherever one can be chosen."""
        for generating in list(self.running):
            generating.num_steps += 1
            tip = generating.branch.tip
            if tip.root_id in outcome.broken:
                self._fail(generating, outcome.broken[tip.root_id])
            elif generating.logits_V is None:
                generating.logits_V = outcome.logits.get(tip)
        self._choose()

    def _choose(self) -> None:
        """The next token of every branch that has its logits and waits for nobody of its hook."""
        sets: dict[int, list[Run]] = {}
        for generating in self.running:
            if generating.logits_V is not None:
                sets.setdefault(id(generating.rules.hook), []).append(generating)
        now = time.perf_counter()
        for members in sets.values():
            hook = members[0].rules.hook
            if hook is not None and len(members) < hook.lockstep:
                continue
            logits_RV = torch.stack([member.logits_V for member in members])
            if hook is not None:
                logits_RV = hook.change([member.ids for member in members], logits_RV)
            rules = [member.rules for member in members]
            tokens = choose(logits_RV, rules, [member.generator for member in members])
            for member, token in zip(members, tokens, strict=True):
                member.logits_V = None
                self._take(member, token, now)

    def _take(self, generating: Run, token: int, now: float) -> None:
        """Add a branch's next token, or end it."""
        stop = generating.take(token, self.stop_ids)
        text = None
        if stop != "stop" and generating.rules.stop_texts:
            text = self._text_before_stop(generating)
            stop = "stop" if text is not None else stop
        branch = generating.branch
        ends_here = stop == "stop" and text is None
        if not ends_here:
            if not generating.has_tip:
                tip = self.tree.add((branch.tip,))
                tip.open_to_match = False
                self.tree.hold(tip)
                self.tree.release(branch.tip)
                branch.tip = tip
                generating.has_tip = True
            branch.tip.tokens.append(token)
        if stop is not None:
            self._finish(generating, stop, now, text)

    def _text_before_stop(self, generating: Run) -> str | None:
        """The answer up to its first stop text; None where it holds none yet."""
        text = self.tokenizer.decode(generating.ids, skip_special_tokens=True)
        found = [text.index(stop) for stop in generating.rules.stop_texts if stop in text]
        return text[: min(found)] if found else None

    def _end(self, generating: Run) -> None:
        """The branch generates no longer; the branch of an ask leaves or lingers."""
        branch = generating.branch
        branch.is_generating = False
        branch.tip.open_to_match = True
        state = self.groups[branch.group]
        if generating in self.running:
            self.running.remove(generating)
            state.num_running -= 1
        if generating.is_ask:
            if state.num_running == 0:
                state.lingering = branch
            else:
                self.release(branch)

    def _fail(self, generating: Run, where: str) -> None:
        """End a branch whose logits are not numbers; every other group goes on."""
        self._end(generating)
        number = generating.num_sent + len(generating.ids)
        generating.future.set_exception(
            NotANumberError(
                f"the logits after token {number} of a branch of group {generating.branch.group} "
                f"are not numbers, first in {where}",
                "check the weights and the dtype (float32 rules out an overflow)",
            )
        )

    def _finish(self, generating: Run, stop: StopReason, now: float, text: str | None) -> None:
        completion = generating.completion(stop, now, text)
        self._end(generating)
        if not generating.future.done():
            generating.future.set_result(completion)
